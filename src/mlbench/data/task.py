"""What a data set asks of a method: label names, modalities, kind of input, label statistics."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

Kind = Literal["vector", "image", "text"]


@dataclass(frozen=True)
class Modality:
    """A named range of feature columns, `start` included, `stop` not."""

    name: str
    start: int
    stop: int

    @property
    def width(self) -> int:
        return self.stop - self.start


@dataclass(frozen=True)
class Task:
    name: str
    labels: tuple[str, ...]
    modalities: tuple[Modality, ...]  # at least one; together they cover all features
    instances: int  # of the training part
    positives: tuple[int, ...]  # instances of the training part that carry each label
    kind: Kind = "vector"

    def narrowed(self, labels: Sequence[str]) -> "Task":
        """The same task with some of its labels, in the order given."""
        positives = tuple(self.positives[self.labels.index(label)] for label in labels)
        return replace(self, labels=tuple(labels), positives=positives)

    @property
    def features(self) -> int:
        """Width of the whole input vector."""
        return self.modalities[-1].stop

    @property
    def cardinality(self) -> float:
        """Mean number of labels of a training instance."""
        return sum(self.positives) / max(self.instances, 1)
