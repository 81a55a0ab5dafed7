"""The rows of ARFF files, dense and sparse.

Rows of numbers are parsed a few megabytes at a time, without a Python loop. A block of the file that holds
anything else (a word, a quote, a comment, a missing value, a mistake) is parsed row by row, by functions that
know all rules of the format and name the line that breaks a rule.
"""

import math
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from scipy import sparse

from mlbench.data.arrays import shape_of
from mlbench.data.columns import Attribute
from mlbench.data.files import Block, numbers_in
from mlbench.errors import UserError, did_you_mean

FLOAT32_OVERFLOW = 2.0**128 - 2.0**103  # the least number that float32 rounds to infinity
# Possessive repeats (*+) never backtrack, so that the time for a row is proportional to its length.
QUOTED = r"'(?:[^'\\]|\\.)*+'|\"(?:[^\"\\]|\\.)*+\""
SKIPPED = rf"\\['\"]|{QUOTED}"  # an escaped quote outside of quotes begins nothing
FIELD = re.compile(rf"\s*+((?:{QUOTED})(?=\s*+,)|[^,]*+)\s*+,")
COMMENT = re.compile(rf"{SKIPPED}|(?:^|(?<=\s))%")
WORD = re.compile(rf"{QUOTED}|\S+")
ENTRY = re.compile(rf"\s*+([^\s,]++)\s++((?:{QUOTED})(?=\s*+(?:,|$))|[^,]*+)\s*+(?:,|$)")
Cells = np.ndarray | sparse.csr_matrix
CellReader = Callable[[str | None], float]


# Words and quotes


def uncommented(line: str) -> str:
    """A line up to the first % outside quotes that begins the line or follows white space."""
    if "%" in line:
        for match in COMMENT.finditer(line):
            if match[0] == "%":
                return line[: match.start()]
    return line


def unquoted(text: str) -> str:
    """A name or value without its quotes and with its escapes undone."""
    if len(text) < 2 or text[0] not in "'\"" or text[-1] != text[0]:
        return text
    controls = {"n": "\n", "r": "\r", "t": "\t"}
    return re.sub(r"\\(.)", lambda escape: controls.get(escape[1], escape[1]), text[1:-1])


def value_of(text: str) -> str | None:
    """A value without quotes; None for ? without quotes, which stands for a missing value."""
    text = text.strip()
    return None if text == "?" else unquoted(text)


def fields(row: str) -> list[str | None]:
    """The values of a row, separated by commas, or by white space in a row without commas, as in WEKA."""
    if "'" not in row and '"' not in row:
        texts = row.split(",") if "," in row else row.split()
        return [value_of(text) for text in texts]
    if "," not in re.sub(SKIPPED, "", row):
        return [value_of(text) for text in WORD.findall(row)]
    return [value_of(text) for text in FIELD.findall(row + ",")]


# The rows


def rows(
    path: Path, blocks: Iterable[Block], encoding: str, attributes: Sequence[Attribute]
) -> Iterator[tuple[Block, Cells]]:
    """The cells of the rows, float32, block by block; refused where there are none."""
    limits = np.array([position_limit(attribute) for attribute in attributes], dtype=np.float64)
    readers = [cell_reader(attribute) for attribute in attributes]
    is_sparse, found = None, False
    for block in blocks:
        if is_sparse is None:
            if not (first := first_row(block.data)):
                continue
            is_sparse = first.startswith(b"{")
        cells = sparse_numbers(block.data, limits) if is_sparse else dense_numbers(block.data, limits)
        if cells is None:
            lines = block.data.decode(encoding).split("\n")
            cells = careful_rows(path, lines, block.line, readers, is_sparse)
        if shape_of(cells)[0]:
            found = True
            yield block, cells
    if not found:
        raise UserError(f"{path} has no rows after @data: it was cut off: fetch it again")


def words_in(text: str, column: int) -> Iterator[str]:
    """A column of rows that were parsed before, as text."""
    for line in text.split("\n"):
        if not (row := uncommented(line).strip()):
            continue
        if row.startswith("{"):
            entries = (entry.groups() for entry in ENTRY.finditer(row[1:-1].strip()))
            word = next((value_of(value) for position, value in entries if float(position) == column), None)
        else:
            word = fields(row)[column]
        yield word or ""


