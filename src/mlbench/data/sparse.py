"""A CSR matrix as tensors, on any device. Rows of a batch are made dense; the matrix never is."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from scipy import sparse
from torch import Tensor


@dataclass(frozen=True)
class SparseRows:
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

    def __getitem__(self, index: Tensor) -> "SparseRows":
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
        # On a GPU the fullest row of the matrix sets the length: to learn that of the batch, the CPU would
        # have to wait for the GPU. On a CPU it costs nothing to ask for the fullest row of the batch.
        if index.is_cuda or not len(index):
            return self.dense_rows(index, self.longest)
        return self.dense_rows(index, int((self.crow[index + 1] - self.crow[index]).max()))

    def dense_rows(self, index: Tensor, length: int) -> Tensor:
        """Rows `index`, dense, none with more than `length` nonzeros; shorter rows repeat their last one."""
        dense = self.values.new_zeros(len(index), self.width)
        if not length:
            return dense
        start, stop = self.crow[index, None], self.crow[index + 1, None]
        position = start + torch.arange(length, device=index.device)
        position = torch.minimum(position, (stop - 1).clamp_(min=0))
        columns = self.columns.index_select(0, position.view(-1)).view_as(position)
        values = self.values.index_select(0, position.view(-1)).view_as(position)
        return dense.scatter_(1, columns.long(), values.mul_(stop > start))  # an empty row writes a zero

    def matrix(self) -> sparse.csr_matrix:
        """The rows as scipy's matrix, in float64."""
        start = self.crow.cpu().numpy()
        if start[-1] < 2**31:  # liblinear takes no wider numbers
            start = start.astype(np.int32)
        values, columns = self.values.double().cpu().numpy(), self.columns.cpu().numpy()
        return sparse.csr_matrix((values, columns, start), shape=self.shape)

    @staticmethod
    def joined(parts: Sequence["SparseRows"]) -> "SparseRows":
        """The rows of all parts, one part after the other."""
        ends = [0, *itertools.accumulate(len(part.values) for part in parts)]
        return SparseRows(
            crow=torch.cat([parts[0].crow[:1], *(part.crow[1:] + end for part, end in zip(parts, ends))]),
            columns=torch.cat([part.columns for part in parts]),
            values=torch.cat([part.values for part in parts]),
            width=parts[0].width,
            longest=max(part.longest for part in parts),
        )

    def equal(self, other: "SparseRows") -> bool:
        pairs = (self.crow, other.crow), (self.columns, other.columns), (self.values, other.values)
        return all(torch.equal(*pair) for pair in pairs)


def sparse_rows(matrix: sparse.csr_matrix) -> SparseRows:
    matrix = matrix.copy()
    matrix.sum_duplicates()
    counts = np.diff(matrix.indptr)
    return SparseRows(
        crow=torch.from_numpy(matrix.indptr.astype(np.int64)),
        columns=torch.from_numpy(matrix.indices.astype(np.int32)),
        values=torch.from_numpy(matrix.data.astype(np.float32)),
        width=matrix.get_shape()[1],
        longest=int(counts.max(initial=0)),
    )
