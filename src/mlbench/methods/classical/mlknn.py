"""ML-kNN: how many of an instance's nearest neighbours carry a label, and what that says of the label (Zhang,
Zhou, ML-kNN: A Lazy Learning Approach to Multi-Label Learning, Pattern Recognition 40, 2007).
"""

from collections.abc import Iterator
from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor

from mlbench.data.rows import Batch, Rows
from mlbench.data.task import Task
from mlbench.errors import UserError
from mlbench.methods.base import Learner, Method, Parts, Stage
from mlbench.methods.nearest import CELLS, Held, take_sizes


class MLkNN(Method):
    """`k` neighbours, of which the training part has to have as many; `s` is added to every count.

    The state is the training part and a table of posteriors.
    """

    train_options = frozenset()

    def __init__(self, task: Task, k: Annotated[int, Field(ge=1)], s: Annotated[float, Field(gt=0)]):
        super().__init__()
        if k >= task.instances:
            raise UserError(
                f"method.k={k}: each of the {task.instances} training rows has {task.instances - 1} others; "
                "choose as many or fewer"
            )
        self.k = k
        self.s = s
        self.rows = Held(task.features)
        self.register_buffer("targets", torch.zeros(0, len(task.labels), dtype=torch.uint8))
        self.register_buffer("posteriors", torch.zeros(1, len(task.labels)))
        self.register_load_state_dict_pre_hook(take_sizes)

    def stages(self, data: Parts) -> Iterator[Stage]:
        yield Stage("count", self, data["train"], solve=self.solve)

    def as_graph(self) -> Learner:
        raise UserError("it looks for neighbours until they are certain, in as many passes as a row takes")

    def solve(self, data: Rows) -> None:
        self.rows.hold(data.x)
        self.targets = data.targets.to(torch.uint8)
        k = self.k
        carrying = torch.zeros(k + 1, self.targets.shape[1], dtype=torch.float64, device=data.device)
        lacking = torch.zeros_like(carrying)
        for index in torch.arange(len(data), device=data.device).split(max(1, CELLS // self.rows.width)):
            batch = data.batch(index)
            counts = self.counts(batch.x, k, excluded=index)
            carrying.scatter_add_(0, counts, batch.targets.double())
            lacking.scatter_add_(0, counts, 1 - batch.targets.double())
        self.posteriors = posteriors(carrying, lacking, self.s).float()

    def counts(self, x: Tensor, k: int, excluded: Tensor | None = None) -> Tensor:
        """How many of the k nearest neighbours carry each label, (B, L)."""
        neighbours = self.rows.nearest(x, k, excluded)
        return self.targets[neighbours].sum(1, dtype=torch.int64)

    def scores(self, batch: Batch) -> Tensor:
        return self.posteriors.gather(0, self.counts(batch.x, len(self.posteriors) - 1))


def posteriors(carrying: Tensor, lacking: Tensor, s: float) -> Tensor:
    """P(label | j neighbours carry it) for j = 0 … k, (k + 1, L), as in the paper's pseudo code.

    From the numbers of training rows with (`carrying`) and without the label of whose neighbours j carry it.
    """
    bins = len(carrying)
    positives, negatives = carrying.sum(0), lacking.sum(0)
    prior = (s + positives) / (2 * s + positives + negatives)
    given = (s + carrying) / (s * bins + positives)
    given_not = (s + lacking) / (s * bins + negatives)
    joint = prior * given
    return joint / (joint + (1 - prior) * given_not)
