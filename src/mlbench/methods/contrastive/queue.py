"""What anchors are compared with: the keys of their own batch, and a queue of those of the batches before."""

from typing import NamedTuple

import torch
from torch import Tensor, nn


class References(NamedTuple):
    """Those of a step, the batch's own first. A queue that is not full yet is closed."""

    keys: Tensor  # (A, width)
    labels: Tensor  # (A, L)
    distributions: Tensor  # (A, L), or (A, 0)
    open: Tensor  # (A,)


class Queue(nn.Module):
    """`capacity` rows, the oldest out first, behind `batch` places for the rows of the step at hand.

    Of fixed shape, so that nothing waits for the device: what it holds is met once it is full, which
    `entered` tells. The rows of a step are put into the places in front, met there by the step's anchors,
    and enter when the step is done: none occurs twice.
    """

    keys: Tensor
    labels: Tensor
    distributions: Tensor
    entered: Tensor

    def __init__(self, capacity: int, batch: int, width: int, labels: int, distributions: int = 0):
        super().__init__()
        self.capacity, self.front = capacity, batch
        self.widths = {"keys": width, "labels": labels, "distributions": distributions}
        for name, columns in self.widths.items():
            self.register_buffer(name, torch.zeros(batch + capacity, columns))
        self.register_buffer("entered", torch.zeros((), dtype=torch.int64))  # rows, since the beginning
        self.rows = batch  # of the step at hand

    @torch.no_grad()
    def meet(self, *rows: Tensor) -> References:
        """The references of a step that brings these: keys, labels and, if it keeps them, distributions."""
        self.rows = count = rows[0].shape[-2]
        start = self.front - count
        for name, own in zip(self.widths, rows):
            getattr(self, name)[..., start : self.front, :] = own
        keys, labels, distributions = (getattr(self, name)[..., start:, :] for name in self.widths)
        place = torch.arange(count + self.capacity, device=self.entered.device)
        met = (place < count) | (self.entered.unsqueeze(-1) >= self.capacity)
        return References(keys, labels, distributions, met)

    @torch.no_grad()
    def enter(self) -> None:
        """The rows of the step at hand take the places of the oldest."""
        step = torch.arange(self.rows, device=self.entered.device)
        places = self.front + (self.entered.unsqueeze(-1) + step) % self.capacity
        for name in self.widths:
            held = getattr(self, name)
            own = held[..., self.front - self.rows : self.front, :].clone()
            held.scatter_(-2, places.unsqueeze(-1).expand_as(own), own)
        self.entered += self.rows
