"""Methods of several stages, with dropout in their modules: `method._target_=staged.Taught`."""

from collections.abc import Iterator
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mlbench.data.rows import Batch
from mlbench.data.task import Task
from mlbench.methods.base import Backbone, Method, Parts, Stage


class Network(nn.Module):
    """Each training step is noted: whether it was in training mode, whether two looks at a batch agree."""

    seen: ClassVar[dict[str, list[tuple[bool, bool]]]] = {}

    def __init__(self, name: str, task: Task, backbone: Backbone):
        super().__init__()
        self.name = name
        self.backbone = backbone(task)
        self.head = nn.Linear(self.backbone.width, len(task.labels))

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.backbone(x))

    def note(self, x: Tensor) -> None:
        with torch.no_grad():
            same = torch.equal(self(x), self(x))
        self.seen.setdefault(self.name, []).append((self.training, same))

    def loss(self, batch: Batch) -> Tensor:
        self.note(batch.x)
        return F.binary_cross_entropy_with_logits(self(batch.x), batch.targets)


class Several(Method):
    """As many networks as `awaited` has words, each trained by itself; their mean is what scores."""

    def __init__(self, task: Task, backbone: Backbone, awaited: list[bool]):
        super().__init__()
        self.awaited = awaited
        self.networks = nn.ModuleList(Network(f"net_{n}", task, backbone) for n in range(len(awaited)))

    def stages(self, data: Parts) -> Iterator[Stage]:
        for network, awaited in zip(self.networks, self.awaited, strict=True):
            yield Stage(network.name, network, data["train"], selects=False, awaited=awaited)

    def scores(self, batch: Batch) -> Tensor:
        return torch.stack([network(batch.x).sigmoid() for network in self.networks]).mean(0)


class Taught(Method):
    """A teacher, then a student; between the two the teacher is frozen, and put in evaluation mode."""

    def __init__(self, task: Task, backbone: Backbone):
        super().__init__()
        self.teacher = Network("teacher", task, backbone)
        self.student = Network("student", task, backbone)

    def stages(self, data: Parts) -> Iterator[Stage]:
        yield Stage("teacher", self.teacher, data["train"], selects=False)
        self.teacher.name = "frozen"
        self.teacher.eval().requires_grad_(False)
        yield Stage("student", self, data["train"])

    def loss(self, batch: Batch) -> Tensor:
        self.teacher.note(batch.x)
        self.student.note(batch.x)
        taught = self.teacher(batch.x).sigmoid()
        return F.binary_cross_entropy_with_logits(self.student(batch.x), taught)

    def scores(self, batch: Batch) -> Tensor:
        return self.student(batch.x).sigmoid()


class Encoded(Method):
    """An encoder that nothing trains, frozen before the first stage; a head on what it gives."""

    def __init__(self, task: Task, backbone: Backbone):
        super().__init__()
        self.encoder = Network("encoder", task, backbone)
        self.head = nn.Linear(len(task.labels), len(task.labels))

    def stages(self, data: Parts) -> Iterator[Stage]:
        self.encoder.eval().requires_grad_(False)
        yield Stage("train", self, data["train"])

    def loss(self, batch: Batch) -> Tensor:
        self.encoder.note(batch.x)
        return F.binary_cross_entropy_with_logits(self.head(self.encoder(batch.x)), batch.targets)

    def scores(self, batch: Batch) -> Tensor:
        return self.head(self.encoder(batch.x)).sigmoid()


class Twice(Method):
    """Trained at rates so large that it learns and forgets; each stage selects."""

    def __init__(self, task: Task, backbone: Backbone):
        super().__init__()
        self.network = Network("network", task, backbone)

    def stages(self, data: Parts) -> Iterator[Stage]:
        for name, rate in (("first", 0.3), ("second", 0.5)):
            yield Stage(name, self, data["train"], optimizer={"_target_": "torch.optim.Adam", "lr": rate})

    def loss(self, batch: Batch) -> Tensor:
        return self.network.loss(batch)

    def scores(self, batch: Batch) -> Tensor:
        return self.network(batch.x).sigmoid()
