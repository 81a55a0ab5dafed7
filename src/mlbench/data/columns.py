"""Makes features and label sets of the columns of a table.

A column of numbers is a feature as it stands. A nominal attribute becomes
- one 0/1 column when its values have a meaning: 0 and 1, NO and YES, false and true, in any order;
- one 0/1 column `name=second` when it has two other values, 1 for the one declared second;
- one 0/1 column `name=value` for each of its values otherwise, be they words or numbers.
"""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from pathlib import Path
from typing import Any, Literal

import numpy as np
from scipy import sparse

from mlbench.data.arrays import shape_of
from mlbench.data.files import refuse_more_than_room
from mlbench.data.instances import Instances
from mlbench.errors import UserError, did_you_mean

TRUTHS = {
    **{"0": 0, "no": 0, "n": 0, "false": 0, "f": 0},
    **{"1": 1, "yes": 1, "y": 1, "true": 1, "t": 1},
}
# A column with fewer declared values is a category, even if each of a few rows has another value.
ROW_ID_VALUES = 50
MISSING = ("refuse", "mean")
LATER = "later"  # not for a person to choose
Columns = np.ndarray | sparse.csc_matrix
Kind = Literal["number", "nominal", "text"]


@dataclass(frozen=True)
class Attribute:
    """A column as its file declares it. `values` are those of a nominal attribute, in declared order."""

    name: str
    kind: Kind = "number"
    values: tuple[str, ...] = ()


@dataclass(frozen=True)
class ParsedTable:
    """The cells of a file, float32, dense or sparse; NaN stands for a missing cell.

    A nominal cell holds the position of its value among the declared ones. So an entry that a sparse row
    leaves out is the first declared value, as in WEKA. `line` names the line of a row, for messages.
    """

    path: Path
    attributes: Sequence[Attribute]
    cells: np.ndarray | sparse.csr_matrix  # (N, A)
    line: Callable[[int], str]


def matching(names: Sequence[str], wanted: str | int) -> list[int]:
    """The columns named `wanted`; where no name is a number, the column of that zero-based number."""
    if isinstance(wanted, int) and not any(name.isdecimal() for name in names):
        return [wanted] if 0 <= wanted < len(names) else []
    return [column for column, name in enumerate(names) if name == str(wanted)]


def dropped(path: Path, names: Sequence[str], drop: Sequence[str | int]) -> set[int]:
    """The columns that `drop` names or counts."""
    columns: set[int] = set()
    named: dict[str, list[int]] = {}
    for column, name in enumerate(names):
        named.setdefault(name, []).append(column)
    for wanted in [drop] if isinstance(drop, str | int) else drop:
        matches = named.get(wanted) if isinstance(wanted, str) else matching(names, wanted)
        if not matches:
            near = did_you_mean(str(wanted), names)
            raise UserError(f"{path} has no attribute {wanted!r} to drop, of {len(names)}{near}")
        columns.update(matches)
    return columns


def with_values(table: ParsedTable, values: Mapping[str, Sequence[str]]) -> ParsedTable:
    """The table with nominal attributes whose values are these, in this order; a cell of another one is
    refused.
    """
    attributes, cells = [*table.attributes], table.cells
    for column, attribute in enumerate(attributes):
        wanted = tuple(values.get(attribute.name, attribute.values))
        if attribute.kind != "nominal" or wanted == attribute.values:
            continue
        known = {value: place for place, value in enumerate(wanted)}
        place = np.array([known.get(value, -1) for value in attribute.values], np.float32)
        found = np.array(cells_of(cells, column))
        whole = ~np.isnan(found)
        found[whole] = place[found[whole].astype(np.int64)]
        if len(strange := np.flatnonzero(found < 0)):
            row = int(strange[0])
            word = attribute.values[int(cells_of(table.cells, column)[row])]
            raise UserError(
                f"{table.path}, {table.line(row)}: column {attribute.name!r} is {word}, which training never "
                f"saw; it knows {', '.join(wanted[:10])}{did_you_mean(word, wanted)}"
            )
        attributes[column] = replace(attribute, values=wanted)
        cells = with_column(cells.copy() if cells is table.cells else cells, column, found)
    return replace(table, attributes=attributes, cells=cells)


def with_column(cells: Any, column: int, found: np.ndarray) -> Any:
    """The cells with another column in the place of this one; dense cells are changed."""
    if isinstance(cells, np.ndarray):
        cells[:, column] = found
        return cells
    parts = [cells[:, :column], sparse.csr_matrix(found[:, None]), cells[:, column + 1 :]]
    return sparse.csr_matrix(sparse.hstack(parts, format="csr"))


