"""What a person may bring along: `method._target_=outside.TwoStages`, this folder on the path."""

import copy
import os
import signal
from collections.abc import Iterator
from multiprocessing.util import Finalize
from pathlib import Path

import torch
import torch.distributed
import torch.nn.functional as F
from torch import Tensor, nn

from mlbench.data.instances import Instances
from mlbench.data.rows import Batch
from mlbench.data.task import Task
from mlbench.methods.base import Backbone, Loss, Method, Parts, Stage
from mlbench.methods.erm import ERM


class TwoStages(Method):
    """A teacher, then a student that learns from what the teacher says; its average is what scores."""

    def __init__(self, task: Task, backbone: Backbone, teacher_epochs: int = 2):
        super().__init__()
        self.teacher = Teacher(task, backbone)
        self.student = Teacher(task, backbone)
        self.average = copy.deepcopy(self.student).requires_grad_(False)
        self.teacher_epochs = teacher_epochs

    def stages(self, data: Parts) -> Iterator[Stage]:
        teaching = {"_target_": "torch.optim.SGD", "lr": 0.5, "momentum": 0.9}
        yield Stage(
            "teacher",
            self.teacher,
            data["train"],
            epochs=self.teacher_epochs,
            batch_size=10,
            optimizer=teaching,
            selects=False,
        )
        self.student.head.reset_parameters()  # random numbers between two stages
        yield Stage("student", self, data["train"])

    def loss(self, batch: Batch) -> Tensor:
        with torch.no_grad():
            taught = self.teacher(batch.x).sigmoid()
        noise = 0.1 * torch.randn_like(batch.x)
        return F.binary_cross_entropy_with_logits(self.student(batch.x + noise), taught)

    def scores(self, batch: Batch) -> Tensor:
        return self.average(batch.x).sigmoid()

    @torch.no_grad()
    def after_step(self) -> None:
        for mean, current in zip(self.average.parameters(), self.student.parameters()):
            mean.lerp_(current, 0.1)


class Teacher(nn.Module):
    def __init__(self, task: Task, backbone: Backbone):
        super().__init__()
        self.backbone = backbone(task)
        self.head = nn.Linear(self.backbone.width, len(task.labels))

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.backbone(x))

    def loss(self, batch: Batch) -> Tensor:
        return F.binary_cross_entropy_with_logits(self(batch.x), batch.targets)


class Breaks(ERM):
    """Its loss is not finite from the n-th batch on."""

    def __init__(self, task: Task, backbone: Backbone, loss: Loss, batch: int, value: float):
        super().__init__(task, backbone, loss)
        self.left, self.value = batch, value

    def loss(self, batch: Batch) -> Tensor:
        self.left -= 1
        return super().loss(batch) * (1.0 if self.left > 0 else self.value)


class Dies(ERM):
    """Each process that trains it leaves a file, and in it the names of the threads it ends with; the second
    of them is killed in the n-th batch, unless there is a file called `spared`."""

    def __init__(self, task: Task, backbone: Backbone, loss: Loss, batch: int):
        super().__init__(task, backbone, loss)
        self.left = batch

    def loss(self, batch: Batch) -> Tensor:
        self.left -= 1
        own = Path(f"{os.getpid()}.rank")
        if not own.exists():
            own.touch()
            Finalize(None, self.note_threads, (own,), exitpriority=0)
        if self.left == 0 and torch.distributed.get_rank() == 1 and not Path("spared").exists():
            os.kill(os.getpid(), signal.SIGKILL)
        return super().loss(batch)

    @staticmethod
    def note_threads(path: Path) -> None:
        path.write_text(" ".join(name.read_text().strip() for name in Path("/proc/self/task").glob("*/comm")))


class Needs(ERM):
    """Trains only when there is a file called `wanted` in the working directory."""

    def loss(self, batch: Batch) -> Tensor:
        with Path("wanted").open():
            return super().loss(batch)


class Nosy(ERM):
    """Looks at all it is shown, and takes the true labels for its scores if it is shown them."""

    seen: list[list[str]] = []  # noqa: RUF012

    def stages(self, data: Parts) -> Iterator[Stage]:
        self.seen.append(list(data))
        yield from super().stages(data)

    def scores(self, batch: Batch) -> Tensor:
        return torch.where(batch.targets.isfinite(), batch.targets, super().scores(batch))


class Fails(ERM):
    """Has a fault of its own."""

    def loss(self, batch: Batch) -> Tensor:
        return super().loss(batch) * (1 // 0)


def read(path: Path, xml: Path) -> Instances:
    """A reader; it is named, never called."""
    raise NotImplementedError


class Logits(ERM):
    """Its scores are not in [0, 1]."""

    def scores(self, batch: Batch) -> Tensor:
        return self.logits(batch)


class OneTooMany(ERM):
    """Its scores have a column too many."""

    def scores(self, batch: Batch) -> Tensor:
        return F.pad(super().scores(batch), (0, 1))


class Summed(ERM):
    """It gives one number a row."""

    def scores(self, batch: Batch) -> Tensor:
        return super().scores(batch).mean(1)


class Listed(ERM):
    """Its scores are no tensor."""

    def scores(self, batch: Batch) -> list:
        return super().scores(batch).tolist()


def tells_place(runs: list, worker: int) -> None:
    """Leaves a file that says which GPUs a worker sees."""
    Path(str(worker)).write_text(os.environ["CUDA_VISIBLE_DEVICES"])
