"""RAkEL: votes of classifiers that each learn the combinations of a few labels (Tsoumakas, Katakis, Vlahavas,
Random k-Labelsets for Multi-Label Classification, TKDE 23(7), 2011).
"""

import math
from collections.abc import Mapping
from typing import Annotated, Any

import numpy as np
import torch
from pydantic import AfterValidator, Field, ValidationInfo

from mlbench.data.task import Task
from mlbench.errors import UserError
from mlbench.methods.base import Given
from mlbench.methods.bases import Base, Options
from mlbench.methods.fitted import Fitted, Matrix

Labelset = tuple[int, ...]


def of_overlapping_ones(subsets: int | None, info: ValidationInfo) -> int | None:
    if subsets is not None and info.data.get("overlapping") is False:
        raise ValueError("disjoint labelsets are as many as it takes: leave it null, or overlapping=true")
    return subsets


Subsets = Annotated[Annotated[int, Field(ge=1)] | None, AfterValidator(of_overlapping_ones)]


def disjoint(labels: int, k: int) -> list[Labelset]:
    """⌈labels / k⌉ of k labels, the last of what is left: RAkELd."""
    return [tuple(sorted(part.tolist())) for part in torch.randperm(labels).split(k)]


def overlapping(labels: int, k: int, count: int) -> list[Labelset]:
    """`count` different ones of k labels, drawn evenly: RAkELo; then every label is in one.

    The paper's draw may leave a label out, with 2·labels sets of 3 about one in 400. Such a label takes, in a
    set drawn for it, the place of one that other sets hold as well.
    """
    drawn: dict[Labelset, None] = {}
    while len(drawn) < min(count, math.comb(labels, k)):
        drawn[tuple(sorted(torch.randperm(labels)[:k].tolist()))] = None
    sets = torch.tensor(list(drawn))
    held = torch.bincount(sets.flatten(), minlength=labels)
    for missing in (held == 0).nonzero().flatten().tolist():
        places = (held[sets] > 1).nonzero()
        row, column = places[torch.randint(len(places), ())].tolist()
        held[sets[row, column]] -= 1
        held[missing] += 1
        sets[row, column] = missing
    return [tuple(sorted(row)) for row in sets.tolist()]


class RAkEL(Fitted):
    def __init__(
        self,
        task: Task,
        base: Base,
        options: Options,
        overlapping: bool,
        k: Annotated[int, Field(ge=1)],
        subsets: Subsets,
    ):
        super().__init__(task, base, options)
        if subsets is not None and subsets * k < len(task.labels):
            raise UserError(
                f"method.subsets={subsets}: labelsets of {k} cannot hold all {len(task.labels)} labels of "
                f"{task.name}; it takes {math.ceil(len(task.labels) / k)} or more"
            )
        self.overlapping = overlapping
        self.k = k
        self.subsets = subsets

    @classmethod
    def gives(cls, options: Mapping[str, Any]) -> Given:
        return "votes"

    def draw(self, labels: int) -> list[Labelset]:
        if self.k >= labels:
            return [tuple(range(labels))]
        if not self.overlapping:
            return disjoint(labels, self.k)
        return overlapping(labels, self.k, self.subsets or 2 * labels)

    def fit(self, x: Matrix, y: np.ndarray, labels: np.ndarray) -> Any:
        """For each labelset: its labels, the combinations there are (C, k), a classifier of their numbers."""
        learner = []
        for labelset in self.draw(y.shape[1]):
            combinations, number = np.unique(y[:, list(labelset)], axis=0, return_inverse=True)
            # All its labels vary, so there are two combinations or more.
            learner.append((labelset, combinations, self.new_base().fit(x, number.reshape(-1))))
        return learner

    def predict(self, learner: Any, x: Matrix) -> np.ndarray:
        """The share of yes among the votes of the labelsets that hold a label."""
        labels = 1 + max(label for labelset, _, _ in learner for label in labelset)
        decisions = [
            (list(labelset), combinations[model.predict(x)]) for labelset, combinations, model in learner
        ]
        votes, voters = np.zeros((len(decisions[0][1]), labels)), np.zeros(labels)
        for labelset, yes in decisions:
            votes[:, labelset] += yes
            voters[labelset] += 1
        return votes / voters
