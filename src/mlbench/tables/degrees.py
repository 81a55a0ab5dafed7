"""How much of an instance a label describes, in the label distributions that a table's runs recovered."""

import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from mlbench.errors import UserError
from mlbench.tables.table import Table, Where

FILE = "distributions.npz"  # in a run's folder
EQUAL = "equal shares"  # of a row's labels, each describes as much as the others


@dataclass(frozen=True)
class Degree:
    """A label's mean degree over the training rows that have the label, then over the runs that count."""

    where: Where
    label: str
    frequency: float  # the label's share of the training rows
    degree: float
    runs: int


class Means(NamedTuple):
    """What one run recovered, label by label; `degrees` is NaN for a label that no row has."""

    labels: list[str]
    frequencies: np.ndarray
    degrees: np.ndarray


def degrees(table: Table) -> list[Degree]:
    """The degrees of every method that recovers distributions; those of EQUAL come first in a data set."""
    points: list[Degree] = []
    problems: set[tuple[str, str]] = set()
    for where in table.cases:
        files = [run.folder / FILE for run in table.runs(where) if run.key in table.records]
        files = [file for file in files if file.is_file()]
        if files and where[:2] not in problems:
            problems.add(where[:2])
            points += over_runs((*where[:2], EQUAL), [means(file, equal=True) for file in files])
        points += over_runs(where, [means(file) for file in files])
    return points


def means(file: Path, equal: bool = False) -> Means:
    """The means of the degrees in a run's file, or with `equal` of equal shares on the same rows."""
    try:
        with np.load(file) as archive:
            targets, labels, recovered = (archive[name] for name in ("targets", "labels", "degrees"))
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise UserError(
            f"{file}: cannot be read ({type(error).__name__}); force=true makes the run again"
        ) from None
    if equal:
        recovered = targets / np.maximum(targets.sum(1, keepdims=True), 1)
    rows = targets.sum(0)
    sums = (recovered * targets).sum(0, dtype=np.float64)
    seen = np.divide(sums, rows, out=np.full(len(rows), np.nan), where=rows > 0)
    return Means([*map(str, labels)], rows / len(targets), seen)


def over_runs(where: Where, parts: Sequence[Means]) -> list[Degree]:
    points = []
    for column, label in enumerate(parts[0].labels if parts else []):
        known = [part for part in parts if np.isfinite(part.degrees[column])]
        if known:
            frequency = float(np.mean([part.frequencies[column] for part in known]))
            degree = float(np.mean([part.degrees[column] for part in known]))
            points.append(Degree(where, label, frequency, degree, len(known)))
    return points
