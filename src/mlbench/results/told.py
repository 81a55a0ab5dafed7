"""What a tracker is told of a finished run: numbers and tables, all out of its record and its scores."""

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from mlbench.results.plane import plane
from mlbench.results.record import Record
from mlbench.results.store import EMBEDDINGS

LABELS = 100  # columns of a map
CURVES = 3  # labels with the best, and as many with the worst average precision, have theirs drawn
POINTS = 200  # of a curve
HEADS = {
    "label": "label",
    "support": "positives",
    "ap": "AP",
    "auc": "AUC",
    "f1": "F1",
}  # by their record's names


class Sheet(NamedTuple):
    columns: list[str]
    rows: list[Any]  # lists, of a cell a column


class Told(NamedTuple):
    summary: dict[str, Any]  # numbers and words by name
    sheets: dict[str, Sheet]  # labels, curves (recall, precision, label), embeddings where they were kept


def told(path: Path) -> Told:
    """What a tracker is told of the run with this record.json."""
    record = Record.read(path)
    sheets = {"labels": labels(record)}
    if (scores := path.with_name("scores.npz")).is_file():
        sheets["curves"] = curves(record, scores)
    if (embeddings := path.with_name(EMBEDDINGS)).is_file():
        sheets["embeddings"] = map_of(embeddings)
    return Told(summary(record), sheets)


def summary(record: Record) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for rule, metrics in record.metrics.items():
        values |= {f"test/{rule}/{name}": value for name, value in metrics.items()}
    for rule, chosen in record.selected.items():
        values |= {f"selected/{rule}/{name}": value for name, value in chosen.items()}
    for rule, cut in record.thresholds.items():
        if isinstance(cut, float | int):
            values[f"cut/{rule}"] = cut
    files = record.data.get("files", {"sha256": record.data.get("sha256")})
    if isinstance(files, dict):
        values |= {f"data/{name}": checksum for name, checksum in files.items() if checksum}
    values |= {f"seconds/{stage}": seconds for stage, seconds in record.seconds.items()}
    return values | {"peak_memory_bytes": record.peak_memory_bytes}


def labels(record: Record) -> Sheet:
    """A row a label under the rule that the run shows, with its cut where labels have cuts."""
    per_label, cuts = record.per_label, record.thresholds.get(record.rule)
    count = len(per_label["label"])
    cut = cuts if isinstance(cuts, list) and len(cuts) == count else [cuts] * count
    columns = {head: per_label[name] for name, head in HEADS.items() if name in per_label}
    if all(isinstance(each, float | int) for each in cut):
        columns["cut"] = cut
    return Sheet([*columns], [list(row) for row in zip(*columns.values())])


def curves(record: Record, scores_file: Path) -> Sheet:
    """Precision at each recall of the labels with the best and the worst average precision."""
    with np.load(scores_file) as archive:
        scores, targets = archive[record.rule], archive["targets"].astype(bool)
    names, quality = record.per_label["label"], np.array(record.per_label["ap"], np.float64)
    order = [label for label in np.argsort(-quality, kind="stable").tolist() if targets[:, label].any()]
    drawn = dict.fromkeys([*order[:CURVES], *order[-CURVES:]])
    rows = []
    for label in drawn:
        recall, precision = curve(scores[:, label], targets[:, label])
        rows += [[r, p, names[label]] for r, p in zip(recall.tolist(), precision.tolist())]
    return Sheet(["recall", "precision", "label"], rows)


def curve(scores: np.ndarray, targets: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Recall and precision at the distinct scores from the highest down, at most POINTS of them."""
    order = np.argsort(-scores, kind="stable")
    last = np.append(np.flatnonzero(np.diff(scores[order])), len(scores) - 1)  # of equal scores
    hits = np.cumsum(targets[order])[last]
    if len(last) > POINTS:
        kept = np.linspace(0, len(last) - 1, POINTS).round().astype(int)
        last, hits = last[kept], hits[kept]
    return hits / targets.sum(), hits / (last + 1)


def map_of(embeddings: Path) -> Sheet:
    """A scatter plot's rows: the place by principal components, the row's number, and whether the row carries
    each of the most frequent labels.
    """
    shown = plane(embeddings)
    frequent = sorted((-shown.targets.sum(0, dtype=int)).argsort(kind="stable")[:LABELS].tolist())
    rows = [
        [*position.tolist(), int(row), *(carried[frequent] != 0).tolist()]
        for position, row, carried in zip(shown.places, shown.ids, shown.targets)
    ]
    return Sheet(["x", "y", "row", *(f"label {shown.labels[label]}" for label in frequent)], rows)
