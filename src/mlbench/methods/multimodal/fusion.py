"""Fusion of modalities: of their features as they are, of what a backbone each makes of them, or of the
logits of a head each. The plain baselines of learning from several modalities.
"""

from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from mlbench.data.rows import Batch
from mlbench.data.task import Task
from mlbench.layers import Drawing, Linear
from mlbench.methods.base import Backbone, Loss, Method, Requires, cost

Share = Annotated[float, Field(ge=0, lt=1)]


class Fusion(Method):
    """Where an instance lacks modalities, the others stand for all: zeros are in the place of what is
    missing, and what is there is multiplied by (modalities) / (modalities that are there).
    """

    requires = Requires(missing_modalities=True, unknown_labels=True)

    def __init__(
        self,
        task: Task,
        backbone: Backbone,
        loss: Loss,
        fusion: Literal["early", "intermediate", "late"],
        modality_dropout: Share,
    ):
        super().__init__()
        labels = len(task.labels)
        self.task, self.fusion, self.objective = task, fusion, loss
        parts = [task] if fusion == "early" else [task.only(modality.name) for modality in task.modalities]
        networks = [backbone(part) for part in parts]
        widths = [network.width for network in networks]
        self.backbones = nn.ModuleList(networks)
        heads = widths if fusion == "late" else [sum(widths)]
        self.heads = nn.ModuleList(Linear(width, labels) for width in heads)
        self.dropout = ModalityDropout(modality_dropout)

    def weights(self, batch: Batch) -> list[Tensor] | None:
        """The weight of each modality, (..., B, 1) each; None where all weights are 1."""
        present, count = batch.extra.get("present"), len(self.task.modalities)
        if present is None:
            if not self.dropout.active:
                return None
            present = batch.x.new_ones(*batch.x.shape[:-1], count)
        present = self.dropout(present)
        return list((present * (count / present.sum(-1, keepdim=True))).split(1, -1))

    def features(self, batch: Batch, weights: list[Tensor] | None) -> list[Tensor]:
        """Each backbone's features of its modality, (..., B, width) each."""
        views = self.task.views(batch.x)
        if weights is not None:
            scales = weights if self.fusion == "early" else [weight > 0 for weight in weights]
            views = [view * scale for view, scale in zip(views, scales)]
        if self.fusion == "early":
            views = [batch.x if weights is None else torch.cat(views, -1)]
        return [network(view.contiguous()) for network, view in zip(self.backbones, views)]

    def embed(self, batch: Batch) -> Tensor:
        """The features of all backbones, side by side."""
        return torch.cat(self.weighed(batch), -1)

    def weighed(self, batch: Batch) -> list[Tensor]:
        weights = self.weights(batch)
        features = self.features(batch, weights)
        if weights is None or self.fusion == "early":
            return features
        return [feature * weight for feature, weight in zip(features, weights)]

    def logits(self, batch: Batch) -> Tensor:
        if self.fusion != "late":
            (head,) = self.heads
            return head(self.embed(batch))
        weights = self.weights(batch)
        logits = [head(feature) for head, feature in zip(self.heads, self.features(batch, weights))]
        if weights is not None:
            logits = [modality_logits * weight for modality_logits, weight in zip(logits, weights)]
        return torch.stack(logits).sum(0) / len(logits)

    def loss(self, batch: Batch) -> Tensor:
        return cost(self.objective, self.logits(batch), batch)

    def scores(self, batch: Batch) -> Tensor:
        return self.logits(batch).sigmoid()


class ModalityDropout(Drawing):
    """Leaves out each modality that an instance has with probability p, in training, but never all: if all
    were to go, one of them stays, each as likely as the others.
    """

    def __init__(self, p: float):
        super().__init__()
        self.p = p

    @property
    def active(self) -> bool:
        return self.training and self.p > 0

    def forward(self, present: Tensor) -> Tensor:
        """`present` (..., m) is 1 for what an instance has, else 0; so is what comes back."""
        if not self.active:
            return present
        empty = torch.empty_like(present, memory_format=torch.contiguous_format)
        draws = self.drawn(empty, lambda part, generator: part.uniform_(generator=generator))
        draws = draws.masked_fill(present == 0, -1)
        return (draws >= draws.amax(-1, keepdim=True).clamp(max=self.p)).to(present)
