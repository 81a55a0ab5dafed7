"""MulSupCon: pre-training that pulls an instance towards those that carry a label of its own, label by label,
then a label layer (Zhang and Wu, Multi-Label Supervised Contrastive Learning, AAAI 2024).

The equations' numbers are those of MulSupCon_LD (preprint, 2025), which takes it over.
"""

from collections.abc import Iterator
from typing import Any

import torch.nn.functional as F
from torch import Tensor

from mlbench.config import Node
from mlbench.data.rows import Batch
from mlbench.data.task import Task
from mlbench.layers import Linear, Mask
from mlbench.methods.base import Backbone, Learner, Loss, Method, Parts, Requires, Stage
from mlbench.methods.contrastive.losses import PairWeights, Positives
from mlbench.methods.contrastive.pretraining import (
    LabelInput,
    PretrainingSettings,
    Rate,
    SetContrast,
    Share,
    projection_head,
)

LAST = ("leaves", "last")  # an option that was added later, and its value that changes nothing


class Contrastive(Method):
    """Two stages: `pretraining`, then the backbone and a label layer with the loss of conf/loss.

    With pretrain.epochs=0 the second stage is all there is: the control. The views of an image are those of
    its backbone, which draws a change of its own each time (`backbone.augment`).
    """

    requires = Requires(kinds=frozenset({"vector", "image"}))

    def __init__(
        self,
        task: Task,
        backbone: Backbone,
        loss: Loss,
        pretrain: PretrainingSettings,
        mask: Share,
        linear_probe: bool,
        backbone_rate: Rate | None,
        label_input: LabelInput = "backbone",
    ):
        super().__init__()
        self.settings = settings = PretrainingSettings.model_validate(pretrain)
        self.backbone = backbone(task)
        beyond = label_input != "backbone"  # the head stands on the projection, which the method then keeps
        self.projection = projection_head(self.backbone.width, settings) if beyond else None
        self.head = Linear(settings.width if beyond else self.backbone.width, len(task.labels))
        self.mask = Mask(mask)
        self.objective = loss
        self.linear_probe, self.backbone_rate = linear_probe, backbone_rate
        self.normalised = label_input == "normalised"

    @staticmethod
    def defining(options: Node) -> Node:
        """Without a first stage, nothing of it counts; that it leaves its last epoch once was no option."""
        if options["pretrain"]["epochs"]:
            said = {name: value for name, value in options["pretrain"].items() if (name, value) != LAST}
            return options | {"pretrain": said}
        kept = {"_target_", "mask", "linear_probe", "backbone_rate"}
        return {name: value for name, value in options.items() if name in kept} | {"pretrain": {"epochs": 0}}

    def pretraining(self) -> Learner:
        """The module of the first stage, which has this method's backbone."""
        raise NotImplementedError(f"{type(self).__name__} has no first stage")

    def stages(self, data: Parts) -> Iterator[Stage]:
        settings = self.settings
        if settings.epochs:
            yield Stage(
                "pretrain",
                self.pretraining(),
                data["train"],
                epochs=settings.epochs,
                batch_size=settings.batch_size,
                walk=settings.walk,
                optimizer=settings.optimizer,
                scheduler=settings.scheduler,
                selects=False,
                leaves=settings.leaves,
            )
        if self.linear_probe:
            self.backbone.eval().requires_grad_(False)
        yield Stage("train", self, data["train"])

    def parameter_groups(self) -> list[dict[str, Any]]:
        if self.backbone_rate is None or self.linear_probe:
            return []
        return [{"params": [*self.backbone.parameters()], "lr": self.backbone_rate}]

    def logits(self, batch: Batch) -> Tensor:
        features = self.backbone(self.mask(batch.x))
        if self.projection is not None:
            features = self.projection(features)
        return self.head(F.normalize(features, dim=-1) if self.normalised else features)

    def loss(self, batch: Batch) -> Tensor:
        return self.objective(self.logits(batch), batch.targets)

    def scores(self, batch: Batch) -> Tensor:
        return self.logits(batch).sigmoid()


class MulSupCon(Contrastive):
    def __init__(
        self,
        task: Task,
        backbone: Backbone,
        loss: Loss,
        pretrain: PretrainingSettings,
        mask: Share,
        linear_probe: bool,
        backbone_rate: Rate | None,
        positives: Positives,
        pair_weights: PairWeights,
    ):
        super().__init__(task, backbone, loss, pretrain, mask, linear_probe, backbone_rate)
        self.positives: Positives = positives
        self.pair_weights: PairWeights = pair_weights

    def pretraining(self) -> SetContrast:
        projection = projection_head(self.backbone.width, self.settings)
        labels = self.head.out_features
        return SetContrast(
            self.backbone, projection, labels, self.settings, self.positives, self.pair_weights
        )
