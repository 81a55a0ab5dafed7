"""Runs that differ only in seed and in numbers, and stages of a run that do not wait for one another, trained
as one stacked model.

A step of a small model is all overhead: for eight of them side by side it costs little more than for one.
Each replica keeps its own first weights, rows, order of batches, optimiser state and hyper-parameters, and
leaves what `fit` would have left, where `fit` would have left it. What cannot be stacked is left to `fit`.
"""

import functools
import hashlib
import json
import math
import sys
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import torch
from filelock import Timeout
from torch import Tensor, nn

from mlbench.config import MACHINE, options, target
from mlbench.data.shared import Shared
from mlbench.data.vectors import order
from mlbench.engine import threads
from mlbench.engine.callbacks import catch_signals, read, restore_signals, write
from mlbench.engine.fit import Job, clear, fit, forget_stacks
from mlbench.engine.lit import STEPS, in_one_pass
from mlbench.engine.progress import Lines
from mlbench.engine.score import device_of
from mlbench.engine.stack import BrokenAlone, CannotStack, Stack
from mlbench.engine.train import Result, Running
from mlbench.methods.base import Method

# Optimisers that treat every entry of a parameter by itself, so that a stack of them is one of each.
ELEMENTWISE = {
    f"torch.optim.{name}" for name in ("Adam", "AdamW", "SGD", "RMSprop", "Adagrad", "Adamax", "NAdam")
}

REPLICAS = 32  # to train at once: more of them make a step longer, not cheaper

PROGRESS = ("epoch", "step", "total", "history", "broken")  # of a stack, as its checkpoint keeps it


def together(runs: Sequence[Running[Result]], stack: bool = True) -> list[Result | Exception]:
    """Drives runs side by side, their fits stacked or one by one: each ends with its result, or with what
    stopped it."""
    ended: dict[int, Result | Exception] = {}
    asked: dict[int, list[Job]] = {}

    def advance(number: int, step: Any) -> None:
        asked.pop(number, None)
        try:
            asked[number] = step()
        except StopIteration as end:
            ended[number] = end.value
        except Exception as error:
            ended[number] = error

    try:
        for number, run in enumerate(runs):
            advance(number, run.__next__)
        while asked:
            if stack:
                fit_together([job for jobs in asked.values() for job in jobs])
            for number, jobs in list(asked.items()):
                try:
                    outcomes = [fit(job) for job in jobs]  # what the stack left; or, on its own, all of it
                except Exception as error:
                    advance(number, lambda number=number, error=error: runs[number].throw(error))
                else:
                    advance(number, lambda number=number, outcomes=outcomes: runs[number].send(outcomes))
    finally:
        for run in runs:
            run.close()  # after an interrupt: nobody holds anything any more
    return [ended[number] for number in range(len(runs))]


def fit_together(jobs: Sequence[Job]) -> None:
    """Trains the jobs that can be stacked; the others, and those that break, are left for `fit`."""
    by_path = {job.path: job for job in jobs}  # a shared stage is asked for by several runs
    alike: dict[str, list[Job]] = {}
    alone: list[str] = []
    for path in sorted(by_path):
        job = by_path[path]
        if job.stage.solve:
            continue
        if reason := why_alone(job):
            alone += [] if job.done.exists() else [f"{job.label} is trained one by one: {reason}"]
        else:
            alike.setdefault(kind_of(job), []).append(job)
    for line, times in Counter(alone).items():
        if times > 1:
            print(f"mlbench: {line}", file=sys.stderr)
    for group in alike.values():
        with ExitStack() as held:
            free = [job for job in group if _acquired(held, job)]
            missing = [job for job in free if not job.done.exists()]
            if missing and checkpoint_of(free).exists():
                missing = free  # a process that ended while it wrote what they leave
            elif free and not missing:
                checkpoint_of(free).unlink(missing_ok=True)  # one that ended before it removed it
            if len(missing) > 1:
                try:
                    _train(missing)
                except BrokenAlone:
                    pass
                except Exception as error:  # whatever it is: alone it works, or says what is wrong
                    print(f"mlbench: {missing[0].label} is trained one by one: {error}", file=sys.stderr)


