"""Predictions in the order of the true labels: by id and label name, or by their places."""

import numpy as np

from mlbench.errors import UserError
from mlbench.submissions.given import Submission, Truth, some


def matched(predictions: Submission, truth: Truth) -> np.ndarray:
    """The values of the predictions, (N, L), in the order of ids and labels of the truth."""
    rows = _places(predictions, truth, "id", predictions.ids, truth.ids)
    columns = _places(predictions, truth, "label", predictions.labels, truth.labels)
    if predictions.said is not None:
        _check_said(predictions, predictions.said[np.ix_(rows, columns)], truth)
    return predictions.values[np.ix_(rows, columns)]


def notes(predictions: Submission) -> list[str]:
    """How the file was read and matched, where there was a choice."""
    said = [*predictions.notes]
    if predictions.ids is None:
        said.append("rows by their order")
    if predictions.labels is None:
        said.append("columns by their order")
    return said


def _places(
    predictions: Submission, truth: Truth, what: str, ours: list[str] | None, theirs: list[str]
) -> list[int]:
    """Where each id, or label, of the truth stands in the predictions."""
    if ours is None:
        count = predictions.values.shape[0 if what == "id" else 1]
        if count != len(theirs):
            lines, many = ("rows", "instances") if what == "id" else ("columns", "labels")
            raise UserError(
                f"{predictions.path} has {count} {lines}, {truth.name} has {len(theirs)} {many}: without "
                f"{what}s, each is to have one, in their order"
            )
        return list(range(count))
    has, wanted = set(ours), set(theirs)
    if missing := [name for name in theirs if name not in has]:
        hint = ""
        if what == "id" and len(ours) == len(theirs):
            hint = "; if its rows are in their order, ids=order takes them so"
        raise UserError(f"{predictions.path} lacks {what}s that {truth.name} has: {some(missing)}{hint}")
    if extra := [name for name in ours if name not in wanted]:
        raise UserError(f"{predictions.path} has {what}s that {truth.name} lacks: {some(extra)}")
    place = {name: number for number, name in enumerate(ours)}
    return [place[name] for name in theirs]


def _check_said(predictions: Submission, said: np.ndarray, truth: Truth) -> None:
    """A file that has true labels, too, is of the same rows only if they are the same."""
    wrong = np.flatnonzero((said != truth.values).any(axis=1))
    if len(wrong):
        raise UserError(
            f"{predictions.path}: its true labels are not those of {truth.name}, first of id "
            f"{truth.ids[wrong[0]]}: its rows or columns are in another order, or of other data"
        )
