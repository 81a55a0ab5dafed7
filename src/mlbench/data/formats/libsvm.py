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
LABELS = re.compile(r"\s*+(?:[^\s:]++(?=\s|$))?", re.ASCII)
LABEL = re.compile(r"\+?\d{1,15}", re.ASCII)
PAIRS = re.compile(r"(?:\d++:[^\s:]++(?:\s++|$))*+", re.ASCII)
MANY = "if that is right, say so with dataset.labels and dataset.features"
LAST = 2**53  # the largest number of a feature: float64 does not tell larger ones apart


def read(
    path: Path,
    labels: int | Sequence[str] | None = None,
    features: int | None = None,
    zero_based: bool | Literal["auto"] = "auto",
    first_label: int | None = None,
) -> Instances:
    """Sparse features, and the label sets before them.

    `labels`: how many there are, or their names; `features`: how many there are. None: as the first line
    says, or as many as occur. Features are counted from 0 when there is such a line or when feature 0 occurs,
    else from 1, and labels likewise; what an `auto` guesses from one part of a data set can be wrong for
    another, so for parts say `zero_based`, and 0 or 1 as `first_label`.
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


def split(
    path: Path, data: bytes
) -> tuple[list[list[str]], list[str], list[int], tuple[int, int, int] | None]:
    """Each row's labels, its features as text and its line, and (N, d, L) when the first line says them."""
    words, texts, lines, sizes = [], [], [], None
    for number, line in enumerate(data.decode(encoding(data)).removesuffix("\n").split("\n"), 1):
        row, comment, _ = line.partition("#")
        found = SIZES.fullmatch(row) if number == 1 else None
        if found:
            sizes = tuple(int(size) for size in found.groups())
            continue
        if not row.strip() and (comment or not sizes):
            continue  # where the number of rows is known, an empty line is a row with nothing in it
        found = LABELS.match(row)
        words.append([word for word in found[0].strip().split(",") if word])
        texts.append(row[found.end() :].strip())
        lines.append(number)
    while sizes and len(texts) > sizes[0] and not texts[-1] and not words[-1]:
        texts.pop(), words.pop(), lines.pop()  # empty lines after the last row
    if not texts:
        raise UserError(f"{path} has no rows: fetch it again")
    return words, texts, lines, sizes


def pairs_in(path: Path, texts: list[str], lines: list[int]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Feature numbers, values, and where each row of them begins."""
    for text, line in zip(texts, lines):
        if not PAIRS.fullmatch(text):
            raise UserError(f"{path}, line {line}: {text[:40]!r} is not of the form 2:0.5 7:1")
    pointers = np.cumsum([0] + [text.count(":") for text in texts])
    numbers = numbers_in(" ".join(texts).replace(":", " ").encode(), " ", 2 * int(pointers[-1]))
    with np.errstate(over="ignore"):
        values = None if numbers is None else numbers[1::2].astype(np.float32)
    if values is None or not np.isfinite(values).all():
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
    said: int | None,
    first: int | None,
    size: int,
) -> tuple[np.ndarray, tuple[str, ...]]:
    """(N, L) and the labels' names, which are their numbers in the file when no names are given."""
    names = None if labels is None or isinstance(labels, int) else [str(name) for name in labels]
    occurring = set(chain.from_iterable(words))
    if names and occurring.issubset(names):
        places = {name: place for place, name in enumerate(names)}
    else:
        strange = min((word for word in occurring if not LABEL.fullmatch(word)), default=None)
        if strange is not None:
            row = next(row for row, row_words in enumerate(words) if strange in row_words)
            hint = (
                did_you_mean(strange, names) if names else "; give the names of all labels as dataset.labels"
            )
            raise UserError(f"{path}, line {lines[row]}: {strange[:40]!r} is no label{hint}")
        numbers = {word: int(word) for word in occurring}
        count = len(names) if names else labels or said
        if first is None:
            first = first_number(path, set(numbers.values()), count, said)
        count = count or max(numbers.values(), default=first - 1) + 1 - first
        if not labels:
            refuse_more_than_room(path, size, count * max(len(words), NAME_BYTES), f"{count:,} labels", MANY)
        places = {word: number - first for word, number in numbers.items()}
        names = names or [str(number) for number in range(first, first + count)]
    outside = [word for word, place in places.items() if not 0 <= place < len(names)]
    if outside:
        row = next(row for row, row_words in enumerate(words) if outside[0] in row_words)
        raise UserError(
            f"{path}, line {lines[row]}: label {outside[0]} is out of range: {len(names)} are counted from "
            f"{first}; set dataset.labels or dataset.first_label"
        )
    targets = np.zeros((len(words), len(names)), dtype=np.uint8)
    for row, row_words in enumerate(words):
        targets[row, [places[word] for word in row_words]] = 1
    return targets, tuple(names)


def first_number(path: Path, numbers: set[int], count: int | None, said: int | None) -> int:
    """From which number, 0 or 1, the labels are counted, by those that occur."""
    if said or not numbers or 0 in numbers:
        return 0
    if count and max(numbers) < count:
        raise UserError(
            f"{path} has neither label 0 nor label {count}, so it does not show whether its labels are "
            f"counted from 0 or from 1: set dataset.first_label"
        )
    return 1
