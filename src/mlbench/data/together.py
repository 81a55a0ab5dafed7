"""A file of new rows for several trained methods, each of which reads it as the file of its training."""

import contextlib
import itertools
import shutil
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from mlbench.data.new_modalities import Ranges, beside, check_modalities
from mlbench.data.new_raw import ROWS, RawPiece, raw_pieces
from mlbench.data.new_rows import CELLS, Asked, fits, is_table, known_to, pieces
from mlbench.data.pieces import Piece, gathered, taken
from mlbench.data.schema import LacksColumns, Schema
from mlbench.errors import UserError, complain


@dataclass(frozen=True)
class Reading:
    """How a run reads a file, by the columns and the options of its training's."""

    run: str  # what messages call it
    schema: Schema
    options: Mapping[str, Any]
    fields: Mapping[str, Sequence[str]]  # of texts and images; empty where the columns are features
    modalities: Ranges  # first column, last + 1; empty where the columns are one block
    masks: bool  # whether the method does without a modality

    @property
    def learned_files(self) -> Sequence[str]:
        """The modalities that were a file each in training, whether used or not; their columns are called
        `modality column`.
        """
        return self.options.get("columns_of", ())

    @property
    def way(self) -> dict[str, Any]:
        """How numbers and columns are written."""
        return {name: self.options.get(name) for name in ("separator", "decimal")}

    def like(self, other: "Reading") -> bool:
        """Whether both make the same of every file."""
        if self.fields or other.fields:
            ids = [each.schema.beside.get("id") for each in (self, other)]
            return self.fields == other.fields and ids[0] == ids[1]
        return replace(self, run="") == replace(other, run="")


def together(readings: Sequence[Reading], asked: Asked) -> Iterator[list[Piece | RawPiece]]:
    """The rows a piece after the other, each as every reading has it. A file is read once for those alike."""
    distinct: list[Reading] = []
    for each in readings:
        if not any(each.like(other) for other in distinct):
            distinct.append(each)
    place = [next(n for n, other in enumerate(distinct) if each.like(other)) for each in readings]
    with contextlib.ExitStack() as stack:
        if len(distinct) > 1:
            asked = asked._replace(rows=rows_at_once(distinct))
            asked = stack.enter_context(copied(asked)) if asked.path == "-" else asked
        for number, made in enumerate(in_step(distinct, asked)):
            if not number and asked.id is None:
                tell_other_ids(distinct, made)
            yield [made[n] for n in place]


