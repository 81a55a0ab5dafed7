"""The first stage of MulSupCon and MulSupCon_LD: two views, a momentum encoder, a queue of keys."""

import copy
from typing import Annotated, Any, Literal, NamedTuple

import torch
import torch.nn.functional as F
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor, nn

from mlbench.data.rows import Batch
from mlbench.errors import UserError
from mlbench.layers import BatchNorm1d, Dropout, Linear, Mask
from mlbench.methods.base import Learner
from mlbench.methods.contrastive.losses import (
    PairWeights,
    Positives,
    contrast,
    log_ratios,
)
from mlbench.methods.contrastive.queue import Queue
from mlbench.shards import whole

Positive = Annotated[int, Field(ge=1)]
Share = Annotated[float, Field(ge=0, lt=1)]
Rate = Annotated[float, Field(gt=0)]
LabelInput = Literal["backbone", "projection", "normalised"]


class PretrainingSettings(BaseModel):
    """How the first stage is trained, and on what."""

    model_config = ConfigDict(extra="forbid")

    epochs: Annotated[int, Field(ge=0)]
    batch_size: Positive
    walk: Positive | Literal["passes", "endless"]
    optimizer: dict[str, Any]
    scheduler: dict[str, Any]
    mask: Share
    temperature: Rate
    momentum: Annotated[float, Field(ge=0, le=1)]
    queue: Positive
    width: Positive
    dropout: Share
    leaves: Literal["last", "lowest_loss"] = "last"


def projection_head(width: int, settings: PretrainingSettings) -> nn.Sequential:
    hidden = width // 2 if width >= 512 else 256  # the published code
    return nn.Sequential(
        Linear(width, hidden),
        BatchNorm1d(hidden),
        nn.ReLU(),
        Dropout(settings.dropout),
        Linear(hidden, settings.width),
    )


class Anchors(NamedTuple):
    """A batch as the encoder sees its first view, and its keys."""

    features: Tensor  # (B, width of the backbone)
    projected: Tensor  # (B, width)
    z: Tensor  # (B, width), of length 1
    keys: Tensor  # (B, width), of length 1, of the second view by the momentum encoder

    def seen(self, by: LabelInput) -> Tensor:
        """What a label layer is put on."""
        return {"backbone": self.features, "projection": self.projected, "normalised": self.z}[by]


class Pretraining(Learner):
    """What both papers' first stages share; the backbone is the method's own."""

    def __init__(
        self,
        backbone: nn.Module,
        projection: nn.Module,
        labels: int,
        settings: PretrainingSettings,
        distributions: int = 0,
    ):
        super().__init__()
        if settings.queue % settings.batch_size:
            raise UserError(
                f"method.pretrain.queue={settings.queue} is no multiple of "
                f"method.pretrain.batch_size={settings.batch_size}, which is what enters it in a step"
            )
        self.backbone, self.projection = backbone, projection
        self.mask = Mask(settings.mask)
        self.key_backbone = copy.deepcopy(backbone).requires_grad_(False)
        self.key_projection = copy.deepcopy(projection).requires_grad_(False)
        self.queue = Queue(settings.queue, settings.batch_size, settings.width, labels, distributions)
        self.temperature, self.momentum = settings.temperature, settings.momentum

    def anchors(self, batch: Batch) -> Anchors:
        features = self.backbone(self.mask(batch.x))
        projected = self.projection(features)
        with torch.no_grad():
            keys = self.key_projection(self.key_backbone(self.mask(batch.x)))
        return Anchors(features, projected, F.normalize(projected, dim=-1), F.normalize(keys, dim=-1))

    @torch.no_grad()
    def after_step(self) -> None:
        """The step's keys enter the queue, and the momentum encoder follows: so it stands before the next
        step's forward as the papers have it, and before the first one as a copy."""
        self.queue.enter()
        keys: list[Tensor] = [*self.key_backbone.parameters(), *self.key_projection.parameters()]
        queries: list[Tensor] = [*self.backbone.parameters(), *self.projection.parameters()]
        # torch documents operations on lists of tensors, and exports none.
        torch._foreach_mul_(keys, self.momentum)  # pyright: ignore[reportPrivateImportUsage]
        new = torch._foreach_mul(queries, 1 - self.momentum)  # pyright: ignore[reportPrivateImportUsage]
        torch._foreach_add_(keys, new)  # pyright: ignore[reportPrivateImportUsage]


class SetContrast(Pretraining):
    """Pretraining with the loss of MulSupCon (Eq. 1 to 4)."""

    def __init__(
        self,
        backbone: nn.Module,
        projection: nn.Module,
        labels: int,
        settings: PretrainingSettings,
        positives: Positives,
        pair_weights: PairWeights,
    ):
        super().__init__(backbone, projection, labels, settings)
        self.positives: Positives = positives
        self.pair_weights: PairWeights = pair_weights

    def loss(self, batch: Batch) -> Tensor:
        anchors, labels = self.anchors(batch), whole(batch.targets)
        met = self.queue.meet(whole(anchors.keys), labels)
        ratios = log_ratios(anchors.z, met.keys, self.temperature, met.open)
        return contrast(
            ratios, batch.targets, met.labels, met.open, labels, self.positives, self.pair_weights
        )
