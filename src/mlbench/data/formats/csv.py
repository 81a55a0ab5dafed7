"""Tables with a header line, separated by commas, tabs or something else: one row an instance."""

import ast
import csv
import io
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from mlbench.data import columns
from mlbench.data.columns import Attribute, Table
from mlbench.data.files import content, encoding, numbers_in, refuse_more_than_room
from mlbench.data.instances import Instances
from mlbench.errors import UserError, did_you_mean

SEPARATORS = {".csv": ",", ".tsv": "\t"}
RARE = "leave out the labels of few rows, or separate them as dataset.label_separator says"
MISSING_WORDS = {"", "?", "na", "n/a", "nan", "null"}


def read(
    path: Path,
    labels: Sequence[str] | str,
    separator: str | None = None,
    label_separator: str | None = None,
    names: Sequence[str] | None = None,
    drop: Sequence[str | int] = (),
    missing: str = "refuse",
) -> Instances:
    """`labels`: the columns of zeros and ones that are labels, or the one column that lists a row's labels.

    Such a list is `a;b`, `a|b`, `a,b` (with `label_separator` anything else) or `["a", "b"]`, and empty for
    no label. Its labels are `names`, or all that occur, sorted; parts of a data set need `names`. `separator`
    is a comma in .csv, a tab in .tsv, else what the header line shows. A column with words is nominal, its
    values sorted; where no word occurs twice it is text. Empty, ?, NA, N/A, NaN and null are missing.
    """
    rows, lines = rows_in(Path(path), separator)
    header = [name.strip() for name in rows[0]]
    count = Counter(header)
    for label in [labels] if isinstance(labels, str) else labels:
        if count[label] != 1:
            found = f"{count[label]} columns" if count[label] else "no column"
            near = did_you_mean(label, header)
            raise UserError(f"{path} has {found} {label!r}, which dataset.labels names{near}")
    texts = [list(column) for column in zip(*rows[1:])]
    if not isinstance(labels, str):
        chosen = [column for column, name in enumerate(header) if name in labels]
        return columns.instances(table_of(path, header, texts, lines[1:]), chosen, missing, drop)
    listed = header.index(labels)
    lists = label_lists(path, texts[listed], lines[1:], label_separator)
    targets, label_names = label_sets(path, lists, names)
    texts[listed] = [""] * len(lists)  # read above: a feature it is not
    drop = [drop] if isinstance(drop, str | int) else drop
    features = columns.instances(table_of(path, header, texts, lines[1:]), [], missing, [*drop, listed])
    return replace(features, targets=targets, labels=label_names, attributes=len(header) - 1)


def rows_in(path: Path, separator: str | None) -> tuple[list[list[str]], list[int]]:
    """The cells of each row as text, the header first, and the line on which each row ends."""
    data = content(path)
    separator = separator or shown_separator(path, data)
    if len(separator) != 1:
        raise UserError(f"separator={separator!r} is not one character: tab is written '\\t'")
    text = io.StringIO(data.decode(encoding(data)), newline="")
    reader = csv.reader(text, delimiter=separator, skipinitialspace=True, strict=True)
    rows, lines = [], []
    try:
        for row in reader:
            if row:
                rows.append(row)
                lines.append(reader.line_num)
    except csv.Error as error:
        raise UserError(f"{path}, line {reader.line_num}: {error}") from error
    if len(rows) < 2:
        raise UserError(f"{path} has no rows after its header: fetch it again")
    for row, line in zip(rows, lines):
        if len(row) != len(rows[0]):
            counts = f"{len(row)} values for {len(rows[0])} columns"
            raise UserError(f"{path}, line {line}: {counts} separated by {separator!r}")
    return rows, lines


def shown_separator(path: Path, data: bytes) -> str:
    for suffix in reversed(path.suffixes):
        if suffix.lower() in SEPARATORS:
            return SEPARATORS[suffix.lower()]
    first = data.partition(b"\n")[0].decode(encoding(data))
    return max(",\t;|", key=first.count)


def table_of(
    path: Path, header: Sequence[str], texts: Sequence[Sequence[str]], lines: Sequence[int]
) -> Table:
    attributes, cells = [], np.empty((len(texts[0]), len(header)), dtype=np.float32)
    for column, name in enumerate(header):
        attribute, cells[:, column] = column_of(path, name, texts[column])
        attributes.append(attribute)
    return Table(path, attributes, cells, place=lambda row: f"line {lines[row]}")


def column_of(path: Path, name: str, texts: Sequence[str]) -> tuple[Attribute, np.ndarray]:
    """What a column is, and its cells: numbers, or positions among its values; NaN where missing."""
    words = [text.strip() for text in texts]
    known = np.array([word.lower() not in MISSING_WORDS for word in words])
    present = [word for word, is_known in zip(words, known) if is_known]
    cells = np.full(len(words), np.nan, dtype=np.float32)
    numbers = numbers_in(" ".join(present).encode(), " ", len(present))
    if numbers is not None:
        with np.errstate(over="ignore"):
            cells[known] = numbers
        if not np.isfinite(cells[known]).all():
            raise UserError(f"{path}: column {name!r} holds a number that is not finite: remove it")
        return Attribute(name), cells
    values, positions = np.unique(np.array(present, dtype=object), return_inverse=True)
    if len(values) == len(present) > 2:
        return Attribute(name, "text"), cells
    cells[known] = positions
    return Attribute(name, "nominal", tuple(values)), cells


# Labels as one column of lists


def label_lists(
    path: Path, texts: Sequence[str], lines: Sequence[int], separator: str | None
) -> list[list[str]]:
    bare = [text.strip() for text in texts if not text.strip().startswith("[")]
    if separator is None:
        shown = [mark for mark in ";|," if any(mark in text for text in bare)]
        if len(shown) > 1:
            raise UserError(
                f"{path}: its label lists hold {' and '.join(shown)}: say with dataset.label_separator which "
                f"of them stands between labels"
            )
        separator = shown[0] if shown else ";"
    return [label_list(f"{path}, line {line}", text.strip(), separator) for text, line in zip(texts, lines)]


def label_list(place: str, text: str, separator: str) -> list[str]:
    if text == "?":
        raise UserError(f"{place}: the labels are missing: remove the row, or leave empty what has none")
    if not text.startswith("["):
        return [label.strip() for label in text.split(separator) if label.strip()]
    try:
        found = ast.literal_eval(text)
        if not isinstance(found, list):
            raise ValueError
    except (ValueError, TypeError, SyntaxError, RecursionError, MemoryError) as error:
        raise UserError(f'{place}: {text[:40]!r} is no list of labels such as ["a", "b"]') from error
    return [str(label).strip() for label in found]


def label_sets(
    path: Path, lists: Sequence[Sequence[str]], names: Iterable[str] | None
) -> tuple[np.ndarray, tuple[str, ...]]:
    occurring = {label for row in lists for label in row}
    names = sorted(occurring) if names is None else [str(name) for name in names]
    if strange := sorted(occurring.difference(names)):
        raise UserError(
            f"{path} has the label {strange[0]!r}, not among names{did_you_mean(strange[0], names)}"
        )
    places = {name: place for place, name in enumerate(names)}
    what = f"{len(lists):,} rows of {len(names):,} labels"
    refuse_more_than_room(path, path.stat().st_size, len(lists) * len(names), what, RARE)
    targets = np.zeros((len(lists), len(names)), dtype=np.uint8)
    for row, row_labels in enumerate(lists):
        targets[row, [places[label] for label in row_labels]] = 1
    return targets, tuple(names)
