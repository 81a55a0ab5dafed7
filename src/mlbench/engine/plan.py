"""The settings of a stage, and what torch makes of them: an optimiser and the schedule of its rates."""

import inspect
import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.lr_scheduler import LRScheduler, ReduceLROnPlateau

from mlbench.config import Node, Train, options, science_of_training, target
from mlbench.data.rows import order, walk
from mlbench.errors import UserError
from mlbench.idle import UNUSED, idle
from mlbench.methods.base import STAGE_OPTIONS, Learner, Stage


@dataclass(frozen=True)
class Plan:
    """The settings of a stage: the stage's own, or else those of conf/train.

    Options that change nothing beside the others are as if nobody had named them: runs with one key then have
    the same bits.
    """

    stage: str
    epochs: int
    batch_size: int
    optimizer: Node
    scheduler: Node
    train: Train
    seed: int
    walk: int | str = "passes"

    @classmethod
    def of(cls, stage: Stage, train: Train, seed: int) -> "Plan":
        stage_options = {name: getattr(stage, name) or getattr(train, name) for name in STAGE_OPTIONS}
        unused = {name: UNUSED[name] for name in idle(train.model_dump() | stage_options)}
        return cls(stage=stage.name, train=train.model_copy(update=unused), seed=seed, **stage_options)

    @property
    def science(self) -> Node:
        """All settings that bear on the stage's result."""
        settings = {
            name: getattr(self, name) for name in ("epochs", "batch_size", "optimizer", "scheduler", "seed")
        }
        return science_of_training(self.train.model_dump() | {"walk": self.walk}) | settings

    def batches(self, count: int) -> int:
        """Batches of an epoch over `count` rows."""
        if isinstance(self.walk, int):
            return self.walk
        short = self.train.drop_last and self.walk == "passes"
        rounded = math.floor if short else math.ceil
        number = rounded(count / self.batch_size)
        if not number:
            raise UserError(
                f"train.drop_last=true leaves no batch of {self.batch_size}, with {count} instances"
            )
        return number

    def visits(self, count: int, epoch: int) -> Tensor:
        """The row numbers of an epoch's batches, one after the other."""
        shuffle = self.train.shuffle
        if self.walk == "passes":
            return order(count, self.seed, epoch, shuffle)
        length = self.batches(count) * self.batch_size
        return walk(count, self.seed, epoch * length, (epoch + 1) * length, shuffle)


FUSED_ON_HOST = {"torch.optim.Adagrad"}  # its fused step is for CPUs only


def in_one_pass(optimizer: Node, device: torch.device | None = None) -> Node:
    """The optimiser's options, with torch's fused step if there is one and no other is asked for.

    Adam's plain step goes twenty times over all weights: with ten million of them it takes eight times as
    long. On a GPU the optimiser counts its steps on the device, so that a step reads nothing back.
    """
    chosen, known = options(optimizer), inspect.signature(target(optimizer)).parameters
    on_gpu = device is not None and device.type == "cuda"
    fused = "fused" in known and not {"fused", "foreach"} & chosen.keys()
    fused = fused and not (on_gpu and optimizer["_target_"] in FUSED_ON_HOST)
    capturable = on_gpu and "capturable" in known
    return ({"fused": True} if fused else {}) | chosen | ({"capturable": True} if capturable else {})


def build_optimizer(
    optimizer: Node, parameters: Iterable[Any], device: torch.device | None = None
) -> torch.optim.Optimizer:
    """`parameters` are tensors, or groups of them with options of their own."""
    if not target(optimizer):
        raise UserError("train.optimizer._target_ is needed and not given")
    try:
        built = target(optimizer)(parameters, **in_one_pass(optimizer, device))
    except (ValueError, TypeError) as error:
        raise UserError(f"train.optimizer or train.scheduler: {error}") from error
    for group in built.param_groups if device is not None and device.type == "cuda" else ():
        if group.get("capturable") or (group.get("fused") and isinstance(built, torch.optim.SGD)):
            group["lr"] = torch.tensor(float(group["lr"]), device=device)  # a step finds it on the device
    return built


# Options of an optimiser that say how it computes, and change no number.
IMPLEMENTATION = ("fused", "foreach", "capturable")


def resume(group: Node, kept: Node) -> None:
    """Sets the numbers of an optimiser's group to those kept; how and where it computes stays as it is."""
    for key, value in kept.items():
        if key in IMPLEMENTATION or key == "params":
            continue
        value = float(value) if isinstance(value, Tensor) else value
        if isinstance(group.get(key), Tensor):
            group[key].fill_(value)
        else:
            group[key] = value


def groups_of(module: nn.Module, plan: Plan) -> list[Node]:
    """An optimiser's groups of a module's trained parameters, by name: those that it states, those that its
    backbones state of what is left, then the rest. A group's `rate` is the factor of its learning rate.

    With decay_on=weights a parameter of one dimension (bias, scale) is not decayed, unless its group says so.
    """
    trained = {name: p for name, p in module.named_parameters() if p.requires_grad}
    names = {id(parameter): name for name, parameter in trained.items()}
    groups, rest = [], {*trained}
    for group in stated_by(module):
        mine = [names[id(p)] for p in group["params"] if names.get(id(p)) in rest]
        factor = {"lr": group["rate"] * rate_of(plan.optimizer)} if "rate" in group else {}
        group = {key: value for key, value in group.items() if key != "rate"} | factor
        groups += [group | {"params": mine}] if mine else []
        rest -= {*mine}
    groups += [{"params": [name for name in trained if name in rest]}] if rest else []
    if plan.train.decay_on == "all":
        return groups
    flat = {name for name, parameter in trained.items() if parameter.ndim < 2}
    halves = [
        more | group | {"params": [name for name in group["params"] if (name in flat) == is_flat]}
        for group in groups
        for is_flat, more in ((False, {}), (True, {"weight_decay": 0.0}))
    ]
    return [half for half in halves if half["params"]]


