"""What the six amalgamation methods share: frozen teachers, and what they make of the student's instances.

The teachers are built before anything else and trained as the first stages, so that with one seed all six
methods ask for the very same stages and share them by key. The student never sees a label.
"""

import functools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, ClassVar
from zipfile import is_zipfile

import torch
from pydantic import AfterValidator, BaseModel, ConfigDict, Field
from torch import Tensor, nn

from mlbench.backbones.chain import Chain, Unrolled
from mlbench.config import Node
from mlbench.data.contracts import Scaler
from mlbench.data.rows import Batch, Rows
from mlbench.data.scaling import of_state
from mlbench.data.task import Task
from mlbench.errors import UserError
from mlbench.methods.amalgamation.label_sets import appearance, covered, draw, experts, named
from mlbench.methods.amalgamation.rescaled import Rescaled
from mlbench.methods.base import Backbone, Method, Parts, Requires, Stage
from mlbench.methods.build import opened, unpacked
from mlbench.methods.ofcc import OFCC
from mlbench.trust import foreign

ROWS = 1024  # of a block that a teacher scores at once
LIMIT = 30.0  # largest logit made from a probability: σ(30) is 1 in float32

Positive = Annotated[int, Field(ge=1)]
Share = Annotated[float, Field(ge=0, le=1)]


def trained(path: Path) -> Path:
    path = path.expanduser()
    if path.is_dir():
        raise ValueError(f"a folder; the trained method of a run is its model.pt: {path / 'model.pt'}")
    if not path.exists():
        raise ValueError("no such file; a run leaves its trained method in model.pt")
    if not is_zipfile(path):  # which is what torch saves
        raise ValueError("not the model.pt of a run, which is where a run leaves its trained method")
    return path


class TeacherSettings(BaseModel):
    """How many teachers, who knows which labels, how they learn; or where they come from."""

    model_config = ConfigDict(extra="forbid", populate_by_name=True)

    count: Annotated[int, Field(ge=2)]
    labels: list[list[int | str]] | None
    draw: Annotated[int, Field(ge=0)]
    hidden: Annotated[list[Positive], Field(min_length=1)]
    epochs: Positive
    batch_size: Positive
    optimizer: dict[str, Any]
    brought: Annotated[list[Annotated[Path, AfterValidator(trained)]] | None, Field(alias="from")]


class AmalgamationMethod(Method):
    """Subclasses say what the student learns from the teachers, in `learn`."""

    requires = Requires(backbone="logits")
    has_student: ClassVar[bool] = True
    looks_into_teachers: ClassVar[bool] = True  # at their hidden states and steps, which only chains have
    teachers: Any  # a module list: of chains, or of any methods that were brought along
    student: Chain

    def __init__(
        self, task: Task, backbone: Backbone, teachers: TeacherSettings, overlap: Share, shared_first: bool
    ):
        super().__init__()
        self.settings = TeacherSettings.model_validate(teachers)
        self.task = task
        brought = self.settings.brought
        modules = _bring(task, brought) if brought else _make(task, backbone, self.settings, overlap)
        if brought and self.looks_into_teachers:
            chains(brought, modules, type(self).__name__)
        self.teachers = nn.ModuleList(modules)
        sets = [teacher.task.labels for teacher in self.teachers]
        covered(sets, task.labels)
        self.experts = experts(sets, task.labels)
        self.orders = {"_shared_first": appearance(sets, task.labels)} if shared_first else {}
        if self.has_student:
            self.student = backbone(task)

    @classmethod
    def parts(cls, options: Mapping[str, Any]) -> tuple[str, ...]:
        """Teachers from files are trained already: then the student has all training rows."""
        teacher_parts = () if options["teachers"]["from"] else ("teacher_0", "teacher_1")
        return ("train", *teacher_parts)

    @staticmethod
    def defining(options: Node) -> Node:
        """Of teachers from files the paths alone: the options of drawing and training them have no effect."""
        brought = options["teachers"]["from"]
        if not brought:
            return options
        return {name: value for name, value in options.items() if name != "overlap"} | {
            "teachers": {"from": brought}
        }

    def rows_scaled_by(self, scaler: Scaler) -> None:
        for path, teacher in zip(self.settings.brought or (), self.teachers):
            teacher.rescaled.fit(scaler, teacher.scaler, str(path))

    def stages(self, data: Parts) -> Iterator[Stage]:
        if not self.settings.brought:
            yield from self.teaching(data)
        self.teachers.eval().requires_grad_(False)
        yield from self.learn(data["train"])

    def teaching(self, data: Parts) -> Iterator[Stage]:
        settings = self.settings
        for number, teacher in enumerate(self.teachers):
            part = f"teacher_{number}"
            if part not in data:
                raise UserError(
                    f"method.teachers.count={len(self.teachers)}: the split has no part {part}; use "
                    "split=amalgamation and leave split.teachers as it is"
                )
            rows, columns = data[part], self.task.columns(teacher.task.labels)
            yield Stage(
                name=part,
                module=teacher,
                data=replace(rows, targets=rows.targets[:, columns].contiguous()),
                epochs=settings.epochs,
                batch_size=settings.batch_size,
                optimizer=settings.optimizer,
                selects=False,
                awaited=number == len(self.teachers) - 1,
                shared=self.described | {"teacher": number},
            )

    @property
    def described(self) -> dict[str, Any]:
        """All teachers, for each one's key: the first weights of one are drawn after those of the others."""
        return {
            "labels": [teacher.task.labels for teacher in self.teachers],
            "chains": [teacher.chain.described for teacher in self.teachers],
        }

    def learn(self, data: Rows) -> Iterator[Stage]:
        """The student's stages, which must not use `data.targets`: the student learns from teachers alone."""
        raise NotImplementedError(f"{type(self).__name__} teaches its student nothing")

    def student_stage(self, data: Rows, targets: Tensor, **extra: Tensor) -> Stage:
        """The stage that trains this module on the teachers' `targets`, (N, L), and what else they say."""
        return Stage("student", self, replace(data, targets=targets, extra=extra))

    def column_orders(self) -> dict[str, list[int]]:
        """The order in which the authors' scoring takes the outputs, to compare with their tables."""
        return self.orders

    def scores(self, batch: Batch) -> Tensor:
        return self.student(batch.x).sigmoid()


