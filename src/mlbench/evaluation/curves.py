"""Metrics of the order of instances: for each label, or with the entries of all labels in one list.

Every function takes (scores, targets), both (N, L), and returns a 0-d float64 tensor. Only the order of the
scores within a label (or, for micro, of all scores) matters. A NaN score makes the metric NaN.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from mlbench.evaluation.metric import Better, Metric, check_shapes, mean_where, metric_of
from mlbench.evaluation.order import Standing, area_under_roc, average_precision, summarise


def rank_instances(scores: Tensor, targets: Tensor) -> "LabelCurves":
    check_shapes(scores, targets)
    return LabelCurves(instances=len(scores), **summarise(scores.T, targets.T, _label_summary))


def rank_entries(scores: Tensor, targets: Tensor) -> "PooledCurve":
    check_shapes(scores, targets)
    summary = summarise(scores.reshape(1, -1), targets.reshape(1, -1), _pooled_summary)
    return PooledCurve(**{name: value.squeeze(0) for name, value in summary.items()})


def _pooled_summary(standing: Standing) -> dict[str, Tensor]:
    return {"average_precision": average_precision(standing), "area_under_roc": area_under_roc(standing)}


def _label_summary(standing: Standing) -> dict[str, Tensor]:
    return {
        "relevant": standing.relevant,
        "average_precision": average_precision(standing),
        "array_order": standing.mean(standing.relevant_rank / standing.rank),
        "interpolated": standing.mean(
            _best_from_here(standing.relevant_within / standing.within, standing.owner)
        ),
        "area_under_roc": area_under_roc(standing),
    }


def _best_from_here(precision: Tensor, owner: Tensor) -> Tensor:
    """For each entry, the highest precision at its position or at a later one of the same list."""
    if len(precision) == 0:
        return precision
    precision = precision.flip(0)
    # Precisions are at most 1. An offset of 2 from list to list lifts each list above the one before it, so
    # that one running maximum serves all lists.
    best = (precision - 2 * owner.flip(0)).cummax(0).indices
    return precision[best].flip(0)


def label_metric(better: Better) -> Callable[..., Metric]:
    return metric_of(rank_instances, family="curves", needs="scores", better=better)


def pooled_metric(better: Better) -> Callable[..., Metric]:
    return metric_of(rank_entries, family="curves", needs="scores", better=better)


@label_metric("high")
def ap_macro(curves: "LabelCurves") -> Tensor:
    """Mean over labels of average precision, Σ (R_n − R_{n−1}) P_n over distinct scores, no interpolation.

    Equal scores form one threshold. A label without positives counts 0. scikit-learn's
    average_precision_score and torchmetrics 1.9's, average="macro"; MulSupCon's mAP.
    """
    return curves.average_precision.mean()


@label_metric("high")
def ap_macro_defined(curves: "LabelCurves") -> Tensor:
    """ap_macro over the labels for which it is defined: those without positives are left out.

    NaN when no label has positives. FLEM's average precision.
    """
    return mean_where(curves.average_precision, curves.relevant > 0)


@label_metric("high")
def ap_macro_array_order(curves: "LabelCurves") -> Tensor:
    """Mean over labels of the mean precision at the rank of each positive, equal scores in array order.

    Equals ap_macro where no scores of a label are equal; with ties it depends on the order of the
    instances. A label without positives counts 0. The mAP of ASL's and sigmoidF1's code, up to its guard
    of 1e-8 in the denominator. (There the order of ties is that of a numpy sort, turned round: not to be
    relied on. Here the earlier instance stands first.)
    """
    return curves.array_order.mean()


@label_metric("high")
def ap_macro_interpolated(curves: "LabelCurves") -> Tensor:
    """Mean over labels of Σ (R_n − R_{n−1}) max_{m ≥ n} P_m over distinct scores: AP, interpolated.

    The precision at a recall is the best at that or any higher recall. Equal scores form one threshold. A
    label without positives counts 0. sigmoidF1's Eq. 13-14, read at all recall levels, as PASCAL VOC
    since 2010.
    """
    return curves.interpolated.mean()


@label_metric("high")
def auc_macro(curves: "LabelCurves") -> Tensor:
    """Mean over labels of the share of (positive, negative) pairs of instances in the right order.

    Ties count ½. Labels with one class only are left out; NaN when all are. M3LA; LIMO,
    but for ties, which it does not count ½; scikit-learn's roc_auc_score, average="macro", on the labels
    left.
    """
    return mean_where(curves.area_under_roc, curves.mixed)


@pooled_metric("high")
def ap_micro(curve: "PooledCurve") -> Tensor:
    """Average precision of all N × L entries in one list; equal scores form one threshold.

    0 without a positive entry. scikit-learn's average_precision_score, average="micro".
    """
    return curve.average_precision


@pooled_metric("high")
def auc_micro(curve: "PooledCurve") -> Tensor:
    """Area under the ROC curve of all N × L entries in one list; ties count ½.

    NaN when all entries are of one class. scikit-learn's roc_auc_score, average="micro"; M3LA.
    """
    return curve.area_under_roc


@dataclass(frozen=True)
class LabelCurves:
    """What the metrics need to know of each label."""

    instances: int
    relevant: Tensor  # (L,) number of positives
    average_precision: Tensor  # (L,) 0 without positives, like the next two
    array_order: Tensor  # (L,) average precision with ties in array order
    interpolated: Tensor  # (L,)
    area_under_roc: Tensor  # (L,) NaN with one class only

    @property
    def mixed(self) -> Tensor:
        return (self.relevant > 0) & (self.relevant < self.instances)

    @property
    def device(self) -> torch.device:
        return self.relevant.device

    def narrowed(self, labels: Tensor) -> "LabelCurves":
        """The same curves, of some labels alone."""
        values = (self.relevant, self.average_precision, self.array_order, self.interpolated)
        return LabelCurves(self.instances, *(value[labels] for value in (*values, self.area_under_roc)))


@dataclass(frozen=True)
class PooledCurve:
    average_precision: Tensor  # 0-d
    area_under_roc: Tensor  # 0-d
