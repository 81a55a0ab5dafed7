"""Multi-label LIBSVM (SVMlight): rows `1,3,5 2:0.5 7:1`, in XMC repository files after a line `N d L`."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
from scipy import sparse

from mlbench.data.files import (
    NAME_BYTES,
    blocks,
    content,
    encoding,
    numbers_in,
    refuse_more_than_room,
)
from mlbench.data.instances import Instances
from mlbench.errors import UserError, did_you_mean

SIZES = re.compile(r"\s*(\d{1,15})\s+(\d{1,15})\s+(\d{1,15})\s*", re.ASCII)
ROW = re.compile(r"\s*+([^\s:]++(?=\s|$)|)(.*)", re.ASCII | re.DOTALL)  # labels, pairs
LABEL = re.compile(r"\+?\d{1,15}", re.ASCII)
PAIRS = re.compile(r"(?:\d++:[^\s:]++(?:\s++|$))*+", re.ASCII)
ZERO = re.compile(r"(?<!\S)0+:", re.ASCII)  # a feature's number
WHITE = " \t\r\f\v"
MANY = "if that is right, say so with dataset.labels and dataset.features"
LAST = 2**53  # the largest number of a feature: float64 does not tell larger ones apart
Sizes = tuple[int, int, int]  # instances, features and labels, as a first line gives them


class Rows(NamedTuple):
    """Some rows of a file."""

    words: list[list[str]]  # the labels of each row
    texts: list[str]  # its features
    lines: list[int]  # the line where it stands
    sizes: Sizes | None  # that the file's first line has

    def first(self, count: int) -> "Rows":
        return Rows(self.words[:count], self.texts[:count], self.lines[:count], self.sizes)


class Facts(NamedTuple):
    """What all rows of a file together say of each of them."""

    count: int  # of rows
    sizes: Sizes | None
    first_lines: dict[str, int]  # label → the first line with it
    zero: bool  # whether features are counted from 0


def read(
    path: Path,
    labels: int | Sequence[str] | None = None,
    features: int | None = None,
    zero_based: bool | Literal["auto"] = "auto",
    first_label: int | None = None,
) -> Instances:
    """Sparse features, and the label sets before them.

    `labels`: their number or their names; `features`: their number. With None the first line says how many,
    or as many as occur. Features are counted from 0 if there is such a line or if feature 0 occurs, else from
    1, and labels likewise. This may be true of one part of a data set and wrong for another, so for parts set
    `zero_based`, and `first_label` to 0 or 1.
    """
    data = content(path)
    text = data.decode(encoding(data))
    sizes = sizes_in(text)
    rows = rows_in(text, 1, sizes)
    facts = facts_of(path, [rows], zero_based)
    rows = rows.first(facts.count)
    columns, names = label_columns(path, facts, labels, first_label, len(data))
    indices, values, pointers = pairs_in(path, rows.texts, rows.lines)
    first = 0 if facts.zero else 1
    width = features or (sizes[1] if sizes else int(indices.max(initial=first - 1)) + 1 - first)
    if not features:
        refuse_more_than_room(path, len(data), NAME_BYTES * width, f"{width:,} features", MANY)
    matrix = matrix_of(path, rows.lines, indices, values, pointers, first, width)
    feature_names = tuple(str(number) for number in range(first, first + width))
    return Instances(matrix, targets_of(rows.words, columns, len(names)), names, feature_names)


def in_pieces(
    path: Path, labels: Sequence[str], features: int, zero_based: bool | Literal["auto"], at_once: int
) -> Iterator[tuple[sparse.csr_matrix, np.ndarray | None]]:
    """Features and targets of a few megabytes of the file, and of at most so many lines, after the other,
    each as `read` has them of the whole file, which may be larger than the memory. The file is read twice:
    whether labels are names, and from where they and features are counted, all rows say together. The
    targets are None where no row has a label.
    """
    used = "utf-8"
    try:
        facts = facts_of(path, all_rows(path, used, at_once), zero_based)
    except UnicodeDecodeError:
        used = "latin-1"
        facts = facts_of(path, all_rows(path, used, at_once), zero_based)
    columns, names = label_columns(path, facts, labels, None, path.stat().st_size)
    first, left = 0 if facts.zero else 1, facts.count
    for rows in all_rows(path, used, at_once):
        rows = rows.first(left)
        left -= len(rows.lines)
        if rows.lines:
            indices, values, pointers = pairs_in(path, rows.texts, rows.lines)
            matrix = matrix_of(path, rows.lines, indices, values, pointers, first, features)
            yield matrix, targets_of(rows.words, columns, len(names)) if facts.first_lines else None


def all_rows(path: Path, encoding: str, at_once: int) -> Iterator[Rows]:
    sizes = None
    for block in blocks(path, lines=at_once):
        text = block.data.decode(encoding)
        sizes = sizes_in(text) if block.line == 1 else sizes
        yield rows_in(text, block.line, sizes)


def sizes_in(text: str) -> Sizes | None:
    """The sizes, if the first line has them."""
    match = SIZES.fullmatch(text.partition("\n")[0].partition("#")[0])
    return (int(match[1]), int(match[2]), int(match[3])) if match else None


def rows_in(text: str, first: int, sizes: Sizes | None) -> Rows:
    """The rows of some lines of a file, of which the first is line `first`."""
    rows: list[tuple[list[str], str, int]] = []
    for number, line in enumerate(text.removesuffix("\n").split("\n"), first):
        row, comment, _ = line.partition("#")
        if number == 1 and sizes:
            continue
        if not row.strip() and (comment or not sizes):
            continue  # an empty line; where the number of rows is known, it is an empty row
        labels, pairs = ROW.findall(row)[0]
        rows.append(([label for label in labels.split(",") if label], pairs.strip(), number))
    words, texts, lines = map(list, zip(*rows)) if rows else ([], [], [])
    return Rows(words, texts, lines, sizes)


def facts_of(path: Path, pieces: Iterable[Rows], zero_based: bool | Literal["auto"]) -> Facts:
    """What the pieces of a file say together; refused where they are no rows, or others than announced."""
    count = filled = 0
    sizes, zero, some = None, zero_based is True, False
    first_lines: dict[str, int] = {}
    for rows in pieces:
        sizes = rows.sizes
        for number, (words, text, line) in enumerate(zip(rows.words, rows.texts, rows.lines), count + 1):
            for word in words:
                first_lines.setdefault(word, line)
            if words or text:
                filled = number
        count += len(rows.lines)
        some = some or any(rows.texts)
        if zero_based == "auto" and not zero:
            zero = bool(sizes) or has_zero(" ".join(["", *rows.texts]))
    if sizes:
        count = min(count, max(filled, sizes[0]))  # empty lines after the last row
    if not count:
        raise UserError(f"{path} has no rows: fetch it again")
    if sizes and sizes[0] != count:
        raise UserError(f"{path} has {count} rows, but its first line says {sizes[0]}: fetch it again")
    return Facts(count, sizes, first_lines, zero or (zero_based == "auto" and not some))


def has_zero(text: str) -> bool:
    """Whether a feature 0 occurs, each feature after white space."""
    marks = [mark for mark in WHITE if mark in text]
    if any(f"{mark}0:" in text for mark in marks):
        return True
    return any(f"{mark}00" in text for mark in marks) and bool(ZERO.search(text))


def pairs_in(path: Path, texts: list[str], lines: list[int]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Feature numbers, values, and the place at which each row begins."""
    for text, line in zip(texts, lines):
        if not PAIRS.fullmatch(text):
            raise UserError(f"{path}, line {line}: {text[:40]!r} is not of the form 2:0.5 7:1")
    pointers = np.cumsum([0] + [text.count(":") for text in texts])
    numbers = numbers_in(" ".join(texts).replace(":", " ").encode(), " ", 2 * int(pointers[-1]))
    with np.errstate(over="ignore"):
        values = np.array([np.nan]) if numbers is None else numbers[1::2].astype(np.float32)
    if numbers is None or not np.isfinite(values).all():
        line, pair = next(
            (line, pair)
            for text, line in zip(texts, lines)
            for pair in text.encode().split()
            if not is_number(pair)
        )
        shown = pair.decode()[:40]
        raise UserError(f"{path}, line {line}: the value of {shown!r} is no finite number")
    indices = numbers[0::2]
    if (large := np.flatnonzero(indices > LAST)).size:
        line = lines[row_of(large[0], pointers)]
        raise UserError(f"{path}, line {line}: feature {indices[large[0]]:g} is out of range")
    return indices.astype(np.int64), values, pointers


