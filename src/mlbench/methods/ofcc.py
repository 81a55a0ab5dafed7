"""An order-free classifier chain trained on its labels: a teacher of ANT by itself."""

from torch import Tensor

from mlbench.data.rows import Batch
from mlbench.data.task import Task
from mlbench.methods.base import Backbone, Method, Requires


class OFCC(Method):
    requires = Requires(backbone="logits")

    def __init__(self, task: Task, backbone: Backbone):
        super().__init__()
        self.task = task
        self.chain = backbone(task)

    def loss(self, batch: Batch) -> Tensor:
        return self.chain.loss(batch.x, batch.targets)

    def scores(self, batch: Batch) -> Tensor:
        return self.chain(batch.x).sigmoid()
