"""A data set as a run knows it: its rows by part, its labels and how frequent they are in training."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from mlbench.compose import configure
from mlbench.config import Config, Node
from mlbench.data.contracts import Dataset, Parts, identity_of
from mlbench.data.instances import Instances, statistics
from mlbench.data.splits import divided, labelled_rows
from mlbench.errors import UserError, did_you_mean
from mlbench.premises import check_premises
from mlbench.submissions.given import Truth
from mlbench.words import quoted

GROUPS = ("dataset", "split")  # groups of conf/ whose choices and options define the rows of each part


@dataclass(frozen=True)
class Known:
    config: Config
    dataset: Dataset
    instances: Instances
    parts: Parts
    labelled: np.ndarray  # the rows whose labels training may use

    @cached_property
    def identity(self) -> Node:
        return identity_of(self.dataset, self.config.paths.cache)

    @cached_property
    def described(self) -> Node:
        """What a record says of the data."""
        return self.identity | {"statistics": statistics(self.instances)}

    @property
    def where(self) -> str:
        choices = self.config.choices
        return f"dataset={choices['dataset']} with split={choices['split']}"

    def rows(self, part: str) -> np.ndarray:
        """The rows of a part; `training` are all whose labels training may use."""
        if part == "training":
            return self.labelled
        if part not in self.parts:
            has = ", ".join(self.parts)
            near = did_you_mean(part, self.parts)
            hint = "; split.validation=0.2 makes one" if part == "validation" else ""
            raise UserError(f"part={part}: {self.where} has {has}{hint or near}")
        return self.parts[part]

    def truth(self, part: str) -> Truth:
        """A part's true labels. Ids are the numbers of its rows in the data set, as in a run's scores.npz."""
        rows, targets = self.rows(part), self.instances.targets
        return Truth(
            name=f"{self.where}, part {part},",
            ids=[str(row) for row in rows],
            labels=list(self.instances.labels),
            values=targets[rows],
            positives=targets[self.labelled].sum(axis=0, dtype=np.int64),
            instances=len(self.labelled),
        )


def known(words: Sequence[str]) -> Known:
    """The data set, its split and its labels as `run.py` has them with the same words."""
    config = configure(quoted(words))
    dataset, split = check_premises(config)
    loaded = dataset.load(config.paths.cache)
    instances = loaded.instances
    parts = divided(split, instances.targets, loaded.official, config.seed, instances.words)
    return Known(config, dataset, instances, parts, labelled_rows(split, parts))
