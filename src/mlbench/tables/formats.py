"""Rows of cells as a table in GitHub's Markdown and as CSV."""

import csv
import io
from collections.abc import Iterable, Iterator, Sequence
from typing import Any


def markdown_table(head: Sequence[str], rows: Iterable[Iterable[str]]) -> Iterator[str]:
    """The lines of the table."""
    for cells in (head, ["---"] * len(head), *rows):
        escaped = (cell.replace("|", r"\|") for cell in cells)
        yield f"|{'|'.join(f' {cell} ' if cell else ' ' for cell in escaped)}|"


def comma_separated(rows: Iterable[Iterable[Any]]) -> str:
    """CSV, None as an empty cell."""
    buffer = io.StringIO()
    csv.writer(buffer, lineterminator="\n").writerows(rows)
    return buffer.getvalue()
