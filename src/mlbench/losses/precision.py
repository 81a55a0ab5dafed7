"""The precision of losses: float32 or wider, under autocast too."""

import torch
from torch import Tensor


def widened(logits: Tensor) -> Tensor:
    """Logits of half precision in float32, others as they are."""
    return logits.float() if logits.dtype in (torch.bfloat16, torch.float16) else logits
