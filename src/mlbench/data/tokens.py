"""Texts as x: their tokens by number, one text after the other, out of a map of a file."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

import numpy as np
import torch
from torch import Tensor

from mlbench.data.pixels import HOST, again, by_name, same

PADDING = 0  # the number of no token: a batch has it where a text has ended


@dataclass(frozen=True)
class Tokens:
    """N texts, each a piece of `held`; pieces may be repeated and in any order.

    A batch is as wide as its longest text. On a GPU it is as wide as the longest of all: to learn that of the
    batch, the CPU would have to wait for the GPU.
    """

    held: np.ndarray | Tensor  # (tokens,) int32: most often a map of a file; on a GPU a tensor
    starts: Tensor  # (N,) int64, on the device: where each text begins in `held`
    lengths: Tensor  # (N,) int64, of each text in tokens
    longest: int
    device: torch.device = HOST

    @classmethod
    def one_after_the_other(cls, held: np.ndarray | Tensor, lengths: Tensor) -> "Tokens":
        """All of `held`, cut into texts of these lengths."""
        return cls(held, lengths.cumsum(0) - lengths, lengths, most(lengths), lengths.device)

    @property
    def shape(self) -> tuple[int, int]:
        return len(self.lengths), self.longest

    @property
    def ndim(self) -> int:
        return 2

    @property
    def dtype(self) -> Any:
        return np.dtype(np.int32)

    def to(self, device: torch.device | str) -> "Tokens":
        device = torch.device(device)
        if device == self.device:
            return self
        return Tokens.one_after_the_other(self.flat().to(device), self.lengths.to(device))

    def __getitem__(self, index: Tensor) -> "Tokens":
        index = index.to(self.device)
        lengths = self.lengths[index]
        return Tokens(self.held, self.starts[index], lengths, most(lengths), self.device)

    def index_select(self, dim: int, index: Tensor) -> Tensor:
        """(B, T) int64, PADDING behind a text; one column at least."""
        assert dim == 0
        starts, lengths = self.starts.index_select(0, index), self.lengths.index_select(0, index)
        width = self.longest if index.is_cuda else most(lengths)
        steps = torch.arange(max(width, 1), device=self.device)
        there = steps < lengths.unsqueeze(-1)
        places = (starts.unsqueeze(-1) + steps).where(there, 0)
        return self.read(places.flatten()).view_as(places).long().where(there, PADDING)

    def read(self, places: Tensor) -> Tensor:
        if not len(self.held):
            return torch.zeros(len(places), dtype=torch.int32, device=self.device)
        if isinstance(self.held, Tensor):
            return self.held.index_select(0, places)
        return torch.from_numpy(self.held[places.numpy()])

    def flat(self) -> Tensor:
        """The tokens of all texts, (tokens,) int32, one text after the other."""
        before = self.lengths.cumsum(0) - self.lengths
        places = torch.arange(int(self.lengths.sum()), device=self.device)
        return self.read(places + (self.starts - before).repeat_interleave(self.lengths))

    @staticmethod
    def joined(parts: Sequence["Tokens"]) -> "Tokens":
        """The rows of all parts, one part after the other."""
        first, lengths = parts[0], torch.cat([part.lengths for part in parts])
        if all(same(part.held, first.held) for part in parts):
            starts = torch.cat([part.starts for part in parts])
            return Tokens(first.held, starts, lengths, most(lengths), first.device)
        return Tokens.one_after_the_other(torch.cat([part.flat() for part in parts]), lengths)

    def equal(self, other: "Tokens") -> bool:
        return torch.equal(self.lengths, other.lengths) and torch.equal(self.flat(), other.flat())

    def __reduce__(self) -> tuple[Any, ...]:
        return again, (Tokens, by_name(self.held), self.starts, self.lengths, self.longest, self.device)


def most(lengths: Tensor) -> int:
    return int(lengths.max()) if len(lengths) else 0


def of_lists(texts: Sequence[Sequence[int]]) -> Tokens:
    """The numbers of each text's tokens."""
    lengths = torch.tensor([len(text) for text in texts], dtype=torch.int64)
    held = np.fromiter(chain.from_iterable(texts), np.int32, count=int(lengths.sum()))
    return Tokens.one_after_the_other(held, lengths)