def is_row(line: bytes) -> bool:
    line = line.strip()
    return bool(line) and not line.startswith(b"%")


def first_row(piece: bytes) -> bytes:
    return next((line.strip() for line in piece.splitlines() if is_row(line)), b"")


def line_of(data: bytes, first: int, row: int) -> int:
    """The line on which a row stands, of data that begin with line `first`. This is slow: only errors ask."""
    numbers = (number for number, line in enumerate(data.split(b"\n"), first) if is_row(line))
    return next(islice(numbers, row, None))


# The quick way: numbers only; None where a piece holds anything else

NUMBER_MARK, PAIR_MARK, STRANGE_MARK = ord("W"), ord("P"), ord("?")
MARKS = np.full(256, STRANGE_MARK, dtype=np.uint8)
MARKS[list(b"0123456789+-.eE")] = NUMBER_MARK
MARKS[list(b"{},\n")] = list(b"{},\n")
MARKS[list(b" \t\r")] = 0
# Which mark may follow which in rows such as {3 1,17 0.5}
FOLLOWS = np.zeros((256, 256), dtype=bool)
for first, second in ("\n\n", "\n{", "{}", "{P", "P,", ",P", "P}", "}\n"):
    FOLLOWS[ord(first), ord(second)] = True
PUNCTUATION_TO_SPACE = bytes.maketrans(b"{},", b"   ")


def position_limit(attribute: Attribute) -> float:
    """The limit below which a whole number is its own position among the declared values 0, 1, 2 ...

    Infinite for an attribute that is not nominal; 0 for a nominal one whose values are not 0, 1, 2 ...
    """
    if attribute.kind != "nominal":
        return math.inf
    count = len(attribute.values)
    return count if attribute.values == tuple(str(number) for number in range(count)) else 0


def fits(numbers: np.ndarray, limits: np.ndarray) -> bool:
    """Whether numbers under nominal attributes are positions of their values."""
    nominal = np.isfinite(limits)
    if not nominal.any():
        return True
    nominal, numbers, limits = np.broadcast_arrays(nominal, numbers, limits)
    numbers, limits = numbers[nominal], limits[nominal]
    return bool(((numbers >= 0) & (numbers < limits) & (numbers == np.floor(numbers))).all())


def single(numbers: np.ndarray) -> np.ndarray | None:
    """The numbers as float32 if all are finite in float32, else None."""
    with np.errstate(over="ignore"):
        numbers = numbers.astype(np.float32)
    return numbers if np.isfinite(numbers).all() else None


def dense_numbers(piece: bytes, limits: np.ndarray) -> np.ndarray | None:
    lines = piece.replace(b"\r\n", b"\n").strip(b"\n")
    marks = MARKS[np.frombuffer(lines, dtype=np.uint8)]
    ends = np.append(np.flatnonzero(marks == ord("\n")), len(marks))
    commas = np.searchsorted(np.flatnonzero(marks == ord(",")), ends)
    if (np.diff(commas, prepend=0) != len(limits) - 1).any():
        return None
    numbers = numbers_in(lines.replace(b"\n", b","), " , ", len(ends) * len(limits))
    if numbers is None or not fits(numbers.reshape(-1, len(limits)), limits):
        return None
    numbers = single(numbers)
    return None if numbers is None else numbers.reshape(-1, len(limits))


def sparse_numbers(piece: bytes, limits: np.ndarray) -> sparse.csr_matrix | None:
    marks = MARKS[np.frombuffer(b"\n" + piece + b"\n", dtype=np.uint8)]
    number = marks == NUMBER_MARK
    keep = marks != 0
    keep[1:] &= ~(number[1:] & number[:-1])  # a number of several characters keeps one mark
    marks = marks[keep]
    marks = np.frombuffer(marks.tobytes().replace(b"WW", b"P"), dtype=np.uint8)
    if not FOLLOWS[marks[:-1], marks[1:]].all():
        return None
    pairs = np.cumsum(marks == PAIR_MARK)
    count = int(pairs[-1])
    numbers = numbers_in(piece.translate(PUNCTUATION_TO_SPACE), " ", 2 * count)
    if numbers is None:
        return None
    indices, values = numbers[0::2], single(numbers[1::2])
    inside = (indices >= 0) & (indices < len(limits)) & (indices == np.floor(indices))
    if values is None or not inside.all():
        return None
    indices = indices.astype(np.int32)
    if not fits(numbers[1::2], limits[indices]):
        return None
    pointers = np.append(0, pairs[marks == ord("}")])
    matrix = sparse.csr_matrix((values, indices, pointers), shape=(len(pointers) - 1, len(limits)))
    matrix.sort_indices()
    return matrix if matrix.has_canonical_format else None  # else a row names an attribute twice