def checkpoint_of(jobs: Sequence[Job]) -> Path:
    """Of these together and no others."""
    paths = sorted(job.path for job in jobs)
    digest = hashlib.sha256(json.dumps([str(path) for path in paths]).encode()).hexdigest()[:16]
    return paths[0].with_name(f"{paths[0].name}-together-{digest}.ckpt")


def _acquired(held: ExitStack, job: Job) -> bool:
    try:
        held.enter_context(job.lock.acquire(timeout=0))
    except Timeout:
        return False
    clear(job)
    return True


def why_alone(job: Job) -> str | None:
    """What speaks against stacking a job, whatever the others are."""
    train, optimizer, kind = job.train, job.plan.optimizer["_target_"], type(job.stage.module)
    parts = [*job.stage.module.modules()]
    reasons = {
        f"train.devices={train.devices}": train.devices > 1,
        f"train.accumulate={train.accumulate}": train.accumulate > 1,
        f"train.gradient_clip={train.gradient_clip}": train.gradient_clip,
        f"train.precision={train.precision}": train.precision != "32-true",
        f"{optimizer} mixes the entries of a parameter": optimizer not in ELEMENTWISE,
        "it has an after_step": getattr(kind, "after_step", Method.after_step) is not Method.after_step,
        "it has batch norm": any(isinstance(part, nn.modules.batchnorm._BatchNorm) for part in parts),
        "it has dropout": any(isinstance(part, nn.modules.dropout._DropoutNd) and part.p for part in parts),
    }
    return next((reason for reason, holds in reasons.items() if holds), None)


def kind_of(job: Job) -> str:
    """Equal for jobs that may be stacked."""
    stage, plan, train = job.stage, job.plan, job.train
    module = stage.module
    state = {name: [*tensor.shape] for name, tensor in module.state_dict().items()}
    described = {
        "module": f"{type(module).__module__}.{type(module).__qualname__}",
        "state": state,
        "functions": functions_of(module),
        "data": stage.data.described,
        "plan": [plan.epochs, plan.batch_size, plan.optimizer["_target_"], plan.scheduler],
        "optimizer": {key: value for key, value in options(plan.optimizer).items() if not _number(value)},
        "train": train.model_dump(exclude={*MACHINE, "optimizer", "scheduler", "epochs", "batch_size"}),
        "device": train.accelerator,
        "selection": job.selection.model_dump() if job.looks else None,
        "watches": [[watch.rule, watch.part] for watch in job.looks],
    }
    return json.dumps(described, sort_keys=True, default=str)


def functions_of(module: nn.Module) -> dict[str, list]:
    """Functions that it holds with arguments given, such as its loss. Numbers among them may differ."""
    return {
        f"{path}.{name}": [
            f"{value.func.__module__}.{value.func.__qualname__}",
            {key: "number" if _number(given) else given for key, given in value.keywords.items()},
        ]
        for path, part in module.named_modules()
        for name, value in vars(part).items()
        if isinstance(value, functools.partial)
    }


def _number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _train(jobs: list[Job]) -> None:
    """One stack, from the first epoch or from its checkpoint to the last."""
    groups: dict[str, list[Job]] = {}
    for job in sorted(jobs, key=lambda job: (_optimizer(job), str(job.path))):
        groups.setdefault(_optimizer(job), []).append(job)
    Fit([*groups.values()], device_of(jobs[0].train)).run()


def _optimizer(job: Job) -> str:
    return json.dumps(job.plan.optimizer, sort_keys=True)


