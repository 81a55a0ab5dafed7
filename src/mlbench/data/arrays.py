"""Checks the matrices of a file and makes Instances of them."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from scipy import sparse

from mlbench.data.files import NAME_BYTES, refuse_more_than_room
from mlbench.data.instances import Instances
from mlbench.errors import UserError

Matrix = np.ndarray | sparse.csr_matrix | sparse.csc_matrix | sparse.coo_matrix


def instances(
    path: Path,
    features: Matrix,
    targets: Matrix,
    labels: Sequence[str] | None = None,
    feature_names: Sequence[str] | None = None,
    modalities: dict[str, tuple[int, int]] | None = None,
) -> Instances:
    """Rows of both matrices are instances. Names not given are label1, label2 ... and feature1 ..."""
    (rows, width), (target_rows, label_count) = shape_of(features), shape_of(targets)
    if rows != target_rows:
        problem = f"{rows} rows of features, {target_rows} of targets"
        raise UserError(f"{path} has {problem}: name the matrices that belong together")
    if not rows or not label_count:
        raise UserError(f"{path} has {rows} rows and {label_count} labels: nothing to learn")
    refuse_sizes(path, Path(path).stat().st_size, rows, label_count, width)
    return Instances(
        features=single(path, features),
        targets=zeros_and_ones(path, targets),
        labels=named(path, "label", labels, label_count),
        feature_names=named(path, "feature", feature_names, width),
        modalities=modalities or {},
    )


def shape_of(matrix: Matrix) -> tuple[int, int]:
    """Rows and columns: SciPy's own property is not typed."""
    rows, columns = matrix.shape or (0, 0)
    return rows, columns


def refuse_sizes(path: Path, size: int, rows: int, labels: int, features: int) -> None:
    """Refuses sizes that a file of `size` bytes only announces, before memory is taken for them."""
    refuse_more_than_room(path, size, rows * labels, f"{rows:,} rows of {labels:,} labels")
    refuse_more_than_room(path, size, NAME_BYTES * (labels + features), f"{features:,} features")


def checked(path: Path, name: str, matrix: Matrix) -> Matrix:
    """The matrix if it holds numbers; a UserError says what an array is instead."""
    if matrix.ndim != 2 or matrix.dtype.kind not in "buif":
        shape = " x ".join(map(str, matrix.shape or ())) or "single"
        raise UserError(f"{path}: {name} is a {shape} array of {matrix.dtype}, not a matrix of numbers")
    return matrix


def csr(
    path: Path,
    name: str,
    data: np.ndarray,
    indices: np.ndarray,
    indptr: np.ndarray,
    shape: Sequence[int] | np.ndarray,
) -> sparse.csr_matrix:
    """The CSR matrix of four arrays of a file, once they are checked: SciPy crashes on inconsistent ones."""
    integers = all(
        part.ndim == 1 and part.dtype.kind in "ui" for part in (indices, indptr, np.asarray(shape))
    )
    if data.ndim != 1 or data.dtype.kind not in "buif" or not integers or len(shape) != 2:
        raise UserError(f"{path}: the parts of {name} are no CSR matrix: three rows of numbers and a shape")
    rows, columns = map(int, shape)
    used = int(indptr[-1]) if len(indptr) else -1  # data and indices may be longer
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
    """Features as float32, if all are finite; a sparse matrix becomes CSR with each entry once."""
    with np.errstate(over="ignore"):
        if isinstance(features, np.ndarray):
            numbers = features = np.ascontiguousarray(features, dtype=np.float32)
        else:
            features = sparse.csr_matrix(features, dtype=np.float32)
            features.sum_duplicates()
            features.eliminate_zeros()
            numbers = features.data
    if not np.isfinite(numbers).all():
        raise UserError(
            f"{path}: a feature is missing or not finite: fill it in, or remove its row or column"
        )
    return features


def zeros_and_ones(path: Path, targets: Matrix) -> np.ndarray:
    """Targets of 0 and 1, or of -1 and 1, as 0 and 1 in uint8."""
    dense = targets if isinstance(targets, np.ndarray) else targets.toarray()
    strange = dense[~np.isin(dense, (-1, 0, 1))]
    if strange.size or {-1, 0}.issubset(np.unique(dense)):
        wrong = f"{strange[0]:g}" if strange.size else "both -1 and 0"
        raise UserError(f"{path}: the targets hold {wrong}; a label is 0 or 1, or -1 or 1")
    return (dense == 1).astype(np.uint8)


def named(path: Path, noun: str, names: Sequence[str] | None, count: int) -> tuple[str, ...]:
    if names is None:
        return tuple(f"{noun}{number}" for number in range(1, count + 1))
    names = tuple(str(name) for name in names)
    if len(names) != count or (noun == "label" and len(set(names)) < count):
        raise UserError(
            f"{path} has {count} {noun}s, but {len(set(names))} different names for them: {names[:3]}"
        )
    return names