def matrix_of(
    path: Path,
    lines: list[int],
    indices: np.ndarray,
    values: np.ndarray,
    pointers: np.ndarray,
    first: int,
    width: int,
) -> sparse.csr_matrix:
    """(n, width) of features that are counted from `first`."""
    outside = np.flatnonzero((indices < first) | (indices >= first + width))
    if len(outside):
        line = lines[row_of(outside[0], pointers)]
        raise UserError(
            f"{path}, line {line}: feature {indices[outside[0]]} is out of range, of {width} counted from "
            f"{first}: set dataset.features or dataset.zero_based"
        )
    matrix = sparse.csr_matrix((values, indices - first, pointers), shape=(len(lines), width))
    matrix.sort_indices()
    if not matrix.has_canonical_format:
        twice = np.flatnonzero(matrix.indices[1:] == matrix.indices[:-1]) + 1
        row = row_of(np.setdiff1d(twice, matrix.indptr)[0], matrix.indptr)
        raise UserError(f"{path}, line {lines[row]}: a feature is given twice")
    matrix.eliminate_zeros()
    return matrix


def is_number(pair: bytes) -> bool:
    number = numbers_in(pair.partition(b":")[2], " ", 1)
    with np.errstate(over="ignore"):
        return number is not None and bool(np.isfinite(number.astype(np.float32)).all())


