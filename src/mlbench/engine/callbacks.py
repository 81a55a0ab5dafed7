"""What happens around a stage's epochs: keep the best one, save and stop between chunks, show progress."""

import contextlib
import math
import multiprocessing
import random
import signal
import sys
import threading
import time
from collections.abc import Callable
from ctypes import c_byte
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from lightning import Callback, Trainer

from mlbench.data.vectors import Vectors
from mlbench.engine.lit import Lit
from mlbench.engine.progress import Lines
from mlbench.engine.ranks import any_of, of_all, orphaned
from mlbench.engine.score import score_part
from mlbench.errors import UserError
from mlbench.evaluation.suite import METRICS
from mlbench.evaluation.thresholds import Threshold, evaluate_under
from mlbench.files import whole
from mlbench.methods.base import Method
from mlbench.seeding import derive, seed_everything


@dataclass
class Watch:
    """One selection rule: look at a metric on a part, keep the epoch where it was best, the first if tied.

    A threshold rule that is fitted is fitted on the very scores that are looked at; oracle cuts them where
    it is best for the metric.
    """

    rule: str  # best | oracle
    part: str
    data: Vectors
    metric: str
    threshold: Threshold
    kept: dict[str, Any] = field(default_factory=dict)  # epoch, value and state of the best epoch so far

    def look(
        self, module: Method, epoch: int, rank: int = 0, world: int = 1, all_gather: Callable | None = None
    ) -> float:
        scores = score_part(module, self.data, rank, world, all_gather)
        self.threshold.fit(scores, self.data.targets)
        value = evaluate_under(self.threshold, scores, self.data.targets, [self.metric])[self.metric]
        sign = 1 if METRICS[self.metric].better == "high" else -1
        if not math.isnan(value) and (not self.kept or sign * value > sign * self.kept["value"]):
            state = {name: tensor.detach().cpu().clone() for name, tensor in module.state_dict().items()}
            self.kept = {"epoch": epoch, "value": value, "state": state}
        return value


class Select(Callback):
    """Looks at every `every`-th epoch and at the last."""

    def __init__(self, watches: list[Watch], every: int):
        self.watches = watches
        self.every = every

    def on_train_start(self, trainer: Trainer, lit: Lit) -> None:
        lit.select = self
        for watch in self.watches:
            watch.data = watch.data.to(lit.device)

    def due(self, lit: Lit) -> bool:
        """At the end of this epoch."""
        finished = lit.epoch + 1
        return bool(self.watches) and (finished % self.every == 0 or finished == lit.plan.epochs)

    def look(self, lit: Lit) -> dict[str, float]:
        ranks = lit.global_rank, lit.trainer.world_size, lit.all_gather
        return {
            f"{watch.part}_{watch.metric}": watch.look(lit.module, lit.epoch + 1, *ranks)
            for watch in self.watches
        }


class Save(Callback):
    """Checkpoints between two chunks once `seconds` have passed, or when asked to stop; then stops."""

    def __init__(
        self,
        path: Path,
        seconds: float,
        watches: list[Watch],
        report: Callable | None = None,
        devices: int = 1,
    ):
        self.path = path
        self.seconds = seconds
        self.watches = watches
        self.report = report
        # Whether anybody asked to stop, the parent or one of the processes it started: they share the memory.
        self._asked = multiprocessing.get_context("spawn").RawValue("b") if devices > 1 else c_byte()
        self.heard = False

    @property
    def asked_to_stop(self) -> bool:
        return bool(self._asked.value)

    def on_train_start(self, trainer: Trainer, lit: Lit) -> None:
        self.saved = time.monotonic()
        self.started = self.saved - lit.state.get("seconds", 0.0)
        self._handlers = catch_signals(self.stop if trainer.world_size == 1 else self.ask)
        self._drawing = False

    def on_train_batch_start(self, trainer: Trainer, lit: Lit, portion: Any, index: int) -> None:
        if not self._drawing:  # as late as can be: nothing may draw between this and the next step
            begin_drawing(lit.state.pop("generators", []), lit.global_rank, lit.plan.seed)
            self._drawing = True
        stop, alone = self.asked_to_stop, False
        due = time.monotonic() - self.saved >= self.seconds
        if trainer.world_size > 1:
            stop, due, alone = any_of([stop, due, orphaned()], lit.device)
        if (stop or due) and not alone:
            self._save(trainer, lit)
        if stop or alone:
            self.ask()
            lit.stopping = trainer.should_stop = True

    def on_train_end(self, trainer: Trainer, lit: Lit) -> None:
        restore_signals(self._handlers)
        if trainer.is_global_zero and not lit.stopping:
            kept = {watch.rule: watch.kept for watch in self.watches}
            result = {"last": lit.module.state_dict(), "kept": kept, "history": lit.history}
            write(self.path.with_suffix(".pt"), result | {"seconds": time.monotonic() - self.started})

    def on_exception(self, trainer: Trainer, lit: Lit, exception: BaseException) -> None:
        restore_signals(getattr(self, "_handlers", {}))

    def stop(self, *_: Any) -> None:
        if self.heard:  # asked twice: at once
            raise KeyboardInterrupt
        self.heard = True
        self.ask()

    def ask(self, *_: Any) -> None:
        self._asked.value = True

    def _save(self, trainer: Trainer, lit: Lit) -> None:
        drawing = of_all(generators(), trainer.world_size)
        if trainer.is_global_zero:
            state = lit.checkpoint() | {
                "kept": {watch.rule: watch.kept for watch in self.watches},
                "generators": drawing,
                "precision": trainer.precision_plugin.state_dict(),
                "seconds": time.monotonic() - self.started,
            }
            write(self.path, state)
            if self.report:
                self.report(lit.history)
        self.saved = time.monotonic()


