"""Multi-label LIBSVM (SVMlight): rows `1,3,5 2:0.5 7:1`, in XMC repository files after a line `N d L`."""

import re
from collections.abc import Sequence
from itertools import chain
from pathlib import Path
from typing import Literal

import numpy as np
from scipy import sparse

from mlbench.data.files import NAME_BYTES, content, encoding, numbers_in, refuse_more_than_room
from mlbench.data.instances import Instances
from mlbench.errors import UserError, did_you_mean

SIZES = re.compile(r"\s*(\d{1,15})\s+(\d{1,15})\s+(\d{1,15})\s*", re.ASCII)
ROW = re.compile(r"\s*+([^\s:]++(?=\s|$)|)(.*)", re.ASCII | re.DOTALL)  # labels, pairs
LABEL = re.compile(r"\+?\d{1,15}", re.ASCII)
PAIRS = re.compile(r"(?:\d++:[^\s:]++(?:\s++|$))*+", re.ASCII)
MANY = "if that is right, say so with dataset.labels and dataset.features"
LAST = 2**53  # the largest number of a feature: float64 does not tell larger ones apart
Sizes = tuple[int, int, int]  # instances, features and labels, as a first line gives them


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
    words, texts, lines, sizes = split(path, data)
    if sizes and sizes[0] != len(texts):
        raise UserError(f"{path} has {len(texts)} rows, but its first line says {sizes[0]}: fetch it again")
    targets, names = label_sets(
        path, words, lines, labels, sizes[2] if sizes else None, first_label, len(data)
    )
    indices, values, pointers = pairs_in(path, texts, lines)
    if zero_based == "auto":
        zero_based = bool(sizes) or not len(indices) or indices.min() == 0
    first = 0 if zero_based else 1
    width = features or (sizes[1] if sizes else int(indices.max(initial=first - 1)) + 1 - first)
    if not features:
        refuse_more_than_room(path, len(data), NAME_BYTES * width, f"{width:,} features", MANY)
    outside = np.flatnonzero((indices < first) | (indices >= first + width))
    if len(outside):
        line = lines[row_of(outside[0], pointers)]
        raise UserError(
            f"{path}, line {line}: feature {indices[outside[0]]} is out of range, of {width} counted from "
            f"{first}: set dataset.features or dataset.zero_based"
        )
    matrix = sparse.csr_matrix((values, indices - first, pointers), shape=(len(texts), width))
    matrix.sort_indices()
    if not matrix.has_canonical_format:
        twice = np.flatnonzero(matrix.indices[1:] == matrix.indices[:-1]) + 1
        row = row_of(np.setdiff1d(twice, matrix.indptr)[0], matrix.indptr)
        raise UserError(f"{path}, line {lines[row]}: a feature is given twice")
    matrix.eliminate_zeros()
    return Instances(matrix, targets, names, tuple(str(number) for number in range(first, first + width)))


def split(path: Path, data: bytes) -> tuple[list[list[str]], list[str], list[int], Sizes | None]:
    """The labels, the features as text and the line of each row; and the sizes if the first line has them."""
    rows: list[tuple[list[str], str, int]] = []
    sizes: Sizes | None = None
    for number, line in enumerate(data.decode(encoding(data)).removesuffix("\n").split("\n"), 1):
        row, comment, _ = line.partition("#")
        if number == 1 and (match := SIZES.fullmatch(row)):
            sizes = int(match[1]), int(match[2]), int(match[3])
            continue
        if not row.strip() and (comment or not sizes):
            continue  # an empty line; where the number of rows is known, it is an empty row
        labels, pairs = ROW.findall(row)[0]
        rows.append(([label for label in labels.split(",") if label], pairs.strip(), number))
    while sizes and len(rows) > sizes[0] and not rows[-1][0] and not rows[-1][1]:
        rows.pop()  # an empty line after the last row
    if not rows:
        raise UserError(f"{path} has no rows: fetch it again")
    words, texts, lines = map(list, zip(*rows))
    return words, texts, lines, sizes


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


def is_number(pair: bytes) -> bool:
    number = numbers_in(pair.partition(b":")[2], " ", 1)
    with np.errstate(over="ignore"):
        return number is not None and bool(np.isfinite(number.astype(np.float32)).all())


def row_of(entry: int, pointers: np.ndarray) -> int:
    return int(np.searchsorted(pointers, entry, side="right")) - 1


def label_sets(
    path: Path,
    words: list[list[str]],
    lines: list[int],
    labels: int | Sequence[str] | None,
    announced: int | None,
    first: int | None,
    size: int,
) -> tuple[np.ndarray, tuple[str, ...]]:
    """(N, L) and the labels' names, which are their numbers in the file if no names are given.

    `announced` is the number of labels in the file's first line, `size` the file's length.
    """
    names = None if labels is None or isinstance(labels, int) else [str(name) for name in labels]
    count_given = labels if isinstance(labels, int) else len(names or ())
    occurring = set(chain.from_iterable(words))
    if names and occurring.issubset(names):
        columns = {name: column for column, name in enumerate(names)}
    else:
        strange = min((word for word in occurring if not LABEL.fullmatch(word)), default=None)
        if strange is not None:
            line_named = f"{path}, line {line_of(strange, words, lines)}"
            missing = "; give the names of all labels as dataset.labels"
            hint = did_you_mean(strange, names) if names else missing
            raise UserError(f"{line_named}: {strange[:40]!r} is no label{hint}")
        numbers = {word: int(word) for word in occurring}
        count = count_given or announced
        if first is None:
            first = first_number(path, set(numbers.values()), count, announced)
        count = count or max(numbers.values(), default=first - 1) + 1 - first
        if not count_given:
            refuse_more_than_room(path, size, count * max(len(words), NAME_BYTES), f"{count:,} labels", MANY)
        columns = {word: number - first for word, number in numbers.items()}
        names = names or [str(number) for number in range(first, first + count)]
    outside = [word for word, column in columns.items() if not 0 <= column < len(names)]
    if outside:
        raise UserError(
            f"{path}, line {line_of(outside[0], words, lines)}: label {outside[0]} is out of range: "
            f"{len(names)} are counted from {first}; set dataset.labels or dataset.first_label"
        )
    targets = np.zeros((len(words), len(names)), dtype=np.uint8)
    for row, row_words in enumerate(words):
        targets[row, [columns[word] for word in row_words]] = 1
    return targets, tuple(names)


def line_of(label: str, words: list[list[str]], lines: list[int]) -> int:
    """The first line with that label."""
    return next(line for line, row_words in zip(lines, words) if label in row_words)


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
