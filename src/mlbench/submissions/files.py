"""Predictions and true labels in files: with ids and label names, or as other programs write them.

CSV: a header `id,<label>,<label>,...`, then a row an instance. NPZ: `ids` (N,), `labels` (L,), the names, and
`scores` (N, L). Rows and columns may stand in any order. A file without ids or names (`arrays.py`,
`texts.py`) has rows and columns in the order of the true labels.
"""

import csv
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np

from mlbench.errors import UserError
from mlbench.submissions import arrays, texts
from mlbench.submissions.given import Submission, Truth, some

TEXTS = (".txt", ".out", ".log")  # printed texts: their content tells which program wrote them


def read(path: Path, truth: Truth | None = None, sets: bool = False) -> Submission:
    """The file's numbers, checked; a UserError says what is wrong with the file.

    `truth` names rows and columns where the file does not. With `sets`, the labels of a line are a label set.
    """
    path = path / "scores.npz" if path.is_dir() else path  # a run's folder
    suffix = path.suffix.lower()
    if suffix == ".csv":
        submission = _csv(path)
    elif suffix == ".npz":
        submission = arrays.archive(path)
    elif truth is None:
        raise UserError(f"{path}: true labels are read from .csv and .npz files")
    elif suffix == ".npy":
        submission = arrays.array(path)
    elif suffix == ".arff":
        submission = texts.meka_arff(path, truth)
    elif suffix in TEXTS:
        submission = texts.printed(path, truth, sets)
    else:
        known = ", ".join((".csv", ".npz", ".npy", ".arff", *TEXTS))
        raise UserError(f"{path}: predictions are read from {known} files")
    return checked(submission)


def true_labels(path: Path) -> Truth:
    """True labels in a file of ours: CSV or NPZ, with ids and label names."""
    submission = read(path)
    if not submission.are_sets:
        raise UserError(f"{path}: true labels are 0 or 1, and other numbers are there")
    if submission.ids is None or submission.labels is None:
        raise UserError(f"{path}: true labels need ids and label names")
    return Truth(str(path), submission.ids, submission.labels, submission.values)


def checked(submission: Submission) -> Submission:
    """Refuses an empty file, an id or a label that stands there twice, and NaN."""
    if not submission.values.size:
        raise UserError(f"{submission.path} has no instances, or no labels")
    for what, names in (("id", submission.ids), ("label", submission.labels)):
        doubled = [name for name, times in Counter(names or ()).items() if times > 1]
        if doubled:
            raise UserError(f"{submission.path}: {what}s are there more than once: {some(doubled)}")
    rows, columns = np.nonzero(np.isnan(submission.values))
    if len(rows):
        row, column = rows[0], columns[0]
        at = f"id {submission.ids[row]}" if submission.ids else f"row {row + 1}"
        label = f"label {submission.labels[column]}" if submission.labels else f"column {column + 1}"
        raise UserError(f"{submission.path}: {len(rows)} numbers are NaN, the first at {at}, {label}")
    return submission


def by_order(submission: Submission) -> Submission:
    """The submission without its ids: its rows count as in the order of the true labels."""
    return replace(submission, ids=None)


def _csv(path: Path) -> Submission:
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