class Fit:
    """The loop over epochs and batches of a stack, and what it saves."""

    def __init__(self, groups: list[list[Job]], device: torch.device):
        """`groups`: jobs with the same optimiser, its numbers included."""
        self.jobs = [job for group in groups for job in group]
        self.group_of = [number for number, group in enumerate(groups) for _ in group]
        self.stack = Stack([[job.stage.module for job in group] for group in groups], device)
        self.device = device
        self.plan = self.jobs[0].plan
        self.count = len(self.jobs[0].stage.data)
        self.data = Shared.of([job.stage.data for job in self.jobs]).to(device)
        for job in self.jobs:
            for watch in job.looks:
                watch.data = watch.data.to(device)
        threads.use(self.plan.train, self.jobs[0].stage.module, self.plan.batch_size, len(self.jobs))
        batches = self._batches(0)
        self.batches = len(batches)  # an epoch
        self.stack.choose([self.data.batch(rows) for rows in dict.fromkeys((batches[0], batches[-1]))])
        parameters = [
            {"params": [*leaves.values()]} | in_one_pass(group[0].plan.optimizer)
            for leaves, group in zip(self.stack.leaves, groups)
        ]
        self.optimizer = target(self.plan.optimizer)(parameters, **in_one_pass(self.plan.optimizer))
        schedule = target(self.plan.scheduler)
        self.scheduler = schedule(self.optimizer, **options(self.plan.scheduler)) if schedule else None
        self.epoch = self.step = 0  # finished epochs; steps of the one at hand
        self.total = torch.zeros(len(self.jobs), dtype=torch.float64, device=device)  # of its losses
        self.history: list[list[dict[str, float]]] = [[] for _ in self.jobs]
        self.broken = [False] * len(self.jobs)  # whose loss, or what it is watched by, gave out
        self.started = self.saved = time.monotonic()
        self.checkpoint = checkpoint_of(self.jobs)
        self.asked_to_stop = False

    def run(self) -> None:
        handlers = catch_signals(self._stop)
        try:
            self._restore()
            self.lines = Lines(f"{self.jobs[0].label} ×{len(self.jobs)}", self.plan.epochs, self._done)
            while self.epoch < self.plan.epochs and not all(self.broken):
                self._train_epoch()
            self._save()  # what is written next is all or nothing
            self._finish()
        finally:
            restore_signals(handlers)
            if self.asked_to_stop:
                raise KeyboardInterrupt

    def _batches(self, epoch: int) -> tuple[Tensor, ...]:
        """Row numbers in the data of all, (R, B) each: every replica in an order of its own."""
        plan = self.plan
        rows = torch.stack(
            [
                order(self.count, job.plan.seed, epoch, plan.train.shuffle) + number * self.count
                for number, job in enumerate(self.jobs)
            ]
        ).to(self.device)
        round_down = math.floor if plan.train.drop_last else math.ceil
        number = round_down(self.count / plan.batch_size)
        if not number:
            raise CannotStack("train.drop_last=true leaves no batch")
        return rows.split(plan.batch_size, dim=1)[:number]

    def _train_epoch(self) -> None:
        """The epoch, or the rest of it, a chunk at a time: between two it may be saved, and stopped."""
        batches = self._batches(self.epoch)
        ones = torch.ones(len(self.jobs), device=self.device)
        while self.step < len(batches):
            losses = []
            for rows in batches[self.step : self.step + STEPS]:
                loss = self.stack.losses(self.data.batch(rows))
                loss.backward(ones)  # replicas share nothing: the gradient of the sum is each one's own
                self.optimizer.step()
                self.optimizer.zero_grad()
                losses.append(loss.detach())
            self.total += torch.stack(losses).sum(0, dtype=torch.float64)
            self.step += len(losses)
            if self.plan.train.progress and self.lines.due:
                self.lines.tell(self.epoch + 1, self._done, self._loss())
            if self.asked_to_stop or time.monotonic() - self.saved > self.plan.train.checkpoint_seconds:
                self._save()
            if self.asked_to_stop:
                raise KeyboardInterrupt
        means = (self.total / self.step).tolist()
        self.epoch, self.step = self.epoch + 1, 0
        self.total.zero_()
        self._note(means)

    @property
    def _done(self) -> float:
        """The share of all epochs."""
        return (self.epoch + self.step / self.batches) / self.plan.epochs

    def _loss(self) -> float | None:
        """The mean over its replicas, as it was in the last epoch."""
        last = [own[-1]["loss"] for own in self.history if own]
        return sum(last) / len(last) if last else None

    def _note(self, means: list[float]) -> None:
        """The epoch's row of each replica's history, as the LightningModule writes it."""
        rows = [{"epoch": self.epoch, "loss": mean} for mean in means]
        self.broken = [broken or not math.isfinite(mean) for broken, mean in zip(self.broken, means)]
        if self.jobs[0].looks and (
            self.epoch % self.jobs[0].selection.every == 0 or self.epoch == self.plan.epochs
        ):
            self._look(rows)
        if self.scheduler:
            rates = self.scheduler.get_last_lr()
            rows = [row | {"learning_rate": rates[group]} for row, group in zip(rows, self.group_of)]
            self.scheduler.step()
        for own, row in zip(self.history, rows):
            own.append(row)

    def _look(self, rows: list[dict[str, float]]) -> None:
        self.stack.hand_back()
        for number, (row, job, module) in enumerate(zip(rows, self.jobs, self.stack.modules)):
            for watch in job.looks:
                if not self.broken[number]:
                    try:
                        row[f"{watch.part}_{watch.metric}"] = watch.look(module, self.epoch)
                    except Exception:  # alone it happens again, and is said
                        self.broken[number] = True

    def _finish(self) -> None:
        """Each replica's result, but of one that broke: alone it breaks again, and says where."""
        self.stack.hand_back()
        for job, module, history, broken in zip(self.jobs, self.stack.modules, self.history, self.broken):
            if not broken and not job.done.exists():
                kept = {watch.rule: watch.kept for watch in job.looks}
                result = {"last": module.state_dict(), "kept": kept, "history": history}
                write(job.done, result | {"seconds": (time.monotonic() - self.started) / len(self.jobs)})
                job.done.with_suffix(".ckpt").unlink(missing_ok=True)  # it was begun alone
        self.checkpoint.unlink(missing_ok=True)
        for job in self.jobs:
            if job.done.exists():
                forget_stacks(job)

    def _save(self) -> None:
        state = {
            "orders": self.stack.orders,
            "leaves": [{name: leaf.detach() for name, leaf in each.items()} for each in self.stack.leaves],
            "optimizer": self.optimizer.state_dict(),
            "scheduler": self.scheduler.state_dict() if self.scheduler else None,
            "kept": [{watch.rule: watch.kept for watch in job.looks} for job in self.jobs],
            "seconds": time.monotonic() - self.started,
        }
        write(self.checkpoint, state | {name: getattr(self, name) for name in PROGRESS})
        self.saved = time.monotonic()

    @torch.no_grad()
    def _restore(self) -> None:
        for job in self.jobs:
            for watch in job.looks:  # the stage before may have kept an epoch of its own
                watch.kept = {}
        state = read(self.checkpoint)
        if state is None or state.get("orders") != self.stack.orders:  # of other code, or another torch
            return
        for each, held in zip(self.stack.leaves, state["leaves"]):
            for name, leaf in each.items():
                leaf.copy_(held[name])
        self.optimizer.load_state_dict(state["optimizer"])
        if self.scheduler:
            self.scheduler.load_state_dict(state["scheduler"])
        for name in PROGRESS:
            setattr(self, name, state[name])
        self.total = self.total.to(self.device)
        self.started -= state["seconds"]
        for job, kept in zip(self.jobs, state["kept"]):
            for watch in job.looks:
                watch.kept = kept[watch.rule]

    def _stop(self, *_: Any) -> None:
        if self.asked_to_stop:  # asked twice: at once
            raise KeyboardInterrupt
        self.asked_to_stop = True
