"""The one loop over epochs and batches: trains the replicas of a stage, one or many.

Losses stay on the device for up to STEPS steps. Then they are fetched, and the training may save and stop.
Nothing else is logged, moved or waited for.
"""

import contextlib
import math
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.optim.swa_utils import get_ema_multi_avg_fn

from mlbench.engine.alone import Alone
from mlbench.engine.compiled import compiled
from mlbench.engine.generators import begin_drawing, generators
from mlbench.engine.graph import Graphs, NotCapturable, wanted
from mlbench.engine.history import History
from mlbench.engine.job import AGAIN, Job, Outcome
from mlbench.engine.lightning import Fabric
from mlbench.engine.native import Native, ends_of
from mlbench.engine.plan import Schedule, build_optimizer
from mlbench.engine.progress import progress
from mlbench.engine.ranks import any_of, of_all, orphaned
from mlbench.engine.saved import read, write
from mlbench.engine.signals import Stop, caught
from mlbench.engine.stack import Stack
from mlbench.errors import UserError

STEPS = 50  # enough of them to make the fetch cheap, few enough to stop or save within seconds
# What every checkpoint holds; newer ones hold more.
KEPT = (
    *("epoch", "batch", "replicas", "optimizer", "schedule", "average", "precision", "generators"),
    *("sums", "history", "broken", "kept"),
)


