"""Tables of text whose rows are lines and whose cells are bare, read by pyarrow: several times as fast as by
pandas.

Where a table is anything else, `NotPlain` says so before a row of the doubtful lines is given out: pandas
knows all forms of a table.
"""

import bz2
import codecs
import gzip
import lzma
from collections.abc import Callable, Collection, Iterator, Sequence
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import pandas
    import pyarrow

BLOCK = 1 << 23  # bytes of lines that are read at once
PART = 1 << 20  # bytes of them that one processor parses at a time
OPENERS: dict[str, Callable[..., Any]] = {".gz": gzip.open, ".bz2": bz2.open, ".xz": lzma.open}


class NotPlain(Exception):
    """A table that only a careful reader knows how to read."""


def opened(path: Path, mode: str = "rb", **options: Any) -> IO[Any]:
    """A file, compressed or not, by its suffix as pandas goes by it."""
    return OPENERS.get(path.suffix.lower(), open)(path, mode, **options)


def plain_frames(
    path: Path,
    separator: str,
    decimal: str,
    missing: Sequence[str],
    numbers: Collection[str],
    words: Collection[str],
    at_once: int,
    header_of: Callable[[bytes], Sequence[str]],
) -> "Iterator[tuple[Sequence[str], pandas.DataFrame]]":
    """The header, and so many rows at once of the columns of numbers and of words that are there. What is
    among `missing` is an empty cell.
    """
    try:
        import pyarrow
        from pyarrow import csv
    except ImportError:
        raise NotPlain from None
    if len(separator.encode()) != 1 or separator == " ":
        raise NotPlain
    try:
        with opened(path) as file:
            line = file.readline(BLOCK).removeprefix(codecs.BOM_UTF8)
            bare = line.removesuffix(b"\n").removesuffix(b"\r")
            if bare == line or not bare.strip() or bare.count(b'"') % 2 or b"\r" in bare:
                raise NotPlain
            header = header_of(line)
            kinds = {name: pyarrow.float64() for name in header if name in numbers}
            kinds |= {name: pyarrow.string() for name in header if name in words}
            if not kinds:
                raise NotPlain
            convert = csv.ConvertOptions(
                column_types=kinds,
                include_columns=[*kinds],
                null_values=[*missing],
                strings_can_be_null=True,
                decimal_point=decimal,
            )
            lines = csv.ParseOptions(delimiter=separator, quote_char=False, newlines_in_values=False)
            read = csv.ReadOptions(column_names=[*header], block_size=PART)
            tables = (
                csv.read_csv(pyarrow.BufferReader(block), read, lines, convert) for block in blocks(file)
            )
            for table in of_rows(tables, at_once):
                yield header, checked(table)
    except (pyarrow.ArrowInvalid, UnicodeDecodeError, EOFError, lzma.LZMAError) as error:
        raise NotPlain from error


def blocks(file: IO[bytes]) -> Iterator[bytes]:
    """Whole lines; refused where they have quotes, or other ends than lines have."""
    while block := file.read(BLOCK):
        end = file.readline(BLOCK)
        if len(end) == BLOCK:
            raise NotPlain
        block += end
        if b'"' in block or b"\0" in block:
            raise NotPlain
        if b"\r" in block and block.count(b"\r") != block.count(b"\r\n"):
            raise NotPlain
        if not block.isascii():
            block.decode()
        if not block.isspace():
            yield block


def of_rows(tables: "Iterator[pyarrow.Table]", at_once: int) -> "Iterator[pyarrow.Table]":
    """The same rows, so many at once."""
    import pyarrow

    held = None
    for table in tables:
        held = table if held is None else pyarrow.concat_tables([held, table])
        while held.num_rows >= at_once:
            yield held.slice(0, at_once)
            held = held.slice(at_once)
    if held is None:
        raise NotPlain
    if held.num_rows:
        yield held


def checked(table: "pyarrow.Table") -> "pandas.DataFrame":
    """Cells as pandas reads them; refused where it makes something else of them, or they are out of range."""
    import pyarrow

    kinds = dict(zip(table.column_names, table.schema.types))
    texts = [name for name, kind in kinds.items() if pyarrow.types.is_string(kind)]
    frame = table.to_pandas()
    if any(frame[name].str.startswith((" ", "\t"), na=False).any() for name in texts):
        raise NotPlain  # as blanks before a cell do not count
    for name in (name for name in texts if table[name].null_count):
        frame[name] = frame[name].astype(object).fillna(np.nan)
    numbers = frame.drop(columns=texts).to_numpy() if texts else frame.to_numpy()
    limit = np.finfo(np.float32).max
    if numbers.size and (np.fmax.reduce(numbers, None) > limit or np.fmin.reduce(numbers, None) < -limit):
        raise NotPlain
    return frame
