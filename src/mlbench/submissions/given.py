"""Predictions, and the true labels that they are matched with, as they were given."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

NAMED = 3  # how many names a sentence lists; it counts the others


@dataclass(frozen=True)
class Truth:
    name: str  # for a person: the file, or the data set and its part
    ids: list[str]
    labels: list[str]
    values: np.ndarray  # (N, L) of 0 and 1
    positives: np.ndarray | None = None  # (L,): how many training instances carry each label, where known
    instances: int = 0  # of the training part


@dataclass(frozen=True)
class Submission:
    path: Path
    ids: list[str] | None  # None: the rows are in the order of the true labels
    labels: list[str] | None  # likewise the columns
    values: np.ndarray  # (N, L), float32 or float64: scores, or 0 and 1
    notes: tuple[str, ...] = ()  # how the file was read, for a person
    targets: np.ndarray | None = None  # (N, L): the true labels, where the file has these as well
    listed: bool = False  # whether the file lists label sets, whatever the options say of its numbers

    @property
    def are_sets(self) -> bool:
        return bool(np.isin(self.values, (0, 1)).all())

    @property
    def are_probabilities(self) -> bool:
        return bool(((self.values >= 0) & (self.values <= 1)).all())


def some(names: Iterable[str]) -> str:
    names = list(names)
    others = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return ", ".join(names[:NAMED]) + others
