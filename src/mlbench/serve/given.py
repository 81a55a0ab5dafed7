"""The content of a request: rows of columns, texts, images. The request holds it all: no file is opened."""

import base64
import binascii
import csv
import io
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mlbench.data.formats.cells import MISSING_WORDS
from mlbench.data.formats.delimited import shown_separator
from mlbench.data.formats.jsonl import shown, text_of, whole
from mlbench.data.new_raw import RawPiece
from mlbench.data.new_rows import known_to
from mlbench.data.pieces import Piece
from mlbench.data.raw import Images, Raw, Texts
from mlbench.data.schema import Schema
from mlbench.encoders.pictures import PIXELS, size
from mlbench.errors import UserError, did_you_mean

ROWS, CSV, TEXTS, IMAGES = "rows", "csv", "texts", "images"  # keys of a request
KEYS = {"text": TEXTS, "image": IMAGES}  # by the raw field that they fill
Lines = tuple[list[str], list[list[Any]]]  # header, cells


def parsed(body: bytes) -> dict[str, Any]:
    """The JSON object of a request's body."""
    try:
        request = json.loads(body.decode(), parse_constant=no_number)
    except UnicodeDecodeError as error:
        raise UserError(f"the body is not UTF-8: {error.reason} at byte {error.start}") from None
    except RecursionError:
        raise UserError("the body is nested more deeply than any request is") from None
    except ValueError as error:
        raise UserError(f"the body is no JSON: {error}") from None
    if not isinstance(request, dict):
        raise UserError(f'the body is {shown(request)}, and should be an object such as {{"rows": [...]}}')
    return request


def no_number(word: str) -> float:
    raise ValueError(f"it has {word}, and a feature is a finite number")


def check_keys(body: Mapping[str, Any], keys: Sequence[str]) -> None:
    for key in body:
        if key not in keys:
            raise UserError(
                f"{key[:40]}: no such key; this run takes {' or '.join(keys)}{did_you_mean(key, keys)}"
            )


def columns_in(body: Mapping[str, Any], schemas: Sequence[Schema]) -> tuple[list[Piece], list[str]]:
    """The request's rows as each run reads them, and the names of columns that no run knows.

    The runs have the same columns. A row without names has its cells in the order of the first run's columns.
    """
    import pandas as pd

    check_keys(body, (ROWS, CSV))
    if len(body) != 1:
        raise UserError(
            "one of rows and csv is needed: cells by the names of their columns, or lines of a table"
        )
    schema = schemas[0]
    header, rows = lines_of(body[CSV], schema) if CSV in body else rows_of(body[ROWS], schema)
    if not rows:
        raise UserError("there are no rows")
    positions = {name: number for number, name in enumerate(header)}
    cells = {name: [row[positions[name]] for row in rows] for name in schema.columns}
    for name in schema.fills:  # the columns in which a cell may lack a value
        cells[name] = [None if is_gap(cell) else cell for cell in cells[name]]
    table = pd.DataFrame(cells)
    known = {name for each in schemas for name in known_to(each)}
    left_out = [name for name in header if name not in known]
    numbers = np.arange(len(rows))
    return [Piece(numbers, each.features_in(table, "the rows", 0), None) for each in schemas], left_out


def is_gap(cell: Any) -> bool:
    return cell is None or (isinstance(cell, str) and cell.strip().lower() in MISSING_WORDS)


def rows_of(content: Any, schema: Schema) -> Lines:
    """Header and cells of a list of rows, or of one row without a list around it.

    A row is an object, cells by column name, or a list of cells in the order of the training columns.
    """
    several = isinstance(content, list) and all(isinstance(row, dict | list) for row in content)
    listed = content if several else [content]
    columns = schema.columns
    header = dict.fromkeys(columns)
    rows = []
    for number, row in enumerate(listed):
        if isinstance(row, dict):
            if missing := [name for name in columns if name not in row]:
                raise UserError(
                    f"row {number} (from 0) has no column {missing[0]!r}{did_you_mean(missing[0], row)}; the "
                    f"run has {named(columns)}"
                )
            header |= dict.fromkeys(row)
            row = [row[name] for name in columns]
        elif not isinstance(row, list):
            raise UserError(f"row {number} (from 0) is {shown(row)}, neither an object nor a list of cells")
        check_count(f"row {number} (from 0)", row, columns)
        for name, cell in zip(columns, row):
            if not isinstance(cell, str | int | float) and not (cell is None and name in schema.fills):
                raise UserError(
                    f"row {number} (from 0): column {name!r} is {shown(cell)}, neither a number nor a word"
                )
        rows.append(row)
    return [*header], rows


