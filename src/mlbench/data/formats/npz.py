"""NumPy archives: `features` and `targets`, each a dense array or the four parts of a CSR matrix."""

import math
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import IO

import numpy as np
from numpy.lib import format as npy

from mlbench.data import arrays
from mlbench.data.files import reason, refuse_more_than_room
from mlbench.data.instances import Instances
from mlbench.data.modalities import check_cover
from mlbench.errors import UserError, did_you_mean

PARTS = ("data", "indices", "indptr", "shape")
HEADERS = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}
KINDS = "buifcU"  # kinds of arrays that are accepted: numbers and words
LAST_SIGN = 0x10FFFF  # the last character of Unicode


def read(
    path: Path, features: str = "features", targets: str = "targets", labels: Sequence[str] | None = None
) -> Instances:
    """`features` and `targets` name arrays; a CSR matrix X is X_data, X_indices, X_indptr and X_shape.

    Optional arrays of the file: `labels` and `feature_names`, of words, and `modalities`, whose rows hold the
    name of a modality, its first column and its last + 1. Nothing is unpickled.
    """
    content = arrays_in(path)
    matrix = matrix_in(path, content, features)
    return instances_of(path, content, matrix, matrix_in(path, content, targets), labels)


def instances_of(
    path: Path,
    content: dict[str, np.ndarray],
    matrix: arrays.Matrix,
    targets: arrays.Matrix,
    labels: Sequence[str] | None = None,
) -> Instances:
    """Both matrices, with the names that the archive has for their columns."""
    rows = content.get("modalities")
    return arrays.instances(
        path,
        features=matrix,
        targets=targets,
        labels=words_in(content, "labels") if labels is None else labels,
        feature_names=words_in(content, "feature_names"),
        modalities=None if rows is None else modalities_in(path, rows, arrays.shape_of(matrix)[1]),
    )


def arrays_in(path: Path, kinds: str = KINDS) -> dict[str, np.ndarray]:
    """All arrays of an archive; refused if one is of another kind than these."""
    try:
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
            length = sum(member.file_size for member in members)
            if len({member.filename for member in members}) < len(members):
                raise ValueError("it has two arrays of one name")
            refuse_more_than_room(path, path.stat().st_size, length, f"{len(members)} arrays")
            return {
                member.filename.removesuffix(".npy"): array_in(archive, member, kinds) for member in members
            }
    except UserError:
        raise
    except FileNotFoundError:
        raise UserError(f"{path}: No such file or directory") from None
    except Exception as error:  # zipfile and NumPy raise a dozen kinds of errors for a damaged file
        raise UserError(f"{path} is no whole .npz archive of plain arrays: {reason(error)}") from error


def array_in(archive: zipfile.ZipFile, member: zipfile.ZipInfo, kinds: str = KINDS) -> np.ndarray:
    """One array, if its content has as many bytes as its header announces."""
    name = member.filename
    if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise ValueError(f"{name!r} is compressed in a way that NumPy does not use")
    with archive.open(member) as file:
        shape, by_columns, dtype = HEADERS[npy.read_magic(file)](file)
        length = member.file_size - file.tell()
        if dtype.kind not in kinds or not dtype.itemsize:
            raise ValueError(f"{name!r} holds {dtype}, neither numbers nor words")
        if math.prod(shape) * dtype.itemsize != length or min(shape, default=0) < 0:
            raise ValueError(f"{name!r} is said to be {shape} of {dtype}, but has {length:,} bytes")
        array = np.empty(shape, dtype, order="F" if by_columns else "C")
        fill(file, array.reshape(-1, order="A").view(np.uint8))
    if dtype.kind == "U" and (array.reshape(-1).view(f"{dtype.str[0]}u4") > LAST_SIGN).any():
        raise ValueError(f"{name!r} holds what is no text")
    return array


def fill(file: IO[bytes], array: np.ndarray) -> None:
    """Fills the array with the rest of a member of the archive; at its end `zipfile` checks the CRC."""
    filled = 0
    while chunk := file.read(1 << 20):
        array[filled : filled + len(chunk)] = np.frombuffer(chunk, dtype=np.uint8)
        filled += len(chunk)
    if filled != len(array):
        raise ValueError(f"{len(array) - filled:,} bytes are missing at its end")


def matrix_in(path: Path, content: dict[str, np.ndarray], name: str) -> arrays.Matrix:
    if name in content:
        return arrays.checked(path, name, content[name])
    if not all(f"{name}_{part}" in content for part in PARTS):
        raise UserError(
            f"{path} has no array {name!r}, nor {name}_data, _indices, _indptr and _shape; "
            f"it has {', '.join(content) or 'none'}{did_you_mean(name, content)}"
        )
    data, indices, indptr, shape = (content[f"{name}_{part}"] for part in PARTS)
    return arrays.checked(path, name, arrays.csr(path, name, data, indices, indptr, shape))


def words_in(content: dict[str, np.ndarray], name: str) -> list[str] | None:
    """The words of an array; None where there is none, or it holds numbers, as targets named labels do."""
    return content[name].tolist() if name in content and content[name].dtype.kind == "U" else None


def modalities_in(path: Path, rows: np.ndarray, width: int) -> dict[str, tuple[int, int]]:
    try:
        modalities = {str(name): (int(first), int(last)) for name, first, last in rows}
    except (ValueError, TypeError) as error:
        raise UserError(f"{path}: a row of modalities is a name, a first column and a last + 1") from error
    for name, (first, last) in modalities.items():
        if not 0 <= first < last <= width:
            raise UserError(f"{path}: modality {name} is columns {first} to {last} - 1, of {width} columns")
    check_cover(str(path), modalities, width)
    return modalities
