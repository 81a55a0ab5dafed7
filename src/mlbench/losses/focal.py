"""Focal loss: what is right and sure already costs less."""

from typing import Annotated

import torch.nn.functional as F
from pydantic import Field
from torch import Tensor

from mlbench.losses.precision import widened

Share = Annotated[float, Field(ge=0, le=1)]
Focus = Annotated[float, Field(ge=0)]


def focal(logits: Tensor, targets: Tensor, alpha: Share, gamma: Focus) -> Tensor:
    """−[α·y·(1 − p)^γ·log p + (1 − α)·(1 − y)·p^γ·log(1 − p)], p = σ(z), mean over instances and labels.

    Lin et al. 2017, Eq. 5, on one sigmoid a label. With γ = 0 and α = ½ it is half of `bce`.
    """
    logits = widened(logits)
    return entries(logits, -logits, targets, alpha, gamma).mean()


def entries(relevant: Tensor, irrelevant: Tensor, targets: Tensor, alpha: Share, gamma: Focus) -> Tensor:
    """(B, L), from the logits of being relevant and those of being irrelevant."""
    cost, other = focused(relevant, gamma), focused(irrelevant, gamma)
    return alpha * targets * cost + (1 - alpha) * (1 - targets) * other


def focused(logits: Tensor, gamma: Focus) -> Tensor:
    """−(1 − p)^γ·log p, entry by entry. The power is taken of a logarithm, so that no gradient is 0 · ∞."""
    return -(gamma * F.logsigmoid(-logits)).exp() * F.logsigmoid(logits)
