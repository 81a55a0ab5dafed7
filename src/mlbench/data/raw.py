"""Texts and images as they lie in files: what an encoder makes vectors of. Images are read when they are
asked for, out of a folder, a tar or a zip; nothing is unpacked to disk.
"""

import hashlib
import json
import tarfile
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from mlbench.data import arrow
from mlbench.data.files import DAMAGE, reason
from mlbench.data.task import FIELDS, Kind
from mlbench.errors import UserError
from mlbench.files import write

Read = Callable[[int], bytes]  # a row's number -> the bytes of its image


@dataclass(frozen=True)
class Texts:
    """A text a row. `ids` are what the file calls its rows, for messages."""

    rows: Sequence[str]
    ids: Sequence[str]

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: np.ndarray) -> "Texts":
        return Texts(picked(self.rows, index), picked(self.ids, index))

    def joined(self, other: "Texts") -> "Texts":
        return Texts((*self.rows, *other.rows), (*self.ids, *other.ids))

    @property
    def plain(self) -> dict[str, Any]:
        """The texts as plain types, which JSON can hold."""
        return {"rows": list(self.rows), "ids": list(self.ids)}


@dataclass(frozen=True)
class Images:
    """An image file a row: `members` are its paths in `source`, a folder, a tar or a zip."""

    source: Path
    members: Sequence[str]
    ids: Sequence[str]

    def __len__(self) -> int:
        return len(self.members)

    def __getitem__(self, index: np.ndarray) -> "Images":
        return replace(self, members=picked(self.members, index), ids=picked(self.ids, index))

    def joined(self, other: "Images") -> "Images":
        assert self.source == other.source, "the images of one data set lie in one place"
        return replace(self, members=(*self.members, *other.members), ids=(*self.ids, *other.ids))

    @property
    def plain(self) -> dict[str, Any]:
        return {"source": str(self.source), "members": list(self.members), "ids": list(self.ids)}

    def named(self, row: int) -> str:
        """How a message names the image of a row."""
        return f"{self.source}: row {self.ids[row]}: image {self.members[row]}"

    def contents(self) -> Iterator[bytes]:
        """The bytes of each image, in order."""
        with ExitStack() as stack:
            bytes_of = self._opened(stack)
            for row in range(len(self)):
                try:
                    yield bytes_of(row)
                except (*DAMAGE, zipfile.BadZipFile, RuntimeError, NotImplementedError) as error:
                    raise UserError(f"{self.named(row)} cannot be read: {reason(error)}") from error

    def _opened(self, stack: ExitStack) -> Read:
        if self.source.is_dir():
            return lambda row: inside(self, row).read_bytes()
        places = places_in(self.source)
        if zipfile.is_zipfile(self.source):
            archive = stack.enter_context(zipfile.ZipFile(self.source))
            return lambda row: archive.read(member(self, row, places))
        file = stack.enter_context(self.source.open("rb"))

        def bytes_at(row: int) -> bytes:
            start, length = member(self, row, places)
            file.seek(start)
            data = file.read(length)
            if len(data) < length:
                raise EOFError(f"the archive ends {length - len(data):,} bytes too early")
            return data

        return bytes_at


@dataclass(frozen=True)
class Embedded(Images):
    """Images that are cells of a column: `members` name a Parquet or Arrow file below `source`, and a row."""

    column: str = ""

    @property
    def plain(self) -> dict[str, Any]:
        return {**super().plain, "column": self.column}

    def _opened(self, stack: ExitStack) -> Read:
        opened: dict[str, arrow.Cells] = {}

        def bytes_of(row: int) -> bytes:
            name, _, number = self.members[row].rpartition(arrow.ROW)
            if name not in opened:
                opened.clear()
                opened[name] = arrow.Cells(self.source / name, self.column)
            return arrow.image_bytes(opened[name].at(int(number)))

        return bytes_of


def picked(words: Sequence[str], index: np.ndarray) -> tuple[str, ...]:
    rows: list[int] = index.tolist()
    return tuple(words[row] for row in rows)


