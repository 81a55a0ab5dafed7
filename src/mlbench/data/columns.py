"""The columns of a table, numbers or one of a few values each, made into features and label sets.

A number is a feature as it stands. A nominal attribute becomes
- one 0/1 column when its values have a meaning: 0 and 1, NO and YES, false and true, in any order;
- one 0/1 column `name=second` when it has two other values, 1 for the one declared second;
- one 0/1 column `name=value` for each of its values otherwise, be they words or numbers.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from pathlib import Path
from typing import Literal

import numpy as np
from scipy import sparse

from mlbench.data.files import refuse_more_than_room
from mlbench.data.instances import Instances
from mlbench.errors import UserError, did_you_mean

TRUTHS = {
    **{"0": 0, "no": 0, "n": 0, "false": 0, "f": 0},
    **{"1": 1, "yes": 1, "y": 1, "true": 1, "t": 1},
}
ROW_ID_VALUES = 50  # fewer declared values are a category, even where each of a few rows has its own
MISSING = ("refuse", "mean")


@dataclass(frozen=True)
class Attribute:
    """A column as its file declares it. `values` are those of a nominal attribute, in declared order."""

    name: str
    kind: Literal["number", "nominal", "text"] = "number"
    values: tuple[str, ...] = ()


@dataclass(frozen=True)
class Table:
    """The cells of a file, float32, dense or sparse; NaN is a missing one.

    A nominal cell holds the position of its value among the declared ones. That makes an entry which a
    sparse row leaves out the first declared value, as in WEKA. `place` says where a row stands in the file.
    """

    path: Path
    attributes: Sequence[Attribute]
    cells: np.ndarray | sparse.csr_matrix  # (N, A)
    place: Callable[[int], str]


def matching(names: Sequence[str], wanted: str | int) -> list[int]:
    """The columns of that name; or the one of that zero-based number, where no column's name is a number."""
    if isinstance(wanted, int) and not any(name.isdecimal() for name in names):
        return [wanted] if 0 <= wanted < len(names) else []
    return [column for column, name in enumerate(names) if name == str(wanted)]


def dropped(path: Path, names: Sequence[str], drop: Sequence[str | int]) -> set[int]:
    """The columns that `drop` names or counts."""
    columns = set()
    for wanted in [drop] if isinstance(drop, str | int) else drop:
        found = matching(names, wanted)
        if not found:
            near = did_you_mean(str(wanted), names)
            raise UserError(f"{path} has no attribute {wanted!r} to drop, of {len(names)}{near}")
        columns.update(found)
    return columns


def instances(
    table: Table, labels: Sequence[int], missing: str = "refuse", drop: Sequence[str | int] = ()
) -> Instances:
    """`labels` are columns of the table; all others are features, but for those dropped and for row ids."""
    if missing not in MISSING:
        raise UserError(f"missing={missing} is none of {', '.join(MISSING)}{did_you_mean(missing, MISSING)}")
    if sparse.issparse(table.cells):
        table = replace(table, cells=table.cells.tocsc())
    left_out = dropped(table.path, [attribute.name for attribute in table.attributes], drop)
    refuse_text(table.path, table.attributes, labels, left_out)
    declared = sorted({*range(len(table.attributes))}.difference(labels))
    kept = [column for column in declared if column not in left_out and not is_row_id(table, column)]
    attributes = [table.attributes[column] for column in kept]
    cells = table.cells[:, kept]
    holes = columns_with_holes(cells)
    if len(holes) and missing == "refuse":
        row = np.flatnonzero(np.isnan(cells_of(cells, holes[0])))[0]
        raise UserError(
            f"{table.path}, {table.place(row)}: attribute {attributes[holes[0]].name!r} has no value; "
            f"dataset.missing=mean puts in its mean, or its most frequent value"
        )
    for column in holes:
        fill(table.path, cells, column, attributes[column])
    refuse_many_columns(table.path, cells, attributes)
    blocks, names = [], []
    for block, block_names in encoded(cells, attributes):
        blocks.append(block)
        names += block_names
    return Instances(
        features=joined(blocks, cells),
        targets=label_sets(table, labels),
        labels=tuple(table.attributes[column].name for column in labels),
        feature_names=tuple(names),
        attributes=len(declared),
    )


