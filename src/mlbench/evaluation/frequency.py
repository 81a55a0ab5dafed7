"""Metrics by label frequency: a metric of labels, over the frequent, the middle or the rare ones alone.

Of every metric that is a mean over labels, `<metric>_head`, `<metric>_middle` and `<metric>_tail` are the
same mean over one group of labels, with all conventions of the metric. Groups follow from how many training
instances carry each label, and are thirds of the labels. A label's place is the number of labels that are
more frequent plus half of those that are as frequent, itself among them: below L/3 it belongs to the head,
above 2L/3 to the tail, else to the middle. So labels of one count are in one group, whatever the order of the
columns. A group without a label is NaN. `mlbench.metrics` also takes two counts for borders: the head has
more than the higher, the tail fewer than the lower.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from mlbench.evaluation.groups import grouped
from mlbench.evaluation.metric import Metric


@dataclass(frozen=True)
class Frequencies:
    """How often training showed each label, and what is made of it."""

    positives: Tensor  # (L,) instances of the training part that carry the label
    instances: int | None = None  # of the training part; propensities need it
    borders: tuple[float, float] | None = None  # counts, the lower first; None for thirds of the labels
    a: float = 0.55  # of propensities (Jain et al. 2016)
    b: float = 1.5

    @classmethod
    def of(cls, positives: Sequence[int], instances: int) -> "Frequencies":
        return cls(torch.tensor(positives), instances)


def group_of(frequencies: Frequencies, group: str) -> Tensor:
    """(L,) booleans: which labels are in the head, the middle or the tail."""
    counts = frequencies.positives
    if frequencies.borders is not None:
        low, high = frequencies.borders
        head, tail = counts > high, counts < low
    else:
        ordered = counts.sort().values
        fewer = torch.searchsorted(ordered, counts)
        within = torch.searchsorted(ordered, counts, right=True)
        above, alike = len(counts) - within, within - fewer
        position = 3 * (2 * above + alike)  # in sixths of a label, so that the borders are whole numbers
        head, tail = position < 2 * len(counts), position > 4 * len(counts)
    return {"head": head, "middle": ~(head | tail), "tail": tail}[group]


def by_group(metrics: Mapping[str, Metric]) -> dict[str, Metric]:
    """The metrics of groups; a prepared form can be narrowed to some labels for them."""
    return {name: of_group(metrics[stem], group) for name, (stem, group) in grouped(metrics).items()}


def of_group(metric: Metric, group: str) -> Metric:
    def reduce(prepared: Any, frequencies: Frequencies) -> Tensor:
        chosen = group_of(frequencies, group).to(prepared.device)
        return metric.reduce(prepared.narrowed(chosen))

    where = {"head": "frequent third of the labels", "middle": "middle third", "tail": "rare third"}[group]
    reduce.__doc__ = f"{metric.name} over the {where}, by training counts."
    return replace(metric, name=f"{metric.name}_{group}", reduce=reduce, counted=True)
