"""What a method is: a plain torch module that learns a task. No Lightning, no logging in here."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from torch import Tensor, nn

from mlbench.backbones.base import Backbone as Backbone
from mlbench.config import TRAINING
from mlbench.data.contracts import Scaler
from mlbench.data.rows import Batch, Rows
from mlbench.data.task import Kind

Given = Literal["probabilities", "votes", "decisions"]  # what scores are: how sure, shares of votes, 0 and 1
Loss = Callable[..., Tensor]  # (logits, targets) -> scalar; with `known`, of the known entries alone
Parts = Mapping[str, Rows]  # the parts a method may see; the test part is never among them


def cost(objective: Loss, logits: Tensor, batch: Batch) -> Tensor:
    """The loss of a batch, of the entries alone that are known where not all are."""
    known = batch.extra.get("known")
    return objective(logits, batch.targets, **({} if known is None else {"known": known}))


@dataclass(frozen=True)
class Requires:
    """What a task must offer, as data, so that an impossible pair is refused before any data is read."""

    kinds: frozenset[Kind] = frozenset({"vector"})
    modalities: int = 1
    missing_modalities: bool = False  # it does without: a batch's extra["present"] says what a row has
    unknown_labels: bool = False  # it gives the loss a batch's extra["known"], which says what is known
    backbone: Literal["features", "logits"] = "features"  # what its backbone gives, if it takes one


class Learner(nn.Module):
    """What a stage trains: a loss, and scores if the stage selects. The rest is optional."""

    def loss(self, batch: Batch) -> Tensor:
        """The scalar that a training step descends."""
        raise NotImplementedError(f"{type(self).__name__} has no loss: it must yield its own stages")

    def scores(self, batch: Batch) -> Tensor:
        """One probability per label, (B, L), in [0, 1]. Sees batch.x only, and which modalities a row has."""
        raise NotImplementedError(f"{type(self).__name__} has no scores")

    def parameter_groups(self) -> list[dict[str, Any]]:
        """Groups of parameters with their own options, as torch takes them: {"params": [...], "lr": ...}.

        Parameters that no group names have the options of conf/train.
        """
        return []

    def begin_epoch(self, epoch: int, of: int) -> None:
        """Called before an epoch of a stage, counted from 0: annealing."""

    def before_step(self) -> None:
        """Called between the backward pass and the optimiser's step: clipping of its own."""

    def after_step(self) -> None:
        """Called after every optimiser step: momentum encoders, queues."""


STAGE_OPTIONS = ("epochs", "batch_size", "walk", "optimizer", "scheduler")  # what a stage may have of its own


@dataclass(frozen=True)
class Stage:
    """One fit inside a method's training.

    It trains the module's parameters. Options that are None come from conf/train. A stage with `solve` has no
    gradient: solve(data) sets the module's buffers in closed form.
    """

    name: str
    module: Learner
    data: Rows
    epochs: int | None = None
    batch_size: int | None = None
    walk: int | str | None = None
    optimizer: dict[str, Any] | None = None
    scheduler: dict[str, Any] | None = None
    selects: bool = True  # keep the best epoch by validation scores; False for teachers and pre-training
    leaves: Literal["last", "lowest_loss"] = "last"  # whose weights are its result, unless it selects
    solve: Callable[[Rows], None] | None = None
    awaited: bool = True  # False: the next stage uses nothing of this one, and may be trained beside it
    # All that defines the stage's result besides data, split, seed and its settings: runs that ask for the
    # same share one fit.
    shared: dict[str, Any] | None = None

    @property
    def train_options(self) -> frozenset[str]:
        """The keys of conf/train that the stage takes."""
        stated = {name for name in STAGE_OPTIONS if getattr(self, name)}
        return frozenset() if self.solve else TRAINING - stated


class Method(Learner):
    """Subclass with `__init__(self, task, backbone, loss, own hyper-parameters)`; take only what is used."""

    requires: ClassVar[Requires] = Requires()
    # The keys of conf/train that its stages take, and that enter a run's key; none if all are in closed form.
    train_options: ClassVar[frozenset[str]] = TRAINING
    # Parts and buffers that only training needs: model.pt leaves them out.
    discarded: ClassVar[tuple[str, ...]] = ()

    @classmethod
    def parts(cls, options: Mapping[str, Any]) -> tuple[str, ...]:
        """The parts of a split that the method needs under these options."""
        return ("train",)

    @classmethod
    def gives(cls, options: Mapping[str, Any]) -> Given:
        """What its scores are under these options."""
        return "probabilities"

    def rows_scaled_by(self, scaler: Scaler) -> None:
        """Called once before training, with what scaled the rows that the method will see."""

    def as_graph(self) -> Learner:
        """What has the same scores by tensor operations alone, for other programs; a UserError says why there
        is no such thing.
        """
        return self

    def embed(self, batch: Batch) -> Tensor:
        """What the backbone gives, (B, width). Sees batch.x only."""
        return self.get_submodule("backbone")(batch.x)

    def stages(self, data: Parts) -> Iterator[Stage]:
        """The fits that train this method, in order. A later fit may use what an earlier one learned."""
        yield Stage("train", self, data["train"])

    def findings(self) -> dict[str, dict[str, Tensor]]:
        """What training found, for a person to look at: a file's name → the file's tensors by name.

        A run's folder keeps each as `<name>.npz`, with the labels' names and the training rows' numbers and
        true labels (`labels`, `ids`, `targets`).
        """
        return {}

    def facts(self) -> dict[str, float]:
        """Numbers about the training, for the record."""
        return {}

    def row_facts(self, batch: Batch) -> dict[str, Tensor]:
        """Numbers about each row, (B,), such as how much of it was looked at: their means over the test part
        stand among the record's facts. A name that other rows do not have is 0 for them. Sees batch.x only.
        """
        return {}

    def column_orders(self) -> dict[str, list[int]]:
        """Suffix → an order of the score columns under which all metrics are reported once more."""
        return {}


HOOKS = ("begin_epoch", "before_step", "after_step")


def hooks_of(module: nn.Module) -> dict[str, Callable[..., None]]:
    """The hooks that a stage's module defines itself."""
    return {
        name: getattr(module, name)
        for name in HOOKS
        if getattr(type(module), name, getattr(Learner, name)) is not getattr(Learner, name)
    }