def refuse_text(
    path: Path, attributes: Sequence[Attribute], labels: Sequence[int], left_out: set[int]
) -> None:
    """Text is neither a feature nor a label; it can only be left out, and a label cannot."""
    labels = {*labels}
    for column, attribute in enumerate(attributes):
        if column in left_out and column in labels:
            raise UserError(f"{path}: {attribute.name!r} is a label, which cannot be dropped")
        if attribute.kind == "text" and column in labels:
            raise UserError(f"{path}: label {attribute.name!r} is text; a label is 0 or 1, or NO or YES")
        if attribute.kind == "text" and column not in left_out:
            raise UserError(
                f"{path}: attribute {attribute.name!r} is text, which is no feature: "
                f"leave it out with dataset.drop=[{attribute.name!r}]"
            )


def truth(value: str) -> int | None:
    """0 or 1 for a word or a number that means one of them."""
    word = value.strip().lower()
    if word in TRUTHS:
        return TRUTHS[word]
    return {0.0: 0, 1.0: 1}.get(float(word)) if is_number(word) else None


def is_number(word: str) -> bool:
    try:
        float(word)
    except ValueError:
        return False
    return True


def truths(attribute: Attribute) -> list[int] | None:
    """What each declared value means, when all of them mean 0 or 1 and no two the same."""
    found = [truth(value) for value in attribute.values]
    return found if found and None not in found and len(set(found)) == len(found) else None


def is_row_id(table: Table, column: int) -> bool:
    """Whether a nominal attribute names rows: a value is declared for each, and none occurs twice."""
    values, rows = len(table.attributes[column].values), table.cells.shape[0]
    if values < max(rows, ROW_ID_VALUES):
        return False
    return len(np.unique(cells_of(table.cells, column))) == rows


def cells_of(cells: np.ndarray | sparse.csc_matrix, column: int) -> np.ndarray:
    """One column, dense."""
    return cells[:, [column]].toarray()[:, 0] if sparse.issparse(cells) else cells[:, column]


def columns_with_holes(cells: np.ndarray | sparse.csc_matrix) -> np.ndarray:
    """The columns in which a cell is missing."""
    if sparse.issparse(cells):
        entries = np.flatnonzero(np.isnan(cells.data))
        return np.unique(np.searchsorted(cells.indptr, entries, side="right") - 1)
    return np.flatnonzero(np.isnan(cells).any(axis=0))


def fill(path: Path, cells: np.ndarray | sparse.csc_matrix, column: int, attribute: Attribute) -> None:
    """The mean of a column of numbers, or the most frequent of its values, where it has none; in place."""
    known = cells_of(cells, column)
    known = known[~np.isnan(known)]
    if not len(known):
        raise UserError(
            f"{path}: attribute {attribute.name!r} has no value in any row: leave it out with "
            f"dataset.drop=[{attribute.name!r}]"
        )
    nominal = attribute.kind == "nominal"
    value = np.bincount(known.astype(np.int64)).argmax() if nominal else known.mean(dtype=np.float64)
    if sparse.issparse(cells):
        entries = cells.data[cells.indptr[column] : cells.indptr[column + 1]]
    else:
        entries = cells[:, column]
    entries[np.isnan(entries)] = value


def encoded(
    cells: np.ndarray | sparse.csc_matrix, attributes: Sequence[Attribute]
) -> Iterator[tuple[np.ndarray | sparse.csc_matrix, list[str]]]:
    """Blocks of feature columns with their names; neighbours that need no change stay one block."""
    for plain, run in groupby(range(len(attributes)), key=lambda column: is_plain(attributes[column])):
        columns = list(run)
        if plain:
            names = [plain_name(attributes[column]) for column in columns]
            yield cells[:, columns[0] : columns[-1] + 1], names
            continue
        for column in columns:
            attribute = attributes[column]
            positions = cells_of(cells, column).astype(np.int64)
            meaning = truths(attribute)
            if meaning is not None:
                yield np.array(meaning, dtype=np.float32)[positions][:, None], [attribute.name]
            else:
                one_hot = np.arange(len(attribute.values)) == positions[:, None]
                yield one_hot.astype(np.float32), [f"{attribute.name}={value}" for value in attribute.values]


