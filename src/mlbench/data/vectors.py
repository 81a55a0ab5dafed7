"""Vector data in memory, on the device it was moved to; batches are index selections, no DataLoader."""

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import torch
from scipy import sparse
from torch import Tensor

from mlbench.data.instances import Instances
from mlbench.seeding import derive


def order(count: int, seed: int, epoch: int, shuffle: bool = True) -> Tensor:
    """The order in which an epoch visits `count` rows: of seed and epoch alone, so it can be repeated."""
    if not shuffle:
        return torch.arange(count)
    return torch.randperm(count, generator=torch.Generator().manual_seed(derive(seed, "order", epoch)))


class Batch(NamedTuple):
    """Some rows; in a stack of replicas every tensor has a dimension R before B."""

    x: Tensor  # (B, d) float32
    targets: Tensor  # (B, L) float32
    ids: Tensor  # (B,) int64, row numbers in the data set
    extra: dict[str, Tensor] = {}  # noqa: RUF012 (B, ...) what a stage brings along, by name; never written to

    def map(self, function: Callable[[Tensor], Tensor]) -> "Batch":
        """The batch with `function` of each of its tensors."""
        return Batch(*map(function, self[:3]), mapped(function, self.extra))


def mapped(function: Callable[[Tensor], Tensor], named: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: function(tensor) for name, tensor in named.items()}


@dataclass(frozen=True)
class SparseRows:
    """A CSR matrix as three tensors. Rows are read as dense ones; the whole is never made dense."""

    crow: Tensor  # (N + 1,) int64: where each row starts in the two below
    columns: Tensor  # (nonzeros,) int32, ascending within a row, none twice
    values: Tensor  # (nonzeros,) float32
    width: int
    longest: int  # nonzeros of the fullest row

    @property
    def shape(self) -> tuple[int, int]:
        return len(self.crow) - 1, self.width

    def to(self, device: torch.device | str) -> "SparseRows":
        crow, columns, values = self.crow.to(device), self.columns.to(device), self.values.to(device)
        return SparseRows(crow, columns, values, self.width, self.longest)

    def rows(self, index: Tensor) -> "SparseRows":
        """Rows `index`, sparse again."""
        start, counts = self.crow[index], self.crow[index + 1] - self.crow[index]
        ends = counts.cumsum(0)
        position = torch.arange(int(counts.sum()), device=index.device)
        position += torch.repeat_interleave(start - ends + counts, counts)
        return SparseRows(
            crow=torch.nn.functional.pad(ends, (1, 0)),
            columns=self.columns[position],
            values=self.values[position],
            width=self.width,
            longest=int(counts.max()) if len(counts) else 0,
        )

    def index_select(self, dim: int, index: Tensor) -> Tensor:
        """Rows `index`, dense (B, d)."""
        assert dim == 0
        # On a GPU the fullest row of all sets the length: the size of what is read is then known beforehand,
        # and the GPU need not be waited for. On a CPU asking for the fullest of the batch costs nothing.
        if index.is_cuda or not len(index):
            return self.read(index, self.longest)
        return self.read(index, int((self.crow[index + 1] - self.crow[index]).max()))

    def read(self, index: Tensor, length: int) -> Tensor:
        """Rows `index`, dense, none with more than `length` nonzeros; shorter ones repeat their last."""
        dense = self.values.new_zeros(len(index), self.width)
        if not length:
            return dense
        start, stop = self.crow[index, None], self.crow[index + 1, None]
        position = start + torch.arange(length, device=index.device)
        position = torch.minimum(position, (stop - 1).clamp_(min=0))
        columns = self.columns.index_select(0, position.view(-1)).view_as(position)
        values = self.values.index_select(0, position.view(-1)).view_as(position)
        return dense.scatter_(1, columns.long(), values.mul_(stop > start))  # an empty row writes a zero


def sparse_rows(matrix: sparse.csr_matrix) -> SparseRows:
    matrix = matrix.copy()
    matrix.sum_duplicates()
    counts = np.diff(matrix.indptr)
    return SparseRows(
        crow=torch.from_numpy(matrix.indptr.astype(np.int64)),
        columns=torch.from_numpy(matrix.indices.astype(np.int32)),
        values=torch.from_numpy(matrix.data.astype(np.float32)),
        width=matrix.shape[1],
        longest=int(counts.max(initial=0)),
    )


Features = Tensor | SparseRows


def taken(features: Features, index: Tensor) -> Features:
    """Rows `index`, dense or sparse as they are."""
    return features.rows(index) if isinstance(features, SparseRows) else features[index]


def joined(parts: Sequence[Features]) -> Features:
    """One below the other."""
    if not isinstance(parts[0], SparseRows):
        return torch.cat(list(parts))
    ends = [0, *itertools.accumulate(len(part.values) for part in parts)]
    return SparseRows(
        crow=torch.cat([parts[0].crow[:1], *(part.crow[1:] + end for part, end in zip(parts, ends))]),
        columns=torch.cat([part.columns for part in parts]),
        values=torch.cat([part.values for part in parts]),
        width=parts[0].width,
        longest=max(part.longest for part in parts),
    )


@dataclass(frozen=True)
class Vectors:
    features: Features  # (N, d) float32
    targets: Tensor  # (N, L) float32
    ids: Tensor  # (N,) int64, row numbers in the data set
    extra: dict[str, Tensor] = field(default_factory=dict)  # (N, ...) what a stage brings along, by name

    @classmethod
    def from_instances(cls, instances: Instances, rows: np.ndarray) -> "Vectors":
        """The given rows; a sparse data set stays sparse."""
        rows = np.array(rows, np.int64)
        features = instances.features[rows]
        return cls(
            features=sparse_rows(features)
            if sparse.issparse(features)
            else torch.from_numpy(np.ascontiguousarray(features)),
            targets=torch.from_numpy(instances.targets[rows].astype(np.float32)),
            ids=torch.from_numpy(rows),
        )

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def device(self) -> torch.device:
        return self.ids.device

    @property
    def described(self) -> dict[str, Any]:
        """Kind and shape of all it holds, in plain types: equal for data that may be stacked."""
        shapes = mapped(lambda tensor: [str(tensor.dtype), *tensor.shape], self.extra)
        x = [type(self.features).__name__, *self.features.shape]
        return {"x": x, "targets": [*self.targets.shape], "extra": shapes}

    def to(self, device: torch.device | str) -> "Vectors":
        def moved(held: Any) -> Any:
            return held.to(device)

        return Vectors(*map(moved, self._held), mapped(moved, self.extra))

    def rows(self, index: Tensor) -> "Vectors":
        """The rows `index` as data of their own."""
        features, extra = taken(self.features, index), mapped(lambda held: held[index], self.extra)
        return Vectors(features, self.targets[index], self.ids[index], extra)

    def batch(self, index: Tensor) -> Batch:
        """The rows `index`, a tensor on the same device."""

        def some(held: Any) -> Tensor:
            return held.index_select(0, index)

        return Batch(*map(some, self._held), mapped(some, self.extra))

    @property
    def _held(self) -> tuple[Features, Tensor, Tensor]:
        return self.features, self.targets, self.ids
