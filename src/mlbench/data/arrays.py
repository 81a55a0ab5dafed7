"""Matrices as a file holds them, checked and made into Instances."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from scipy import sparse

from mlbench.data.files import NAME_BYTES, refuse_more_than_room
from mlbench.data.instances import Instances
from mlbench.errors import UserError

Matrix = np.ndarray | sparse.spmatrix | sparse.sparray


def instances(
    path: Path,
    features: Matrix,
    targets: Matrix,
    labels: Sequence[str] | None = None,
    feature_names: Sequence[str] | None = None,
    modalities: dict[str, tuple[int, int]] | None = None,
) -> Instances:
    """Rows of both matrices are instances. Names not given are label1, label2 ... and feature1 ..."""
    if features.shape[0] != targets.shape[0]:
        rows = f"{features.shape[0]} rows of features, {targets.shape[0]} of targets"
        raise UserError(f"{path} has {rows}: name the matrices that belong together")
    if not targets.shape[0] or not targets.shape[1]:
        raise UserError(f"{path} has {targets.shape[0]} rows and {targets.shape[1]} labels: nothing to learn")
    refuse_sizes(path, Path(path).stat().st_size, *targets.shape, features.shape[1])
    return Instances(
        features=single(path, features),
        targets=zeros_and_ones(path, targets),
        labels=named(path, "label", labels, targets.shape[1]),
        feature_names=named(path, "feature", feature_names, features.shape[1]),
        modalities=modalities or {},
    )


def refuse_sizes(path: Path, size: int, rows: int, labels: int, features: int) -> None:
    """What a file of `size` bytes announces, where it takes no bytes there but as many in memory."""
    refuse_more_than_room(path, size, rows * labels, f"{rows:,} rows of {labels:,} labels")
    refuse_more_than_room(path, size, NAME_BYTES * (labels + features), f"{features:,} features")


def checked(path: Path, name: str, matrix: Matrix) -> Matrix:
    """A matrix of numbers, or a sentence about what it is instead."""
    if matrix.ndim != 2 or matrix.dtype.kind not in "buif":
        shape = " x ".join(map(str, matrix.shape)) or "single"
        raise UserError(f"{path}: {name} is a {shape} array of {matrix.dtype}, not a matrix of numbers")
    return matrix


def csr(
    path: Path, name: str, data: np.ndarray, indices: np.ndarray, indptr: np.ndarray, shape: Sequence[int]
) -> sparse.csr_matrix:
    """The matrix of four arrays as a file has them. SciPy believes them, and dies of what is not so."""
    whole = all(part.ndim == 1 and part.dtype.kind in "ui" for part in (indices, indptr, np.asarray(shape)))
    if data.ndim != 1 or data.dtype.kind not in "buif" or not whole or len(shape) != 2:
        raise UserError(f"{path}: the parts of {name} are no CSR matrix: three rows of numbers and a shape")
    rows, columns = map(int, shape)
    # The parts may be longer than what is used of them.
    used = int(indptr[-1]) if len(indptr) else -1
    if len(indptr) != rows + 1 or not 0 <= used <= min(len(data), len(indices)):
        raise UserError(f"{path}: the parts of {name} have other lengths than its shape says")
    data, indices = data[:used], indices[:used]
    if indptr[0] or (indptr[1:] < indptr[:-1]).any():
        raise UserError(f"{path}: {name} has rows that begin before the one above them")
    if used and not (int(indices.min()) >= 0 and int(indices.max()) < columns):
        raise UserError(f"{path}: {name} has an entry outside of its rows and columns")
    indices, indptr = (
        part if part.dtype in (np.int32, np.int64) else part.astype(np.int64) for part in (indices, indptr)
    )
    return sparse.csr_matrix((data, indices, indptr), shape=(rows, columns))


def single(path: Path, features: Matrix) -> np.ndarray | sparse.csr_matrix:
    """float32, finite; sparse becomes CSR, each entry once."""
    with np.errstate(over="ignore"):
        if sparse.issparse(features):
            features = sparse.csr_matrix(features, dtype=np.float32)
            features.sum_duplicates()
            features.eliminate_zeros()
        else:
            features = np.ascontiguousarray(features, dtype=np.float32)
    if not np.isfinite(features.data if sparse.issparse(features) else features).all():
        raise UserError(
            f"{path}: a feature is missing or not finite: fill it in, or remove its row or column"
        )
    return features


def zeros_and_ones(path: Path, targets: Matrix) -> np.ndarray:
    """uint8, from 0 and 1, or from -1 and 1."""
    targets = targets.toarray() if sparse.issparse(targets) else targets
    strange = targets[~np.isin(targets, (-1, 0, 1))]
    if strange.size or {-1, 0}.issubset(np.unique(targets)):
        found = f"{strange[0]:g}" if strange.size else "both -1 and 0"
        raise UserError(f"{path}: the targets hold {found}; a label is 0 or 1, or -1 or 1")
    return (targets == 1).astype(np.uint8)


def named(path: Path, what: str, names: Sequence[str] | None, count: int) -> tuple[str, ...]:
    if names is None:
        return tuple(f"{what}{number}" for number in range(1, count + 1))
    names = tuple(str(name) for name in names)
    if len(names) != count or (what == "label" and len(set(names)) < count):
        raise UserError(
            f"{path} has {count} {what}s, but {len(set(names))} different names for them: {names[:3]}"
        )
    return names