def stated_by(module: nn.Module) -> list[Node]:
    """The groups of a module, then those of its parts that are no learners by themselves."""
    parts = [module, *(part for part in module.modules() if not isinstance(part, Learner))]
    return [group for part in parts for group in getattr(part, "parameter_groups", list)()]


def rate_of(optimizer: Node) -> float:
    """The learning rate that is asked for, or else the optimiser's own."""
    given = options(optimizer)
    return float(
        given["lr"] if "lr" in given else inspect.signature(target(optimizer)).parameters["lr"].default
    )


# Arguments of schedulers that say how long the training is; where nobody says it, the plan does.
LENGTHS = {"total_steps", "T_max"}


def waits(scheduler: Any) -> bool:
    """Whether a class of schedulers waits for a plateau."""
    return inspect.isclass(scheduler) and issubclass(scheduler, ReduceLROnPlateau)


def scheduler_of(
    scheduler: Node, optimizer: torch.optim.Optimizer, length: int, each_step: bool, better: str
) -> LRScheduler:
    """The scheduler that the options describe, for a training in which it goes on `length` times."""
    build, given = target(scheduler), options(scheduler)
    if waits(build) and each_step:
        raise UserError(
            "train.schedule_every=step: ReduceLROnPlateau goes by what is measured after an epoch; "
            "write train.schedule_every=epoch"
        )
    known = {"mode": "max" if better == "high" else "min"} if waits(build) else {}
    named = inspect.signature(build).parameters.keys()
    lengths = {name: given.get(name) or length for name in LENGTHS & named}
    try:
        return build(optimizer, **known | given | peaks(optimizer, given) | lengths)
    except (ValueError, TypeError) as error:
        raise UserError(f"train.optimizer or train.scheduler: {error}") from error


def peaks(optimizer: torch.optim.Optimizer, given: Node) -> Node:
    """A highest rate for each group, where the groups have rates of their own: in the ratio of those."""
    rate, rates = float(optimizer.defaults["lr"]), [float(group["lr"]) for group in optimizer.param_groups]
    if not isinstance(given.get("max_lr"), float) or all(own == rate for own in rates):
        return {}
    return {"max_lr": [given["max_lr"] * own / rate for own in rates]}


class Schedule:
    """The rates of an optimiser: a scheduler that goes on once an epoch or a step, behind a warm-up.

    Over the first `train.warmup` steps each rate rises in a line to where the scheduler has it.
    """

    def __init__(self, optimizer: torch.optim.Optimizer, plan: Plan, steps: int, better: str = "low"):
        """`steps`: how many steps the optimiser takes in an epoch. `better`: whether the number whose plateau
        a scheduler waits for is better when it is low or high.
        """
        self.groups, self.warmup = optimizer.param_groups, plan.train.warmup
        self.each_step = plan.train.schedule_every == "step"
        self.scheduler: LRScheduler | None = None
        if target(plan.scheduler):
            length = plan.epochs * (steps if self.each_step else 1)
            self.scheduler = scheduler_of(plan.scheduler, optimizer, length, self.each_step, better)
        self.taken = 0
        self.rates = self._now()  # as the scheduler has them, for as long as the warm-up lasts

    @property
    def changes(self) -> bool:
        return bool(self.scheduler or self.warmup)

    def before_step(self) -> None:
        if self.taken < self.warmup:
            self._set([rate * (self.taken + 1) / self.warmup for rate in self.rates])
        self.taken += 1

    def after_step(self) -> None:
        if self.each_step:
            self._advance()

    def after_epoch(self, value: float | None) -> None:
        """`value` is the number whose plateau a scheduler may wait for, None where nobody looked."""
        if not self.each_step:
            self._advance(value)

    def _advance(self, value: float | None = None) -> None:
        if self.scheduler is None:
            return
        self._set(self.rates)
        if isinstance(self.scheduler, ReduceLROnPlateau):
            if value is not None:
                self.scheduler.step(value)
        else:
            self.scheduler.step()
        self.rates = self._now()

    def _now(self) -> list[float]:
        return [float(group["lr"]) for group in self.groups] if self.taken < self.warmup else []

    def _set(self, rates: list[float]) -> None:
        for group, rate in zip(self.groups, rates):
            if isinstance(group["lr"], Tensor):
                group["lr"].fill_(rate)
            else:
                group["lr"] = rate

    def state(self) -> Node:
        scheduler = self.scheduler.state_dict() if self.scheduler else None
        return {"scheduler": scheduler, "taken": self.taken, "rates": self.rates}

    def restore(self, state: Node) -> None:
        self.taken, self.rates = state["taken"], state["rates"]
        if self.scheduler:
            self.scheduler.load_state_dict(state["scheduler"])
