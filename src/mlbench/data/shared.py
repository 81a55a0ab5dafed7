"""The data of replicas, side by side. Rows of one data set that several of them hold are there once: a stack
then reads from a few megabytes that stay in the cache, not from as many times more that do not.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from mlbench.data.vectors import Batch, Features, SparseRows, Vectors, joined, mapped, taken


@dataclass(frozen=True)
class Shared:
    """All rows of all replicas, one replica after the other."""

    features: Features
    places: Tensor  # (N,) int64: which row of `features` each one's are
    targets: Tensor  # (N, L)
    ids: Tensor  # (N,)
    extra: dict[str, Tensor]  # (N, ...), of the same names in all

    @classmethod
    def of(cls, parts: Sequence[Vectors]) -> "Shared":
        features, places = once(parts) or as_often(parts)
        targets, ids = torch.cat([part.targets for part in parts]), torch.cat([part.ids for part in parts])
        extra = {name: torch.cat([part.extra[name] for part in parts]) for name in parts[0].extra}
        return cls(features, places, targets, ids, extra)

    def to(self, device: torch.device | str) -> "Shared":
        held = [part.to(device) for part in (self.features, self.places, self.targets, self.ids)]
        return Shared(*held, mapped(lambda part: part.to(device), self.extra))

    def batch(self, rows: Tensor) -> Batch:
        """Of row numbers (R, B); what the batch has is (R, B, ...)."""
        flat = rows.flatten()

        def some(held: Tensor) -> Tensor:
            return held.index_select(0, flat)

        x = self.features.index_select(0, some(self.places))
        batch = Batch(x, some(self.targets), some(self.ids), mapped(some, self.extra))
        return batch.map(lambda part: part.unflatten(0, rows.shape))


def as_often(parts: Sequence[Vectors]) -> tuple[Features, Tensor]:
    """Every row as often as it is held."""
    features = joined([part.features for part in parts])
    return features, torch.arange(features.shape[0], device=parts[0].device)


def once(parts: Sequence[Vectors]) -> tuple[Features, Tensor] | None:
    """Every row once; None where its features are not the same in all parts: scaled by each part's own."""
    known = torch.cat([part.ids for part in parts]).unique()
    numbers = [torch.searchsorted(known, part.ids) for part in parts]
    place, count = torch.full_like(known, -1), 0
    found = []
    for part, own in zip(parts, numbers):
        new = (place[own] < 0).nonzero().flatten()
        place[own[new]] = torch.arange(count, count + len(new), device=new.device)
        found.append(taken(part.features, new))
        count += len(new)
    features = joined(found)
    places = [place[own] for own in numbers]
    if all(same(taken(features, own), part.features) for own, part in zip(places, parts)):
        return features, torch.cat(places)
    return None


def same(one: Features, other: Features) -> bool:
    if isinstance(one, SparseRows):
        pairs = (one.crow, other.crow), (one.columns, other.columns), (one.values, other.values)
        return all(torch.equal(*pair) for pair in pairs)
    return torch.equal(one, other)
