"""Predictions in the order of the true labels: by id and label name, or as rows and columns stand."""

import numpy as np

from mlbench.errors import UserError
from mlbench.submissions.given import Submission, Truth, some


def matched(predictions: Submission, truth: Truth) -> np.ndarray:
    """The values of the predictions, (N, L), in the order of ids and labels of the truth."""
    rows = _places(predictions, truth, "id", predictions.ids, truth.ids)
    columns = _places(predictions, truth, "label", predictions.labels, truth.labels)
    if predictions.targets is not None:
        _check_targets(predictions, predictions.targets[np.ix_(rows, columns)], truth)
    return predictions.values[np.ix_(rows, columns)]


def notes(predictions: Submission) -> list[str]:
    """How the file was read and matched, where a file can be read in several ways."""
    remarks = [*predictions.notes]
    if predictions.ids is None:
        remarks.append("rows by their order")
    if predictions.labels is None:
        remarks.append("columns by their order")
    return remarks


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
    positions = {name: number for number, name in enumerate(ours)}
    return [positions[name] for name in theirs]


def _check_targets(predictions: Submission, targets: np.ndarray, truth: Truth) -> None:
    """Refuses a file whose own true labels differ from the truth: its rows are others then."""
    wrong = np.flatnonzero((targets != truth.values).any(axis=1))
    if len(wrong):
        raise UserError(
            f"{predictions.path}: its true labels are not those of {truth.name}, first of id "
            f"{truth.ids[wrong[0]]}: its rows or columns are in another order, or of other data"
        )
