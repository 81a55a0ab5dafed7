"""MATLAB files (v5 to v7): one feature matrix, or a cell array of views, and one label matrix."""

import io
import warnings
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import scipy.io
from scipy import sparse

from mlbench.data import arrays
from mlbench.data.arrays import shape_of
from mlbench.data.files import content, reason
from mlbench.data.formats import mat5
from mlbench.data.instances import Instances
from mlbench.errors import UserError, did_you_mean


def read(
    path: Path,
    views: str | Sequence[str] = "view",
    targets: str = "label",
    labels: Sequence[str] | None = None,
) -> Instances:
    """`views` names a cell array of views, one matrix, or several matrices; `targets` the label matrix.

    Instances are rows or columns of each matrix, whichever agrees with the others. Each view is a modality:
    view1, view2 ... of a cell array, or named as its matrix is. One sparse view makes all features sparse.
    """
    names = [views] if isinstance(views, str) else list(views)
    known = variables(path, [*names, targets])
    matrices = {name: matrix for view in names for name, matrix in views_in(path, known, view).items()}
    sets = checked(path, targets, variable(path, known, targets))
    count = instance_count({name: shape_of(view) for name, view in {**matrices, targets: sets}.items()}, path)

    def by_instance(matrix: arrays.Matrix) -> Any:
        return matrix if shape_of(matrix)[0] == count else matrix.T

    blocks = [by_instance(matrix) for matrix in matrices.values()]
    modalities, feature_names = {}, []
    for name, block in zip(matrices, blocks):
        modalities[name] = len(feature_names), len(feature_names) + block.shape[1]
        feature_names += [f"{name}.{column}" for column in range(1, block.shape[1] + 1)]
    is_sparse = any(map(sparse.issparse, blocks))
    return arrays.instances(
        path,
        features=sparse.csr_matrix(sparse.hstack(blocks)) if is_sparse else np.hstack(blocks),
        targets=by_instance(sets),
        labels=labels,
        feature_names=feature_names,
        modalities=modalities if len(modalities) > 1 else None,
    )


def variables(path: Path, wanted: Collection[str]) -> dict[str, mat5.Value]:
    """The variables by name; those not `wanted` may be left unparsed."""
    data = content(path)
    if 0 not in data[:4] and data[124:126] in (b"\0\2", b"\2\0"):
        raise UserError(f"{path} is a v7.3 file: save it in MATLAB with save(..., '-v7')")
    try:
        return mat5.variables(path, data, wanted) if 0 not in data[:4] else old_variables(data)
    except UserError:
        raise
    except Exception as error:  # zlib, NumPy and SciPy raise a dozen kinds of errors for a damaged file
        raise UserError(f"{path} is no whole MATLAB file: {reason(error)}") from error


def old_variables(data: bytes) -> dict[str, mat5.Value]:
    """The variables of a file of version 4, which SciPy parses in Python: damage cannot crash the process."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # SciPy warns where its numbers are wrong
        loaded = scipy.io.loadmat(io.BytesIO(data))
        names = [name for name, _, _ in scipy.io.whosmat(io.BytesIO(data))]
    if len({*names}) < len(names):
        raise ValueError(f"it has two variables of one name among {', '.join(sorted(names))}")
    return {name: value for name, value in loaded.items() if not name.startswith("__")}


def variable(path: Path, known: dict[str, mat5.Value], name: str) -> mat5.Value:
    if name not in known:
        near = did_you_mean(name, known)
        raise UserError(f"{path} has no variable {name!r}; it has {', '.join(known) or 'none'}{near}")
    return known[name]


def views_in(path: Path, known: dict[str, mat5.Value], name: str) -> dict[str, arrays.Matrix]:
    """The matrices of a cell array, or the one matrix that a variable is."""
    value = variable(path, known, name)
    if not isinstance(value, list):
        return {name: checked(path, name, value)}
    if not value:
        raise UserError(f"{path}: {name} is a cell array without cells")
    return {
        f"view{number}": checked(path, f"{name}{{{number}}}", cell) for number, cell in enumerate(value, 1)
    }


def checked(path: Path, name: str, value: mat5.Value) -> arrays.Matrix:
    """The value, which must be a matrix of numbers."""
    if isinstance(value, str | list):
        kind = value if isinstance(value, str) else "a cell array"
        raise UserError(f"{path}: {name} is {kind}, not a matrix of numbers")
    return arrays.checked(path, name, value)


def instance_count(shapes: dict[str, tuple[int, int]], path: Path) -> int:
    """The length that all matrices share; of two such lengths, the more frequent number of rows."""
    common = set.intersection(*(set(shape) for shape in shapes.values()))
    as_rows = {length: sum(shape[0] == length for shape in shapes.values()) for length in common}
    best = [length for length in common if as_rows[length] == max(as_rows.values())]
    if len(best) != 1:
        sizes = ", ".join(f"{name} {rows} x {columns}" for name, (rows, columns) in shapes.items())
        problem = "can be read two ways" if best else "have no length in common"
        raise UserError(f"{path}: {sizes} {problem}: save them with one row an instance")
    return best[0]
