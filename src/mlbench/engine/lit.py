"""The one LightningModule: trains any stage of any method.

A step of Lightning's costs about as much as a step of a small model, and an epoch of its more than that. So
all of a stage is one epoch to Lightning, and a batch is a portion of about `STEPS` index batches, each an
optimiser step of its own (manual optimisation). Nothing is logged, moved or synchronised per step; losses
stay on the device until the portion ends.
"""

import copy
import inspect
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
from mlbench.methods.base import Method, Stage

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
        self.epoch = self.state.get("epoch", 0)  # finished ones, those of earlier processes included
        self.chunk = self.state.get("chunk", 0)  # the next one of this epoch
        self.history = self.state.get("history", [])
        self.running = self.state.get("running", [0.0, 0])  # sum and count of this epoch's losses
        self.losses: list[Tensor] = []  # of the steps since, on the device still
        self.select: Any = None  # who looks at an epoch's end, if anybody does
        self.stopping = False

    def train_dataloader(self) -> "Portions":
        self.portions = Portions(self)
        return self.portions

    def configure_optimizers(self) -> dict[str, Any]:
        parameters = [p for p in self.module.parameters() if p.requires_grad]
        optimizer, scheduler = build_optimizer(self.plan.optimizer, self.plan.scheduler, parameters)
        if self.state:
            try:
                optimizer.load_state_dict(copy.deepcopy(self.state["optimizer"]))
            except ValueError as error:
                raise UserError(
                    f"the checkpoint of stage {self.plan.stage} does not fit {type(self.module).__name__} "
                    f"any more ({error}): run again with force=true"
                ) from error
            if scheduler:
                scheduler.load_state_dict(self.state["scheduler"])
        return {"optimizer": optimizer} | ({"lr_scheduler": scheduler} if scheduler else {})

    def on_train_start(self) -> None:
        self.module.train()
        self.data = self.data.to(self.device)
        if self.state:
            self.trainer.precision_plugin.load_state_dict(self.state["precision"])
        self._backward, self._step = self._paths()
        self._after_step = getattr(self.module, "after_step", None)
        if self._after_step and getattr(type(self.module), "after_step", None) is Method.after_step:
            self._after_step = None
        self._parameters_to_train = [p for p in self.module.parameters() if p.requires_grad]
        self._steps_taken = self.trainer.fit_loop.epoch_loop.manual_optimization.optim_step_progress

    def transfer_batch_to_device(self, batch: list, device: torch.device, index: int) -> list:
        return batch  # the data is on the device already

    def on_train_batch_start(self, portion: list[list[Tensor]], index: int) -> int | None:
        return -1 if self.stopping else None  # -1: Lightning leaves the rest

    def training_step(self, portion: list[list[Tensor]], index: int) -> None:
        for chunk in portion:
            self._train_chunk(chunk)
            self.chunk += 1
            if self.chunk == self.portions.chunks:
                self._end_epoch()
        self._tally()

    def _train_chunk(self, chunk: list[Tensor]) -> None:
        world, every = self.trainer.world_size, self.plan.train.accumulate
        for start in range(0, len(chunk), every):
            together = chunk[start : start + every]
            for rows in together:
                share = 1.0
                if world > 1:
                    rows, share = shard(rows, self.global_rank, world)
                loss = self.module.loss(self.data.batch(rows))
                self.losses.append(loss.detach() if share == 1.0 else loss.detach() * share)
                weight = share / len(together)
                self._backward(loss * weight if weight != 1.0 else loss)
            if self.plan.train.gradient_clip:
                torch.nn.utils.clip_grad_norm_(self.module.parameters(), self.plan.train.gradient_clip)
            self._step()
            for parameter in self._parameters_to_train:
                parameter.grad = None
            if self._after_step:
                self._after_step()

    def _end_epoch(self) -> None:
        """What belongs to an epoch's end. Its loss is filled in by `_tally`, with those of its neighbours."""
        row = {"epoch": self.epoch + 1, "loss": None}
        self.history.append(row)
        if self.select and self.select.due(self):
            self._tally()  # a broken loss is heard before anybody looks at what it made
            row |= self.select.look(self)
        self.epoch += 1
        self.chunk = 0
        scheduler = self.lr_schedulers()
        if scheduler:
            row["learning_rate"] = scheduler.get_last_lr()[0]
            scheduler.step()

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
            "running": self.running,
        }

    def _tally(self) -> None:
        """Fetches the losses since the last time, the one synchronisation of a portion, and shares them out:
        to the epochs that have ended, and to the one that goes on."""
        if not self.losses:
            return
        stacked = torch.stack(self.losses)
        values = self.trainer.strategy.reduce(stacked, reduce_op="mean").tolist()
        self.losses = []
        ended = [row for row in self.history if row["loss"] is None]
        for place, value in enumerate(values):
            if not math.isfinite(value):
                self._broken(value, place, ended)
            self.running[0] += value
            self.running[1] += 1
            if self.running[1] == self.portions.batches and ended:
                ended.pop(0)["loss"] = self.running[0] / self.running[1]
                self.running = [0.0, 0]

    def _broken(self, value: float, place: int, ended: list[dict[str, float]]) -> None:
        epoch = ended[0]["epoch"] if ended else self.epoch + 1
        raise UserError(
            f"the loss is {value} in stage {self.plan.stage}, epoch {epoch}, batch {self.running[1] + 1}: "
            "a smaller learning rate, train.gradient_clip=1 or scaled features (dataset.scaling=zscore) "
            "may help"
        )

    def _paths(self) -> tuple[Callable[[Tensor], None], Callable[[], Any]]:
        """How to go backward and step: straight through torch where Lightning has nothing to add."""
        optimizer = self.optimizers()
        backward = torch.Tensor.backward if self.trainer.world_size == 1 else self.manual_backward
        if self.trainer.precision == "16-mixed":  # a gradient scaler stands in between
            return self.manual_backward, optimizer.step

        def step() -> None:
            optimizer.optimizer.step()
            self._steps_taken.increment_ready()  # Lightning's global_step
            self._steps_taken.increment_completed()

        return backward, step


