"""What else a person may bring along: `dataset._target_=own_pieces.Circles`, this folder on the path."""

from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mlbench.data.contracts import Parts
from mlbench.data.instances import Features, Instances, Loaded
from mlbench.data.rows import Batch
from mlbench.data.task import Task
from mlbench.methods.base import Backbone, Loss, Method, Stage


class Circles:
    """Points around two centres, `left` and `right`; a label says how far out one lies."""

    kind = "vector"
    official = ()
    modality_names = ("left", "right")

    def __init__(self, name: str, rows: int, scaling: str):
        self.name, self.rows, self.scaling = name, rows, scaling

    def identity(self, cache: Path | None = None) -> dict[str, Any]:
        return {"rows": self.rows, "scaling": self.scaling}

    def load(self, cache: Path) -> Loaded:
        features = np.random.default_rng(0).normal(size=(self.rows, 5)).astype(np.float32)
        radii = np.stack([np.hypot(*features[:, :2].T), np.hypot(*features[:, 2:4].T)], axis=1)
        instances = Instances(
            features=features,
            targets=(radii > 1.2).astype(np.uint8),
            labels=("far left", "far right"),
            feature_names=("a", "b", "c", "d", "e"),
            modalities={"left": (0, 2), "right": (2, 5)},
        )
        return Loaded(instances, official=None)


class Nowhere(Circles):
    """It is never loaded: somebody forgot its identity and what kind it is."""

    identity = kind = None


class Unknown(Circles):
    """It says nothing of what defines it."""

    def identity(self, cache: Path | None = None) -> Any:
        return None


class Bare(Circles):
    """It loads matrices alone."""

    def load(self, cache: Path) -> Any:
        instances = super().load(cache).instances
        return instances.features, instances.targets


class Thirds:
    """Every third row is tested."""

    parts = ("train", "test")
    labelled = ("train",)

    def __init__(self, wrong: str | None):
        self.wrong = wrong

    def __call__(self, targets: np.ndarray, official: Parts | None, seed: int) -> Parts:
        rows = np.arange(len(targets))
        parts = {"train": rows[rows % 3 != 0], "test": rows[::3]}
        if self.wrong == "leaks":
            parts["train"] = rows
        if self.wrong == "outside":
            parts["test"] = rows[::3] + 3
        if self.wrong == "lacks":
            del parts["test"]
        return parts


class Unlabelled(Thirds):
    labelled = None


class Listed(Thirds):
    """Its parts have no names."""

    def __call__(self, targets: np.ndarray, official: Parts | None, seed: int) -> Any:
        return [*super().__call__(targets, official, seed).values()]


class Masked(Thirds):
    """It says of every row whether the row is in a part, and not which rows are."""

    def __call__(self, targets: np.ndarray, official: Parts | None, seed: int) -> Parts:
        parts = super().__call__(targets, official, seed)
        return {part: np.isin(np.arange(len(targets)), rows) for part, rows in parts.items()}


class Seedless(Thirds):
    def __call__(self, targets: np.ndarray, official: Parts | None) -> Parts:  # pyright: ignore
        return super().__call__(targets, official, 0)


class ByMedian:
    """A column's median, its distance from it halved."""

    def __init__(self):
        self.state: dict[str, Any] = {}

    def fit(self, train: Features) -> None:
        self.state = {"median": np.median(train, axis=0).tolist()}

    def apply(self, features: Features) -> Features:
        return ((features - np.array(self.state["median"])) / 2).astype(np.float32)


class Precise(ByMedian):
    """It gives double precision, which no method takes."""

    def apply(self, features: Features) -> Any:
        return super().apply(features).astype(np.float64)


class Unapplied:
    def __init__(self):
        self.state = {}

    def fit(self, train: Features) -> None:
        """Nothing."""


class Squares(nn.Module):
    """A backbone: the features and their squares."""

    def __init__(self, task: Task):
        super().__init__()
        self.width = 2 * task.features

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([x, x.square()], dim=-1)


class Endless(Squares):
    """It does not say how wide it is."""

    def __init__(self, task: Task):
        super().__init__(task)
        del self.width


class Broad(Squares):
    """It gives fewer numbers than it says."""

    def __init__(self, task: Task):
        super().__init__(task)
        self.width += 1


class Taskless(nn.Module):
    """It asks for no task."""

    def __init__(self):
        super().__init__()
        self.width = 3


def cross_entropy(logits: Tensor, targets: Tensor) -> Tensor:
    """A loss."""
    return F.binary_cross_entropy_with_logits(logits, targets)


def errors(logits: Tensor, targets: Tensor) -> Tensor:
    """A loss of every entry, where one number is asked for."""
    return (logits.sigmoid() - targets).square()


def counted(logits: Tensor, targets: Tensor) -> float:
    """A loss without a gradient."""
    return errors(logits, targets).mean().item()


def of_logits(logits: Tensor) -> Tensor:
    """A loss that asks for no targets."""
    return logits.square().mean()


def squared(task: Task):
    return torch.square


class ByModality(Method):
    """A backbone a modality, a head on all they give."""

    def __init__(self, task: Task, backbone: Backbone, loss: Loss):
        super().__init__()
        self.task = task
        self.backbones = nn.ModuleList(backbone(task.only(modality.name)) for modality in task.modalities)
        self.head = nn.Linear(sum(own.width for own in self.backbones), len(task.labels))
        self.objective = loss

    def logits(self, batch: Batch) -> Tensor:
        views = [own(x) for own, x in zip(self.backbones, self.task.views(batch.x))]
        return self.head(torch.cat(views, dim=-1))

    def loss(self, batch: Batch) -> Tensor:
        return self.objective(self.logits(batch), batch.targets)

    def scores(self, batch: Batch) -> Tensor:
        return self.logits(batch).sigmoid()


class ByRow(ByModality):
    """Its loss is a number for each row."""

    def loss(self, batch: Batch) -> Tensor:
        return self.logits(batch).square().mean(dim=-1)


class Stageless(ByModality):
    """It forgets to yield."""

    def stages(self, data: Any) -> Any:
        Stage("train", self, data["train"])


class Staged(ByModality):
    """It yields what is no stage."""

    def stages(self, data: Any) -> Any:
        yield data["train"]


class Mute(Method):
    """Nobody can score it."""

    def __init__(self, task: Task):
        super().__init__()

    def loss(self, batch: Batch) -> Tensor:
        return batch.x.mean()


class Idle(Method):
    """Nothing trains it."""

    def __init__(self, task: Task):
        super().__init__()

    def scores(self, batch: Batch) -> Tensor:
        return batch.x.sigmoid()