def rows_at_once(readings: Sequence[Reading]) -> int:
    """How many rows each reading can hold at once."""
    limits = [ROWS if each.fields else CELLS // max(len(each.schema.columns), 1) for each in readings]
    return max(min(limits), 1)


@contextlib.contextmanager
def copied(asked: Asked) -> Iterator[Asked]:
    """The standard input, which can be read once, in a file for several to read."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "rows.csv"
        with path.open("wb") as file:
            shutil.copyfileobj(sys.stdin.buffer, file)
        yield asked._replace(copied=path)


def in_step(readings: Sequence[Reading], asked: Asked) -> Iterator[list[Piece | RawPiece]]:
    """The pieces of all readings; refused where they do not have the same rows."""
    known = {name for each in readings for name in known_to(each.schema)}
    streams = [
        stream(each, readings, asked, None if number else known) for number, each in enumerate(readings)
    ]
    for made in itertools.zip_longest(*streams):
        yield [alike(piece, made[0], reading, readings[0], asked) for piece, reading in zip(made, readings)]


def alike(
    piece: Piece | RawPiece | None,
    first: Piece | RawPiece | None,
    reading: Reading,
    of_first: Reading,
    asked: Asked,
) -> Piece | RawPiece:
    """The piece with its rows in the order of the first reading, where files are joined by ids; refused where
    it has others.
    """
    have, wanted = (np.arange(0) if each is None else each.ids for each in (piece, first))
    if asked.files and (other := {*have} ^ {*wanted}):
        raise UserError(
            f"{asked.where}: {of_first.run} and {reading.run} do not use the same files, of which some lack "
            f"{next(iter(other))!r}: they cannot be averaged over these rows"
        )
    if len(have) != len(wanted):
        raise UserError(
            f"{asked.where}: {of_first.run} and {reading.run} find different numbers of rows in it"
        )
    assert piece is not None, "one of them has rows"
    if not asked.files or isinstance(piece, RawPiece) or np.array_equal(have, wanted):
        return piece
    place = {id: row for row, id in enumerate(have)}
    return taken(piece, [place[id] for id in wanted])


def stream(
    reading: Reading, readings: Sequence[Reading], asked: Asked, known: set[str] | None
) -> Iterator[Piece | RawPiece]:
    """The pieces of one reading. What is wrong is said of its run, where there are several."""
    try:
        if reading.fields:
            if asked.files:
                raise UserError("it takes texts or images, and path= names a file for each modality")
            usual = reading.schema.beside.get("id", ())
            yield from raw_pieces(asked.path, reading.fields, asked.images, asked.id, usual, asked.rows)
        else:
            yield from rows(reading, readings, asked, known)
    except UserError as error:
        if len(readings) == 1:
            raise
        raise UserError(f"{reading.run}: {error}") from error


def rows(
    reading: Reading, readings: Sequence[Reading], asked: Asked, known: set[str] | None
) -> Iterator[Piece]:
    """The rows of one file, or of one file for each modality."""
    if asked.files:
        yield joined(reading, readings, asked, known)
        return
    options = {**reading.options, **written(reading, readings, asked)}
    try:
        yield from pieces(asked, reading.schema, options, known)
    except LacksColumns as error:
        if not reading.learned_files:
            raise
        files = ", ".join(f"{modality}: ..." for modality in reading.modalities)
        raise UserError(f"{error}; it learned from several files: 'path={{{files}}}'") from error


def joined(reading: Reading, readings: Sequence[Reading], asked: Asked, known: set[str] | None) -> Piece:
    """The rows of several files, a modality each, which are read as a whole."""
    all_modalities = reading.learned_files or [*reading.modalities]
    check_modalities(reading.modalities, all_modalities, asked.files, reading.masks)
    usual = reading.schema.beside.get("id", ())
    asked = asked if asked.id or not usual else asked._replace(id=usual[0])
    parts: dict[str, Piece] = {}
    for modality, path in asked.files.items():
        if modality not in reading.modalities:
            continue
        prefix = f"{modality} " if reading.learned_files else ""
        part = reading.schema.part(*reading.modalities[modality], prefix)
        one = asked._replace(path=path, files={})
        bare = known and {name.removeprefix(prefix) for name in known}
        options = {**reading.options, **written(replace(reading, schema=part), readings, one)}
        parts[modality] = gathered(path, [*pieces(one, part, options, bare)])
    return beside(parts, reading.modalities, asked.files, asked.id is not None, reading.masks)


def written(reading: Reading, readings: Sequence[Reading], asked: Asked) -> dict[str, Any]:
    """The file's separator and decimal mark: those that a person states, else those of the file that the run
    was trained on; where these do not fit the file, those of another run that do.
    """
    stated = {"separator": asked.separator, "decimal": asked.decimal}
    stated = {name: value for name, value in stated.items() if value is not None}
    ways = [{**each.way, **stated} for each in (reading, *readings) if not each.fields]
    if all(way == ways[0] for way in ways) or not is_table(asked.path):
        return ways[0]
    return next((way for way in ways if fits(asked, reading.schema, {**reading.options, **way})), ways[0])


def tell_other_ids(readings: Sequence[Reading], made: Sequence[Piece | RawPiece]) -> None:
    first, ids = readings[0], made[0].ids.astype(str)
    for reading, piece in zip(readings[1:], made[1:]):
        if not np.array_equal(piece.ids.astype(str), ids):
            complain(
                f"{reading.run} names rows {by_what(reading)}, {first.run} {by_what(first)}: the predictions "
                "have the names of the latter; id=... chooses"
            )


def by_what(reading: Reading) -> str:
    names = reading.schema.beside.get("id", ())
    return f"by {names[0]!r}" if names else "by their numbers"
