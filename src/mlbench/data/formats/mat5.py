"""MATLAB's files of versions 5 to 7, as far as data sets use them: matrices, sparse matrices, cells of both.

A variable is an element: its kind, its length, its content. The content of a matrix consists of elements
again. Every length and every index is checked against the bytes of the file before it is used: SciPy's reader
does not check, and a damaged file crashes its process.
"""

import math
import zlib
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path

import numpy as np
from scipy import sparse

from mlbench.data import arrays
from mlbench.data.files import room
from mlbench.errors import UserError

Element = tuple[int, memoryview]
Matrix = np.ndarray | sparse.csc_matrix
Cell = Matrix | str
Value = Cell | list[Cell]  # a matrix, the cells of a cell array, or words for any other kind of variable

HEADER = 128  # bytes
ORDERS = {b"IM": "<", b"MI": ">"}
NUMBERS = {1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 9: "f8", 12: "i8", 13: "u8"}
MATRIX, COMPRESSED = 14, 15
CELLS, SPARSE, DENSE, OPAQUE = 1, 5, range(6, 16), 17
OTHERS = {CELLS: "a cell array", 2: "a structure", 3: "an object", 4: "text", 16: "a function"}
LOGICAL, COMPLEX = 1 << 9, 1 << 11


def variables(path: Path, data: bytes, wanted: Collection[str]) -> dict[str, Value]:
    """The variables by name; `wanted` ones are parsed. ValueError or zlib.error for a damaged file."""
    order, room_left = ORDERS.get(data[HEADER - 2 : HEADER]), room(len(data))
    by_name: dict[str, Value] = {}
    if order is None:
        raise ValueError("its first bytes are not MATLAB's")
    for kind, content in elements(memoryview(data)[HEADER:], order):
        if kind == COMPRESSED:
            unpacked = decompressed(path, content, room_left)
            room_left -= len(unpacked)
            kind, content = next(elements(unpacked, order), (0, content))
        if kind != MATRIX:
            raise ValueError(f"it has an element of kind {kind} among its variables")
        parts = list(elements(content, order))
        class_, name = head(parts, order)
        if name and name in by_name:
            raise ValueError(f"it has two variables {name!r}")
        by_name[name] = (
            value(path, name, parts, order) if name in wanted else OTHERS.get(class_, "a variable")
        )
    by_name.pop("", None)  # functions leave a variable without a name
    return by_name


def elements(data: memoryview, order: str) -> Iterator[Element]:
    """Each element with its kind. Elements of up to four bytes have kind and length in a single word."""
    position, word = 0, np.dtype(f"{order}u4")
    while position < len(data):
        if position + 8 > len(data):
            raise ValueError("it breaks off between two elements")
        kind, length = map(int, np.frombuffer(data, word, 2, position))
        start = position + 8
        if kind >> 16:
            start, length, kind = position + 4, kind >> 16, kind & 0xFFFF
        if start + length > len(data) or (start == position + 4 and length > 4):
            raise ValueError(f"an element of {length:,} bytes has only {len(data) - start:,}")
        yield kind, data[start : start + length]
        position = start + length if kind == COMPRESSED else start + length + -(start + length) % 8


def decompressed(path: Path, content: memoryview, most: int) -> memoryview:
    stream = zlib.decompressobj()
    unpacked = stream.decompress(content, most + 1)
    if len(unpacked) > most:
        raise UserError(f"{path} unpacks to more than {most:,} bytes: save it with save(..., '-v6')")
    if not stream.eof:
        raise ValueError("a compressed variable breaks off")
    return memoryview(unpacked)


def head(parts: Sequence[Element], order: str) -> tuple[int, str]:
    """Class and name of a variable."""
    class_ = flags(parts, order) & 0xFF
    position = 1 if class_ == OPAQUE else 2
    if len(parts) <= position:
        raise ValueError("a variable has no name")
    return class_, bytes(parts[position][1]).rstrip(b"\0").decode("latin-1")


def flags(parts: Sequence[Element], order: str) -> int:
    return int(numbers(parts, 0, order)[0])


def numbers(parts: Sequence[Element], position: int, order: str) -> np.ndarray:
    kind, content = parts[position] if position < len(parts) else (0, memoryview(b""))
    if kind not in NUMBERS or (position < 2 and not len(content)):
        raise ValueError(f"an element is of kind {kind}, where numbers must be")
    return np.frombuffer(content, np.dtype(f"{order}{NUMBERS[kind]}"))


def value(path: Path, name: str, parts: Sequence[Element], order: str) -> Value:
    """The value of a variable: the cells of a cell array, or the matrix or the words that `cell` gives."""
    if flags(parts, order) & (COMPLEX | 0xFF) != CELLS:
        return cell(path, name, parts, order)
    cells, count = parts[3:], math.prod(shape_in(name, parts, order))
    if any(kind != MATRIX for kind, _ in cells) or len(cells) != count:
        raise ValueError(f"{name} is said to have {count} cells, and has {len(cells)}")
    return [
        cell(path, f"{name}{{{number}}}", inside, order) if inside else np.zeros((0, 0))
        for number, inside in enumerate((list(elements(content, order)) for _, content in cells), 1)
    ]


def cell(path: Path, name: str, parts: Sequence[Element], order: str) -> Cell:
    """A matrix, or words for what is none, such as a cell array within another."""
    class_ = flags(parts, order) & 0xFF
    if class_ in OTHERS or class_ > DENSE[-1] or not class_:
        return OTHERS.get(class_, "an object")
    if flags(parts, order) & COMPLEX:
        return "a matrix of complex numbers"
    shape = shape_in(name, parts, order)
    if class_ == SPARSE:
        return of_columns(path, name, parts, order, shape)
    content = numbers(parts, 3, order)
    if len(content) != math.prod(shape):
        raise ValueError(f"{name} is said to be {shape}, but has {len(content)} numbers")
    return content.reshape(shape, order="F")


def shape_in(name: str, parts: Sequence[Element], order: str) -> list[int]:
    shape = [int(length) for length in numbers(parts, 1, order)]
    if min(shape) < 0:
        raise ValueError(f"{name} is said to be {shape}")
    return shape


def of_columns(
    path: Path, name: str, parts: Sequence[Element], order: str, shape: Sequence[int]
) -> sparse.csc_matrix:
    """A sparse matrix, whose row numbers must ascend within each column."""
    rows, columns = shape if len(shape) == 2 else (0, -1)
    indices, starts = numbers(parts, 3, order), numbers(parts, 4, order)[: columns + 1]
    if flags(parts, order) & LOGICAL and len(parts) > 5 and len(parts[5][1]) < 8 * starts[-1:].sum():
        parts = [*parts[:5], (2, parts[5][1])]  # bytes, which MATLAB calls doubles here
    turned = arrays.csr(path, name, numbers(parts, 5, order), indices, starts, shape=(columns, rows))
    if not turned.has_canonical_format:
        raise ValueError(f"{name} has an entry twice, or out of order")
    return turned.T
