"""Metrics of label sets: predicted sets against true sets; scores do not count.

Every function takes (predictions, targets), both (N, L), of any type, where non-zero means "carries the
label", and returns a 0-d float64 tensor. There are no ties to break. hits, predicted and relevant are the
numbers of entries of ŷ ∧ y, of ŷ and of y: pooled (micro), per label (macro, weighted) or per instance
(example).

Unless a docstring says otherwise, 0/0 counts 0, as in scikit-learn with zero_division=0: a label with no
true and no predicted positive counts 0, and so does an instance whose true and predicted sets are both empty.
Mulan counts 1 in F1, precision and recall where both sets are empty.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from mlbench.evaluation.metric import Better, Metric, check_shapes, mean_where, metric_of


def count(predictions: Tensor, targets: Tensor) -> "Counts":
    check_shapes(predictions, targets)
    predicted, relevant = predictions.bool(), targets.bool()
    hits = predicted & relevant
    by_label = Tally(hits.sum(0).double(), predicted.sum(0).double(), relevant.sum(0).double())
    by_instance = Tally(hits.sum(1).double(), predicted.sum(1).double(), relevant.sum(1).double())
    pooled = Tally(by_label.hits.sum(), by_label.predicted.sum(), by_label.relevant.sum())
    return Counts(by_label, by_instance, pooled, predictions.numel())


def label_set_metric(better: Better) -> Callable[..., Metric]:
    return metric_of(count, family="label_sets", needs="label_sets", better=better)


def instance_metric(better: Better) -> Callable[..., Metric]:
    return metric_of(count, family="label_sets", needs="label_sets", better=better, of_instances=True)


def ratio(above: Tensor, below: Tensor) -> Tensor:
    """above / below for counts, and 0 for 0/0."""
    return above / below.clamp(min=1)


def precision_of(tally: "Tally") -> Tensor:
    return ratio(tally.hits, tally.predicted)


def recall_of(tally: "Tally") -> Tensor:
    return ratio(tally.hits, tally.relevant)


def f1_of(tally: "Tally") -> Tensor:
    return ratio(2 * tally.hits, tally.predicted + tally.relevant)


def f1_per_label(predictions: Tensor, targets: Tensor) -> Tensor:
    """(L,) F1 of each label, 2 hits / (predicted + relevant); 0 if never true and never predicted."""
    return f1_of(count(predictions, targets).by_label)


@instance_metric("high")
def subset_accuracy(counts: "Counts") -> Tensor:
    """Share of instances whose whole label set is right: [ŷ = y].

    An empty set predicted for an empty set is right. scikit-learn's accuracy_score; M3LA's SubAcc.
    """
    tally = counts.by_instance
    return ((tally.hits == tally.predicted) & (tally.hits == tally.relevant)).double().mean()


@instance_metric("low")
def subset_loss(counts: "Counts") -> Tensor:
    """1 − subset_accuracy: share of instances with at least one wrong entry.

    scikit-learn's zero_one_loss; ANT's S-Loss.
    """
    return 1 - subset_accuracy.reduce(counts)


@label_set_metric("low")
def hamming_loss(counts: "Counts") -> Tensor:
    """Share of wrong entries among all N × L.

    scikit-learn's hamming_loss; ANT, FLEM, M3LA.
    """
    pooled = counts.pooled
    return (pooled.predicted + pooled.relevant - 2 * pooled.hits) / counts.entries


@label_set_metric("high")
def hamming_accuracy(counts: "Counts") -> Tensor:
    """1 − hamming_loss: share of right entries.

    MulSupCon's, MPVAE's and C-GMVAE's HA; torchmetrics' accuracy, average="micro".
    """
    return 1 - hamming_loss.reduce(counts)


@label_set_metric("high")
def precision_micro(counts: "Counts") -> Tensor:
    """hits / predicted, pooled over all entries; 0 when nothing is predicted.

    scikit-learn, average="micro".
    """
    return precision_of(counts.pooled)


@label_set_metric("high")
def recall_micro(counts: "Counts") -> Tensor:
    """hits / relevant, pooled over all entries; 0 when nothing is relevant.

    scikit-learn, average="micro".
    """
    return recall_of(counts.pooled)


@label_set_metric("high")
def f1_micro(counts: "Counts") -> Tensor:
    """2 hits / (predicted + relevant), pooled over all entries; 0 when there is neither.

    scikit-learn, average="micro"; ANT, M3LA, MulSupCon's miF1. sigmoidF1's Appendix A and Table 3 print this
    one as macroF1.
    """
    return f1_of(counts.pooled)


@label_set_metric("high")
def precision_macro(counts: "Counts") -> Tensor:
    """Mean over labels of hits / predicted; a label never predicted counts 0.

    scikit-learn, average="macro"; sigmoidF1's Eq. 12.
    """
    return precision_of(counts.by_label).mean()


@label_set_metric("high")
def precision(counts: "Counts") -> Tensor:
    """precision_macro under the name of sigmoidF1's tables (its Eq. 12, which calls it micro)."""
    return precision_of(counts.by_label).mean()


