"""A batch whose rows several processes share: every one has its own part, and can see what all have."""

import torch
import torch.distributed
from torch import Tensor


def ranks() -> tuple[int, int]:
    """The number of this process, and of how many."""
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        return torch.distributed.get_rank(), torch.distributed.get_world_size()
    return 0, 1


def whole(own: Tensor) -> Tensor:
    """The rows of the whole batch in their order, of which this rank has every so many-th; no gradient.

    (B, ...) → (B · ranks, ...). Every rank has equally many.
    """
    _, world = ranks()
    if world == 1:
        return own.detach()
    held = [torch.empty_like(own, memory_format=torch.contiguous_format) for _ in range(world)]
    torch.distributed.all_gather(held, own.detach().contiguous())
    return torch.stack(held, 1).flatten(0, 1)


def places(rows: int, device: torch.device) -> Tensor:
    """Where this rank's rows stand in the whole batch, (B,)."""
    rank, world = ranks()
    return rank + world * torch.arange(rows, device=device)
