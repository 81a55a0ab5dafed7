"""Predictions and true labels in files of any tool: read, and matched by id and by the label's name.

CSV: a header `id,<label>,<label>,...`, then a row an instance. NPZ: `ids` (N,), `labels` (L,), the names, and
`scores` (N, L). Rows and columns may stand in any order.
"""

import csv
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mlbench.data.formats.npz import arrays_in
from mlbench.errors import UserError

ARRAYS = ("ids", "labels", "scores")
NAMED = 3  # names in a sentence; of the others, the number


def read(path: Path) -> "Submission":
    """The file's numbers with their ids and label names, checked; UserError says what is wrong with it."""
    readers = {".csv": _csv, ".npz": _npz}
    if path.suffix not in readers:
        raise UserError(f"{path}: predictions and true labels are read from .csv and .npz files")
    found = readers[path.suffix](path)
    if not found.values.size:
        raise UserError(f"{path} has no instances, or no labels")
    for what, names in (("id", found.ids), ("label", found.labels)):
        doubled = [name for name, times in Counter(names).items() if times > 1]
        if doubled:
            raise UserError(f"{path}: {what}s are there more than once: {_some(doubled)}")
    rows, columns = np.nonzero(np.isnan(found.values))
    if len(rows):
        raise UserError(
            f"{path}: {len(rows)} numbers are NaN, "
            f"the first at id {found.ids[rows[0]]}, label {found.labels[columns[0]]}"
        )
    return found


def matched(predictions: "Submission", truth: "Submission") -> np.ndarray:
    """The values of the predictions, (N, L), in the order of ids and labels of the truth."""
    for what, ours, theirs in (
        ("id", predictions.ids, truth.ids),
        ("label", predictions.labels, truth.labels),
    ):
        has, wanted = set(ours), set(theirs)
        if missing := [name for name in theirs if name not in has]:
            raise UserError(f"{predictions.path} lacks {what}s that {truth.path} has: {_some(missing)}")
        if extra := [name for name in ours if name not in wanted]:
            raise UserError(f"{predictions.path} has {what}s that {truth.path} lacks: {_some(extra)}")
    rows = {name: place for place, name in enumerate(predictions.ids)}
    columns = {name: place for place, name in enumerate(predictions.labels)}
    return predictions.values[
        np.ix_([rows[name] for name in truth.ids], [columns[name] for name in truth.labels])
    ]


def _csv(path: Path) -> "Submission":
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            header, *rows = [row for row in csv.reader(file) if row] or [[]]
    except (UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"{path} is no CSV file in UTF-8: {error}") from None
    if header[:1] != ["id"]:
        raise UserError(f"{path}: the first column is to be named id, then one column a label")
    for row in rows:
        if len(row) != len(header):
            raise UserError(f"{path}: id {row[0]} has {len(row)} cells, the header {len(header)}")
    values = np.array([[_number(cell, row[0], path) for cell in row[1:]] for row in rows], dtype=float)
    return Submission(path, [row[0] for row in rows], header[1:], values)


def _number(cell: str, row: str, path: Path) -> float:
    try:
        return float(cell)
    except ValueError:
        raise UserError(f"{path}: {cell!r} at id {row} is no number") from None


def _npz(path: Path) -> "Submission":
    arrays = arrays_in(path)
    if absent := [name for name in ARRAYS if name not in arrays]:
        raise UserError(f"{path} lacks {_some(absent)}; it is to have the arrays {', '.join(ARRAYS)}")
    ids, labels, values = (arrays[name] for name in ARRAYS)
    if ids.ndim != 1 or labels.ndim != 1 or values.shape != (len(ids), len(labels)):
        raise UserError(
            f"{path}: scores of shape {values.shape} do not fit ids {ids.shape} and labels {labels.shape}"
        )
    if values.dtype.kind not in "biuf":
        raise UserError(f"{path}: scores are of type {values.dtype}, not numbers")
    return Submission(path, [str(name) for name in ids], [str(name) for name in labels], values.astype(float))


def _some(names: Iterable[str]) -> str:
    names = list(names)
    others = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return ", ".join(names[:NAMED]) + others


@dataclass
class Submission:
    path: Path
    ids: list[str]
    labels: list[str]
    values: np.ndarray  # (N, L) float64: scores, or 0 and 1

    @property
    def are_sets(self) -> bool:
        return bool(np.isin(self.values, (0, 1)).all())

    @property
    def are_probabilities(self) -> bool:
        return bool(((self.values >= 0) & (self.values <= 1)).all())