def refuse_many_columns(
    path: Path, cells: np.ndarray | sparse.csc_matrix, attributes: Sequence[Attribute]
) -> None:
    """A declared value is short, and a column of its own for it takes a number a row."""
    counts = [
        0 if is_plain(attribute) else 1 if truths(attribute) else len(attribute.values)
        for attribute in attributes
    ]
    if not sum(counts):
        return
    most = attributes[int(np.argmax(counts))].name
    what = f"{sum(counts):,} values of words, a column for each"
    cure = f"leave out those of most values with dataset.drop=[...], as {most!r}"
    refuse_more_than_room(path, held(cells), 4 * cells.shape[0] * sum(counts), what, cure)


def held(cells: np.ndarray | sparse.csc_matrix | sparse.csr_matrix) -> int:
    """The bytes that cells take."""
    if not sparse.issparse(cells):
        return cells.nbytes
    return cells.data.nbytes + cells.indices.nbytes + 8 * max(cells.shape)


def is_plain(attribute: Attribute) -> bool:
    """Whether an attribute's cells are its feature: a number, or the position of one of two values."""
    if attribute.kind == "number" or truths(attribute) in ([0], [0, 1]):
        return True
    return len(attribute.values) == 2 and truths(attribute) is None


def plain_name(attribute: Attribute) -> str:
    if attribute.kind == "number" or truths(attribute) is not None:
        return attribute.name
    return f"{attribute.name}={attribute.values[1]}"


def joined(blocks: list, cells: np.ndarray | sparse.csc_matrix) -> np.ndarray | sparse.csr_matrix:
    """The blocks side by side, sparse when the cells are, dense otherwise."""
    blocks = blocks or [cells]
    if not sparse.issparse(cells):
        return np.ascontiguousarray(np.hstack(blocks), dtype=np.float32)
    features = sparse.hstack([sparse.csc_matrix(block) for block in blocks], format="csr", dtype=np.float32)
    features.eliminate_zeros()
    features.sort_indices()
    return features


def label_sets(table: Table, columns: Sequence[int]) -> np.ndarray:
    """(N, L), the columns in the order given; a label cell must mean 0 or 1."""
    cells = table.cells[:, columns]
    if sparse.issparse(cells):
        what = f"{cells.shape[0]:,} rows of {cells.shape[1]:,} labels"
        refuse_more_than_room(table.path, held(table.cells), 4 * math.prod(cells.shape), what)
    cells = cells.toarray() if sparse.issparse(cells) else np.array(cells)
    given = cells
    for column, attribute in enumerate(table.attributes[column] for column in columns):
        if attribute.kind == "nominal" and truths(attribute) != [0, 1]:
            meaning = [np.nan if truth(value) is None else truth(value) for value in attribute.values]
            given = cells.copy() if given is cells else given
            known = ~np.isnan(cells[:, column])
            cells[known, column] = np.array(meaning)[cells[known, column].astype(np.int64)]
    wrong = ~((cells == 0) | (cells == 1))
    if wrong.any():
        row, column = np.argwhere(wrong)[0]
        attribute, value = table.attributes[columns[column]], given[row, column]
        if np.isnan(value):
            found = "is missing"
        elif attribute.kind == "nominal":
            found = f"is {attribute.values[int(value)]!r}"
        else:
            found = f"is {value:g}"
        raise UserError(
            f"{table.path}, {table.place(row)}: label {attribute.name!r} {found}; "
            f"a label is 0 or 1, or NO or YES"
        )
    return cells.astype(np.uint8)
