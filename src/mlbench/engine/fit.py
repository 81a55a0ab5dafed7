"""One stage, one fit, one file: trains a stage under a Lightning Trainer, or picks up what is there."""

import multiprocessing
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from filelock import FileLock
from lightning import Callback, Trainer
from torch.multiprocessing import ProcessExitedException, ProcessRaisedException

from mlbench.config import Selection, Train
from mlbench.engine import ranks, threads
from mlbench.engine.callbacks import (
    Progress,
    Save,
    Select,
    Watch,
    catch_signals,
    read,
    restore_signals,
    write,
)
from mlbench.engine.lit import Lit, Plan
from mlbench.errors import UserError
from mlbench.methods.base import Stage
from mlbench.seeding import derive, seed_everything


@dataclass(frozen=True)
class Outcome:
    """What a finished stage left: the last epoch's state, what each selection rule kept, the history."""

    last: dict[str, torch.Tensor]
    kept: dict[str, dict[str, Any]]  # rule -> {epoch, value, state}
    history: list[dict[str, float]]
    seconds: float


@dataclass(frozen=True)
class Job:
    """A stage of one run, with all it takes to train it."""

    stage: Stage
    train: Train
    selection: Selection
    seed: int
    path: Path  # of what it leaves: <path>.pt, and <path>.ckpt until then
    watches: list[Watch]
    label: str
    report: Callable[[list[dict]], None]

    @property
    def plan(self) -> Plan:
        return Plan.of(self.stage, self.train, self.seed)

    @property
    def done(self) -> Path:
        return self.path.with_suffix(".pt")

    @property
    def lock(self) -> FileLock:
        """A shared stage may be wanted by another process."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        return FileLock(self.path.with_suffix(".lock"))

    @property
    def looks(self) -> list[Watch]:
        return self.watches if self.stage.selects else []


def fit(job: Job) -> Outcome:
    """Trains the stage's module in place, leaves `<path>.pt`; goes on from `<path>.ckpt` if there is one."""
    with job.lock:
        clear(job)
        result = read(job.done)
        if result is None:
            seed_everything(job.seed)
            _train(job)
            result = read(job.done)
    outcome = Outcome(**result)
    take(job.stage, outcome.last, job.done)
    seed_everything(derive(job.seed, "after"))  # what follows draws the same, trained just now or not
    job.report(outcome.history)
    return outcome


def take(stage: Stage, state: dict[str, torch.Tensor], path: Path) -> None:
    """The state of an earlier process, if the stage's module is still what it was."""
    try:
        stage.module.load_state_dict(state)
    except UserError as error:
        raise UserError(f"{path}: {error}") from error
    except RuntimeError as error:
        reason = str(error).strip().splitlines()[-1].strip().rstrip(".")
        again = "remove it to train it again" if stage.shared else "run again with force=true"
        raise UserError(
            f"{path} does not fit {type(stage.module).__name__} any more ({reason}): {again}"
        ) from error


def clear(job: Job) -> None:
    """Removes what a process that was killed had not written to the end. Who calls holds the job's lock."""
    for name in ("{}.*.tmp", "{}-together-*.tmp"):
        for left in job.path.parent.glob(name.format(job.path.name)):
            left.unlink(missing_ok=True)


def forget_stacks(job: Job) -> None:
    """Removes checkpoints of stacks that it was to be trained in, once it is done."""
    for left in job.path.parent.glob(f"{job.path.name}-together-*.ckpt"):
        left.unlink(missing_ok=True)


def _train(job: Job) -> None:
    stage, plan, done = job.stage, job.plan, job.done
    if stage.solve:
        _solve(stage, done)
        return
    threads.use(job.train, stage.module, plan.batch_size)
    checkpoint = done.with_suffix(".ckpt")
    select = Select(job.looks, job.selection.every)
    live = job.report if plan.train.devices == 1 else None  # a tracker stays in its process
    save = Save(checkpoint, plan.train.checkpoint_seconds, select.watches, live, plan.train.devices)
    bar = [Progress(job.label)] if plan.train.progress else []
    _descend(stage, plan, [select, save, *bar])
    if done.exists():
        checkpoint.unlink(missing_ok=True)
        forget_stacks(job)
    if save.asked_to_stop or not done.exists():
        raise KeyboardInterrupt


def _solve(stage: Stage, done: Path) -> None:
    started = time.monotonic()
    stage.solve(stage.data)
    write(done, Outcome(stage.module.state_dict(), {}, [], time.monotonic() - started).__dict__)


def _descend(stage: Stage, plan: Plan, callbacks: list[Callback]) -> None:
    train = plan.train
    save = callbacks[1]
    state = read(save.path)
    if state:
        take(stage, state.pop("module"), save.path)
    for watch in save.watches:  # the stage before may have kept an epoch of its own
        watch.kept = state["kept"][watch.rule] if state else {}
    lit = Lit(stage, plan, state)
    handlers = catch_signals(save.stop)  # a parent of several processes must outlive them
    before = multiprocessing.active_children()
    try:
        trainer = Trainer(
            max_epochs=1,  # to Lightning
            accelerator=train.accelerator,
            devices=train.devices,
            strategy=ranks.strategy(train),
            precision=train.precision,
            callbacks=callbacks,
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            use_distributed_sampler=False,
        )
        trainer.fit(lit)
    except SystemExit as error:  # what Lightning makes of Ctrl-C
        raise KeyboardInterrupt from error
    except (ProcessRaisedException, ProcessExitedException) as error:
        if save.heard:  # a rank that had not begun yet ends by the signal itself
            raise KeyboardInterrupt from error
        raise ranks.explained(error, getattr(trainer.strategy.launcher, "procs", [])) from error
    finally:
        restore_signals(handlers)
        ranks.end([process for process in multiprocessing.active_children() if process not in before])
