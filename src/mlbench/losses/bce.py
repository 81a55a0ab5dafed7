"""Binary cross-entropy."""

import torch
import torch.nn.functional as F
from torch import Tensor

from mlbench.losses.known import mean


def bce(
    logits: Tensor, targets: Tensor, pos_weight: float | list[float] | None, *, known: Tensor | None = None
) -> Tensor:
    """−[w·y·log σ(z) + (1 − y)·log(1 − σ(z))], mean over instances and labels; w weighs positive entries."""
    weight = None
    if pos_weight is not None:
        weight = torch.as_tensor(pos_weight, dtype=logits.dtype, device=logits.device)
        if weight.ndim and len(weight) != logits.shape[-1]:
            raise ValueError(f"pos_weight has {len(weight)} values for {logits.shape[-1]} labels")
    entries = F.binary_cross_entropy_with_logits(logits, targets, pos_weight=weight, reduction="none")
    return mean(entries, known)
