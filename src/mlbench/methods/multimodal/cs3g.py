"""CS3G: a linear score a modality, summed, and labels that support or exclude each other (after Ye, Zhan, Li,
Huang, Jiang, ICDM 2016).

A reading of ours: of the paper we had its title and what M3LA's paper says about CS3G, namely several
modalities without interaction between their features, and several types of interaction among labels.
"""

from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor, nn

from mlbench.data.rows import Batch
from mlbench.data.task import Task
from mlbench.layers import Linear, each, linear
from mlbench.losses.bce import bce
from mlbench.methods.base import Method, Requires

Weight = Annotated[float, Field(ge=0)]


class CS3G(Method):
    requires = Requires(modalities=2)
    others: Tensor  # (L, L), 0 on the diagonal, else 1

    def __init__(self, task: Task, row_weight: Weight, interaction_weight: Weight):
        super().__init__()
        labels = len(task.labels)
        self.row_weight, self.interaction_weight = row_weight, interaction_weight
        self.own = Linear(task.features, labels)  # the W_k side by side: f = Σ_k x^k W_k + b
        self.interactions = nn.Parameter(torch.zeros(labels, labels))  # of a column's label on a row's
        self.register_buffer("others", 1 - torch.eye(labels), persistent=False)

    @property
    def relations(self) -> Tensor:
        """R, 0 on the diagonal: R_jl > 0 where label l supports label j, R_jl < 0 where l excludes j."""
        return self.interactions * self.others

    def logits(self, batch: Batch) -> Tensor:
        """g_j = f_j + Σ_{l≠j} R_jl σ(f_l)."""
        alone = self.own(batch.x)
        return alone + linear(each(torch.sigmoid, 2, alone), self.relations)

    def loss(self, batch: Batch) -> Tensor:
        entropy = each(bce, 2, self.logits(batch), batch.targets, None)
        return entropy + self.penalty()

    def penalty(self) -> Tensor:
        """λ_w Σ_k Σ_rows ‖row of W_k‖₂ + λ_r ‖R‖₁; a row of W_k is a feature's weights for all labels."""
        rows = each(lengths, 2, self.own.weight)
        return self.row_weight * rows + self.interaction_weight * each(size, 2, self.relations)

    def scores(self, batch: Batch) -> Tensor:
        return self.logits(batch).sigmoid()

    def findings(self) -> dict[str, dict[str, Tensor]]:
        return {"label_interactions": {"interactions": self.relations}}


def lengths(weight: Tensor) -> Tensor:
    """Σ of the columns' Euclidean lengths."""
    return torch.linalg.vector_norm(weight, dim=-2).sum(-1)


def size(relations: Tensor) -> Tensor:
    return relations.abs().sum((-2, -1))
