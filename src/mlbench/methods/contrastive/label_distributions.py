"""MulSupCon_LD: pre-training that learns a label distribution of every instance beside the contrast, and with
it the label layer of the classifier (Improving Multi-Label Contrastive Learning by Leveraging Label
Distribution, preprint, 2025). RLD weighs positives by an RBF kernel, CLD by the contrastive log-ratio.

docs/mulsupcon_ld.md says where the paper is silent or contradicts itself, and how each option reads it.
"""

import functools
from typing import Annotated, Literal

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor, nn

from mlbench.data.rows import Batch
from mlbench.data.task import Task
from mlbench.layers import Linear
from mlbench.methods.base import Backbone, Loss
from mlbench.methods.contrastive.losses import (
    Constants,
    Normalise,
    OwnDistribution,
    Weighting,
    distribution_loss,
    log_ratios,
    ratio_weights,
    similarity,
)
from mlbench.methods.contrastive.mulsupcon import Contrastive
from mlbench.methods.contrastive.pretraining import (
    LabelInput,
    Pretraining,
    PretrainingSettings,
    Rate,
    Share,
    projection_head,
)
from mlbench.methods.contrastive.queue import References
from mlbench.shards import places, whole

Weight = Annotated[float, Field(ge=0)]
Met = Literal["batch_and_queue", "algorithm"]


class Distributions(Pretraining):
    """Pretraining with label distributions d_i = softmax(fc(h_i)); `kernel`: z, keys and C_ip → w_ip."""

    def __init__(
        self,
        backbone: nn.Module,
        projection: nn.Module,
        label_layer: Linear,
        settings: PretrainingSettings,
        label_input: LabelInput,
        references: Met,
        weight_gradient: bool,
        kernel: functools.partial,
        objective: functools.partial,
    ):
        labels = label_layer.out_features
        super().__init__(backbone, projection, labels, settings, distributions=labels)
        self.label_layer, self.references, self.weight_gradient = label_layer, references, weight_gradient
        self.label_input: LabelInput = label_input
        self.kernel, self.objective = kernel, objective

    def loss(self, batch: Batch) -> Tensor:
        anchors = self.anchors(batch)
        d = self.label_layer(anchors.seen(self.label_input)).softmax(-1)
        keys = whole(anchors.keys)
        own_keys, count = places(anchors.keys.shape[-2], d.device), keys.shape[-2]
        met = self.queue.meet(keys, whole(batch.targets), whole(d))
        if self.references == "algorithm":
            met = met._replace(open=own_and_queue(met, own_keys, count))
        ratios = log_ratios(anchors.z, met.keys, self.temperature, met.open)
        weighed = anchors.z, met.keys, ratios
        if not self.weight_gradient:
            weighed = [part.detach() for part in weighed]
        weights = self.kernel(*weighed)
        return self.objective(
            weights, ratios, batch.targets, d, self.label_layer.weight, met, own_keys, count
        )


def own_and_queue(met: References, own_keys: Tensor, count: int) -> Tensor:
    """Which references an anchor meets, (..., B, A): its own key, and the open keys of the queue, which stand
    after the `count` keys of the batch.
    """
    position = torch.arange(met.open.shape[-1], device=own_keys.device)
    return (position == own_keys.unsqueeze(-1)) | (met.open & (position >= count)).unsqueeze(-2)


def by_distance(z: Tensor, keys: Tensor, ratios: Tensor, sigma: float) -> Tensor:
    return similarity(z, keys, sigma)


def by_ratio(z: Tensor, keys: Tensor, ratios: Tensor, weighting: Weighting) -> Tensor:
    return ratio_weights(ratios, weighting)


class Readings(BaseModel):
    """One option for each place where the paper can be read in several ways."""

    model_config = ConfigDict(extra="forbid")

    label_input: LabelInput
    references: Met
    own_distribution: OwnDistribution
    weight_gradient: bool
    h: Constants
    normalise_labels: bool
    normalise: Normalise


class MulSupConLD(Contrastive):
    """The label layer of the first stage is that of the second, weights and all."""

    def __init__(
        self,
        task: Task,
        backbone: Backbone,
        loss: Loss,
        pretrain: PretrainingSettings,
        mask: Share,
        linear_probe: bool,
        backbone_rate: Rate | None,
        alpha: Weight,
        beta: Weight,
        readings: Readings,
        kernel: functools.partial,
    ):
        readings = Readings.model_validate(readings)
        super().__init__(
            task, backbone, loss, pretrain, mask, linear_probe, backbone_rate, readings.label_input
        )
        self.readings, self.kernel = readings, kernel
        self.distribution_loss = functools.partial(
            distribution_loss,
            alpha=alpha,
            beta=beta,
            own_distribution=readings.own_distribution,
            h=readings.h,
            normalise_labels=readings.normalise_labels,
            normalise=readings.normalise,
        )

    def pretraining(self) -> Distributions:
        return Distributions(
            self.backbone,
            self.projection or projection_head(self.backbone.width, self.settings),
            self.head,
            self.settings,
            self.readings.label_input,
            self.readings.references,
            self.readings.weight_gradient,
            self.kernel,
            self.distribution_loss,
        )


class RLD(MulSupConLD):
    def __init__(
        self,
        task: Task,
        backbone: Backbone,
        loss: Loss,
        pretrain: PretrainingSettings,
        mask: Share,
        linear_probe: bool,
        backbone_rate: Rate | None,
        alpha: Weight,
        beta: Weight,
        readings: Readings,
        sigma: Rate,
    ):
        kernel = functools.partial(by_distance, sigma=sigma)
        super().__init__(
            task, backbone, loss, pretrain, mask, linear_probe, backbone_rate, alpha, beta, readings, kernel
        )


class CLD(MulSupConLD):
    def __init__(
        self,
        task: Task,
        backbone: Backbone,
        loss: Loss,
        pretrain: PretrainingSettings,
        mask: Share,
        linear_probe: bool,
        backbone_rate: Rate | None,
        alpha: Weight,
        beta: Weight,
        readings: Readings,
        weighting: Weighting,
    ):
        kernel = functools.partial(by_ratio, weighting=weighting)
        super().__init__(
            task, backbone, loss, pretrain, mask, linear_probe, backbone_rate, alpha, beta, readings, kernel
        )