def row_of(entry: int, pointers: np.ndarray) -> int:
    return int(np.searchsorted(pointers, entry, side="right")) - 1


def label_columns(
    path: Path, facts: Facts, labels: int | Sequence[str] | None, first: int | None, size: int
) -> tuple[dict[str, int], tuple[str, ...]]:
    """The column of each label that occurs, and the labels' names, which are their numbers in the file if no
    names are given. `size` is the file's length.
    """
    names = None if labels is None or isinstance(labels, int) else [str(name) for name in labels]
    count_given = labels if isinstance(labels, int) else len(names or ())
    occurring, announced = facts.first_lines, facts.sizes[2] if facts.sizes else None
    if names and occurring.keys() <= {*names}:
        columns = {name: column for column, name in enumerate(names)}
    else:
        if words := [word for word in occurring if not LABEL.fullmatch(word)]:
            known = {*(names or ())}
            unknown = [word for word in occurring if word not in known]
            strange = next((word for word in words if word not in known), unknown[0])
            line_named = f"{path}, line {occurring[strange]}"
            missing = "; give the names of all labels as dataset.labels"
            hint = did_you_mean(strange, names) if names else missing
            raise UserError(f"{line_named}: {strange[:40]!r} is no label{hint}")
        numbers = {word: int(word) for word in occurring}
        count = count_given or announced
        if first is None:
            first = first_number(path, set(numbers.values()), count, announced)
        count = count or max(numbers.values(), default=first - 1) + 1 - first
        if not count_given:
            refuse_more_than_room(path, size, count * max(facts.count, NAME_BYTES), f"{count:,} labels", MANY)
        columns = {word: number - first for word, number in numbers.items()}
        names = names or [str(number) for number in range(first, first + count)]
    outside = [word for word, column in columns.items() if not 0 <= column < len(names)]
    if outside:
        raise UserError(
            f"{path}, line {occurring[outside[0]]}: label {outside[0]} is out of range: "
            f"{len(names)} are counted from {first}; set dataset.labels or dataset.first_label"
        )
    return columns, tuple(names)


def targets_of(words: list[list[str]], columns: Mapping[str, int], count: int) -> np.ndarray:
    """(n, count) zeros and ones."""
    targets = np.zeros((len(words), count), dtype=np.uint8)
    for row, row_words in enumerate(words):
        targets[row, [columns[word] for word in row_words]] = 1
    return targets


def first_number(path: Path, numbers: set[int], count: int | None, announced: int | None) -> int:
    """The number, 0 or 1, from which the occurring labels are counted."""
    if announced or not numbers or 0 in numbers:
        return 0
    if count and max(numbers) < count:
        raise UserError(
            f"{path} has neither label 0 nor label {count}, so it does not show whether its labels are "
            f"counted from 0 or from 1: set dataset.first_label"
        )
    return 1