def tar_members(path: Path) -> dict[str, tuple[int, int]]:
    """Where the content of each regular file of a tar starts, and its length; no links, no devices."""
    with path.open("rb") as file, tarfile.open(fileobj=file, mode="r:") as archive:
        return {m.name: (m.offset_data, m.size) for m in archive if m.isreg() and not m.issparse()}


def member(images: Images, row: int, places: Mapping[str, Any]) -> Any:
    """A row's image in an archive, as `places` has it: a zip's entry, or start and length in a tar."""
    name = images.members[row]
    location = places.get(name, places.get(f"./{name}"))
    if location is None:
        raise UserError(f"{images.named(row)} is no regular file in there: correct the index, or the archive")
    return location


def listing(source: Path, folder: str) -> list[str]:
    """The files below a folder of `source`, wherever that folder lies in an archive."""
    if source.is_dir():
        return [p.relative_to(source).as_posix() for p in (source / folder).rglob("*") if p.is_file()]
    names = (name.removeprefix("./") for name in places_in(source))
    return [name for name in names if f"/{folder}/" in f"/{name}"]


def holds(source: Path, name: str) -> bool:
    """Whether a folder, a tar or a zip has a file of that name."""
    if source.is_dir():
        return (source / name).is_file()
    return not {name, f"./{name}"}.isdisjoint(places_in(source))


def places_in(source: Path) -> Mapping[str, Any]:
    """The regular files of a tar or zip by name, and where each is."""
    try:
        if not zipfile.is_zipfile(source):
            return tar_members(source)
        with zipfile.ZipFile(source) as archive:
            return {each.filename: each for each in archive.infolist() if not each.is_dir()}
    except (*DAMAGE, tarfile.TarError, zipfile.BadZipFile) as error:
        raise UserError(f"{source} is no whole tar or zip: {reason(error)}") from error


def inside(images: Images, row: int) -> Path:
    """The path of a row's image in a folder, which it must not leave, by a link or otherwise."""
    path = images.source / images.members[row]
    if not path.resolve().is_relative_to(images.source.resolve()):
        raise UserError(f"{images.named(row)} lies outside of that folder: put a copy into it")
    if not path.is_file():
        raise UserError(f"{images.named(row)} is not there: put it there, or take the row out of the index")
    return path


def checksum(images: Images, cache: Path | None) -> str:
    """SHA-256 over names and contents of the images of a folder; kept while all keep their size and time."""
    paths = [inside(images, row) for row in range(len(images))]
    stats = [path.stat() for path in paths]
    listing = [[name, s.st_size, s.st_mtime_ns] for name, s in zip(images.members, stats)]
    key = hashlib.sha256(json.dumps([str(images.source.resolve()), listing]).encode()).hexdigest()
    note = cache / "checksums" / f"{key[:16]}.json" if cache else None
    if note and note.is_file() and (kept := note.read_text().split())[:1] == [key]:
        return kept[1]
    digest = hashlib.sha256()
    for name, content in zip(images.members, images.contents()):
        digest.update(f"{name}\0{len(content)}\0".encode() + content)
    if note:
        write(note, f"{key} {digest.hexdigest()}")
    return digest.hexdigest()


Raw = Texts | Images


def raw_from(field: str, plain: dict[str, Any]) -> Raw:
    """Texts or images of what `plain` gave."""
    if field == "text":
        return Texts(tuple(plain["rows"]), tuple(plain["ids"]))
    images = Path(plain["source"]), tuple(plain["members"]), tuple(plain["ids"])
    return Embedded(*images, column=plain["column"]) if "column" in plain else Images(*images)


def raw_fields(options: Mapping[str, Any]) -> tuple[str, ...]:
    """The raw fields of a data set with these options: those that are given."""
    return tuple(field for field in FIELDS if options.get(field))


def kind_of(fields: Sequence[str]) -> Kind:
    match fields:
        case []:
            return "vector"
        case ["text"]:
            return "text"
        case ["image"]:
            return "image"
    return "text and image"
