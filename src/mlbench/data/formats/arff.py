"""ARFF, dense and sparse, as WEKA, Mulan and MEKA write it; the caller says which columns are labels."""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np
from scipy import sparse

from mlbench.data import columns
from mlbench.data.columns import Attribute, Kind, ParsedTable
from mlbench.data.files import Block, blocks, content, encoding, encoding_of, in_blocks
from mlbench.data.formats.arff_rows import QUOTED, Cells, fields, line_of, rows, uncommented, unquoted
from mlbench.data.instances import Instances
from mlbench.errors import UserError, did_you_mean

ATTRIBUTE = re.compile(rf"@attribute(?:\s+|(?=['\"]))({QUOTED}|[^\s{{]+)\s*(.*)", re.IGNORECASE)
KINDS: dict[str, Kind] = {
    **dict.fromkeys(("numeric", "real", "integer"), "number"),
    **dict.fromkeys(("string", "date"), "text"),
}


@dataclass(frozen=True)
class Header:
    relation: str
    attributes: tuple[Attribute, ...]
    start: int  # the byte at which the data begin
    line: int  # the first one of the data
    encoding: str


@dataclass(frozen=True)
class Reading:
    """A file whose header was read, and what becomes of its columns."""

    path: Path
    head: Header
    labels: list[int]  # columns, in the order of the file
    missing: str = "refuse"
    drop: Sequence[str | int] = ()
    values: Mapping[str, Sequence[str]] = field(default_factory=dict)

    def parsed_as(self) -> list[Attribute]:
        """The attributes; dropped columns may hold anything, so they are parsed as text."""
        attributes = self.head.attributes
        columns.refuse_text(self.path, attributes, self.labels, self.left_out)
        return [
            Attribute(attribute.name, "text") if column in self.left_out else attribute
            for column, attribute in enumerate(attributes)
        ]

    @cached_property
    def left_out(self) -> set[int]:
        return columns.dropped(self.path, [attribute.name for attribute in self.head.attributes], self.drop)

    def instances(self, cells: Cells, line: Callable[[int], str]) -> Instances:
        table = ParsedTable(self.path, self.head.attributes, cells, line)
        table = columns.with_values(table, self.values)
        instances = columns.instances(table, self.labels, self.missing, self.drop, self.values)
        named = tuple(self.head.attributes[column].name for column in sorted(self.left_out))
        return replace(instances, beside={"drop": named})


def read(
    path: Path,
    labels: Callable[[Header], list[int]],
    missing: str = "refuse",
    drop: Sequence[str | int] = (),
    values: Mapping[str, Sequence[str]] | None = None,
) -> Instances:
    """`labels` chooses the label columns from the header, in the order of the file. Attributes named in
    `values` are features whose values are these, whatever the header declares.
    """
    data = content(path)
    head = header(path, data)
    reading = Reading(path, head, labels(head), missing, drop, values or {})
    blocks_there = in_blocks(data, head.start, head.line)
    parts: list[Any] = [cells for _, cells in rows(path, blocks_there, head.encoding, reading.parsed_as())]
    thin = sparse.issparse(parts[0])
    cells = sparse.csr_matrix(sparse.vstack(parts, format="csr")) if thin else np.concatenate(parts)
    return reading.instances(cells, lambda row: line_named(Block(head.line, data[head.start :]), row))


def in_pieces(reading: Reading, lines: int) -> Iterator[tuple[bytes, Instances]]:
    """The rows of a few megabytes of the file, and of at most so many lines, after the other, each with the
    bytes where it stands; a file may be larger than the memory.
    """
    path, head = reading.path, reading.head
    there = blocks(path, head.start, head.line, lines)
    for block, cells in rows(path, there, head.encoding, reading.parsed_as()):
        yield block.data, reading.instances(cells, partial(line_named, block))


def line_named(block: Block, row: int) -> str:
    return f"line {line_of(block.data, block.line, row)}"


# The header


def header(path: Path, data: bytes) -> Header:
    """Parses the file from its first line to @data."""
    return header_of(path, lines_in(data), encoding(data))


def header_at(path: Path) -> Header:
    """That of a file that may be larger than the memory."""
    used = encoding_of(blocks(path))
    return header_of(path, (line for block in blocks(path) for line in lines_in(block.data)), used)


def lines_in(data: bytes) -> Iterator[bytes]:
    """Each with its end."""
    start = 0
    while start < len(data):
        stop = data.find(b"\n", start) + 1 or len(data)
        yield data[start:stop]
        start = stop


def header_of(path: Path, lines: Iterable[bytes], used: str) -> Header:
    relation, attributes = "", []
    start = 0
    for number, data in enumerate(lines, 1):
        line = uncommented(data.decode(used)).strip()
        start += len(data)
        keyword = line[: len("@attribute")].lower()
        if keyword == "@attribute":
            attributes.append(declaration(line, f"{path}, line {number}"))
        elif keyword.startswith("@relation"):
            relation = unquoted(line[len("@relation") :].strip())
        elif keyword.startswith("@data"):
            if not attributes:
                raise UserError(f"{path}, line {number}: no @attribute before @data: the file is not whole")
            return Header(relation, tuple(attributes), start, number + 1, used)
        elif line:
            raise UserError(f"{path}, line {number}: {line[:40]!r} is no @relation, @attribute or @data")
    raise UserError(f"{path} has no @data line: it is no ARFF file, or was cut off: fetch it again")


def declaration(line: str, line_named: str) -> Attribute:
    """The attribute that an @attribute line declares."""
    match = ATTRIBUTE.match(line)
    if not match or not match[2]:
        raise UserError(
            f"{line_named}: {line[:60]!r} declares no name and kind: write @attribute NAME numeric"
        )
    name, kind = unquoted(match[1]), match[2]
    if not kind.startswith("{"):
        word = kind.split()[0].lower()
        if word not in KINDS:
            near = did_you_mean(word, KINDS)
            raise UserError(f"{line_named}: attribute {name!r} is of unknown kind {word!r}{near}")
        return Attribute(name, KINDS[word])
    if not kind.endswith("}"):
        raise UserError(f"{line_named}: the values of attribute {name!r} have no closing brace")
    values = tuple("?" if value is None else value for value in fields(kind[1:-1].strip().removesuffix(",")))
    if not values or len(set(values)) < len(values):
        raise UserError(f"{line_named}: attribute {name!r} declares no values, or one of them twice")
    return Attribute(name, "nominal", values)
