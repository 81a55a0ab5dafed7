"""The one LightningModule: trains any stage of any method.

A step of Lightning's costs about as much as a step of a small model, so one Lightning batch is a chunk of
about `STEPS` index batches, each an optimiser step of its own (manual optimisation). Nothing is logged,
moved or synchronised per step; losses stay on the device until the chunk ends.
"""

import copy
import itertools
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from lightning import LightningModule
from torch import Tensor

from mlbench.config import MACHINE, Train, options, target
from mlbench.data.vectors import order
from mlbench.errors import UserError
from mlbench.methods.base import Stage

STEPS = 50  # long enough to drown Lightning's overhead, short enough to stop or save within seconds


@dataclass(frozen=True)
class Plan:
    """A stage's settings: its own where it has them, conf/train's elsewhere."""

    stage: str
    epochs: int
    batch_size: int
    optimizer: dict[str, Any]
    scheduler: dict[str, Any]
    train: Train
    seed: int

    @classmethod
    def of(cls, stage: Stage, train: Train, seed: int) -> "Plan":
        return cls(
            stage=stage.name,
            epochs=stage.epochs or train.epochs,
            batch_size=stage.batch_size or train.batch_size,
            optimizer=stage.optimizer or train.optimizer,
            scheduler=stage.scheduler or train.scheduler,
            train=train,
            seed=seed,
        )

    @property
    def chunk(self) -> int:
        """Batches in a chunk: whole optimiser steps, so that a checkpoint need hold no gradients."""
        every = self.train.accumulate
        return max(STEPS // every, 1) * every

    @property
    def science(self) -> dict[str, Any]:
        """All settings that bear on the stage's result."""
        own = {
            name: getattr(self, name) for name in ("epochs", "batch_size", "optimizer", "scheduler", "seed")
        }
        return self.train.model_dump(exclude=set(MACHINE)) | own


class Lit(LightningModule):
    """`state` is what a checkpoint of an earlier process held, or None."""

    def __init__(self, stage: Stage, plan: Plan, state: dict[str, Any] | None = None):
        super().__init__()
        self.automatic_optimization = False
        self.module = stage.module
        self.data = stage.data
        self.plan = plan
        self.state = state or {}
        self.first_epoch = self.state.get("epoch", 0)
        self.chunk = self.state.get("chunk", 0)  # the next one of this epoch
        self.history = self.state.get("history", [])
        self.running = self.state.get(
            "running", torch.zeros(2, dtype=torch.float64)
        )  # sum and count of losses
        self.looks = {}  # what selection rules saw in this epoch
        self.stopping = False

    @property
    def epoch(self) -> int:
        """Finished epochs, those of earlier processes included."""
        return self.first_epoch + self.current_epoch

    def train_dataloader(self) -> "Chunks":
        return Chunks(self)

    def configure_optimizers(self) -> dict[str, Any]:
        parameters = [p for p in self.module.parameters() if p.requires_grad]
        optimizer, scheduler = build_optimizer(self.plan.optimizer, self.plan.scheduler, parameters)
        if self.state:
            optimizer.load_state_dict(copy.deepcopy(self.state["optimizer"]))
            if scheduler:
                scheduler.load_state_dict(self.state["scheduler"])
        return {"optimizer": optimizer} | ({"lr_scheduler": scheduler} if scheduler else {})

    def on_train_start(self) -> None:
        self.module.train()
        self.data = self.data.to(self.device)
        self.running = self.running.clone().to(self.device)  # spawned processes share what they were given
        if self.state:
            self.trainer.precision_plugin.load_state_dict(self.state["precision"])
        self._backward, self._step = self._paths()
        self._after_step = getattr(self.module, "after_step", None)

    def transfer_batch_to_device(self, batch: list[Tensor], device: torch.device, index: int) -> list[Tensor]:
        return batch  # the data is on the device already

    def on_train_batch_start(self, chunk: list[Tensor], chunk_index: int) -> int | None:
        return -1 if self.stopping else None  # -1: Lightning leaves the rest of the epoch

    def training_step(self, chunk: list[Tensor], chunk_index: int) -> None:
        plan, optimizer = self.plan, self.optimizers()
        world, rank, every = self.trainer.world_size, self.global_rank, plan.train.accumulate
        losses = []
        for start in range(0, len(chunk), every):
            together = chunk[start : start + every]
            for rows in together:
                share = 1.0
                if world > 1:
                    rows, share = shard(rows, rank, world)
                loss = self.module.loss(self.data.batch(rows))
                losses.append(loss.detach() * share)
                weight = share / len(together)
                self._backward(loss * weight if weight != 1.0 else loss)
            if plan.train.gradient_clip:
                torch.nn.utils.clip_grad_norm_(self.module.parameters(), plan.train.gradient_clip)
            self._step()
            optimizer.zero_grad()
            if self._after_step:
                self._after_step()
        self._tally(torch.stack(losses))
        self.chunk += 1

    def on_train_epoch_end(self) -> None:
        if self.stopping:
            return
        total, count = self.trainer.strategy.reduce(self.running, reduce_op="mean").tolist()
        row = {"epoch": self.epoch + 1, "loss": total / count} | self.looks
        scheduler = self.lr_schedulers()
        if scheduler:
            row["learning_rate"] = scheduler.get_last_lr()[0]
            scheduler.step()
        self.history.append(row)
        self.running.zero_()
        self.looks = {}
        self.chunk = 0

    def checkpoint(self) -> dict[str, Any]:
        """All that the rest of this stage depends on, between two chunks."""
        scheduler = self.lr_schedulers()
        return {
            "module": self.module.state_dict(),
            "optimizer": self.optimizers().optimizer.state_dict(),
            "scheduler": scheduler.state_dict() if scheduler else None,
            "epoch": self.epoch,
            "chunk": self.chunk,
            "history": self.history,
            "running": self.running.cpu(),
        }

    def _tally(self, losses: Tensor) -> None:
        """Adds up the epoch's losses; the one synchronisation of a chunk finds a batch that broke."""
        self.running += torch.stack(
            [losses.sum(dtype=torch.float64), losses.new_tensor(len(losses)).double()]
        )
        if not torch.isfinite(self.running[0]):
            broken = int((~torch.isfinite(losses)).nonzero()[0])
            batch = self.chunk * self.plan.chunk + broken + 1
            raise UserError(
                f"the loss is {losses[broken].item()} in stage {self.plan.stage}, epoch {self.epoch + 1}, "
                f"batch {batch}: a smaller learning rate, train.gradient_clip=1 or scaled features "
                "(dataset.scaling=zscore) may help"
            )

    def _paths(self) -> tuple[Callable[[Tensor], None], Callable[[], Any]]:
        """How to go backward and step: straight through torch where Lightning has nothing to add."""
        optimizer = self.optimizers()
        backward = torch.Tensor.backward if self.trainer.world_size == 1 else self.manual_backward
        if self.trainer.precision == "16-mixed":  # a gradient scaler stands in between
            return self.manual_backward, optimizer.step

        def step() -> None:
            optimizer._on_before_step()  # Lightning counts its global_step here
            optimizer.optimizer.step()
            optimizer._on_after_step()

        return backward, step


class Chunks:
    """The index batches of the epoch at hand, a chunk at a time, from where the last process stopped."""

    def __init__(self, lit: Lit):
        self.lit = lit
        plan = lit.plan
        round_down = math.floor if plan.train.drop_last else math.ceil
        self.batches = round_down(len(lit.data) / plan.batch_size)
        if self.batches == 0:
            raise UserError(
                f"train.drop_last=true leaves no batch of {plan.batch_size}, with {len(lit.data)} instances"
            )
        self.chunks = math.ceil(self.batches / plan.chunk)

    def __len__(self) -> int:
        return self.chunks

    def __iter__(self) -> Iterator[list[Tensor]]:
        lit, plan = self.lit, self.lit.plan
        rows = order(len(lit.data), plan.seed, lit.epoch, plan.train.shuffle).to(lit.device)
        batches = rows.split(plan.batch_size)[: self.batches]
        for chunk in itertools.islice(range(self.chunks), lit.chunk, None):
            yield list(batches[chunk * plan.chunk : (chunk + 1) * plan.chunk])


def shard(rows: Tensor, rank: int, world: int) -> tuple[Tensor, float]:
    """A rank's part of a batch, and the weight that makes the mean over ranks the mean over the batch."""
    own = rows[rank::world]
    return (own, len(own) * world / len(rows)) if len(own) else (rows[:1], 0.0)


def build_optimizer(
    optimizer: dict[str, Any], scheduler: dict[str, Any], parameters: list[Tensor]
) -> tuple[torch.optim.Optimizer, Any]:
    """The optimiser and, if there is one, the schedule of its learning rate."""
    if not target(optimizer):
        raise UserError("train.optimizer._target_ is needed and not given")
    try:
        built = target(optimizer)(parameters, **options(optimizer))
        schedule = target(scheduler)
        return built, schedule(built, **options(scheduler)) if schedule else None
    except (ValueError, TypeError) as error:
        raise UserError(f"train.optimizer or train.scheduler: {error}") from error
