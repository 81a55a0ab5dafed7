"""The rows of replicas, side by side. A row that several replicas have is kept once: a stack then reads from
a few megabytes that stay in the cache, not from R times as many that do not.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from mlbench.data.rows import Inputs, Rows


@dataclass(frozen=True)
class Shared:
    """N inputs, each a row of `held`, which may be repeated and in any order."""

    held: Inputs
    places: Tensor  # (N,) int64: the row of `held` that each input is

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
    """All rows of all replicas, one replica after the other; all have the same names in `extra`."""
    extra = {name: torch.cat([part.extra[name] for part in parts]) for name in parts[0].extra}
    targets, ids = torch.cat([part.targets for part in parts]), torch.cat([part.ids for part in parts])
    return Rows(once(parts) or joined([part.x for part in parts]), targets, ids, extra)


def once(parts: Sequence[Rows]) -> Shared | None:
    """Every row once; None where the parts have different x for a row, as when each is scaled by itself."""
    known = torch.cat([part.ids for part in parts]).unique()
    numbers = [torch.searchsorted(known, part.ids) for part in parts]
    position, count = torch.full_like(known, -1), 0
    first = []  # of each part, the rows that no earlier part has
    for part, number in zip(parts, numbers):
        new = (position[number] < 0).nonzero().flatten()
        position[number[new]] = torch.arange(count, count + len(new), device=new.device)
        first.append(part.x[new])
        count += len(new)
    rows, places = joined(first), [position[number] for number in numbers]
    if all(same(rows[number], part.x) for number, part in zip(places, parts)):
        return Shared(rows, torch.cat(places))
    return None


def joined(parts: Sequence[Any]) -> Inputs:
    """The rows of all parts, one part below the other."""
    return torch.cat([*parts]) if isinstance(parts[0], Tensor) else parts[0].joined(parts)


def same(left: Any, right: Any) -> bool:
    return torch.equal(left, right) if isinstance(left, Tensor) else left.equal(right)
