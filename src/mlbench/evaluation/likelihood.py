"""Metrics of scores as probabilities.

Every function takes (scores, targets), both (N, L), scores within [0, 1], and returns a 0-d float64 tensor.
The scores themselves matter, not their order alone. A NaN score makes the metric NaN.
"""

from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from mlbench.evaluation.metric import Better, Metric, check_shapes, metric_of

CLOSEST = 2.0**-23  # to 0 and 1 that a score counts: the precision of the scores of a run
BLOCK = 2**22  # entries in double precision at once


def log_likelihood(scores: Tensor, targets: Tensor) -> Tensor:
    """The mean over all entries of the logarithm of the probability that an entry gives its target."""
    total = torch.zeros((), dtype=torch.float64, device=scores.device)
    for logarithms in _blocks(scores, targets):
        total += logarithms.sum()
    return total / scores.numel()


def log_likelihoods(scores: Tensor, targets: Tensor) -> Tensor:
    """(N,) the same mean over the entries of each instance."""
    return torch.cat([logarithms.mean(1) for logarithms in _blocks(scores, targets)])


def _blocks(scores: Tensor, targets: Tensor) -> Iterator[Tensor]:
    check_shapes(scores, targets)
    rows = max(1, BLOCK // scores.shape[1])
    for block, truth in zip(scores.split(rows), targets.split(rows)):
        positive = block.double().clamp(CLOSEST, 1 - CLOSEST)
        yield torch.where(truth != 0, positive, 1 - positive).log()


def likelihood_metric(better: Better) -> Callable[..., Metric]:
    return metric_of(log_likelihood, family="likelihood", needs="scores", better=better, of_instances=True)


@likelihood_metric("low")
def bce(mean: Tensor) -> Tensor:
    """Binary cross-entropy: mean over all N × L entries of −log score where the label is relevant, else of
    −log(1 − score).

    A score counts as 2⁻²³ at least and 1 − 2⁻²³ at most: scores of 0 and 1 cost at most 15.94. scikit-learn's
    log_loss of scores in single precision, in the mean over labels. The loss of conf/loss/bce, which takes
    logits, limits nothing. MulSupCon's code keeps the epoch in which this is lowest.
    """
    return -mean
