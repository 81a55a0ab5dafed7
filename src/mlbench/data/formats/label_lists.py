"""Parses a column that lists the labels of each row: `a;b`, `a|b`, `a,b` or `["a", "b"]`."""

import ast
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from mlbench.data.files import refuse_more_than_room
from mlbench.errors import UserError, did_you_mean

RARE = "leave out the labels of few rows, or separate them as dataset.label_separator says"


def label_lists(
    path: Path, texts: Sequence[str], lines: Sequence[int], separator: str | None
) -> list[list[str]]:
    separator = mark_of(str(path), texts, separator)
    return [label_list(f"{path}, line {line}", text.strip(), separator) for text, line in zip(texts, lines)]


def mark_of(where: str, texts: Sequence[str], separator: str | None) -> str:
    """What stands between labels: what was said, else what the lists show."""
    if separator is not None:
        return separator
    bare = [text.strip() for text in texts if not text.strip().startswith("[")]
    marks = [mark for mark in ";|," if any(mark in text for text in bare)]
    if len(marks) > 1:
        raise UserError(
            f"{where}: its label lists hold {' and '.join(marks)}: say with dataset.label_separator which "
            f"of them stands between labels"
        )
    return marks[0] if marks else ";"


def label_list(line_named: str, text: str, separator: str) -> list[str]:
    if text == "?":
        raise UserError(f"{line_named}: the labels are missing: remove the row, or leave empty what has none")
    if not text.startswith("["):
        return [label.strip() for label in text.split(separator) if label.strip()]
    try:
        labels = ast.literal_eval(text)
        if not isinstance(labels, list):
            raise ValueError
    except (ValueError, TypeError, SyntaxError, RecursionError, MemoryError) as error:
        raise UserError(f'{line_named}: {text[:40]!r} is no list of labels such as ["a", "b"]') from error
    return [str(label).strip() for label in labels]


def levels_of(labels: Sequence[str], separator: str | None) -> list[str]:
    """Each level of the labels once: of `cell--growth--` and `cell--death`, cell, growth and death."""
    if not separator:
        return [*labels]
    levels = (level.strip() for label in labels for level in label.split(separator))
    return [*dict.fromkeys(level for level in levels if level)]


def frequent(lists: Sequence[Sequence[str]], least: int) -> list[list[str]]:
    """The lists, without labels that fewer than `least` of them hold."""
    rows = Counter(label for labels in lists for label in labels)
    return [[label for label in labels if rows[label] >= least] for labels in lists]


def label_sets(
    path: Path, lists: Sequence[Sequence[str]], names: Iterable[str] | None, size: int | None = None
) -> tuple[np.ndarray, tuple[str, ...]]:
    """(N, L) and the labels of the lists, which were read from `size` bytes, by default those of `path`."""
    occurring = {label for row in lists for label in row}
    names = sorted(occurring) if names is None else [str(name) for name in names]
    if strange := sorted(occurring.difference(names)):
        raise UserError(
            f"{path} has the label {strange[0]!r}, not among names{did_you_mean(strange[0], names)}"
        )
    columns = {name: column for column, name in enumerate(names)}
    announced_size = f"{len(lists):,} rows of {len(names):,} labels"
    size = path.stat().st_size if size is None else size
    refuse_more_than_room(path, size, len(lists) * len(names), announced_size, RARE)
    targets = np.zeros((len(lists), len(names)), dtype=np.uint8)
    for row, row_labels in enumerate(lists):
        targets[row, [columns[label] for label in row_labels]] = 1
    return targets, tuple(names)
