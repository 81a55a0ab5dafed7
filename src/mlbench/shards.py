"""A batch whose rows several processes share: each process holds a part, and can gather all parts."""

import torch
import torch.distributed
from torch import Tensor


def ranks() -> tuple[int, int]:
    """The number of this process, from 0, and the number of processes."""
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        return torch.distributed.get_rank(), torch.distributed.get_world_size()
    return 0, 1


def whole(part: Tensor) -> Tensor:
    """The rows of the whole batch in their order, without gradient: (B, ...) → (B · ranks, ...).

    Of n ranks, rank r has the rows r, r + n, r + 2n, ... in `part`; all have equally many.
    """
    _, world = ranks()
    if world == 1:
        return part.detach()
    held = [torch.empty_like(part, memory_format=torch.contiguous_format) for _ in range(world)]
    torch.distributed.all_gather(held, part.detach().contiguous())
    return torch.stack(held, 1).flatten(0, 1)


def places(rows: int, device: torch.device) -> Tensor:
    """Where this rank's rows stand in the whole batch, (B,)."""
    rank, world = ranks()
    return rank + world * torch.arange(rows, device=device)
