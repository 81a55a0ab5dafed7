"""What a data set asks of a method: label names, modalities, kind of input, label statistics."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

Kind = Literal["vector", "image", "text", "text and image"]
FIELDS = (
    "text",
    "image",
)  # the raw fields that a data set may have, each of which an encoder makes vectors of


@dataclass(frozen=True)
class Modality:
    """A named range of feature columns, `start` included, `stop` not."""

    name: str
    start: int
    stop: int

    @property
    def width(self) -> int:
        return self.stop - self.start

    def of(self, x: Any) -> Any:
        """The modality's columns of x (..., d)."""
        return x[..., self.start : self.stop]


@dataclass(frozen=True)
class Task:
    name: str
    labels: tuple[str, ...]
    modalities: tuple[Modality, ...]  # at least one; together they cover all features
    instances: int  # of the training part
    positives: tuple[int, ...]  # instances of the training part that carry each label
    kind: Kind = "vector"
    shape: tuple[int, ...] = ()  # of an image: channels, height, width
    vocabulary: tuple[str, ...] = ()  # of texts in tokens: what each number means, 0 that there is none

    def narrowed(self, labels: Sequence[str]) -> "Task":
        """The same task with some of its labels, in the order given."""
        positives = tuple(self.positives[column] for column in self.columns(labels))
        return replace(self, labels=tuple(labels), positives=positives)

    def columns(self, labels: Sequence[str]) -> list[int]:
        """The positions of these labels among the task's."""
        return [self.labels.index(label) for label in labels]

    def only(self, modality: str) -> "Task":
        """The task with the columns of one modality alone, counted from 0."""
        names = [known.name for known in self.modalities]
        width = self.modalities[names.index(modality)].width
        return replace(self, modalities=(Modality(modality, 0, width),))

    def views(self, x: Any) -> list[Any]:
        """x (..., d) cut into the columns of each modality."""
        return [modality.of(x) for modality in self.modalities]

    @property
    def features(self) -> int:
        """Width of the whole input vector."""
        return self.modalities[-1].stop

    @property
    def cardinality(self) -> float:
        """Mean number of labels of a training instance."""
        return sum(self.positives) / max(self.instances, 1)