class Loop:
    """`jobs` differ in seed, rows and numbers only; all other settings are taken from the first."""

    def __init__(
        self,
        jobs: Sequence[Job],
        replicas: Alone | Native | Stack,
        fabric: Fabric,
        checkpoint: Path,
        stop: Stop,
    ):
        self.jobs, self.replicas, self.fabric = jobs, replicas, fabric
        self.checkpoint, self.stop = checkpoint, stop
        self.plans = [job.plan for job in jobs]
        self.plan = self.plans[0]
        self.rank, self.world, device = fabric.global_rank, fabric.world_size, fabric.device
        self.count = len(jobs[0].stage.data)
        self.batches = self.plan.batches(self.count)  # of an epoch
        self.data = replicas.data([job.stage.data for job in jobs]).to(device)
        self.history = History(jobs, self.batches)
        for watch in self.history.watches:
            watch.data = watch.data.to(device)
        replicas.choose([self.data.batch(rows) for rows in ends_of(self._batches(0))])
        self.loss = compiled(replicas.losses) if self.plan.train.compile else replicas.losses
        groups = replicas.groups(self.plans)
        self.optimizer = build_optimizer(self.plan.optimizer, groups, device)
        self.leaves = [leaf for group in self.optimizer.param_groups for leaf in group["params"]]
        self.every = self.plan.train.accumulate
        _, better = self.history.plateau
        self.schedule = Schedule(self.optimizer, self.plan, math.ceil(self.batches / self.every), better)
        self.step = replicas.step_of(self.optimizer)
        self.graphs: Graphs | None = None  # from `run` on, if steps are to be captured
        ema = self.plan.train.ema
        self.average = [leaf.detach().clone() for leaf in self.leaves] if ema else []
        self.follow = get_ema_multi_avg_fn(ema) if ema else None
        self.epoch = self.batch = 0  # finished epochs; finished batches of the current one
        self.coming: Sequence[Tensor] = ()  # the batches of the next epoch, once they are drawn
        self.losses: list[Tensor] = []  # of the batches since the last fetch, on the device

    def run(self) -> list[Outcome | None]:
        """Each job's outcome, None for one that broke; KeyboardInterrupt where somebody asked to stop."""
        self.started = self.saved = time.monotonic()
        self.idle = time.process_time()  # the processor seconds that are not this loop's
        begin_drawing(self._restore(), self.rank, self.plan.seed)  # nothing may draw between here and a step
        if wanted(self.plan.train, self.fabric.device, self.world):
            begun, scheduler = bool(self.epoch or self.batch), self.schedule.scheduler
            self.graphs = Graphs(self._act, self.replicas, self.optimizer, scheduler, self.average, begun)
        with caught(self.stop.hear if self.world == 1 else self.stop.ask):
            with progress(self._label, self.plan, self.done, self.rank) as tell:
                while self.epoch < self.plan.epochs and not self.history.all_over:
                    self._train_epoch(tell)
            return self._finish()

    @property
    def _label(self) -> str:
        several = len(self.jobs)
        return self.jobs[0].label + (f" ×{several}" if several > 1 else "")

    @property
    def done(self) -> float:
        """The share of all epochs that is done."""
        return (self.epoch + self.batch / self.batches) / self.plan.epochs

    def _batches(self, epoch: int) -> Sequence[Tensor]:
        """Row numbers of an epoch's batches: (B,), or (R, B), in an order of its own for each replica."""
        orders = [plan.visits(self.count, epoch) for plan in self.plans]
        rows = self.replicas.rows(orders, self.count)
        if self.fabric.device.type == "cuda":  # from other memory a copy waits for all that runs
            rows = rows.pin_memory()
        rows = rows.to(self.fabric.device, non_blocking=True)
        return rows.split(self.plan.batch_size, dim=-1)[: self.batches]

    def _train_epoch(self, tell: Callable[[int, float, float | None], None]) -> None:
        """Trains the current epoch to its end."""
        if not self.batch:
            self.replicas.call("begin_epoch", self.epoch, self.plan.epochs)
            if self.graphs:
                self.graphs.begin_epoch()
        epoch, batches = self.epoch, self.coming or self._batches(self.epoch)
        self.coming = ()
        while self.epoch == epoch:
            self._between()
            chunk = batches[self.batch : self.batch + max(STEPS // self.every, 1) * self.every]
            for start in range(0, len(chunk), self.every):
                self._step(chunk[start : start + self.every])
            self.batch += len(chunk)
            if self.graphs and self.batch == self.batches and self.epoch + 1 < self.plan.epochs:
                self.coming = self._batches(self.epoch + 1)  # while the device is at work
            self._fetch()
            if self.batch == self.batches:
                self._end_epoch()
            tell(self.epoch + 1, self.done, self.history.loss)

    def _step(self, batches: Sequence[Tensor]) -> None:
        """One step of the optimiser, on the mean of a few batches."""
        self.schedule.before_step()
        self.losses += self._losses(batches)
        self.schedule.after_step()

    def _losses(self, batches: Sequence[Tensor]) -> list[Tensor]:
        if self.graphs:
            try:
                return self.graphs(batches)
            except NotCapturable as error:
                self._without_graphs(error)
        return self._act(batches)

    def _without_graphs(self, error: Exception) -> None:
        """Goes on without graphs, unless they are asked for."""
        if self.plan.train.graph is True:
            raise UserError(
                f"train.graph=true: a step of stage {self.plan.stage} cannot be captured ({error}); "
                "train.graph=auto computes it without a graph"
            ) from error
        print(f"mlbench: {self._label} is trained without a graph: {error}", file=sys.stderr)
        self.graphs = None

    def _act(self, batches: Sequence[Tensor]) -> list[Tensor]:
        """What a step does on the device; the loss of each batch, (R,) or a scalar."""
        computed = []
        for rows in batches:
            share = 1.0
            if self.world > 1:
                rows, share = shard(rows, self.rank, self.world)
            losses = self.loss(self.data.batch(rows))
            computed.append(losses.detach() if share == 1.0 else losses.detach() * share)
            weight = share / len(batches)
            self.replicas.backward(losses if weight == 1.0 else losses * weight)
        self.replicas.collect()
        if self.plan.train.gradient_clip:
            self.replicas.clip(self.optimizer, self.plan.train.gradient_clip, self.plan.train.clip_by)
        self.replicas.call("before_step")
        self.step()
        if self.follow:
            self.follow(self.average, self.leaves, None)
        self.replicas.call("after_step")
        return computed

    def _fetch(self) -> None:
        """Fetches the losses since the last fetch and adds them up, in their order."""
        fetched = torch.stack(self.losses)
        if self.world > 1:
            fetched = self.fabric.strategy.all_reduce(fetched, reduce_op="mean")
        first = self.batch - len(self.losses) + 1
        self.losses = []
        losses = fetched.view(len(fetched), -1).double().cpu().numpy()
        self.history.add(losses, self.epoch + 1, first)

    def _end_epoch(self) -> None:
        """Lets the watches look, adds a row to each replica's history, and moves the schedule on."""
        self.epoch, self.batch = self.epoch + 1, 0
        rates = self.replicas.rates(self.optimizer) if self.schedule.changes else []
        ranks = self.rank, self.world, self.fabric.all_gather
        with self._handed_back() if self.history.asks(self.epoch) else contextlib.nullcontext():
            value = self.history.end_epoch(self.epoch, self.replicas.modules, rates, ranks)
        self.schedule.after_epoch(value)

    @contextlib.contextmanager
    def _handed_back(self) -> Iterator[None]:
        """Puts the weights, or their running averages if there are any, into `replicas.modules` meanwhile."""
        weights = [leaf.detach().clone() for leaf in self.leaves] if self.average else []
        self._put(self.average)
        self.replicas.hand_back()
        yield
        self._put(weights)

    def _put(self, weights: Sequence[Tensor]) -> None:
        for leaf, value in zip(self.leaves, weights):
            leaf.detach().copy_(value)

    def _between(self) -> None:
        """Between two chunks of batches: saves if it is time, saves and stops if asked to."""
        stop, alone = self.stop.asked, False
        due = time.monotonic() - self.saved >= self.plan.train.checkpoint_seconds
        if self.world > 1:
            stop, due, alone = any_of([stop, due, orphaned()], self.fabric.device)
        if (stop or due) and not alone:
            self._save()
        if stop or alone:
            self.stop.ask()
            raise KeyboardInterrupt

    def _save(self) -> None:
        state = {  # of all ranks, which may hold a part of it each
            "epoch": self.epoch,
            "batch": self.batch,
            "replicas": self.replicas.state(),
            "optimizer": self.replicas.optimizer_state(self.optimizer),
            "schedule": self.schedule.state(),
            "average": self.replicas.wholes(self.average),
            "precision": self.fabric.strategy.precision.state_dict(),
            "generators": of_all(generators(), self.world),
            "seconds": time.monotonic() - self.started,
            "processor_seconds": time.process_time() - self.idle,
        }
        if self.rank == 0:
            write(self.checkpoint, state | self.history.state())
            for job in self.jobs:
                job.note(self.epoch, self.plan.epochs)
            if self.world == 1:  # a tracker stays in its process
                for job, rows in zip(self.jobs, self.history.rows):
                    job.report(rows)
        self.saved = time.monotonic()

    def _restore(self) -> list[dict[str, Any]]:
        """Takes up the checkpoint, if there is one; returns the generators of its ranks."""
        state = read(self.checkpoint, KEPT)
        if len(set(of_all(state is None, self.world))) > 1:
            raise UserError(f"{self.checkpoint} is not seen by all processes: they need one paths.outputs")
        if state is None:
            return []
        if state["batch"]:  # `begin_epoch` may set attributes, which no checkpoint holds
            self.replicas.call("begin_epoch", state["epoch"], self.plan.epochs)
        try:
            self.replicas.restore(state["replicas"], self.checkpoint)
            self.replicas.restore_optimizer(self.optimizer, state["optimizer"])
        except ValueError as error:
            kind = type(self.replicas.modules[0]).__name__
            raise UserError(
                f"the checkpoint of stage {self.plan.stage} does not fit {kind} any more ({error}): {AGAIN}"
            ) from error
        self.schedule.restore(state["schedule"])
        self.fabric.strategy.precision.load_state_dict(state["precision"])
        self.average = self.replicas.shares([mean.to(self.fabric.device) for mean in state["average"]])
        self.history.restore(state)
        self.epoch, self.batch = state["epoch"], state["batch"]
        self.started -= state["seconds"]
        self.idle -= state.get("processor_seconds", 0.0)  # older checkpoints have none
        return state["generators"]

    def _finish(self) -> list[Outcome | None]:
        """Writes every replica's outcome to the path of its job."""
        if len(self.jobs) > 1:
            self._save()  # if the process dies while it writes outcomes, the next one writes all of them
        self._put(self.average)
        self.replicas.hand_back()
        seconds = (time.monotonic() - self.started) / len(self.jobs)
        worked = (time.process_time() - self.idle) / len(self.jobs)
        how = "compiled" if self.plan.train.compile else self.replicas.trained
        outcomes: list[Outcome | None] = []
        for number, (job, module) in enumerate(zip(self.jobs, self.replicas.modules)):
            outcome = self.history.outcome(number, module, seconds, how, worked)
            outcomes.append(outcome)
            if outcome and self.rank == 0 and not job.done.exists():
                write(job.done, outcome.__dict__)
                job.forget_checkpoints()
        if self.rank == 0:
            self.checkpoint.unlink(missing_ok=True)
        self.replicas.release()
        return outcomes


def shard(rows: Tensor, rank: int, world: int) -> tuple[Tensor, float]:
    """A rank's part of a batch, and its weight: the weighted mean over ranks is the mean over the batch."""
    part = rows[rank::world]
    return (part, len(part) * world / len(rows)) if len(part) else (rows[:1], 0.0)