def lines_of(content: Any, schema: Schema) -> Lines:
    """Header and cells of a table in text. The first line is a header where it names a column of the run;
    else the cells stand in the order of the training columns.
    """
    if not isinstance(content, str):
        raise UserError(f"csv is {shown(content)}, and should be the text of a table")
    text = content.removeprefix("\ufeff").replace("\0", "\ufffd")
    separator = shown_separator(Path("pasted"), text)
    try:
        lines = [
            [cell.strip() for cell in line]
            for line in csv.reader(io.StringIO(text), delimiter=separator, skipinitialspace=True)
            if any(cell.strip() for cell in line)
        ]
    except csv.Error as error:
        raise UserError(f"csv cannot be read: {error}") from None
    columns = schema.columns
    if not lines:
        raise UserError("csv is empty: paste a line of cells, with or without a header line above it")
    if not {*lines[0]} & {*columns}:
        for number, line in enumerate(lines):
            check_count(f"row {number} (from 0)", line, columns)
        return columns, lines
    header, *rows = lines
    if twins := [name for name in columns if header.count(name) > 1]:
        raise UserError(f"the header line has {twins[0]!r} twice; give each column a name of its own")
    schema.check("the header line", header)
    for number, line in enumerate(rows):
        check_count(f"row {number} (from 0)", line, header)
    return header, rows


def check_count(where: str, cells: Sequence[Any], header: Sequence[str]) -> None:
    if len(cells) != len(header):
        raise UserError(f"{where} has {len(cells)} cells for {len(header)} columns: {named(header)}")


def named(columns: Sequence[str]) -> str:
    return ", ".join(columns[:5]) + (f" and {len(columns) - 5} more" if len(columns) > 5 else "")


@dataclass(frozen=True)
class Sent(Images):
    """Images that a request holds, in place of files."""

    data: Sequence[bytes] = ()

    def named(self, row: int) -> str:
        return f"image {row} (from 0)"

    def contents(self) -> Iterator[bytes]:
        yield from self.data


def raw_in(body: Mapping[str, Any], fields: Mapping[str, Sequence[str]]) -> RawPiece:
    """Texts, images or both, for a run whose encoders take `fields`."""
    keys = [KEYS[field] for field in fields]
    check_keys(body, keys)
    for key in keys:
        values = body.get(key)
        if not (isinstance(values, list) and values):
            raise UserError(
                f"{key} is {'missing' if values is None else shown(values)}, and should be a list"
            )
    lengths = [len(body[key]) for key in keys]
    if len({*lengths}) > 1:
        raise UserError(f"there are {lengths[0]} {keys[0]} and {lengths[1]} {keys[1]}: a row has one of each")
    raw: dict[str, Raw] = {}
    for field, key in zip(fields, keys):
        raw[field] = texts(body[key], fields[field]) if key == TEXTS else images(body[key])
    return RawPiece(np.arange(lengths[0]), raw)


def texts(entries: Sequence[Any], fields: Sequence[str]) -> Texts:
    """Texts from strings, or from objects with the fields that the training texts had."""
    rows = []
    for number, each in enumerate(entries):
        name = f"{number} (from 0)"
        if isinstance(each, dict):
            rows.append(text_of(Path(TEXTS), (name, each), fields))
        elif isinstance(each, str):
            rows.append(whole(Path(TEXTS), (name, {}), each))
        else:
            raise UserError(
                f"text {name} is {shown(each)}, neither a text nor an object with {named(fields)}"
            )
    return Texts(tuple(rows), tuple(map(str, range(len(rows)))))


def images(encoded: Sequence[Any]) -> Sent:
    """Images from their base64."""
    data = [image(each, f"image {number} (from 0)") for number, each in enumerate(encoded)]
    if (pixels := sum(map(size, data))) > PIXELS:
        raise UserError(
            f"the images have {pixels:,} pixels together, more than the {PIXELS:,} that are decoded at once"
        )
    names = tuple(map(str, range(len(data))))
    return Sent(Path(), names, names, data)


def image(encoded: Any, where: str) -> bytes:
    if not isinstance(encoded, str):
        raise UserError(f"{where} is {shown(encoded)}, and should be the base64 of an image file")
    try:
        return base64.b64decode(encoded, validate=True)
    except (binascii.Error, ValueError):
        raise UserError(f"{where} is no base64 of an image file") from None
