"""Which teacher knows which labels: from a configuration, or drawn; and who the experts of a label are."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mlbench.errors import UserError, did_you_mean


def named(sets: Sequence[Sequence[int | str]], labels: Sequence[str]) -> list[tuple[str, ...]]:
    """Label sets by name, from names or from numbers in the data set's order."""
    resolved = []
    for number, given in enumerate(sets):
        names = tuple(_name(label, labels, number) for label in given)
        if not names or len(set(names)) < len(names):
            raise UserError(
                f"method.teachers.labels: teacher {number} has no label, or one of them twice: {given}"
            )
        resolved.append(names)
    return resolved


def _name(label: int | str, labels: Sequence[str], teacher: int) -> str:
    if isinstance(label, int):
        if not 0 <= label < len(labels):
            raise UserError(
                f"method.teachers.labels: teacher {teacher} is given label {label}; the data set has labels "
                f"0 to {len(labels) - 1}"
            )
        return labels[label]
    if label not in labels:
        raise UserError(
            f"method.teachers.labels: teacher {teacher} is given {label!r}, which is no label of the data set"
            f"{did_you_mean(label, labels)}"
        )
    return label


def draw(labels: Sequence[str], teachers: int, overlap: float, seed: int) -> list[tuple[str, ...]]:
    """Equally large label sets, of each of which the share `overlap` is known to one other teacher as well.

    m teachers of n labels with S labels in two sets each cover m·n − S labels: n = L / (m·(1 − overlap/2)),
    S = m·n·overlap/2, both rounded. One draw serves all replications: `seed` is not the run's.
    """
    generator = np.random.Generator(np.random.PCG64(seed))
    numbers = np.argsort(generator.random(len(labels)), kind="stable")
    order: list[str] = [labels[int(number)] for number in numbers]
    size = len(labels) / (teachers * (1 - overlap / 2))
    shared = min(len(labels), round(teachers * size * overlap / 2))
    sets: list[set[str]] = [set() for _ in range(teachers)]
    for number, label in enumerate(order):
        if number < shared:
            first = number % teachers
            sets[first].add(label)
            sets[(first + 1) % teachers].add(label)
        else:
            min(sets, key=len).add(label)
    for number, label_set in enumerate(sets):  # more teachers than labels
        if not label_set:
            label_set.add(order[number % len(order)])
    return [tuple(label for label in labels if label in label_set) for label_set in sets]


def covered(sets: Sequence[Sequence[str]], labels: Sequence[str]) -> None:
    """Refuses a label of the task that no teacher knows, and a teacher's label that the task has not."""
    known = {label for label_set in sets for label in label_set}
    if missing := [label for label in labels if label not in known]:
        raise UserError(f"no teacher knows {', '.join(missing[:5])}{' ...' if len(missing) > 5 else ''}")
    if foreign := sorted(known - set(labels)):
        raise UserError(f"a teacher knows {', '.join(foreign[:5])}, not among the data set's labels")


@dataclass(frozen=True)
class Expert:
    teacher: int
    column: int  # of the label in that teacher's outputs


def experts(sets: Sequence[Sequence[str]], labels: Sequence[str]) -> list[list[Expert]]:
    """For each label of the task, the teachers that know it, in their order."""
    return [
        [
            Expert(teacher, label_set.index(label))
            for teacher, label_set in enumerate(sets)
            if label in label_set
        ]
        for label in labels
    ]


def appearance(sets: Sequence[Sequence[str]], labels: Sequence[str]) -> list[int]:
    """The order in which labels first appear over the teachers' lists, each with its shared labels first.

    The authors' scoring takes outputs in this order for outputs in the data set's.
    """
    counts = {label: sum(label in label_set for label_set in sets) for label in labels}
    appearance = dict.fromkeys(
        label
        for label_set in sets
        for label in sorted(label_set, key=lambda label: (counts[label] < 2, labels.index(label)))
    )
    return [labels.index(label) for label in appearance]
