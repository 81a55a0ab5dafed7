"""NumPy archives: `features` and `targets`, each a dense array or the four parts of a CSR matrix."""

import zipfile
import zlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from scipy import sparse

from mlbench.data import arrays
from mlbench.data.instances import Instances
from mlbench.errors import UserError, did_you_mean

PARTS = ("data", "indices", "indptr", "shape")
DAMAGE = (OSError, ValueError, TypeError, AttributeError, EOFError, zlib.error, zipfile.BadZipFile)


def read(
    path: Path, features: str = "features", targets: str = "targets", labels: Sequence[str] | None = None
) -> Instances:
    """`features` and `targets` name arrays; a CSR matrix X is X_data, X_indices, X_indptr and X_shape.

    Optional arrays of the file: `labels` and `feature_names`, of words, and `modalities`, one row of words
    for each: its name, its first column and its last + 1. Nothing is unpickled.
    """
    try:
        with np.load(path, allow_pickle=False) as archive:
            found = {name: archive[name] for name in archive.files}
    except DAMAGE as error:
        raise UserError(f"{path} is no whole .npz archive of plain arrays: {error}") from error
    matrix = matrix_in(path, found, features)
    return arrays.instances(
        path,
        features=matrix,
        targets=matrix_in(path, found, targets),
        labels=words_in(found, "labels") if labels is None else labels,
        feature_names=words_in(found, "feature_names"),
        modalities=modalities_in(path, found["modalities"], matrix.shape[1])
        if "modalities" in found
        else None,
    )


def matrix_in(path: Path, found: dict[str, np.ndarray], name: str) -> np.ndarray | sparse.csr_matrix:
    if name in found:
        return arrays.checked(path, name, found[name])
    if not all(f"{name}_{part}" in found for part in PARTS):
        raise UserError(
            f"{path} has no array {name!r}, nor {name}_data, _indices, _indptr and _shape; "
            f"it has {', '.join(found) or 'none'}{did_you_mean(name, found)}"
        )
    data, indices, indptr, shape = (found[f"{name}_{part}"] for part in PARTS)
    try:
        matrix = sparse.csr_matrix((data, indices, indptr), shape=shape)
        matrix.check_format(full_check=True)
    except (ValueError, TypeError) as error:
        raise UserError(f"{path}: the four parts of {name} make no CSR matrix: {error}") from error
    return arrays.checked(path, name, matrix)


def words_in(found: dict[str, np.ndarray], name: str) -> list[str] | None:
    """The words of an array; None where there is none, or it is something else, as targets called labels."""
    return found[name].tolist() if name in found and found[name].dtype.kind == "U" else None


def modalities_in(path: Path, rows: np.ndarray, width: int) -> dict[str, tuple[int, int]]:
    try:
        modalities = {str(name): (int(first), int(last)) for name, first, last in rows}
    except (ValueError, TypeError) as error:
        raise UserError(f"{path}: a row of modalities is a name, a first column and a last + 1") from error
    for name, (first, last) in modalities.items():
        if not 0 <= first < last <= width:
            raise UserError(f"{path}: modality {name} is columns {first} to {last} - 1, of {width} columns")
    return modalities