@label_set_metric("high")
def recall_macro(counts: "Counts") -> Tensor:
    """Mean over labels of hits / relevant; a label without positives counts 0.

    scikit-learn, average="macro".
    """
    return recall_of(counts.by_label).mean()


@label_set_metric("high")
def f1_macro(counts: "Counts") -> Tensor:
    """Mean over labels of 2 hits / (predicted + relevant); a label never true and never predicted counts 0.

    scikit-learn, average="macro"; ANT, M3LA, and up to its guard of 1e-6 in the denominator MulSupCon's maF1.
    sigmoidF1's Appendix A and Table 3 print this one as microF1.
    """
    return f1_of(counts.by_label).mean()


@label_set_metric("high")
def f1_weighted(counts: "Counts") -> Tensor:
    """Σ relevant_l F1_l / Σ relevant_l over labels: a label weighs as much as it has positives.

    A label without positives has no weight; 0 when no label has any. scikit-learn, average="weighted";
    sigmoidF1's weightedF1 with the counts of its Eq. 11 made shares.
    """
    relevant = counts.by_label.relevant
    return ratio((relevant * f1_of(counts.by_label)).sum(), relevant.sum())


@instance_metric("high")
def precision_example(counts: "Counts") -> Tensor:
    """Mean over instances of hits / predicted; an empty prediction counts 0.

    scikit-learn, average="samples".
    """
    return precision_of(counts.by_instance).mean()


@instance_metric("high")
def recall_example(counts: "Counts") -> Tensor:
    """Mean over instances of hits / relevant; an instance without labels counts 0.

    scikit-learn, average="samples".
    """
    return recall_of(counts.by_instance).mean()


@instance_metric("high")
def f1_example(counts: "Counts") -> Tensor:
    """Mean over instances of 2 hits / (predicted + relevant); an instance with both sets empty counts 0.

    scikit-learn, average="samples"; LIMO, and with it M3LA's example F1. See f1_example_defined.
    """
    return f1_of(counts.by_instance).mean()


@instance_metric("high")
def f1_example_defined(counts: "Counts") -> Tensor:
    """f1_example over the instances for which it is defined: those with both sets empty are left out.

    NaN when all are left out. MulSupCon's, MPVAE's and C-GMVAE's ebF1.
    """
    tally = counts.by_instance
    return mean_where(f1_of(tally), tally.predicted + tally.relevant > 0)


@dataclass(frozen=True)
class Tally:
    """Numbers of entries in float64, exact up to 2^53; hits are both predicted and relevant."""

    hits: Tensor
    predicted: Tensor
    relevant: Tensor


@dataclass(frozen=True)
class Counts:
    by_label: Tally  # (L,) each
    by_instance: Tally  # (N,) each
    pooled: Tally  # 0-d each
    entries: int  # N × L

    @property
    def device(self) -> torch.device:
        return self.pooled.hits.device

    def narrowed(self, labels: Tensor) -> "Counts":
        """The counts by label of some labels; `by_instance` and `pooled` still count all labels."""
        tally = self.by_label
        return replace(
            self, by_label=Tally(tally.hits[labels], tally.predicted[labels], tally.relevant[labels])
        )