def instances(
    table: ParsedTable,
    labels: Sequence[int],
    missing: str = "refuse",
    drop: Sequence[str | int] = (),
    features: Collection[str] = (),
) -> Instances:
    """`labels` are columns of the table; all other columns are features, except dropped ones and row ids.
    What `features` names is no row id, whatever is in it.
    """
    if missing not in (*MISSING, LATER):
        raise UserError(f"missing={missing} is none of {', '.join(MISSING)}{did_you_mean(missing, MISSING)}")
    table_cells = table.cells if isinstance(table.cells, np.ndarray) else sparse.csc_matrix(table.cells)
    left_out = dropped(table.path, [attribute.name for attribute in table.attributes], drop)
    refuse_text(table.path, table.attributes, labels, left_out)
    declared = sorted({*range(len(table.attributes))}.difference(labels))
    kept = [
        column
        for column, attribute in ((column, table.attributes[column]) for column in declared)
        if column not in left_out
        and (attribute.name in features or not is_row_id(table_cells, column, attribute))
    ]
    attributes = [table.attributes[column] for column in kept]
    cells: Columns = table_cells[:, kept]
    holes = columns_with_holes(cells)
    if len(holes) and missing == "refuse":
        row = np.flatnonzero(np.isnan(cells_of(cells, holes[0])))[0]
        raise UserError(
            f"{table.path}, {table.line(int(row))}: attribute {attributes[holes[0]].name!r} has no value; "
            f"dataset.missing=mean puts in the mean, or the most frequent value, of training rows"
        )
    gaps = {attributes[column].name: np.flatnonzero(np.isnan(cells_of(cells, column))) for column in holes}
    for column in holes:
        fill(table.path, cells, column, attributes[column], missing)
    refuse_many_columns(table.path, cells, attributes)
    blocks, names = [], []
    for block, block_names in encoded(cells, attributes):
        blocks.append(block)
        names += block_names
    return Instances(
        features=joined(blocks, cells),
        targets=label_sets(table, table_cells, labels),
        labels=tuple(table.attributes[column].name for column in labels),
        feature_names=tuple(names),
        attributes=len(declared),
        values={each.name: each.values for each in attributes if is_of_words(each)},
        gaps=gaps,
    )


def refuse_text(
    path: Path, attributes: Sequence[Attribute], labels: Sequence[int], left_out: set[int]
) -> None:
    """Refuses dropped labels, and text that is not dropped: text is neither a feature nor a label."""
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
    """0 or 1 for a word or a number that means one of them, else None."""
    word = value.strip().lower()
    if word in TRUTHS:
        return TRUTHS[word]
    return {0.0: 0, 1.0: 1}.get(float(word)) if is_number(word) else None


def is_number(word: str) -> bool:
    """Whether a word is a number in a file: Python's 1_0 and digits of other scripts are none."""
    try:
        float(word)
    except ValueError:
        return False
    return word.isascii() and "_" not in word


def truths(attribute: Attribute) -> list[int] | None:
    """The meaning of each declared value, if all of them mean 0 or 1 and no two mean the same."""
    meanings = [meaning for value in attribute.values if (meaning := truth(value)) is not None]
    different = len(set(meanings)) == len(meanings) == len(attribute.values)
    return meanings if meanings and different else None


def is_row_id(cells: Columns, column: int, attribute: Attribute) -> bool:
    """Whether a nominal attribute names rows: it declares a value for each row, and none occurs twice."""
    values, rows = len(attribute.values), shape_of(cells)[0]
    return values >= max(rows, ROW_ID_VALUES) and len(np.unique(cells_of(cells, column))) == rows


def cells_of(cells: Columns | sparse.csr_matrix, column: int) -> np.ndarray:
    """One column, dense."""
    return cells[:, column] if isinstance(cells, np.ndarray) else cells[:, [column]].toarray()[:, 0]


def columns_with_holes(cells: Columns) -> np.ndarray:
    """The columns in which a cell is missing."""
    if isinstance(cells, np.ndarray):
        return np.flatnonzero(np.isnan(cells).any(axis=0))
    entries = np.flatnonzero(np.isnan(cells.data))
    return np.unique(np.searchsorted(cells.indptr, entries, side="right") - 1)


def fill(path: Path, cells: Columns, column: int, attribute: Attribute, missing: str) -> None:
    """Puts the mean of a column of numbers, or its most frequent value, into its missing cells, in place.

    With missing=LATER, where training rows will say what belongs there, a 0 or the first declared value.
    """
    known = cells_of(cells, column)
    known = np.zeros(1) if missing == LATER else known[~np.isnan(known)]
    if not len(known):
        raise UserError(
            f"{path}: attribute {attribute.name!r} has no value in any row: leave it out with "
            f"dataset.drop=[{attribute.name!r}]"
        )
    nominal = attribute.kind == "nominal"
    value = np.bincount(known.astype(np.int64)).argmax() if nominal else known.mean(dtype=np.float64)
    if isinstance(cells, np.ndarray):
        entries = cells[:, column]
    else:
        entries = cells.data[cells.indptr[column] : cells.indptr[column + 1]]
    entries[np.isnan(entries)] = value


