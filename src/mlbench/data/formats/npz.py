"""NumPy archives: `features` and `targets`, each a dense array or the four parts of a CSR matrix."""

import contextlib
import math
import zipfile
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.lib import format as npy

from mlbench.data import arrays
from mlbench.data.files import reason, refuse_more_than_room
from mlbench.data.instances import Instances
from mlbench.data.modalities import check_cover
from mlbench.errors import UserError, did_you_mean

PARTS = ("data", "indices", "indptr", "shape")
HEADERS = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}
THIN = 8192  # rows of a sparse matrix at once, if not more
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
    with archive_at(path) as archive:
        return {name_of(member): array_in(archive, member, kinds) for member in archive.infolist()}


def in_pieces(
    path: Path, name: str, count: int, by_row: Collection[str]
) -> Iterator[tuple[int, dict[str, np.ndarray]]]:
    """The arrays of an archive, of the matrix `name` so many rows at a time, where its rows stand one after
    the other; with the number of the first one. Of the arrays `by_row` the same rows, if there are as many.
    """
    with archive_at(path) as archive:
        members = {name_of(member): member for member in archive.infolist()}
        own: list[str] = []  # the arrays that come in parts
        if name not in members:
            pointers = row_pointers(archive, members, name)
            if pointers is not None:
                own = [f"{name}_{part}" for part in PARTS]
                parts = sparse_parts(archive, members, name, pointers, max(count, THIN))
        elif is_by_rows(archive, members[name]):
            own, parts = [name], dense_parts(archive, members[name], count)
        others = {each: array_in(archive, members[each]) for each in members if each not in own}
        if not own:
            yield 0, others
            return
        for first, last, rows, arrays_of_part in parts:
            some = {
                each: array[first:last]
                for each, array in others.items()
                if each in by_row and array.shape[:1] == (rows,)
            }
            yield first, {**others, **some, **dict(zip(own, arrays_of_part))}


Part = tuple[int, int, int, Sequence[np.ndarray]]  # first row, last + 1, rows of the whole, the part's arrays


def dense_parts(archive: zipfile.ZipFile, member: zipfile.ZipInfo, count: int) -> Iterator[Part]:
    with opened(archive, member) as (file, shape, _, dtype):
        for first in range(0, shape[0], count):
            rows = np.empty((min(count, shape[0] - first), shape[1]), dtype)
            fill(file, rows.reshape(-1).view(np.uint8))
            yield first, first + len(rows), shape[0], [rows]


def sparse_parts(
    archive: zipfile.ZipFile,
    members: Mapping[str, zipfile.ZipInfo],
    name: str,
    pointers: np.ndarray,
    count: int,
) -> Iterator[Part]:
    rows, columns = len(pointers) - 1, array_in(archive, members[f"{name}_shape"])[1]
    with contextlib.ExitStack() as stack:
        files = [stack.enter_context(opened(archive, members[f"{name}_{part}"])) for part in PARTS[:2]]
        for first in range(0, rows, count):
            part = pointers[first : first + count + 1]
            arrays_of_part = [np.empty(part[-1] - part[0], dtype) for _, _, _, dtype in files]
            for (file, *_), array in zip(files, arrays_of_part):
                fill(file, array.view(np.uint8))
            shape = np.array([len(part) - 1, columns])
            yield first, first + len(part) - 1, rows, [*arrays_of_part, part - part[0], shape]


def is_by_rows(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> bool:
    with opened(archive, member) as (_, shape, by_columns, dtype):
        return len(shape) == 2 and min(shape) > 0 and not by_columns and dtype.kind in "buif"


def row_pointers(
    archive: zipfile.ZipFile, members: Mapping[str, zipfile.ZipInfo], name: str
) -> np.ndarray | None:
    """Where each row of a CSR matrix begins, if all its parts are there and fit each other."""
    if not all(f"{name}_{part}" in members for part in PARTS):
        return None
    pointers, shape = (array_in(archive, members[f"{name}_{part}"]) for part in PARTS[2:])
    lengths = []
    for part in PARTS[:2]:
        with opened(archive, members[f"{name}_{part}"]) as (_, length, _, _):
            lengths.append(length)
    whole = all(each.ndim == 1 and each.dtype.kind in "ui" for each in (pointers, shape)) and len(shape) == 2
    if not whole or len(pointers) < 2 or len(pointers) - 1 != shape[0]:
        return None
    ends = pointers[0] == 0 and lengths == [(pointers[-1],)] * 2
    return pointers if ends and (pointers[1:] >= pointers[:-1]).all() else None


@contextlib.contextmanager
def archive_at(path: Path) -> Iterator[zipfile.ZipFile]:
    """An archive that may hold what it says; whatever is wrong with it is said in a sentence."""
    try:
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
            length = sum(member.file_size for member in members)
            if len({member.filename for member in members}) < len(members):
                raise ValueError("it has two arrays of one name")
            refuse_more_than_room(path, path.stat().st_size, length, f"{len(members)} arrays")
            yield archive
    except UserError:
        raise
    except FileNotFoundError:
        raise UserError(f"{path}: No such file or directory") from None
    except Exception as error:  # zipfile and NumPy raise a dozen kinds of errors for a damaged file
        raise UserError(f"{path} is no whole .npz archive of plain arrays: {reason(error)}") from error


def name_of(member: zipfile.ZipInfo) -> str:
    return member.filename.removesuffix(".npy")


@contextlib.contextmanager
def opened(archive: zipfile.ZipFile, member: zipfile.ZipInfo, kinds: str = KINDS) -> Iterator[Any]:
    """An array's bytes, its shape, whether it stands by columns, its type; refused if it has other than as
    many bytes as its header announces.
    """
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
        yield file, shape, by_columns, dtype


def array_in(archive: zipfile.ZipFile, member: zipfile.ZipInfo, kinds: str = KINDS) -> np.ndarray:
    """One array."""
    with opened(archive, member, kinds) as (file, shape, by_columns, dtype):
        array = np.empty(shape, dtype, order="F" if by_columns else "C")
        fill(file, array.reshape(-1, order="A").view(np.uint8))
    if dtype.kind == "U" and (array.reshape(-1).view(f"{dtype.str[0]}u4") > LAST_SIGN).any():
        raise ValueError(f"{member.filename!r} holds what is no text")
    return array


def fill(file: IO[bytes], array: np.ndarray) -> None:
    """Fills the array with bytes of a member of the archive; with its last ones `zipfile` checks the CRC."""
    filled = 0
    while filled < len(array) and (chunk := file.read(min(1 << 20, len(array) - filled))):
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
