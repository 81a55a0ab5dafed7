"""Focal loss: a prediction that is right and sure already costs less."""

from typing import Annotated

import torch.nn.functional as F
from pydantic import Field
from torch import Tensor

from mlbench.losses.known import mean
from mlbench.losses.precision import widened

Share = Annotated[float, Field(ge=0, le=1)]
Focus = Annotated[float, Field(ge=0)]


def focal(
    logits: Tensor, targets: Tensor, alpha: Share, gamma: Focus, *, known: Tensor | None = None
) -> Tensor:
    """−[α·y·(1 − p)^γ·log p + (1 − α)·(1 − y)·p^γ·log(1 − p)], p = σ(z), mean over instances and labels.

    Lin et al. 2017, Eq. 5, on one sigmoid a label. With γ = 0 and α = ½ it is half of `bce`.
    """
    return mean(entries(widened(logits), targets, alpha, gamma), known)


def entries(logits: Tensor, targets: Tensor, alpha: Share, gamma: Focus, tolerance: float = 1.0) -> Tensor:
    """Focal loss before its mean, (B, L); irrelevant labels at `tolerance`·z, their cost divided by it."""
    relevant, irrelevant = focused(logits, gamma), focused(-tolerance * logits, gamma) / tolerance
    return alpha * targets * relevant + (1 - alpha) * (1 - targets) * irrelevant


def focused(logits: Tensor, gamma: Focus) -> Tensor:
    """−(1 − p)^γ·log p, entry by entry. The power is taken of a logarithm, so that no gradient is 0 · ∞."""
    return -(gamma * F.logsigmoid(-logits)).exp() * F.logsigmoid(logits)
