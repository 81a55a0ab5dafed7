"""Empirical risk minimisation: a backbone, a linear head, a loss on its logits."""

from torch import Tensor

from mlbench.data.rows import Batch
from mlbench.data.task import Task
from mlbench.layers import Linear
from mlbench.methods.base import Backbone, Loss, Method, Requires, cost


class ERM(Method):
    requires = Requires(kinds=frozenset({"vector", "image", "text"}), unknown_labels=True)

    def __init__(self, task: Task, backbone: Backbone, loss: Loss):
        super().__init__()
        self.backbone = backbone(task)
        self.head = Linear(self.backbone.width, len(task.labels))
        self.objective = loss

    def logits(self, batch: Batch) -> Tensor:
        return self.head(self.backbone(batch.x))

    def loss(self, batch: Batch) -> Tensor:
        return cost(self.objective, self.logits(batch), batch)

    def scores(self, batch: Batch) -> Tensor:
        return self.logits(batch).sigmoid()
