"""Texts and images of any file for a trained method, a piece at a time."""

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from mlbench.data import arrow
from mlbench.data.formats import hub, jsonl
from mlbench.data.new_rows import PACKED
from mlbench.data.raw import Images, Raw, Texts
from mlbench.errors import UserError

ROWS = 1000  # at once


class RawPiece(NamedTuple):
    ids: np.ndarray  # of the id field, else the rows' numbers from 0
    raw: dict[str, Raw]  # text, image → the rows


def raw_pieces(
    path: str,
    fields: Mapping[str, Sequence[str]],
    images: str | None,
    id: str | None,
    usual: Sequence[str] = (),
    at_once: int | None = None,
) -> Iterator[RawPiece]:
    """`fields` says in which fields, or columns, the texts and the names of image files are. Without an `id`
    the `usual` one, that of the training's file, names the rows if the file has it.
    """
    file = Path(path).expanduser()
    if not file.is_file():
        raise UserError(f"path={path}: no such file")
    suffixes = [suffix.lower() for suffix in file.suffixes if suffix.lower() not in PACKED]
    readers: dict[str, Any] = {
        ".jsonl": jsonl.objects,
        ".json": jsonl.objects,
        ".csv": table_rows,
        ".tsv": table_rows,
    }
    inside = suffixes[-1:] == [".parquet"]
    if inside:
        id = id or next((name for name in usual if name in arrow.schema_of(file).names), None)
        columns = [name for names in fields.values() for name in names]
        readers[".parquet"] = partial(hub.objects, columns=columns)
    if not suffixes or suffixes[-1] not in readers:
        raise UserError(f"path={path}: texts and images are read from {', '.join([*readers, '.parquet'])}")
    source = Path(images).expanduser() if images else file.parent
    rows, first = readers[suffixes[-1]](file, id), 0
    while piece := [*islice(rows, at_once or ROWS)]:
        if id is None and not first:
            id = next((name for name in usual if name in piece[0][1]), None)
        named = [(jsonl.row_id(where, row, id), row) for where, row in piece]
        names = tuple(name for name, _ in named)
        raw: dict[str, Raw] = {}
        for field, columns in fields.items():
            if field == "text":
                raw[field] = Texts(tuple(jsonl.text_of(file, each, columns) for each in named), names)
            else:
                members = tuple(jsonl.name_in(file, each, columns[0]) for each in named)
                held = Images(source, members, names)
                raw[field] = hub.embedded(file, held, columns[0]) if inside else held
        numbers = np.arange(first, first + len(piece))
        if id is not None:
            numbers = np.array([jsonl.name_in(file, each, id) for each in named], dtype=object)
        yield RawPiece(numbers, raw)
        first += len(piece)


def table_rows(path: Path, id: str | None) -> Iterator[tuple[str, dict[str, Any]]]:
    """The rows of a table with a header line, every cell a text."""
    import pandas as pd

    separator = "\t" if ".tsv" in path.suffixes else ","
    try:
        frames = pd.read_csv(
            path, sep=separator, dtype=str, keep_default_na=False, encoding="utf-8-sig", chunksize=ROWS
        )
        number = 0
        for frame in frames:
            for row in frame.to_dict(orient="records"):
                yield f"row {number}", {str(name): cell for name, cell in row.items()}
                number += 1
    except (pd.errors.ParserError, pd.errors.EmptyDataError, UnicodeDecodeError, EOFError) as error:
        raise UserError(f"{path} is no table of text with a header line: {error}") from error
