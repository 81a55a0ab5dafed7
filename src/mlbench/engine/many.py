"""Runs that differ only in seed and in numbers, their stages trained as one stacked model.

A step of a small model is all overhead: for eight of them side by side it costs little more than for one.
Each replica keeps its own first weights, rows, order of batches, optimiser state and hyper-parameters, and
leaves what `fit` would have left, where `fit` would have left it. What cannot be stacked is left to `fit`.
"""

import hashlib
import json
import math
import sys
import time
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import torch
from filelock import Timeout
from torch import Tensor, nn

from mlbench.config import MACHINE, options, target
from mlbench.data.vectors import Batch, Vectors, order
from mlbench.engine.callbacks import catch_signals, read, restore_signals, write
from mlbench.engine.fit import Job, fit
from mlbench.engine.lit import STEPS
from mlbench.engine.score import device_of
from mlbench.engine.stack import CannotStack, Stack
from mlbench.engine.train import Result, Running
from mlbench.methods.base import Method

# Optimisers that treat every entry of a parameter by itself, so that a stack of them is one of each.
ELEMENTWISE = {
    f"torch.optim.{name}" for name in ("Adam", "AdamW", "SGD", "RMSprop", "Adagrad", "Adamax", "NAdam")
}


def together(runs: Sequence[Running[Result]]) -> list[Result | Exception]:
    """Drives several runs side by side: each ends with its result, or with what stopped it."""
    ended: dict[int, Result | Exception] = {}
    asked: dict[int, Job] = {}

    def advance(number: int, step: Any) -> None:
        asked.pop(number, None)
        try:
            asked[number] = step()
        except StopIteration as end:
            ended[number] = end.value
        except Exception as error:
            ended[number] = error

    for number, run in enumerate(runs):
        advance(number, run.__next__)
    while asked:
        fit_together(list(asked.values()))
        for number, job in list(asked.items()):
            try:
                outcome = fit(job)  # what the stack left; or, on its own, all of it
            except Exception as error:
                advance(number, lambda number=number, error=error: runs[number].throw(error))
            else:
                advance(number, lambda number=number, outcome=outcome: runs[number].send(outcome))
    return [ended[number] for number in range(len(runs))]


def fit_together(jobs: Sequence[Job]) -> None:
    """Trains the jobs that can be stacked; the others, and those that break, are left for `fit`."""
    by_path = {job.path: job for job in jobs}  # a shared stage is asked for by several runs
    alike: dict[str, list[Job]] = {}
    for path in sorted(by_path):
        job = by_path[path]
        if not job.done.exists() and (kind := kind_of(job)):
            alike.setdefault(kind, []).append(job)
    for group in alike.values():
        with ExitStack() as held:
            free = [job for job in group if _acquired(held, job)]
            free = [job for job in free if not job.done.exists()]
            if len(free) > 1:
                try:
                    _train(free)
                except CannotStack as error:
                    print(f"mlbench: {free[0].label} is trained one by one: {error}", file=sys.stderr)


def _acquired(held: ExitStack, job: Job) -> bool:
    try:
        held.enter_context(job.lock.acquire(timeout=0))
    except Timeout:
        return False
    return True


def kind_of(job: Job) -> str | None:
    """Equal for jobs that may be stacked; None for one that never can."""
    stage, plan, train = job.stage, job.plan, job.train
    module = stage.module
    alone = (
        stage.solve
        or train.devices > 1
        or train.accumulate > 1
        or train.gradient_clip
        or train.precision != "32-true"
        or plan.optimizer["_target_"] not in ELEMENTWISE
        or getattr(type(module), "after_step", Method.after_step) is not Method.after_step
        or any(isinstance(part, nn.modules.batchnorm._BatchNorm) for part in module.modules())
        or any(getattr(part, "p", 0) for part in module.modules() if "Dropout" in type(part).__name__)
    )
    if alone:
        return None
    state = {name: [*tensor.shape] for name, tensor in module.state_dict().items()}
    features = stage.data.features
    described = {
        "module": f"{type(module).__module__}.{type(module).__qualname__}",
        "state": state,
        "data": [type(features).__name__, *features.shape, *stage.data.targets.shape],
        "plan": [stage.name, plan.epochs, plan.batch_size, plan.optimizer["_target_"], plan.scheduler],
        "optimizer": {key: value for key, value in options(plan.optimizer).items() if not _number(value)},
        "train": train.model_dump(exclude={*MACHINE, "optimizer", "scheduler", "epochs", "batch_size"}),
        "device": train.accelerator,
        "selection": job.selection.model_dump() if job.looks else None,
        "watches": [[watch.rule, watch.part] for watch in job.looks],
    }
    return json.dumps(described, sort_keys=True, default=str)


def _number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _train(jobs: list[Job]) -> None:
    """One stack, from the first epoch or from its checkpoint to the last."""
    jobs = sorted(jobs, key=lambda job: (_optimizer(job), str(job.path)))
    groups: dict[str, list[Job]] = {}
    for job in jobs:
        groups.setdefault(_optimizer(job), []).append(job)
    device = device_of(jobs[0].train)
    for job in jobs:
        job.stage.module.to(device).train()
        for watch in job.looks:
            watch.data = watch.data.to(device)
    stack = Stack([[job.stage.module for job in group] for group in groups.values()])
    Fit(jobs, stack, [group[0] for group in groups.values()], device).run()


def _optimizer(job: Job) -> str:
    return json.dumps(job.plan.optimizer, sort_keys=True)


