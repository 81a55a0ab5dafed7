"""Asymmetric loss: relevant and irrelevant labels have a focus each; easy irrelevant ones cost nothing."""

import math
from typing import Annotated

import torch.nn.functional as F
from pydantic import Field
from torch import Tensor

from mlbench.losses.focal import Focus
from mlbench.losses.known import mean_of_sums
from mlbench.losses.precision import widened

LEAST = 1e-8  # smallest probability that a logarithm or a power sees, as in the authors' code


def asl(
    logits: Tensor,
    targets: Tensor,
    gamma_positive: Focus,
    gamma_negative: Focus,
    clip: Annotated[float, Field(ge=0, lt=1)],
    detach_focal_weight: bool,
    *,
    known: Tensor | None = None,
) -> Tensor:
    """−Σ_j [y·(1 − p)^γ₊·log p + (1 − y)·p_m^γ₋·log(1 − p_m)], p_m = max(p − clip, 0), mean over instances.

    Ridnik et al. 2021, Sec. 2.4; their code sums over instances as well. With γ₊ = γ₋ = clip = 0 it is `bce`
    times the number of labels, up to |z| = 18, beyond which the clamped logarithms are flat.
    """
    logits = widened(logits)
    shifted = (logits.sigmoid() - clip).clamp(min=0)
    weight_positive = (-logits).sigmoid().clamp(min=LEAST) ** gamma_positive
    weight_negative = shifted.clamp(min=LEAST) ** gamma_negative
    if detach_focal_weight:
        weight_positive, weight_negative = weight_positive.detach(), weight_negative.detach()
    log_positive = F.logsigmoid(logits).clamp(min=math.log(LEAST))
    # 1 − p_m = min(1 − p + clip, 1), where 1 − p = σ(−z) is exact however small
    log_negative = ((-logits).sigmoid() + clip).clamp(LEAST, 1).log()
    cost = targets * weight_positive * log_positive + (1 - targets) * weight_negative * log_negative
    return -mean_of_sums(cost, known)