# The careful way: row by row


def careful_rows(
    path: Path, lines: list[str], number: int, readers: list[CellReader], is_sparse: bool
) -> Cells:
    """The cells of some lines, of which the first is line `number` of the file."""
    parse = sparse_row if is_sparse else dense_row
    parsed: list[Any] = []
    for line_number, line in enumerate(lines, number):
        line = uncommented(line).strip()
        if line:
            try:
                parsed.append(parse(line, readers))
            except ValueError as error:
                raise UserError(f"{path}, line {line_number}: {error}") from error
    if not is_sparse:
        return np.array(parsed, dtype=np.float32).reshape(-1, len(readers))
    pointers = np.cumsum([0] + [len(row) for row in parsed])
    indices = np.array([index for row in parsed for index in row], dtype=np.int32)
    values = np.array([value for row in parsed for value in row.values()], dtype=np.float32)
    return sparse.csr_matrix((values, indices, pointers), shape=(len(parsed), len(readers)))


def dense_row(line: str, readers: list[CellReader]) -> list[float]:
    if line.startswith("{"):
        raise ValueError("a sparse row in a file that began with dense ones")
    texts = fields(line)
    if len(texts) != len(readers):
        raise ValueError(
            f"{len(texts)} values for {len(readers)} attributes: the row is cut, or lacks a quote"
        )
    return [reader(text) for reader, text in zip(readers, texts)]


def sparse_row(line: str, readers: list[CellReader]) -> dict[int, float]:
    """The values of a row by column."""
    if not line.startswith("{") or not line.endswith("}"):
        raise ValueError("no braces around a sparse row, as in {3 1,17 0.5}: it is cut, or a dense one")
    body, row, start = line[1:-1].strip(), {}, 0
    while start < len(body):
        entry = ENTRY.match(body, start)
        if not entry or not entry[2].strip() or not is_whole(entry[1]):
            raise ValueError(f"{body[start : start + 20]!r} is no column number and value")
        column, start = int(float(entry[1])), entry.end()
        if not 0 <= column < len(readers):
            raise ValueError(
                f"column {entry[1][:20]} is out of range: {len(readers)} attributes, counted from 0"
            )
        if column in row:
            raise ValueError(f"column {column} is given twice")
        row[column] = readers[column](value_of(entry[2]))
    return row


def is_whole(text: str) -> bool:
    number = number_or_none(text)
    return number is not None and number.is_integer() and "_" not in text


def cell_reader(attribute: Attribute) -> CellReader:
    """A function that makes a cell of an attribute's text, or raises a ValueError that says why it cannot."""
    if attribute.kind == "text":
        return lambda text: 0.0
    name = attribute.name
    if attribute.kind == "number":
        return lambda text: number_in(text, name)
    positions: dict[str | None, float] = {
        value: float(position) for position, value in enumerate(attribute.values)
    }
    numbers = {number_or_none(value): float(p) for p, value in reversed([*enumerate(attribute.values)])}
    numbers.pop(None, None)
    positions[None] = math.nan

    def position_of(text: str | None) -> float:
        if text is not None and text not in positions:
            number = number_or_none(text)
            if number not in numbers:
                raise ValueError(undeclared(text, attribute))
            positions[text] = numbers[number]  # the same number in other digits, as 1.0 for 1
        return positions[text]

    return position_of


def number_in(text: str | None, name: str) -> float:
    if text is None:
        return math.nan
    number = number_or_none(text)
    if number is None or not abs(number) < FLOAT32_OVERFLOW or "_" in text:
        raise ValueError(f"{text[:40]!r} is no finite number, which attribute {name!r} must be")
    return number


def number_or_none(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def undeclared(text: str, attribute: Attribute) -> str:
    some = ", ".join(attribute.values[:5]) + (", ..." if len(attribute.values) > 5 else "")
    near = did_you_mean(text, attribute.values)
    return f"{text[:40]!r} is no value of attribute {attribute.name!r}, which has {some}{near}"
