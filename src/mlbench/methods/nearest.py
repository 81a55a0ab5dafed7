"""The nearest rows of a matrix, exactly: by Euclidean distance, of equally near rows the lower number first.

Distances are computed twice: all of them as |x|² + |f|² − 2·x·f in float32, which is quick and errs, then
those of the few rows that may be nearest from differences in float64. The error of the first pass is bounded:
where the nearest rows are not certain under that bound, more rows are compared, in the end all. Whole numbers
that float32 adds up without rounding need the first pass alone.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from mlbench.data.sparse import SparseRows

CELLS = 2**21  # numbers held at once, many enough for a matrix product and few enough for a cache
SPARE = 16  # rows beyond those asked for whose distances are computed again
NUMBER = 2**32 - 1  # of a key, the part that is a row's number
UNIT = 2.0**-24  # half the distance from 1 to the next float32


class Held(nn.Module):
    """A matrix, dense or sparse, in buffers of its own size; a state of another size may be loaded."""

    def __init__(self, width: int):
        super().__init__()
        self.width = width
        self.register_buffer("dense", torch.empty(0, width))
        self.register_buffer("crow", torch.zeros(1, dtype=torch.int64))
        self.register_buffer("columns", torch.empty(0, dtype=torch.int32))
        self.register_buffer("values", torch.empty(0))
        self.register_buffer("centre", torch.empty(0))
        self.register_buffer("squares", torch.empty(0))
        self.register_buffer("whole", torch.tensor(False))
        self.register_load_state_dict_pre_hook(take_sizes)

    def hold(self, features: Any) -> None:
        """Keeps `features`, without a copy."""
        if isinstance(features, SparseRows):
            self.crow, self.columns, self.values = features.crow, features.columns, features.values
            row = torch.repeat_interleave(self.crow.diff())
            squares = torch.zeros(len(self.crow) - 1, dtype=torch.float64, device=row.device)
            squares.index_add_(0, row, self.values.double().square())
            whole = is_whole(self.values, squares)
        else:
            self.dense = features
            squares = squared_norms(features)
            whole = is_whole(features, squares)
            if not whole:  # rows are shorter around the mean, and products of them err less
                self.centre = features.mean(0)
                squares = squared_norms(features - self.centre)
        self.squares, self.whole = squares.float(), torch.tensor(whole, device=squares.device)

    @property
    def features(self) -> Any:
        if len(self.dense):
            return self.dense
        longest = int(self.crow.diff().max())
        return SparseRows(self.crow, self.columns, self.values, self.width, longest)

    def nearest(self, x: Tensor, count: int, excluded: Tensor | None = None) -> Tensor:
        """Numbers of the `count` rows nearest to each row of `x`, (B, count), the nearest first.

        `excluded` (B,) is a row that each row of `x` must not find: itself, if x is part of this matrix.
        `count` is at most the number of rows that can be found.
        """
        features = self.features
        shifted = features - self.centre if len(self.centre) else features
        size = max(1, CELLS // max(len(self.squares), self.width))
        with full_precision():
            parts = [
                self._nearest(x[part], features, shifted, count, None if excluded is None else excluded[part])
                for part in torch.arange(len(x), device=x.device).split(size)
            ]
        return torch.cat(parts)

    def _nearest(
        self,
        x: Tensor,
        features: Tensor | SparseRows,
        shifted: Tensor | SparseRows,
        count: int,
        excluded: Tensor | None,
    ) -> Tensor:
        moved = x - self.centre if len(self.centre) else x
        squares = squared_norms(moved)
        distances = approximate(moved, squares, shifted, self.squares)
        if excluded is not None:
            distances.scatter_(1, excluded[:, None], torch.inf)
        # Bits of numbers that are not negative count in the numbers' order. Key: distance, then row number.
        numbers = torch.arange(len(self.squares), device=x.device)
        keys = torch.add(numbers, distances.view(torch.int32), alpha=2**32)
        if self.whole and is_whole(x, squares):
            return keys.topk(count, largest=False).values & NUMBER
        return ascertained(keys, error_bound(features, squares, self.squares), x, features, count, excluded)


def ascertained(
    keys: Tensor, error: Tensor, x: Tensor, features: Tensor | SparseRows, count: int, excluded: Tensor | None
) -> Tensor:
    """The nearest rows, (B, count), where the distances in `keys` (B, N) may be off by `error` (B,)."""
    nearest_rows = keys.new_empty(len(x), count)
    uncertain, pool = torch.arange(len(x), device=x.device), count + SPARE
    while len(uncertain):
        pool = min(pool, keys.shape[1])
        best = keys[uncertain].topk(pool, largest=False).values
        candidates = (best & NUMBER).sort(dim=1).values
        exact = distances_from_differences(x[uncertain], features, candidates)
        if excluded is not None:
            exact[candidates == excluded[uncertain, None]] = torch.inf
        exact, order = exact.sort(dim=1, stable=True)
        nearest_rows[uncertain] = candidates.gather(1, order[:, :count])
        if pool == keys.shape[1]:
            break
        nearest_of_others = (best[:, -1] >> 32).int().view(torch.float32) - error[uncertain]
        uncertain = uncertain[
            ~(exact[:, count - 1] * (1 + 2**-30) < nearest_of_others)
        ]  # not below NaN either
        pool *= 4
    return nearest_rows


def approximate(x: Tensor, squares: Tensor, features: Tensor | SparseRows, feature_squares: Tensor) -> Tensor:
    """Squared distances from each row of `x` to each of `features`, (B, N) float32, none negative."""
    if isinstance(features, SparseRows):
        products = torch.nn.functional.embedding_bag(
            features.columns,
            (-2 * x).T.contiguous(),
            features.crow[:-1].int(),
            mode="sum",
            per_sample_weights=features.values,
        )
        distances = products.T.contiguous().add_(feature_squares)
    else:
        distances = torch.addmm(feature_squares, x, features.T, alpha=-2)
    return distances.add_(squares.float()[:, None]).abs_()


def error_bound(features: Tensor | SparseRows, squares: Tensor, feature_squares: Tensor) -> Tensor:
    """How far `approximate` may be off for each row of x, (B,) float64.

    A sum of n products in float32 errs by n·UNIT·|x|·|f| at most, in whatever order it is added (Higham,
    Accuracy and Stability of Numerical Algorithms, Sec. 3.1), and 2·|x|·|f| ≤ |x|² + |f|². Twice that, and
    some more for centring, norms and what is too small for float32.
    """
    terms = features.longest if isinstance(features, SparseRows) else features.shape[1]
    lengths = squares + feature_squares.max()
    return 2 * (terms + 16) * (UNIT * lengths + torch.finfo(torch.float32).tiny)


def distances_from_differences(x: Tensor, features: Tensor | SparseRows, candidates: Tensor) -> Tensor:
    """Squared distances from each row of `x` to its own candidates, (B, C) float64.

    Rounded to 32 binary digits (Dekker 1971): so the order of addition does not part what is equally far.
    """
    query = torch.arange(len(x), device=x.device).repeat_interleave(candidates.shape[1])
    rows = candidates.flatten()
    if isinstance(features, SparseRows):
        squared = among_nonzeros(x, query, features, rows)
    else:
        squared = among_all(x, query, features, rows)
    spread = squared * (2**21 + 1)
    return (spread - (spread - squared)).view_as(candidates)


def among_all(x: Tensor, query: Tensor, features: Tensor, candidates: Tensor) -> Tensor:
    """|x[query] − features[candidates]|², (P,) float64, over all columns."""
    size = max(1, CELLS // x.shape[1])
    return torch.cat(
        [
            features[rows].double().sub_(x[queries]).square_().sum(1)
            for queries, rows in zip(query.split(size), candidates.split(size))
        ]
    )


def among_nonzeros(x: Tensor, query: Tensor, features: SparseRows, candidates: Tensor) -> Tensor:
    """As `among_all`, over the columns where one is not zero: the candidate's, then the query's others."""
    nonzero = x != 0
    position = nonzero.cumsum(1) - 1  # of a column among its row's nonzeros
    most = int(nonzero.sum(1).max())
    values = x.new_zeros(len(x), most, dtype=torch.float64)
    values[nonzero.nonzero()[:, 0], position[nonzero]] = x[nonzero].double()
    parts = []
    size = max(1, CELLS // max(most, features.longest, 1))
    for queries, rows in zip(query.split(size), candidates.split(size)):
        part = features[rows]
        pair = torch.repeat_interleave(part.crow.diff())
        row, columns = queries[pair], part.columns.long()
        values_of_x = x[row, columns]
        squared = values.new_zeros(len(rows))
        squared.index_add_(0, pair, (part.values.double() - values_of_x).square_())
        alone = torch.ones(len(rows), most, dtype=torch.bool, device=x.device)
        both = values_of_x != 0
        alone[pair[both], position[row[both], columns[both]]] = False
        parts.append(squared.add_((values[queries].square_() * alone).sum(1)))
    return torch.cat(parts)


def squared_norms(x: Tensor) -> Tensor:
    """(B,) float64."""
    return torch.cat([part.double().square_().sum(1) for part in x.split(max(1, CELLS // x.shape[1]))])


def is_whole(x: Tensor, squares: Tensor) -> bool:
    """Whether float32 holds any sum of products of such rows exactly: |x|² + |f|² + 2·|x·f| ≤ 2²⁴."""
    return bool((squares <= 2**22).all() and (x == x.round()).all())


@contextmanager
def full_precision() -> Iterator[None]:
    """Products in float32 as such, whatever a user has allowed torch to make of them."""
    allowed = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("highest")
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(allowed)


def take_sizes(module: nn.Module, state: dict[str, Tensor], prefix: str, *_: object) -> None:
    """Before a state is loaded: the module's own buffers become as large as those that come."""
    for name, buffer in module.named_buffers(recurse=False):
        tensor = state.get(prefix + name)
        if tensor is not None:
            setattr(module, name, buffer.new_empty(tensor.shape))
