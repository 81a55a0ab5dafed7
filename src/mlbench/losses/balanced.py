"""Focal losses that weigh each label by how often it occurs: `positives` n_j of `instances` N.

`positives` is (L,), or (R, 1, L) for R replicas. So that no weight is infinite, a label that no training
instance carries counts as carried by one, and a label that all carry as carried by all but one.
"""

from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor

from mlbench.losses.focal import Focus, Share, entries
from mlbench.losses.known import mean
from mlbench.losses.precision import widened

Beta = Annotated[float, Field(ge=0, lt=1)]
Positive = Annotated[float, Field(gt=0)]
NotNegative = Annotated[float, Field(ge=0)]


def cb_focal(
    logits: Tensor,
    targets: Tensor,
    alpha: Share,
    gamma: Focus,
    beta: Beta,
    scale: Positive,
    positives: Tensor,
    *,
    known: Tensor | None = None,
) -> Tensor:
    """Focal × scale·(1 − β)/(1 − β^n_j), mean over instances and labels.

    Cui et al. 2019, Sec. 4.3, the effective number of a label's positives in place of a class's instances.
    """
    logits = widened(logits)
    weights = scale * by_effective_number(positives.to(logits), beta)
    return mean(weights * entries(logits, targets, alpha, gamma), known)


def r_focal(
    logits: Tensor,
    targets: Tensor,
    alpha: Share,
    gamma: Focus,
    map_offset: NotNegative,
    map_slope: Positive,
    map_centre: float,
    positives: Tensor,
) -> Tensor:
    """Focal × re-balanced weights, mean over instances and labels. Wu et al. 2020, Sec. 3.1."""
    logits = widened(logits)
    weights = rebalanced(targets, positives.to(logits), map_offset, map_slope, map_centre)
    return (weights * entries(logits, targets, alpha, gamma)).mean((-2, -1))


def db(
    logits: Tensor,
    targets: Tensor,
    alpha: Share,
    gamma: Focus,
    map_offset: NotNegative,
    map_slope: Positive,
    map_centre: float,
    kappa: NotNegative,
    tolerance: Positive,
    positives: Tensor,
    instances: int,
) -> Tensor:
    """Distribution-balanced: `r_focal` with negative-tolerant regularisation. Wu et al. 2020, Sec. 3.

    z' = z − κ·log(N/n_j − 1) for z where y = 1; where y = 0 it is λ·z', and the cost is divided by λ, the
    `tolerance`. Mean over instances and labels.
    """
    logits = widened(logits)
    positives = positives.to(logits)
    weights = rebalanced(targets, positives, map_offset, map_slope, map_centre)
    logits = shifted(logits, kappa, positives, instances)
    return (weights * entries(logits, targets, alpha, gamma, tolerance)).mean((-2, -1))


def cb_ntr(
    logits: Tensor,
    targets: Tensor,
    alpha: Share,
    gamma: Focus,
    beta: Beta,
    scale: Positive,
    kappa: NotNegative,
    tolerance: Positive,
    positives: Tensor,
    instances: int,
    *,
    known: Tensor | None = None,
) -> Tensor:
    """The weights of `cb_focal`, the regularisation of `db`, mean over instances and labels.

    Huang et al. 2021, CB-NTR.
    """
    logits = widened(logits)
    positives = positives.to(logits)
    weights = scale * by_effective_number(positives, beta)
    logits = shifted(logits, kappa, positives, instances)
    return mean(weights * entries(logits, targets, alpha, gamma, tolerance), known)


def shifted(logits: Tensor, kappa: NotNegative, positives: Tensor, instances: int) -> Tensor:
    """z − κ·log(N/n_j − 1)."""
    positives = positives.clamp(max=instances - 1).clamp(min=1)
    return logits - kappa * ((instances - positives).clamp(min=1).log() - positives.log())


def by_effective_number(positives: Tensor, beta: Beta) -> Tensor:
    """(1 − β)/(1 − β^n_j), (L,); exact where β^n_j is close to one."""
    logarithm = torch.log1p((beta - 1) * torch.ones_like(positives))
    return (1 - beta) / -torch.expm1(positives.clamp(min=1) * logarithm)


def rebalanced(
    targets: Tensor, positives: Tensor, offset: NotNegative, slope: Positive, centre: float
) -> Tensor:
    """offset + σ(slope·(r − centre)), r_ij = (1/n_j) / Σ_k y_ik/n_k, (B, L).

    A row without positives takes the limit r → ∞.
    """
    rarity = 1 / positives.clamp(min=1)
    in_row = (targets * rarity).sum(-1, keepdim=True).clamp(min=torch.finfo(rarity.dtype).tiny)
    return offset + torch.sigmoid(slope * (rarity / in_row - centre))
