"""What anchors are compared with: the keys of their own batch, and a queue of those of the batches before."""

from typing import NamedTuple

import torch
from torch import Tensor, nn


class References(NamedTuple):
    """The references of a step, those of its batch first. Until the queue is full, its rows are not open."""

    keys: Tensor  # (A, width)
    labels: Tensor  # (A, L)
    distributions: Tensor  # (A, L), or (A, 0)
    open: Tensor  # (A,)


class Queue(nn.Module):
    """`capacity` rows, the oldest out first, behind `batch` places for the rows of the step at hand.

    The buffers have a fixed shape, so that no step waits for the device to know how full the queue is;
    `entered` masks the queue until it is full. The rows of a step stand in the places in front, where the
    step's anchors meet them, and enter the queue after the step: no row is met twice in a step.
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
        """The references of a step with these keys, labels and, if the queue holds some, distributions."""
        self.rows = count = rows[0].shape[-2]
        start = self.front - count
        for name, tensor in zip(self.widths, rows):
            getattr(self, name)[..., start : self.front, :] = tensor
        keys, labels, distributions = (getattr(self, name)[..., start:, :] for name in self.widths)
        position = torch.arange(count + self.capacity, device=self.entered.device)
        met = (position < count) | (self.entered.unsqueeze(-1) >= self.capacity)
        return References(keys, labels, distributions, met)

    @torch.no_grad()
    def enter(self) -> None:
        """The rows of the step at hand take the places of the oldest."""
        step = torch.arange(self.rows, device=self.entered.device)
        places = self.front + (self.entered.unsqueeze(-1) + step) % self.capacity
        for name in self.widths:
            held = getattr(self, name)
            entering = held[..., self.front - self.rows : self.front, :].clone()
            held.scatter_(-2, places.unsqueeze(-1).expand_as(entering), entering)
        self.entered += self.rows
