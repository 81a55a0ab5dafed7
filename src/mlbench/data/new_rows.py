"""Rows of any file for a trained method, a piece at a time, so that a file may be larger than the memory."""

import io
import itertools
import sys
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from scipy import sparse

from mlbench.data.formats import jsonl
from mlbench.data.formats.cells import MISSING_WORDS
from mlbench.data.formats.csv import INDEX_NAMES
from mlbench.data.formats.delimited import TAB, shown_separator
from mlbench.data.formats.label_lists import label_list, mark_of
from mlbench.data.gaps import filled
from mlbench.data.instances import Instances
from mlbench.data.new_files import READERS, Part
from mlbench.data.pieces import Piece, in_groups
from mlbench.data.plain_tables import NotPlain, opened, plain_frames
from mlbench.data.schema import Schema, targets_in
from mlbench.errors import UserError, did_you_mean

if TYPE_CHECKING:
    import pandas

CELLS = 1_000_000  # of a table at once
BUFFER = 1 << 16  # bytes of a column of a Parquet file
FIRST = 100  # rows that show how a table is written
PACKED = (".gz", ".bz2", ".xz")


class Asked(NamedTuple):
    """What a person says of a file of new rows."""

    path: str  # - is the standard input, a table with commas; "" where files are given
    id: str | None = None
    separator: str | None = None
    decimal: str | None = None
    images: str | None = None
    copied: Path | None = None  # where the standard input lies, if several read it
    rows: int | None = None  # at once; None: as many as CELLS allow
    files: Mapping[str, str] = {}  # of several files the path of each, by its modality

    @property
    def where(self) -> str:
        if self.files:
            return " and ".join(self.files.values())
        return "standard input" if self.path == "-" else self.path

    @property
    def source(self) -> Any:
        """What pandas reads a table from."""
        if self.path == "-":
            return self.copied or sys.stdin.buffer
        return Path(self.path).expanduser()

    def at_once(self, schema: Schema) -> int:
        return self.rows or max(CELLS // max(len(schema.columns), 1), 1)


def suffix_of(path: str) -> str:
    """In lower case and without that of a compression."""
    suffixes = [suffix.lower() for suffix in Path(path).suffixes if suffix.lower() not in PACKED]
    return suffixes[-1] if suffixes else ""


def is_table(path: str) -> bool:
    return path == "-" or suffix_of(path) in (".csv", ".tsv", ".txt")


class Frame(NamedTuple):
    header: Sequence[str]  # all columns of the file
    rows: "pandas.DataFrame"  # with the columns that are read


def pieces(
    asked: Asked, schema: Schema, options: Mapping[str, Any], known: Collection[str] | None = ()
) -> Iterator[Piece]:
    """All rows of a file. Columns that neither the method nor `known` has are left out, with one message;
    with None for `known` without one. `options` are those with which the training's file was read.
    """
    path, suffix = asked.path, suffix_of(asked.path)
    if path != "-" and not Path(path).expanduser().is_file():
        raise UserError(f"path={path}: no such file")
    if is_table(path):
        return of_table(asked, schema, options, known)
    if suffix == ".parquet":
        return of_frames(parquet_frames(asked, schema), asked, schema, options, known)
    if suffix == ".jsonl":
        return of_frames(jsonl_frames(asked, schema, options), asked, schema, options, known)
    if suffix not in READERS:
        formats = ", ".join([".csv", ".tsv", ".parquet", ".jsonl", *READERS])
        raise UserError(
            f"path={path}: rows are read from {formats}, or `-` for a table from the standard input"
        )
    parts = READERS[suffix](Path(path).expanduser(), schema, asked.id, asked.at_once(schema))
    read = (of_part(path, part, schema, known) for part in parts)
    return read if suffix == ".npz" else in_groups(read)


def of_table(
    asked: Asked, schema: Schema, options: Mapping[str, Any], known: Collection[str] | None
) -> Iterator[Piece]:
    import pandas as pd

    try:
        yield from of_frames(frames(asked, schema, options), asked, schema, options, known)
    except (pd.errors.ParserError, pd.errors.EmptyDataError, UnicodeDecodeError, EOFError) as error:
        raise UserError(f"{asked.where} is no table of text with a header line: {error}") from error


def frames(asked: Asked, schema: Schema, options: Mapping[str, Any]) -> Iterator[Frame]:
    import pandas as pd

    decimal, separator = options.get("decimal") or ".", options.get("separator")
    if separator is None and asked.source is sys.stdin.buffer:
        separator = ";" if decimal == "," else ","
    elif separator is None:
        separator = separator_of(asked.source)
    if separator == decimal:
        raise UserError(f"{asked.where}: separator={separator} stands between columns and within numbers")
    separator = "\t" if separator in TAB else separator
    missing = [form for word in MISSING_WORDS for form in {word, word.upper(), word.title(), "NaN"}]
    words = words_of(asked, schema)
    way: Any = {
        "sep": separator,
        "decimal": decimal,
        "na_values": missing,
        "keep_default_na": False,
        "dtype": dict.fromkeys(words, str),
        "encoding": "utf-8-sig",
        "skipinitialspace": True,
        "low_memory": False,
    }
    at_once, given = asked.at_once(schema), 0
    if asked.source is not sys.stdin.buffer:

        def header_of(line: bytes) -> list[str]:
            return [str(name) for name in pd.read_csv(io.BytesIO(line), nrows=0, **way).columns]

        numbers = {*schema.columns, *schema.labels}
        try:
            for header, frame in plain_frames(
                asked.source, separator, decimal, missing, numbers, words, at_once, header_of
            ):
                yield Frame(header, frame)
                given += len(frame)
            return
        except NotPlain:
            pass  # pandas goes on after the rows that were given
    for frame in pd.read_csv(asked.source, chunksize=at_once, **way):
        if given >= len(frame):
            given -= len(frame)
            continue
        yield Frame([str(name) for name in frame.columns], frame[given:])
        given = 0


def words_of(asked: Asked, schema: Schema) -> set[str]:
    """The columns whose cells are words, whatever they look like."""
    named = {name for option in ("id", "label_list") for name in schema.beside.get(option, ())}
    return {*schema.values, *named, *(INDEX_NAMES if "" in named else ()), *([asked.id] if asked.id else ())}


def fits(asked: Asked, schema: Schema, options: Mapping[str, Any]) -> bool:
    """Whether the first rows of a table, read with these options, have the columns that the method knows."""
    try:
        read = next(frames(asked._replace(rows=FIRST), schema, options), None)
        if read is None:
            return True
        schema.check(asked.where, read.header)
        schema.features_in(read.rows, asked.where, 0)
    except (UserError, ValueError, EOFError):  # pandas' own are ValueErrors
        return False
    return True


def named_by(options: Mapping[str, Any]) -> dict[str, tuple[str, ...]]:
    """The columns beside the features, of readers that do not say so: those that the options name."""
    given = {option: options.get(option) for option in ("id", "drop", "label_list")}
    listed = {option: each if isinstance(each, list) else [each] for option, each in given.items()}
    return {option: tuple(name for name in each if isinstance(name, str)) for option, each in listed.items()}


def known_to(schema: Schema) -> set[str]:
    """The columns of the training's file, those beside the features included: none of them is strange."""
    others = (name for names in schema.beside.values() for name in names)
    return {*schema.columns, *schema.labels, *INDEX_NAMES, *others}


def beside_in(header: Sequence[str], schema: Schema, option: str) -> str | None:
    """The column of this header that an option named in training; an index without a name has two names."""
    for wanted in schema.beside.get(option, ()):
        for name in INDEX_NAMES if wanted in INDEX_NAMES else (wanted,):
            if name in header:
                return name
    return None


def separator_of(path: Path) -> str:
    with opened(path, "rt", encoding="utf-8", errors="replace") as file:
        return shown_separator(path, "".join(itertools.islice(file, 3)))


def parquet_frames(asked: Asked, schema: Schema) -> Iterator[Frame]:
    path = asked.path
    try:
        import pyarrow.parquet as parquet
    except ImportError:
        raise UserError(
            f"path={path}: Parquet needs pyarrow, which is missing: pip install 'multilabel-bench[parquet]'"
        ) from None
    try:
        # Without a buffer a column is read as far as its group of rows goes, which may be the whole file.
        file = parquet.ParquetFile(Path(path).expanduser(), buffer_size=BUFFER, pre_buffer=False)
    except Exception as error:  # pyarrow has errors of its own for damaged files
        raise UserError(f"{path} is no whole Parquet file: {error}") from error
    header = [str(name) for name in file.schema_arrow.empty_table().to_pandas().columns]
    wanted = {*schema.columns, *schema.labels, *words_of(asked, schema)} & {*header}
    parts = file.iter_batches(batch_size=asked.at_once(schema), columns=[*wanted] or None)
    return (Frame(header, batch.to_pandas()) for batch in parts)


def jsonl_frames(asked: Asked, schema: Schema, options: Mapping[str, Any]) -> Iterator[Frame]:
    """Of objects, whose fields are columns. A field that an object lacks is an empty cell; a list of labels
    may be one of JSON's.
    """
    import pandas as pd

    rows = (row for _, row in jsonl.objects(Path(asked.path).expanduser(), asked.id))
    header: dict[str, None] = {}
    as_they_are = {*schema.values, *schema.beside.get("id", ()), *([asked.id] if asked.id else ())}
    while some := [*itertools.islice(rows, asked.at_once(schema))]:
        header |= dict.fromkeys(name for row in some for name in row)
        frame = pd.DataFrame(some, columns=[*header])
        for name in as_they_are & {*header}:  # beside an empty cell pandas makes 1.0 of 1
            frame[name] = pd.Series([row.get(name) for row in some], dtype=object)
        for name in {*schema.beside.get("label_list", ())} & {*header}:
            mark = options.get("label_separator") or ";"
            frame[name] = [
                mark.join(map(str, cell)) if isinstance(cell, list) else cell for cell in frame[name]
            ]
        yield Frame([*header], frame)


def of_frames(
    frames: Iterator[Frame],
    asked: Asked,
    schema: Schema,
    options: Mapping[str, Any],
    known: Collection[str] | None,
) -> Iterator[Piece]:
    where, id, first, listed = asked.where, asked.id, 0, None
    for header, frame in frames:
        if not first:
            schema.check(where, header)
            refuse_twins(where, header, schema.columns)
            if id is not None and id not in header:
                raise UserError(f"{where} has no column {id!r}, which id names")
            id = id or beside_in(header, schema, "id")
            listed = beside_in(header, schema, "label_list")
            if known is not None:
                tell_unknown(where, header, {*known_to(schema), *known, *([id] if id else [])})
        numbers = np.arange(first, first + len(frame))
        ids = numbers if id is None else frame[id].astype(str).to_numpy(dtype=object)
        if listed is None:
            targets = targets_in(frame, schema.labels, where, first)
        else:
            targets = targets_of_lists(frame[listed], schema.labels, where, first, options)
        yield Piece(ids, schema.features_in(frame, where, first), targets)
        first += len(frame)


def targets_of_lists(
    cells: Any, labels: Sequence[str], where: str, first: int, options: Mapping[str, Any]
) -> np.ndarray:
    """(n, L) of a column that lists each row's labels, as that of the training's file does."""
    texts = [str(text).strip() for text in cells.fillna("")]
    place = {name: column for column, name in enumerate(labels)}
    mark = mark_of(where, texts, options.get("label_separator"))
    targets = np.zeros((len(texts), len(labels)), np.uint8)
    for row, text in enumerate(texts):
        for label in label_list(f"{where}, row {first + row} (from 0)", text, mark):
            if label not in place:
                known = f"it knows {', '.join(labels[:10])}{did_you_mean(label, labels)}"
                raise UserError(
                    f"{where}, row {first + row} (from 0): label {label!r}, which training never saw; {known}"
                )
            targets[row, place[label]] = 1
    return targets


def refuse_twins(where: str, header: Sequence[str], wanted: Sequence[str]) -> None:
    """pandas calls the second column of a name `name.1`."""
    if twins := [name for name in wanted if f"{name}.1" in header and f"{name}.1" not in wanted]:
        raise UserError(f"{where} has several columns {twins[0]!r}; give each a name of its own")


def tell_unknown(where: str, header: Sequence[str], known: set[str]) -> None:
    if unknown := [name for name in header if name not in known]:
        shown = ", ".join(unknown[:5]) + (", ..." if len(unknown) > 5 else "")
        columns = "a column" if len(unknown) == 1 else f"{len(unknown)} columns"
        print(f"mlbench: {where}: {columns} that the method does not know left out: {shown}", file=sys.stderr)


def of_part(path: str, part: Part, schema: Schema, known: Collection[str] | None) -> Piece:
    """Its columns are put in the order of training by their names."""
    instances = filled(part.instances, schema.fills)
    names, wanted = instances.feature_names, schema.features
    features: Any = instances.features
    if names != wanted:
        column_of = {name: column for column, name in enumerate(names)}
        if missing := [name for name in wanted if name not in column_of]:
            raise UserError(
                f"{path}: {len(missing)} of the {len(wanted)} features of the training are not there, "
                f"such as {missing[0]!r}"
            )
        features = features[:, [column_of[name] for name in wanted]]
    if known is not None and not part.first:
        tell_unknown(path, part.header, {*wanted, *known_to(schema), *known})
    targets = None
    if {*schema.labels} <= {*instances.labels}:
        targets = instances.targets[:, [instances.labels.index(label) for label in schema.labels]]
    numbers = np.arange(part.first, part.first + len(instances))
    return Piece(numbers if part.ids is None else part.ids, features, targets)


def rows_of(piece: Piece, labels: int, modalities: Mapping[str, tuple[int, int]] | None = None) -> Instances:
    """A piece as instances, whose targets are not looked at. A piece of which rows lack something needs the
    modalities.
    """
    features: Any = piece.features
    thin = sparse.csr_matrix(features) if sparse.issparse(features) else features
    none = np.zeros((len(piece.ids), labels), np.uint8)
    names = ("",) * features.shape[1]
    return Instances(thin, none, ("",) * labels, names, dict(modalities or {}), present=piece.present)