class Progress(Callback):
    """Epoch, loss, time left: one bar on a terminal, a line now and then elsewhere."""

    def __init__(self, label: str):
        self.label = label
        self.bar = self.lines = None

    def on_train_start(self, trainer: Trainer, lit: Lit) -> None:
        if not trainer.is_global_zero:
            return
        self.chunks = lit.portions.chunks
        if not sys.stderr.isatty():
            self.lines = Lines(self.label, lit.plan.epochs, self._done(lit))
            return
        from rich.console import Console
        from rich.progress import BarColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
        from rich.progress import Progress as Bar

        columns = [TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn(), TimeRemainingColumn()]
        self.bar = Bar(*columns, console=Console(stderr=True), transient=True)
        self.task = self.bar.add_task(self.label, total=lit.plan.epochs * self.chunks)
        self.bar.start()

    def on_train_batch_end(self, trainer: Trainer, lit: Lit, *_: Any) -> None:
        if self.lines and self.lines.due:
            self.lines.tell(lit.epoch + 1, self._done(lit), lit.history[-1]["loss"] if lit.history else None)
        if self.bar:
            loss = f"{lit.history[-1]['loss']:.4f}" if lit.history else "-"
            epoch = min(lit.epoch + 1, lit.plan.epochs)
            text = f"{self.label} · epoch {epoch}/{lit.plan.epochs} · loss {loss}"
            self.bar.update(self.task, completed=lit.epoch * self.chunks + lit.chunk, description=text)

    def _done(self, lit: Lit) -> float:
        return (lit.epoch + lit.chunk / self.chunks) / lit.plan.epochs

    def on_train_end(self, trainer: Trainer, lit: Lit) -> None:
        self._close()

    def on_exception(self, trainer: Trainer, lit: Lit, exception: BaseException) -> None:
        self._close()

    def _close(self) -> None:
        if self.bar:
            self.bar.stop()
            self.bar = None


def write(path: Path, content: Any) -> None:
    """Tensors and plain types, as `read` reads them."""
    with whole(path) as file:
        try:
            torch.save(content, file)
        except RuntimeError as error:
            if isinstance(full := error.__context__, OSError):
                raise OSError(full.errno, full.strerror) from error
            raise
        foreign = torch.serialization.get_unsafe_globals_in_checkpoint(file.name)
        if foreign:
            raise UserError(
                f"{path} is to hold tensors and plain types alone, and what was trained has a "
                f"{foreign[0]} in its state; make a tensor of it, or a list"
            )


def read(path: Path) -> dict[str, Any] | None:
    """What `write` wrote; None where there is nothing, or something damaged, which is then removed.

    A file may come from anybody: it holds tensors and plain types, and nothing in it is called.
    """
    if not path.exists():
        return None
    with path.open("rb") as file:
        try:
            return torch.load(file, map_location="cpu", weights_only=True)
        except Exception as error:  # a damaged file fails in as many ways as it has bytes
            reason = str(error).partition("\n")[0] or type(error).__name__
    print(f"mlbench: {path} is damaged ({reason}); its stage starts again", file=sys.stderr)
    path.unlink()
    return None


def generators() -> dict[str, Any]:
    """The state of every global generator a method may draw from, as tensors and numbers."""
    (version, words, gauss), (name, keys, *rest) = random.getstate(), np.random.get_state()  # noqa: NPY002
    state = {
        "python": [version, torch.tensor(words), gauss],
        "numpy": [name, torch.from_numpy(keys.astype(np.int64)), *rest],
        "torch": torch.get_rng_state(),
    }
    return state | ({"cuda": torch.cuda.get_rng_state()} if torch.cuda.is_available() else {})


def set_generators(state: dict[str, Any]) -> None:
    version, words, gauss = state["python"]
    random.setstate((version, tuple(words.tolist()), gauss))
    name, keys, *rest = state["numpy"]
    np.random.set_state((name, keys.numpy().astype(np.uint32), *rest))  # noqa: NPY002
    torch.set_rng_state(state["torch"])
    if "cuda" in state:
        torch.cuda.set_rng_state(state["cuda"])


def begin_drawing(kept: list[dict[str, Any]], rank: int, seed: int) -> None:
    """Each rank from where it stood; one that is new, from a seed of its own: its rows are others."""
    if rank < len(kept):
        set_generators(kept[rank])
    elif rank:
        seed_everything(derive(seed, "rank", rank))


def catch_signals(handler: Callable) -> dict[int, Any]:
    """Hands Ctrl-C and SIGTERM to `handler`; what was there before is returned."""
    if threading.current_thread() is not threading.main_thread():
        return {}
    return {number: signal.signal(number, handler) for number in (signal.SIGINT, signal.SIGTERM)}


def restore_signals(handlers: dict[int, Any]) -> None:
    for number, handler in handlers.items():
        with contextlib.suppress(TypeError, ValueError):  # a handler that was not set from Python
            signal.signal(number, handler)
