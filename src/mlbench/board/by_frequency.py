"""How well labels are learned by how often they occur in training."""

from typing import TYPE_CHECKING

from mlbench.board.columns import VARIANTS

if TYPE_CHECKING:
    from pandas import DataFrame

EDGES = (0, 10, 30, 100, 300, 1000)  # training rows that carry the label; the last bin is open


def bins(labels: "DataFrame") -> "DataFrame":
    """A line a method, variant and bin: `labels` in it, the means of `f1` and `ap`, and `data sets`.

    A data set counts once in a bin, by the mean over its labels there: else one with thousands of labels
    would speak for all.
    """
    frame = labels.assign(bin=[bin_of(support) for support in labels["support"]])
    keys = ["method", "variant", "bin"]
    inside = frame.groupby([*keys, "dataset"])[["f1", "ap"]].mean()
    inside["labels"] = frame.groupby([*keys, "dataset"]).size()
    grouped = inside.groupby(keys)
    found = grouped[["f1", "ap"]].mean()
    found["labels"] = grouped["labels"].sum()
    found["datasets"] = grouped.size()
    return found.reset_index()


def bin_of(support: float) -> int:
    """The number of the bin."""
    return sum(support >= edge for edge in EDGES) - 1


def name_of(number: int) -> str:
    """0–9, 10–29, …, 1000 and more."""
    if number == len(EDGES) - 1:
        return f"{EDGES[number]:,} and more"
    return f"{EDGES[number]}–{EDGES[number + 1] - 1}"


def paired(found: "DataFrame", method: str, variant: str = VARIANTS[0]) -> "DataFrame":
    """The lines of one row, by bin."""
    return found[(found["method"] == method) & (found["variant"] == variant)].sort_values("bin")
