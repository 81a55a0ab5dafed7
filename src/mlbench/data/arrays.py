"""Matrices as a file holds them, checked and made into Instances."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from scipy import sparse

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
    return Instances(
        features=single(path, features),
        targets=zeros_and_ones(path, targets),
        labels=named(path, "label", labels, targets.shape[1]),
        feature_names=named(path, "feature", feature_names, features.shape[1]),
        modalities=modalities or {},
    )


def checked(path: Path, name: str, matrix: Matrix) -> Matrix:
    """A matrix of numbers, or a sentence about what it is instead."""
    if matrix.ndim != 2 or matrix.dtype.kind not in "buif":
        shape = " x ".join(map(str, matrix.shape)) or "single"
        raise UserError(f"{path}: {name} is a {shape} array of {matrix.dtype}, not a matrix of numbers")
    return matrix


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
