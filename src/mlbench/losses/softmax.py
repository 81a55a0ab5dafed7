"""Losses in which the labels of an instance compete through a softmax or a log-sum-exp."""

import torch.nn.functional as F
from torch import Tensor

from mlbench.losses.precision import widened


def balanced_softmax(logits: Tensor, targets: Tensor) -> Tensor:
    """log(1 + Σ_j (1 − y_j)·e^{z_j}) + log(1 + Σ_j y_j·e^{−z_j}), mean over instances; the cut is z = 0.

    Zhang et al. 2021 in the form that FLEM compares with (Su et al. 2022 call it ZLPR).
    """
    logits = widened(logits)
    return (_log_one_more(logits, 1 - targets) + _log_one_more(-logits, targets)).mean(-1)


def softmax_pal(logits: Tensor, targets: Tensor, normalised: bool) -> Tensor:
    """−Σ_j y_j·log softmax(z)_j, pick all labels, mean over instances.

    Menon et al. 2019, PAL, and if `normalised` PAL-N: an instance's cost is divided by max(Σ_j y_j, 1). An
    instance without positives costs nothing.
    """
    cost = -(targets * widened(logits).log_softmax(-1)).sum(-1)
    return (cost / targets.sum(-1).clamp(min=1) if normalised else cost).mean(-1)


def _log_one_more(logits: Tensor, weights: Tensor) -> Tensor:
    """log(1 + Σ_j w_j·e^{z_j}), (B,)."""
    return F.pad(logits + weights.clamp(min=0).log(), (0, 1)).logsumexp(-1)  # e^0 is the one
