"""What a data set's labels are, row by row: for how often a label occurs, and which occur together."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from mlbench.config import Config, options, target
from mlbench.data.splits import divided

MOST = 20  # labels whose co-occurrence is told


@dataclass(frozen=True)
class Truth:
    labels: tuple[str, ...]
    targets: np.ndarray  # (N, L)
    split: dict[str, Any]  # of the runs, whatever the fold

    def support(self, fold: int) -> dict[str, float]:
        """How many training rows of a fold carry each label."""
        split = target(self.split)(**options(self.split) | {"fold": fold})
        train = divided(split, self.targets, None, 0)["train"]
        return dict(zip(self.labels, self.targets[train].sum(0, dtype=float).tolist()))

    @cached_property
    def counts(self) -> np.ndarray:
        return self.targets.sum(0, dtype=np.int64)

    @property
    def frequencies(self) -> dict[str, int]:
        return dict(zip(self.labels, self.counts.tolist()))

    @property
    def imbalance(self) -> float:
        """The mean over labels of how many times as often the most frequent one occurs."""
        there = self.counts[self.counts > 0]
        return float((there.max() / there).mean())

    @property
    def together(self) -> dict[str, Any]:
        """How many rows carry both labels, of the most frequent ones."""
        most = np.argsort(-self.counts, kind="stable")[:MOST]
        carried = self.targets[:, most].astype(np.int64)
        return {"labels": [self.labels[label] for label in most], "counts": (carried.T @ carried).tolist()}


def truth_of(config: Config) -> Truth:
    """Of the data set that a run was made on."""
    dataset = target(config.dataset)(**options(config.dataset))
    instances = dataset.load(config.paths.cache).instances
    return Truth(tuple(instances.labels), instances.targets, config.split)