def encoded(cells: Columns, attributes: Sequence[Attribute]) -> Iterator[tuple[Columns, list[str]]]:
    """Blocks of feature columns with their names; neighbours that need no change stay one block."""
    for plain, group in groupby(range(len(attributes)), key=lambda column: is_plain(attributes[column])):
        columns = list(group)
        if plain:
            names = [plain_name(attributes[column]) for column in columns]
            yield cells[:, columns[0] : columns[-1] + 1], names
            continue
        for column in columns:
            attribute = attributes[column]
            positions = cells_of(cells, column).astype(np.int64)
            meanings = truths(attribute)
            if meanings is not None:
                yield np.array(meanings, dtype=np.float32)[positions][:, None], [attribute.name]
            else:
                one_hot = np.arange(len(attribute.values)) == positions[:, None]
                yield one_hot.astype(np.float32), [f"{attribute.name}={value}" for value in attribute.values]


def refuse_many_columns(path: Path, cells: Columns, attributes: Sequence[Attribute]) -> None:
    """Refuses a header whose declared values, a few bytes each, would become columns that fill the memory."""
    counts = [
        0 if is_plain(attribute) else 1 if truths(attribute) else len(attribute.values)
        for attribute in attributes
    ]
    if not sum(counts):
        return
    most = attributes[int(np.argmax(counts))].name
    announced = f"{sum(counts):,} values of words, a column for each"
    cure = f"leave out those of most values with dataset.drop=[...], as {most!r}"
    refuse_more_than_room(path, bytes_of(cells), 4 * shape_of(cells)[0] * sum(counts), announced, cure)


def bytes_of(cells: Columns) -> int:
    """The memory that cells take."""
    if isinstance(cells, np.ndarray):
        return cells.nbytes
    return cells.data.nbytes + cells.indices.nbytes + 8 * max(shape_of(cells))


def is_plain(attribute: Attribute) -> bool:
    """Whether an attribute's cells are a feature as they stand: numbers, or positions among two values."""
    if attribute.kind == "number" or truths(attribute) in ([0], [0, 1]):
        return True
    return len(attribute.values) == 2 and truths(attribute) is None


def is_of_words(attribute: Attribute) -> bool:
    """Whether an attribute's values are words that mean neither 0 nor 1."""
    return attribute.kind == "nominal" and truths(attribute) is None


def plain_name(attribute: Attribute) -> str:
    if attribute.kind == "number" or truths(attribute) is not None:
        return attribute.name
    return f"{attribute.name}={attribute.values[1]}"


def joined(blocks: list, cells: Columns) -> np.ndarray | sparse.csr_matrix:
    """The blocks side by side, sparse if the cells are, else dense."""
    blocks = blocks or [cells]
    if isinstance(cells, np.ndarray):
        return np.ascontiguousarray(np.hstack(blocks), dtype=np.float32)
    features = sparse.csr_matrix(
        sparse.hstack([sparse.csc_matrix(block) for block in blocks]), dtype=np.float32
    )
    features.eliminate_zeros()
    features.sort_indices()
    return features


def label_sets(table: ParsedTable, table_cells: Columns, columns: Sequence[int]) -> np.ndarray:
    """(N, L), the columns in the order given; a label cell must mean 0 or 1."""
    chosen: Columns = table_cells[:, columns]
    if not isinstance(chosen, np.ndarray):
        rows, labels = shape_of(chosen)
        announced = f"{rows:,} rows of {labels:,} labels"
        refuse_more_than_room(table.path, bytes_of(table_cells), 4 * rows * labels, announced)
    cells = np.array(chosen) if isinstance(chosen, np.ndarray) else chosen.toarray()
    as_read = cells
    for column, attribute in enumerate(table.attributes[column] for column in columns):
        if attribute.kind == "nominal" and truths(attribute) != [0, 1]:
            meanings = np.array([truth(value) for value in attribute.values], dtype=np.float32)  # None: NaN
            as_read = cells.copy() if as_read is cells else as_read
            known = ~np.isnan(cells[:, column])
            cells[known, column] = meanings[cells[known, column].astype(np.int64)]
    wrong = ~((cells == 0) | (cells == 1))
    if wrong.any():
        row, column = np.argwhere(wrong)[0].tolist()
        attribute, value = table.attributes[columns[column]], as_read[row, column]
        if np.isnan(value):
            problem = "is missing"
        elif attribute.kind == "nominal":
            problem = f"is {attribute.values[int(value)]!r}"
        else:
            problem = f"is {value:g}"
        raise UserError(
            f"{table.path}, {table.line(row)}: label {attribute.name!r} {problem}; "
            f"a label is 0 or 1, or NO or YES"
        )
    return cells.astype(np.uint8)
