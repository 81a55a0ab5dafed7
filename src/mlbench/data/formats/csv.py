"""Tables with a header line, separated by commas, tabs or another character; each row is an instance."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from mlbench.data import columns
from mlbench.data.columns import ParsedTable
from mlbench.data.formats.cells import MISSING_WORDS, column_of
from mlbench.data.formats.delimited import rows_in
from mlbench.data.formats.label_lists import label_lists, label_sets
from mlbench.data.instances import Instances
from mlbench.errors import UserError, did_you_mean

INDEX_NAMES = ("", "Unnamed: 0")  # how pandas and R head the index that they write as a first column
DECIMALS = (".", ",")


def read(
    path: Path,
    labels: Sequence[str | int] | str | int | None = None,
    label_list: str | int | None = None,
    separator: str | None = None,
    decimal: str = ".",
    label_separator: str | None = None,
    names: Sequence[str] | None = None,
    drop: Sequence[str | int] = (),
    missing: str = "refuse",
    id: str | int | None = None,
) -> Instances:
    """`labels` are columns of zeros and ones; or `label_list` is the one column that lists a row's labels.

    Such a list is `a;b`, `a|b`, `a,b` (with `label_separator` anything else) or `["a", "b"]`, and empty for
    no label. Its labels are `names`, or all that occur, sorted; parts of a data set need `names`. Columns are
    given by name or by zero-based number. Without a `separator`, one is taken that gives header and first row
    as many cells: if possible that of the suffix, a comma for .csv, a tab for .tsv. A column with
    words is nominal, its values sorted; if no word occurs twice, it is text. Empty, ?, NA, N/A, NaN and null
    are missing. A first column without a name, which is the index of pandas and R, is left out, and so is a
    column with neither a name nor a value. `id` is the column that names the rows, and is no feature.
    """
    path = Path(path)
    refuse_options(label_list, decimal, label_separator, names)
    rows, lines = rows_in(path, separator)
    return of_rows(path, rows, lines, labels, label_list, decimal, label_separator, names, drop, missing, id)


def of_rows(
    path: Path,
    rows: Sequence[Sequence[str]],
    lines: Sequence[int],
    labels: Sequence[str | int] | str | int | None = None,
    label_list: str | int | None = None,
    decimal: str = ".",
    label_separator: str | None = None,
    names: Sequence[str] | None = None,
    drop: Sequence[str | int] = (),
    missing: str = "refuse",
    id: str | int | None = None,
) -> Instances:
    """The instances of a header, the rows below it and their line numbers; no targets without labels."""
    header, lines = [name.strip() for name in rows[0]], lines[1:]
    texts = [[cell.strip() for cell in column] for column in zip(*rows[1:])]
    option = label_list if label_list is not None else labels
    wanted = [option] if isinstance(option, str | int) else option or []
    chosen = label_columns(path, header, wanted, "labels" if label_list is None else "label_list")
    nameless = {c for c, name in enumerate(header) if not name and not any(texts[c])}
    nameless = (nameless | {0} if header[0] in INDEX_NAMES else nameless).difference(chosen)
    left_out = columns.dropped(path, header, drop) | nameless
    ids = [] if id is None else label_columns(path, header, [id], "id")
    if both := {*ids}.intersection(chosen):
        raise UserError(f"{path}: {header[min(both)]!r} is a label, which cannot be the id")
    words = {"id": tuple(texts[ids[0]])} if ids else {}
    beside = {"id": ids, "drop": sorted(columns.dropped(path, header, drop))}
    left_out |= {*ids}
    if lost := left_out.intersection(chosen):
        raise UserError(f"{path}: {header[min(lost)]!r} is a label, which cannot be dropped")
    from_lists = {}
    if label_list is not None:
        (listed,), chosen = chosen, []
        refuse_truths(path, header[listed], texts[listed], names)
        lists = label_lists(path, texts[listed], lines, label_separator)
        from_lists["targets"], from_lists["labels"] = label_sets(path, lists, names)
        left_out.add(listed)
        beside["label_list"] = [listed]
    elif len(chosen) == 1:
        refuse_list(path, header[chosen[0]], texts[chosen[0]])
    kept = [column for column in range(len(header)) if column not in left_out]
    refuse_twins(path, header, kept)
    table = table_of(path, [header[c] for c in kept], [texts[c] for c in kept], lines, decimal)
    instances = columns.instances(table, [kept.index(column) for column in chosen], missing)
    attributes = len(header) - len(wanted) - len(nameless.union(ids))
    named = {option: tuple(header[column] for column in numbers) for option, numbers in beside.items()}
    return replace(instances, attributes=attributes, words=words, beside=named, **from_lists)


read.one_of = {
    "labels": "[one,another] (columns of zeros and ones)",
    "label_list": "tags (one column that lists each row's labels)",
}


def table_of(
    path: Path, header: Sequence[str], texts: Sequence[Sequence[str]], lines: Sequence[int], decimal: str
) -> ParsedTable:
    attributes, cells = [], np.empty((len(lines), len(header)), dtype=np.float32)
    for column, name in enumerate(header):
        attribute, cells[:, column] = column_of(path, name, texts[column], lines, decimal)
        attributes.append(attribute)
    return ParsedTable(path, attributes, cells, line=lambda row: f"line {lines[row]}")


def label_columns(path: Path, header: Sequence[str], wanted: Iterable[str | int], option: str) -> list[int]:
    """The columns that a person says are labels, in the order of the file."""
    chosen = []
    for label in wanted:
        matches = columns.matching(header, label)
        if len(matches) != 1:
            count = f"{len(matches)} columns" if matches else "no column"
            cure = "; give each a name of its own" if matches else near(header, label)
            raise UserError(f"{path} has {count} {label!r}, which dataset.{option} names{cure}")
        if matches[0] in chosen:
            raise UserError(f"dataset.{option} names the column {header[matches[0]]!r} of {path} twice")
        chosen += matches
    return sorted(chosen)


def near(header: Sequence[str], label: str | int) -> str:
    """A hint at what a person may have meant by a column that does not exist."""
    if all(columns.is_number(name) for name in header):
        return "; its first line holds numbers: it needs a header line, with a name for each column"
    if isinstance(label, int) and not any(name.isdecimal() for name in header):
        return f"; its {len(header)} columns are counted from 0 to {len(header) - 1}"
    return did_you_mean(str(label), header)


# Options and columns that cannot be meant


def refuse_options(
    label_list: str | int | None, decimal: str, label_separator: str | None, names: Sequence[str] | None
) -> None:
    if label_list is None and (names, label_separator) != (None, None):
        option = "label_separator" if names is None else "names"
        raise UserError(f"dataset.{option} is for a column that lists labels, dataset.label_list=...")
    if decimal not in DECIMALS:
        raise UserError(f"dataset.decimal={decimal}: choose . or ,")


def refuse_twins(path: Path, header: Sequence[str], kept: Sequence[int]) -> None:
    count = Counter(header[column] for column in kept)
    if twins := [name for name in count if count[name] > 1]:
        raise UserError(f"{path} has {count[twins[0]]} columns {twins[0]!r}: give each a name of its own")


def refuse_list(path: Path, name: str, texts: Sequence[str]) -> None:
    """Refuses a single label column that holds something other than zeros and ones, most likely lists."""
    for text in texts:
        if text.lower() not in MISSING_WORDS and columns.truth(text) is None and not columns.is_number(text):
            raise UserError(
                f"{path}: column {name!r} holds {text[:40]!r}, and a label is 0 or 1: a column that lists "
                f"labels is dataset.label_list={name}"
            )


def refuse_truths(path: Path, name: str, texts: Sequence[str], names: Sequence[str] | None) -> None:
    """Refuses a column of lists that holds only zeros and ones: it is a label, not a list of labels."""
    if names is None and any(texts) and all(not text or columns.truth(text) is not None for text in texts):
        raise UserError(
            f"{path}: column {name!r} holds zeros and ones: it is a label, dataset.labels=[{name}]; lists of "
            f"labels that are called so need dataset.names=[0,1]"
        )
