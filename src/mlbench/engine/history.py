"""What each replica's training has shown so far: losses, looks, whether it has ended before the others."""

import itertools
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from torch import Tensor, nn

from mlbench.engine.job import Job, Outcome
from mlbench.engine.score import state_of
from mlbench.engine.watch import Watch
from mlbench.errors import UserError
from mlbench.evaluation.suite import find


class History:
    """`jobs` are those of a loop: all select alike, and each has watches of its own."""

    def __init__(self, jobs: Sequence[Job], batches: int):
        """`batches`: of an epoch."""
        self.jobs, self.batches, self.plan = jobs, batches, jobs[0].plan
        self.rows: list[list[dict[str, float]]] = [[] for _ in jobs]  # of each job, one an epoch
        self.sums = [0.0] * len(jobs)  # of the losses of this epoch that have been fetched
        self.broken = [False] * len(jobs)  # whether a job's loss was not finite, or a watch of it failed
        self.stopped: list[dict[str, Tensor] | None] = [None] * len(jobs)  # states of those out of patience
        # Loss and state of the epoch with the lowest mean loss, where that is what the stage leaves.
        self.lowest: list[dict[str, Any]] = [{} for _ in jobs]

    @property
    def watches(self) -> list[Watch]:
        return [watch for job in self.jobs for watch in job.watches]

    @property
    def plateau(self) -> tuple[str, str]:
        """The number whose plateau a schedule may wait for, and whether it is better when low or high."""
        watch = next(iter(self.jobs[0].watches), None)
        return (f"{watch.part}_{watch.metric}", find(watch.metric).better) if watch else ("loss", "low")

    @property
    def loss(self) -> float | None:
        """The mean loss over the replicas in the last finished epoch."""
        last = [rows[-1]["loss"] for rows in self.rows if rows]
        return sum(last) / len(last) if last else None

    @property
    def all_over(self) -> bool:
        return all(map(self.over, range(len(self.jobs))))

    def over(self, number: int) -> bool:
        """Whether a replica has ended before the others."""
        return self.broken[number] or self.stopped[number] is not None

    def add(self, losses: np.ndarray, epoch: int, first: int) -> None:
        """Adds up the losses (batches, R) of a running epoch, in their order; `first` is the first batch."""
        for at, number in np.argwhere(~np.isfinite(losses)).tolist():
            if not self.over(number):
                self._break(number, float(losses[at, number]), epoch, first + at)
        sums = np.array(self.sums)
        for values in losses:
            sums += values
        self.sums = sums.tolist()

    def _break(self, number: int, value: float, epoch: int, batch: int) -> None:
        """A single job ends here; in a stack the others go on, and `fit` trains this one again, alone."""
        self.broken[number] = True
        if len(self.jobs) == 1:
            raise UserError(
                f"the loss is {value} in stage {self.plan.stage}, epoch {epoch}, batch {batch}: "
                "a smaller learning rate, train.gradient_clip=1 or scaled features (dataset.scaling=zscore) "
                "may help"
            )

    def asks(self, epoch: int) -> bool:
        """Whether the weights themselves are looked at as this epoch ends."""
        return self._watching(epoch) or self.jobs[0].stage.leaves == "lowest_loss"

    def _watching(self, epoch: int) -> bool:
        due = epoch % self.jobs[0].selection.every == 0 or epoch == self.plan.epochs
        return bool(self.watches) and due

    def end_epoch(
        self,
        epoch: int,
        modules: Sequence[nn.Module],
        rates: Sequence[float],
        ranks: tuple[int, int, Callable],
    ) -> float | None:
        """Adds a row to each job's history, with what its watches see; returns the number of `plateau`.

        `rates`: the learning rates, if they change; `ranks`: what Watch.look takes of several processes.
        """
        rows = [{"epoch": epoch, "loss": total / self.batches} for total in self.sums]
        trained = [state is None for state in self.stopped]  # in this epoch
        self.sums = [0.0] * len(self.jobs)
        if self._watching(epoch):
            self._look(epoch, rows, modules, ranks)
        if self.jobs[0].stage.leaves == "lowest_loss":
            self._keep_lowest(rows, modules)
        for row, rate in zip(rows, rates):
            row["learning_rate"] = rate
        for history, row in itertools.compress(zip(self.rows, rows), trained):
            history.append(row)
        return rows[0].get(self.plateau[0])

    def _look(self, epoch: int, rows: list[dict[str, float]], modules: Sequence[Any], ranks: tuple) -> None:
        for number, (row, job, module) in enumerate(zip(rows, self.jobs, modules)):
            if self.over(number):
                continue
            try:
                for watch in job.watches:
                    row[f"{watch.part}_{watch.metric}"] = watch.look(module, epoch, *ranks)
            except Exception:
                if len(self.jobs) == 1:
                    raise
                self.broken[number] = True  # trained alone it fails again, and says why
            every, patience = job.selection.every, job.selection.patience
            if patience and min(watch.since(epoch, every) for watch in job.watches) >= patience:
                self.stopped[number] = state_of(module)

    def _keep_lowest(self, rows: list[dict[str, float]], modules: Sequence[nn.Module]) -> None:
        for number, (row, module) in enumerate(zip(rows, modules)):
            if row["loss"] < self.lowest[number].get("loss", math.inf):
                self.lowest[number] = {"loss": row["loss"], "state": state_of(module)}

    def outcome(
        self, number: int, module: nn.Module, seconds: float, trained: str, processor_seconds: float
    ) -> Outcome | None:
        """What a job leaves, whose module has been trained to the end; None if it broke."""
        if self.broken[number]:
            return None
        last = self.lowest[number].get("state") or self.stopped[number] or state_of(module)
        kept = {watch.rule: watch.kept for watch in self.jobs[number].watches}
        return Outcome(last, kept, self.rows[number], seconds, trained, processor_seconds)

    def state(self) -> dict[str, Any]:
        return {
            "sums": self.sums,
            "history": self.rows,
            "broken": self.broken,
            "stopped": self.stopped,
            "lowest": self.lowest,
            "kept": [{watch.rule: watch.kept for watch in job.watches} for job in self.jobs],
        }

    def restore(self, state: dict[str, Any]) -> None:
        self.sums, self.rows, self.broken = state["sums"], state["history"], state["broken"]
        self.stopped = state.get("stopped", self.stopped)  # older checkpoints have none
        self.lowest = state.get("lowest", self.lowest)
        for job, kept in zip(self.jobs, state["kept"]):
            for watch in job.watches:
                watch.kept = kept[watch.rule]
