"""Parses the rows of a text file of separated values, whatever its program, encoding and separator."""

import codecs
import csv
import io
import itertools
import re
from pathlib import Path

from mlbench.data.files import content, encoding
from mlbench.errors import UserError

SEPARATORS = {".csv": ",", ".tsv": "\t"}
SHOWN = ",\t;|"
TAB = ("tab", "\\t")  # how a person may write a tab
UTF_16 = codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE
# First bytes of other files that people give in place of a table.
NO_TEXT = {
    b"PK\x03\x04": "a zip archive, as .xlsx and .ods are",
    b"\xd0\xcf\x11\xe0": "a workbook of Excel's (.xls)",
    b"PAR1": "a Parquet file",
}


def rows_in(path: Path, separator: str | None) -> tuple[list[list[str]], list[int]]:
    """The cells of each row as text, the header first, and the line on which each row ends.

    Rows without any value are left out, and so are empty cells beyond the last column of the header.
    """
    text = text_of(path)
    declared = re.match(r'"?sep=(.)"?\r?\n', text)  # Excel's own first line
    if not separator:
        separator = str(declared[1]) if declared else shown_separator(path, text)
    elif separator in TAB:
        separator = "\t"
    if len(separator) != 1:
        raise UserError(f"dataset.separator={separator} is not one character; a tab is dataset.separator=tab")
    reader = csv.reader(
        io.StringIO(text, newline=""), delimiter=separator, skipinitialspace=True, strict=True
    )
    rows, lines = [], []
    try:
        for row in reader:
            if any(cell.strip() for cell in row) and not (declared and reader.line_num == 1):
                rows.append(row)
                lines.append(reader.line_num)
    except csv.Error as error:
        raise UserError(f"{path}, line {reader.line_num}: {error}") from error
    if len(rows) < 2:
        raise UserError(f"{path} has {'a header line and no rows' if rows else 'no header line and no rows'}")
    width = len(rows[0])
    rows = [row[:width] if not any(map(str.strip, row[width:])) else row for row in rows]
    for row, line in zip(rows, lines):
        if len(row) != width:
            raise UserError(
                f"{path}, line {line}: {len(row)} values for {width} columns{why(rows, separator)}"
            )
    return rows, lines


def why(rows: list[list[str]], separator: str) -> str:
    """The likely reason for rows that are longer or shorter than their header."""
    header, *widths = map(len, rows)
    if set(widths) == {header + 1}:
        return ", as where row names have no heading: R's write.csv gives them one, write.table does not"
    return f" separated by {separator!r}"


def text_of(path: Path) -> str:
    data = content(path)
    for magic, kind in NO_TEXT.items():
        if data.startswith(magic):
            raise UserError(f"{path} is {kind}, no text: save the sheet as CSV (UTF-8), and give that file")
    try:
        text = data.decode("utf-16" if data.startswith(UTF_16) else encoding(data))
    except UnicodeDecodeError as error:
        raise UserError(f"{path} begins as UTF-16 and goes on as something else: save it as UTF-8") from error
    if "\0" in text:
        raise UserError(
            f"{path} holds zero bytes: it is no text, or UTF-16 without its mark: save it as UTF-8"
        )
    return text


def shown_separator(path: Path, text: str) -> str:
    """The separator that gives header and first row as many cells: the suffix's usual one, else the one that
    gives most."""
    usual = next((SEPARATORS[s.lower()] for s in reversed(path.suffixes) if s.lower() in SEPARATORS), ",")
    lines = (line for line in io.StringIO(text, newline=None) if line.strip())
    first = list(itertools.islice(lines, 2))
    counts = {mark: [cells_in(line, mark) for line in first] for mark in SHOWN}
    alike = [mark for mark, cells in counts.items() if cells and max(cells) == min(cells) > 1]
    if usual in alike or not first:
        return usual
    # If no separator gives both lines as many cells, as when one line is broken, the header decides.
    return max(alike or [usual, *SHOWN], key=lambda mark: counts[mark][0])


def cells_in(line: str, separator: str) -> int:
    try:
        return len(next(csv.reader([line], delimiter=separator, skipinitialspace=True), []))
    except csv.Error:  # a wide line without this separator is a field that is too long for `csv`
        return 1
