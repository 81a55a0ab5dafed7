"""Metrics of calibration: whether a score of .3 means that three in ten are relevant.

Every function takes (scores, targets), both (N, L), scores within [0, 1], and returns a 0-d float64 tensor.
Bins are equal in width, 15 of them, and closed above: a score of exactly 1/15 is in the first, as are those
of 0. A NaN score makes the metric NaN.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from mlbench.evaluation.metric import Better, Metric, check_shapes, metric_of

BINS = 15
BLOCK = 2**20  # entries in double precision at once


def reliability(scores: Tensor, targets: Tensor, bins: int = BINS) -> "Reliability":
    """The number of a label's scores in each bin, their sum, and how many of them are relevant."""
    check_shapes(scores, targets)
    labels, device = scores.shape[1], scores.device
    edges = torch.arange(1, bins, dtype=torch.float64, device=device) / bins
    sums = torch.zeros(3, bins * labels, dtype=torch.float64, device=device)
    squared = torch.zeros(labels, dtype=torch.float64, device=device)
    column = torch.arange(labels, device=device)
    rows = max(1, BLOCK // labels)
    for block, truth in zip(scores.split(rows), targets.split(rows)):
        score, true = block.double(), (truth != 0).double()
        # A NaN counts in the last bin, whose sum becomes NaN.
        cell = torch.bucketize(score, edges).clamp(max=bins - 1) * labels + column
        for total, values in zip(sums, (torch.ones_like(score), score, true)):
            total.scatter_add_(0, cell.flatten(), values.flatten())
        squared += (score - true).square().sum(0)
    count, score_sum, relevant = sums.view(3, bins, labels)
    return Reliability(len(scores), count, score_sum, relevant, squared)


def squared_errors(scores: Tensor, targets: Tensor) -> Tensor:
    """(N,) the mean over labels of (score − target)²."""
    check_shapes(scores, targets)
    rows = max(1, BLOCK // scores.shape[1])
    pairs = zip(scores.split(rows), targets.split(rows))
    return torch.cat([(block.double() - (truth != 0).double()).square().mean(1) for block, truth in pairs])


def reliability_metric(better: Better, of_instances: bool = False) -> Callable[..., Metric]:
    return metric_of(
        reliability, family="likelihood", needs="scores", better=better, of_instances=of_instances
    )


def gap(count: Tensor, scores: Tensor, relevant: Tensor) -> Tensor:
    """Over the first dimension, bins: Σ (share of the entries) × |mean score − share of relevant ones|."""
    return (scores - relevant).abs().sum(0) / count.sum(0)


@reliability_metric("low", of_instances=True)
def brier(bins: "Reliability") -> Tensor:
    """Brier score: mean over labels of the mean over instances of (score − target)², target 0 or 1.

    Every label has the same N entries, so this macro mean is also the micro mean over all N × L entries. The
    mean over labels of scikit-learn's brier_score_loss.
    """
    return bins.squared.mean() / bins.instances


@reliability_metric("low")
def ece_micro(bins: "Reliability") -> Tensor:
    """Expected calibration error of all N × L entries in one list: Σ over bins of (share of the entries) ×
    |mean score − share of relevant entries|.

    Empty bins count nothing. torchmetrics' binary_calibration_error, n_bins=15, norm="l1", of all entries,
    but for scores at the border of two bins, which it puts above. Where errors of labels cancel, it does not
    see them: ece_macro does.
    """
    return gap(bins.count.sum(1), bins.scores.sum(1), bins.relevant.sum(1))


@reliability_metric("low")
def ece_macro(bins: "Reliability") -> Tensor:
    """Mean over labels of the label's expected calibration error, as ece_micro of its N entries.

    Never below ece_micro: errors of one label cancel none of another. Bins of few instances are noisy, so
    that scores that are right are above 0, too, the more so the smaller N.
    """
    return gap(bins.count, bins.scores, bins.relevant).mean()


@dataclass(frozen=True)
class Reliability:
    """Sums over the entries of each bin and label."""

    instances: int
    count: Tensor  # (bins, L) entries
    scores: Tensor  # (bins, L) sum of their scores
    relevant: Tensor  # (bins, L) how many are relevant
    squared: Tensor  # (L,) sum of (score − target)²

    @property
    def device(self) -> torch.device:
        return self.count.device

    def narrowed(self, labels: Tensor) -> "Reliability":
        """The same numbers, of some labels alone."""
        of = (self.count[:, labels], self.scores[:, labels], self.relevant[:, labels], self.squared[labels])
        return Reliability(self.instances, *of)

    @property
    def mean_score(self) -> Tensor:
        """(bins, L); NaN in an empty bin."""
        return self.scores / self.count

    @property
    def share_relevant(self) -> Tensor:
        """(bins, L); NaN in an empty bin."""
        return self.relevant / self.count
