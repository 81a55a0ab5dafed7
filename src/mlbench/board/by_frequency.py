"""How well labels are learned by how often they occur in training."""

from typing import Any

import numpy as np

from mlbench.board.content import Frame
from mlbench.board.grid import Row

EDGES = (0, 10, 30, 100, 300, 1000)  # training rows that carry the label; the last bin is open


def bins(labels: Frame) -> Frame:
    """A line a method, variant and bin: `labels` in it, the means of `f1` and `ap`, and `data sets`.

    A data set counts once in a bin, by the mean over its labels there: else one with thousands of labels
    would speak for all.
    """
    frame = labels.assign(bin=bin_of(labels["support"]))
    keys = ["method", "variant", "bin"]
    inside = frame.groupby([*keys, "dataset"])[["f1", "ap"]].mean()
    inside["labels"] = frame.groupby([*keys, "dataset"]).size()
    grouped = inside.groupby(keys)
    means = grouped[["f1", "ap"]].mean()
    means["labels"] = grouped["labels"].sum()
    means["datasets"] = grouped.size()
    return means.reset_index()


def bin_of(support: Any) -> Any:
    """The number of the bin of a support, or of an array of supports."""
    return np.searchsorted(EDGES, support, side="right") - 1


def name_of(number: int) -> str:
    """0–9, 10–29, …, 1000 and more."""
    if number == len(EDGES) - 1:
        return f"{EDGES[number]:,} and more"
    return f"{EDGES[number]}–{EDGES[number + 1] - 1}"


def shared(labels: Frame, row: Row, other: Row) -> Frame:
    """The lines of both rows for the labels that both have."""
    import pandas

    where = ["dataset", "label"]
    both = [
        labels[(labels["method"] == each.method) & (labels["variant"] == each.variant)]
        for each in (row, other)
    ]
    if row == other:
        return both[0]
    kept = both[0][where].merge(both[1][where], on=where)
    return pandas.concat([each.merge(kept, on=where) for each in both])
