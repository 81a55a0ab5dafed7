"""Rows: the instances of a part in memory, on one device. A batch is a selection of rows by their numbers, so
there are no workers and no collation.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol, Self

import numpy as np
import torch
from scipy import sparse
from torch import Tensor

from mlbench.data.instances import Instances
from mlbench.data.pixels import Pixels
from mlbench.data.sparse import sparse_rows
from mlbench.data.tokens import Tokens
from mlbench.seeding import derive


class Inputs(Protocol):
    """What the x of a batch is read from: a Tensor (dense), SparseRows, Pixels or Tokens.

    Only code that has checked its task's kind may use more than this, such as the matrix of vectors. A class
    other than Tensor also has `joined(parts)`, the rows of several one below the other, and `equal(other)`.
    """

    @property
    def shape(self) -> Sequence[int]:
        """(N, ...)"""
        ...

    def to(self, device: torch.device | str, /) -> Self: ...

    def __getitem__(self, index: Tensor, /) -> Self:
        """Rows `index`, of the same kind: sparse rows stay sparse."""
        ...

    def index_select(self, dim: int, index: Tensor, /) -> Tensor:
        """Rows `index` as a method sees them, (B, ...) float32; `dim` is 0. Images are from 0 to 1, tokens
        int64.
        """
        ...


class Batch(NamedTuple):
    """Some rows. In a batch of R replicas every tensor has a dimension R before B."""

    x: Tensor  # (B, d) float32; of images (B, C, H, W), from 0 to 1; of texts (B, T) int64, 0 for no token
    targets: Tensor  # (B, L) float32
    ids: Tensor  # (B,) int64, row numbers in the data set
    extra: dict[str, Tensor] = {}  # noqa: RUF012 (B, ...) what a stage brings along, by name; never written to

    def map(self, function: Callable[[Tensor], Tensor]) -> "Batch":
        """The batch with `function` of each of its tensors."""
        extra = mapped(function, self.extra)
        return Batch(function(self.x), function(self.targets), function(self.ids), extra)


@dataclass(frozen=True)
class Rows:
    x: Inputs  # (N, ...)
    targets: Tensor  # (N, L) float32
    ids: Tensor  # (N,) int64, row numbers in the data set
    extra: dict[str, Tensor] = field(default_factory=dict)  # (N, ...) what a stage brings along, by name

    @classmethod
    def from_instances(cls, instances: Instances, rows: np.ndarray) -> "Rows":
        """The given rows; a sparse data set stays sparse. `extra` has the instances' masks."""
        rows = np.array(rows, np.int64)
        features: Any = instances.features
        targets = instances.targets[rows].astype(np.float32)
        if isinstance(features, Tokens):
            x = features[torch.from_numpy(rows)]
        elif isinstance(features, sparse.csr_matrix):
            x = sparse_rows(features[rows])
        elif instances.kind == "image":
            x = Pixels(features, torch.from_numpy(rows))
        else:
            x = torch.from_numpy(np.ascontiguousarray(features[rows]))
        masks = {"present": instances.present, "known": instances.known}
        extra = {
            name: torch.from_numpy(mask[rows].astype(np.float32))
            for name, mask in masks.items()
            if mask is not None
        }
        return cls(x, torch.from_numpy(targets), torch.from_numpy(rows), extra)

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def device(self) -> torch.device:
        return self.ids.device

    @property
    def described(self) -> dict[str, Any]:
        """Kinds and shapes of x, targets and extra, in plain types: equal for rows that may be stacked."""
        shapes = {name: [str(tensor.dtype), *tensor.shape] for name, tensor in self.extra.items()}
        x = [type(self.x).__name__, *self.x.shape]
        return {"x": x, "targets": [*self.targets.shape], "extra": shapes}

    def to(self, device: torch.device | str) -> "Rows":
        return Rows(*self._each(lambda tensor: tensor.to(device)))

    def rows(self, index: Tensor) -> "Rows":
        """The rows `index` as rows of their own."""
        return Rows(*self._each(lambda tensor: tensor[index]))

    def batch(self, index: Tensor) -> Batch:
        """The rows `index`, a tensor on the same device; (R, B) of them make a batch of R replicas."""
        flat = index.flatten()
        batch = Batch(*self._each(lambda tensor: tensor.index_select(0, flat)))
        return batch if index.ndim == 1 else batch.map(lambda part: part.unflatten(0, index.shape))

    def _each(self, function: Callable[[Any], Any]) -> tuple[Any, Tensor, Tensor, dict[str, Tensor]]:
        return function(self.x), function(self.targets), function(self.ids), mapped(function, self.extra)


def mapped(function: Callable[[Tensor], Tensor], named: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: function(tensor) for name, tensor in named.items()}


def order(count: int, seed: int, epoch: int, shuffle: bool = True) -> Tensor:
    """The order in which an epoch visits `count` rows: a function of seed and epoch alone."""
    if not shuffle:
        return torch.arange(count)
    return torch.randperm(count, generator=torch.Generator().manual_seed(derive(seed, "order", epoch)))


def walk(count: int, seed: int, start: int, stop: int, shuffle: bool = True) -> Tensor:
    """Steps `start` to `stop` of an endless walk over `count` rows: the order of one epoch after another."""
    first, last = start // count, -(-stop // count)
    laps = torch.cat([order(count, seed, lap, shuffle) for lap in range(first, last)])
    return laps[start - first * count : stop - first * count]