def _make(task: Task, backbone: Backbone, settings: TeacherSettings, overlap: float) -> list[OFCC]:
    """New teachers, each a chain over its own labels."""
    if settings.labels is not None and len(settings.labels) != settings.count:
        raise UserError(
            f"method.teachers.labels names {len(settings.labels)} label sets for "
            f"method.teachers.count={settings.count} teachers; the two must agree"
        )
    sets = (
        named(settings.labels, task.labels)
        if settings.labels is not None
        else draw(task.labels, settings.count, overlap, settings.draw)
    )
    widths = [settings.hidden[number % len(settings.hidden)] for number in range(settings.count)]
    return [
        OFCC(task.narrowed(labels), functools.partial(backbone, hidden=hidden))
        for labels, hidden in zip(sets, widths)
    ]


def _bring(task: Task, paths: Sequence[Path]) -> list[Method]:
    """Trained methods from files. Labels count by name."""
    if len(paths) < 2:
        raise UserError("method.teachers.from names one teacher; knowledge amalgamation needs two or more")
    teachers: list[Any] = []
    for path in paths:
        content = opened(path)
        method, learned = unpacked(path, content)
        if learned.features != task.features:
            raise UserError(
                f"{path} was trained on {learned.features} features; dataset {task.name} has {task.features}"
            )
        teachers.append(method)
        teachers[-1].task = learned
        teachers[-1].scaler = scaler_in(content, path)
        teachers[-1].rescaled = Rescaled(task.features)
    return teachers


def chains(paths: Iterable[Path], teachers: Iterable[Method], method: str) -> None:
    """Refuses the first teacher that is no chain."""
    for path, teacher in zip(paths, teachers):
        if not isinstance(teacher, OFCC):
            raise UserError(
                f"{path}: {method} looks into its teachers, which must be chains, as method=ofcc trains; "
                f"this one is of {type(teacher).__name__}. method=tc and method=bl take any"
            )


def scaler_in(content: Node, path: Path) -> Scaler:
    """The scaler of the rows from which a teacher learned. Anybody may have written the file."""
    try:
        with foreign():
            return of_state(content["rows"]["scaling"], content["rows"]["scaler"])
    except (KeyError, TypeError):
        raise UserError(
            f"{path}: an older version wrote it, without how its rows were scaled: run again with force=true"
        ) from None
    except UserError as error:
        raise UserError(f"{path}: {error}") from error


def seen_by(teacher: Any, x: Tensor) -> Tensor:
    """The student's rows x (B, d) as the teacher learned to see them."""
    rescaled = getattr(teacher, "rescaled", None)  # of teachers from files
    return x if rescaled is None else rescaled(x)


def by_teacher(known: Iterable[Tensor]) -> dict[str, Tensor]:
    """A tensor of each teacher, by the name that `told` looks for in a batch's extra tensors."""
    return {f"teacher_{number}": tensor for number, tensor in enumerate(known)}


def told(batch: Batch, teachers: int) -> list[Tensor]:
    """The tensors that `by_teacher` named, in the teachers' order."""
    return [batch.extra[f"teacher_{number}"] for number in range(teachers)]


@torch.no_grad()
def unrolled(teacher: Method, data: Rows) -> Unrolled:
    """Logits and hidden states of a chain, for every instance and step."""
    assert isinstance(teacher, OFCC), "the method looks into its teachers"
    teacher.to(data.device)
    passes = [teacher.chain.unroll(seen_by(teacher, data.batch(rows).x)) for rows in blocks(data)]
    return Unrolled(*[torch.cat(parts, dim=1) for parts in zip(*passes)])


@torch.no_grad()
def logits(teacher: Method, data: Rows) -> Tensor:
    """A teacher's logits, (N, L_t); of a teacher that is no chain, from its probabilities."""
    if isinstance(teacher, OFCC):
        return unrolled(teacher, data).final
    teacher.to(data.device)
    scores = torch.cat([scores_of(teacher, data.batch(rows)) for rows in blocks(data)])
    return scores.logit().clamp(-LIMIT, LIMIT)


def scores_of(teacher: Any, batch: Batch) -> Tensor:
    return teacher.scores(batch._replace(x=seen_by(teacher, batch.x)))


def blocks(data: Rows) -> tuple[Tensor, ...]:
    """All rows, a block at a time: a sparse data set is never dense as a whole."""
    return torch.arange(len(data), device=data.device).split(ROWS)
