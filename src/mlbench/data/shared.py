"""The rows of replicas, side by side. What several of them hold of one data set is there once: a stack then
reads from a few megabytes that stay in the cache, not from as many times more that do not.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from mlbench.data.rows import Inputs, Rows


@dataclass(frozen=True)
class Shared:
    """Inputs that stand for others, in any order and any number."""

    of = staticmethod(lambda parts: beside(parts))  # as engine says it still

    held: Inputs
    places: Tensor  # (N,) int64: which row of `held` each one is

    @property
    def shape(self) -> tuple[int, ...]:
        return len(self.places), *self.held.shape[1:]

    def to(self, device: torch.device | str) -> "Shared":
        return Shared(self.held.to(device), self.places.to(device))

    def __getitem__(self, index: Tensor) -> "Shared":
        return Shared(self.held, self.places[index])

    def index_select(self, dim: int, index: Tensor) -> Tensor:
        return self.held.index_select(dim, self.places.index_select(0, index))


def beside(parts: Sequence[Rows]) -> Rows:
    """All rows of all replicas, one replica after the other; they have the same names in `extra`."""
    extra = {name: torch.cat([part.extra[name] for part in parts]) for name in parts[0].extra}
    targets, ids = torch.cat([part.targets for part in parts]), torch.cat([part.ids for part in parts])
    return Rows(once(parts) or joined([part.x for part in parts]), targets, ids, extra)


def once(parts: Sequence[Rows]) -> Shared | None:
    """Every row once; None where its x is not the same in all parts: scaled by each part's own."""
    known = torch.cat([part.ids for part in parts]).unique()
    numbers = [torch.searchsorted(known, part.ids) for part in parts]
    place, count = torch.full_like(known, -1), 0
    first = []  # of each part, the rows that no part before has
    for part, own in zip(parts, numbers):
        new = (place[own] < 0).nonzero().flatten()
        place[own[new]] = torch.arange(count, count + len(new), device=new.device)
        first.append(part.x[new])
        count += len(new)
    held, places = joined(first), [place[own] for own in numbers]
    if all(same(held[own], part.x) for own, part in zip(places, parts)):
        return Shared(held, torch.cat(places))
    return None


def joined(parts: Sequence[Any]) -> Inputs:
    """One below the other."""
    return torch.cat([*parts]) if isinstance(parts[0], Tensor) else parts[0].joined(parts)


def same(one: Any, other: Any) -> bool:
    return torch.equal(one, other) if isinstance(one, Tensor) else one.equal(other)