class Fit:
    """The loop over epochs and batches of a stack, and what it saves."""

    def __init__(self, jobs: list[Job], stack: Stack, leaders: list[Job], device: torch.device):
        self.jobs, self.stack, self.device = jobs, stack, device
        self.plan = jobs[0].plan
        self.count = len(jobs[0].stage.data)
        self.data = Vectors.concatenated([job.stage.data for job in jobs]).to(device)
        groups = [
            {"params": list(leaf.values())} | options(job.plan.optimizer)
            for leaf, job in zip(stack.leaves, leaders)
        ]
        self.group_of = [[_optimizer(leader) for leader in leaders].index(_optimizer(job)) for job in jobs]
        self.optimizer = target(self.plan.optimizer)(groups, **options(self.plan.optimizer))
        schedule = target(self.plan.scheduler)
        self.scheduler = schedule(self.optimizer, **options(self.plan.scheduler)) if schedule else None
        self.epoch, self.seconds = 0, 0.0
        self.history: list[list[dict[str, float]]] = [[] for _ in jobs]
        self.asked_to_stop = False
        names = sorted(str(job.path) for job in jobs)
        digest = hashlib.sha256(json.dumps(names).encode()).hexdigest()[:16]
        self.checkpoint = Path(jobs[0].path).with_name(f"{jobs[0].path.name}-together-{digest}.ckpt")

    def run(self) -> None:
        if self.plan.train.threads:
            torch.set_num_threads(self.plan.train.threads)
        handlers = catch_signals(self._stop)
        try:
            self._restore()
            self.stack.choose(self._batch(next(self._batches(0))))
            started = saved = time.monotonic()
            before = self.seconds
            while self.epoch < self.plan.epochs:
                self._train_epoch()
                self.seconds = before + time.monotonic() - started
                if self.asked_to_stop or time.monotonic() - saved > self.plan.train.checkpoint_seconds:
                    self._save()
                    saved = time.monotonic()
                if self.asked_to_stop:
                    raise KeyboardInterrupt
            self._finish()
        finally:
            restore_signals(handlers)

    def _batches(self, epoch: int) -> Iterable[Tensor]:
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
        return iter(rows.split(plan.batch_size, dim=1)[:number])

    def _batch(self, rows: Tensor) -> Batch:
        return Batch(*[part.unflatten(0, rows.shape) for part in self.data.batch(rows.flatten())])

    def _train_epoch(self) -> None:
        total, steps = torch.zeros(len(self.jobs), dtype=torch.float64, device=self.device), 0
        ones = torch.ones(len(self.jobs), device=self.device)
        losses = []
        for rows in self._batches(self.epoch):
            loss = self.stack.losses(self._batch(rows))
            loss.backward(ones)  # replicas share nothing: the gradient of the sum is each one's own
            self.optimizer.step()
            self.optimizer.zero_grad()
            losses.append(loss.detach())
            if len(losses) == STEPS:
                total += torch.stack(losses).sum(0, dtype=torch.float64)
                steps, losses = steps + STEPS, []
        if losses:
            total += torch.stack(losses).sum(0, dtype=torch.float64)
        self.epoch += 1
        self._note((total / (steps + len(losses))).tolist())

    def _note(self, means: list[float]) -> None:
        """The epoch's row of each replica's history, as the LightningModule writes it."""
        rows = [{"epoch": self.epoch, "loss": mean} for mean in means]
        every, last = self.jobs[0].selection.every, self.epoch == self.plan.epochs
        if self.jobs[0].looks and (self.epoch % every == 0 or last):
            self.stack.hand_back()
            for row, job in zip(rows, self.jobs):
                for watch in job.looks:
                    row[f"{watch.part}_{watch.metric}"] = watch.look(job.stage.module, self.epoch)
        if self.scheduler:
            rates = self.scheduler.get_last_lr()
            rows = [row | {"learning_rate": rates[group]} for row, group in zip(rows, self.group_of)]
            self.scheduler.step()
        for own, row in zip(self.history, rows):
            own.append(row)

    def _finish(self) -> None:
        """Each replica's result, but of one whose loss broke: alone it breaks again, and says where."""
        self.stack.hand_back()
        share = self.seconds / len(self.jobs)
        for job, history in zip(self.jobs, self.history):
            if all(math.isfinite(row["loss"]) for row in history):
                kept = {watch.rule: watch.kept for watch in job.looks}
                result = {"last": job.stage.module.state_dict(), "kept": kept, "history": history}
                write(job.done, result | {"seconds": share})
        self.checkpoint.unlink(missing_ok=True)

    def _save(self) -> None:
        write(
            self.checkpoint,
            {
                "leaves": [
                    {name: leaf.detach() for name, leaf in each.items()} for each in self.stack.leaves
                ],
                "optimizer": self.optimizer.state_dict(),
                "scheduler": self.scheduler.state_dict() if self.scheduler else None,
                "epoch": self.epoch,
                "seconds": self.seconds,
                "history": self.history,
                "kept": [{watch.rule: watch.kept for watch in job.looks} for job in self.jobs],
            },
        )

    @torch.no_grad()
    def _restore(self) -> None:
        for job in self.jobs:
            for watch in job.looks:  # the stage before may have kept an epoch of its own
                watch.kept = {}
        state = read(self.checkpoint)
        if state is None:
            return
        for each, held in zip(self.stack.leaves, state["leaves"]):
            for name, leaf in each.items():
                leaf.copy_(held[name])
        self.optimizer.load_state_dict(state["optimizer"])
        if self.scheduler:
            self.scheduler.load_state_dict(state["scheduler"])
        self.epoch, self.seconds, self.history = state["epoch"], state["seconds"], state["history"]
        for job, kept in zip(self.jobs, state["kept"]):
            for watch in job.looks:
                watch.kept = kept[watch.rule]

    def _stop(self, *_: Any) -> None:
        if self.asked_to_stop:  # asked twice: at once
            raise KeyboardInterrupt
        self.asked_to_stop = True