class Portions:
    """What Lightning takes for a batch: a chunk of an epoch's index batches, or, where an epoch is shorter
    than a chunk, as many whole epochs as make one; from where the last process stopped to the last epoch."""

    def __init__(self, lit: Lit):
        self.lit = lit
        plan = lit.plan
        round_down = math.floor if plan.train.drop_last else math.ceil
        self.batches = round_down(len(lit.data) / plan.batch_size)  # an epoch
        if self.batches == 0:
            raise UserError(
                f"train.drop_last=true leaves no batch of {plan.batch_size}, with {len(lit.data)} instances"
            )
        self.chunks = math.ceil(self.batches / plan.chunk)  # an epoch
        self.epochs = max(plan.chunk // self.batches, 1)  # a portion, where an epoch is one chunk

    def __len__(self) -> int:
        lit = self.lit
        return math.ceil((lit.plan.epochs - lit.epoch) * self.chunks / self.epochs) - lit.chunk

    def __iter__(self) -> Iterator[list[list[Tensor]]]:
        lit, plan = self.lit, self.lit.plan
        first, done = lit.epoch, lit.chunk
        if self.chunks == 1:
            for epoch in range(first, plan.epochs, self.epochs):
                several = range(epoch, min(epoch + self.epochs, plan.epochs))
                yield [list(self.epoch(each)) for each in several]
            return
        for epoch in range(first, plan.epochs):
            batches = self.epoch(epoch)
            for chunk in range(done if epoch == first else 0, self.chunks):
                yield [list(batches[chunk * plan.chunk : (chunk + 1) * plan.chunk])]

    def epoch(self, number: int) -> tuple[Tensor, ...]:
        """Row numbers of its batches."""
        lit, plan = self.lit, self.lit.plan
        rows = order(len(lit.data), plan.seed, number, plan.train.shuffle).to(lit.device)
        return rows.split(plan.batch_size)[: self.batches]


def shard(rows: Tensor, rank: int, world: int) -> tuple[Tensor, float]:
    """A rank's part of a batch, and the weight that makes the mean over ranks the mean over the batch."""
    own = rows[rank::world]
    return (own, len(own) * world / len(rows)) if len(own) else (rows[:1], 0.0)


def in_one_pass(optimizer: dict[str, Any]) -> dict[str, Any]:
    """The optimiser's options; torch's fused step, where it has one and no other is asked for.

    Adam's otherwise goes twenty times over all weights: with ten million of them, eight times as long.
    """
    asked, known = options(optimizer), inspect.signature(target(optimizer)).parameters
    return asked if "fused" not in known or {"fused", "foreach"} & asked.keys() else asked | {"fused": True}


def build_optimizer(
    optimizer: dict[str, Any], scheduler: dict[str, Any], parameters: list[Tensor]
) -> tuple[torch.optim.Optimizer, Any]:
    """The optimiser and, if there is one, the schedule of its learning rate."""
    if not target(optimizer):
        raise UserError("train.optimizer._target_ is needed and not given")
    try:
        built = target(optimizer)(parameters, **in_one_pass(optimizer))
        schedule = target(scheduler)
        return built, schedule(built, **options(scheduler)) if schedule else None
    except (ValueError, TypeError) as error:
        raise UserError(f"train.optimizer or train.scheduler: {error}") from error
