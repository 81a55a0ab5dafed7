"""Where a data set's files are: in folders the user names, among what was downloaded, or on the network."""

import contextlib
import hashlib
import json
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from mlbench.data.download import SUFFIXES, Progress, download, raw_checksum
from mlbench.errors import DataMissing, UserError
from mlbench.files import write

VARIABLE = "MLBENCH_DATA"
OFFLINE = ("multidigits",)  # data sets that are made on the spot


@dataclass(frozen=True)
class File:
    """One file of a data set. Checksum and length are those of its uncompressed content."""

    name: str
    sha256: str | None = None
    bytes: int | None = None
    urls: tuple[str, ...] = ()


def default_cache() -> Path:
    return Path(os.environ.get("MLBENCH_CACHE") or "~/.cache/mlbench").expanduser()


def downloads(folder: str, cache: Path) -> Path:
    return cache / "downloads" / folder


def places(folder: str, cache: Path) -> list[Path]:
    """The folders in which a data set's files may lie, in the order they are searched."""
    roots = [root for root in os.environ.get(VARIABLE, "").split(os.pathsep) if root.strip()]
    return [Path(root).expanduser() / folder for root in roots] + [downloads(folder, cache)]


def candidates(file: File, folder: str, cache: Path) -> Iterator[Path]:
    """The files that bear its name, compressed or not, whatever they hold."""
    for place in places(folder, cache):
        for suffix in SUFFIXES:
            path = place / (file.name + suffix)
            with contextlib.suppress(PermissionError):  # a folder that may not be entered has nothing for us
                if path.is_file():
                    yield path


def find(file: File, folder: str, cache: Path) -> Path | None:
    """The first file of that name with the right content; any content where no checksum is known."""
    for path in candidates(file, folder, cache):
        if file.sha256 is None or checksum(path, cache) == file.sha256:
            return path
    return None


def checksum(path: Path, cache: Path | None = None) -> str | None:
    """SHA-256 of the uncompressed content; None where it cannot be uncompressed.

    It is remembered under `cache` for as long as the file keeps its size and time, so that no run but the
    first reads a file only to hash it.
    """
    path = path.absolute()
    try:
        status = path.stat()
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}") from error
    key = [str(path), status.st_size, status.st_mtime_ns]
    note = _note(path, cache) if cache else None
    if note:
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
            said = json.loads(note.read_text())
            if said["file"] == key:
                return said["sha256"]
    try:
        found, _ = raw_checksum(path)
    except EOFError:
        return None
    except OSError as error:
        if error.errno:
            raise UserError(f"{path} cannot be read: {error.strerror}") from error
        return None
    if note:
        with contextlib.suppress(OSError):  # a cache that cannot be written costs time, nothing else
            write(note, json.dumps({"file": key, "sha256": found}))
    return found


def _note(path: Path, cache: Path) -> Path:
    return cache / "checksums" / f"{hashlib.sha256(str(path).encode()).hexdigest()[:16]}.json"


def obtain(
    dataset: str,
    files: dict[str, File],
    folder: str,
    cache: Path,
    where: str | None = None,
    progress: Callable[[File], Progress | None] | None = None,
) -> dict[str, Path]:
    """Where each of a data set's files lies, by its role; those that are nowhere are downloaded.

    `where` says in a few words how a person gets files that have no address. `progress` gives, for a file
    that is to be downloaded, the function to tell how far it is.
    """
    found = {role: find(file, folder, cache) for role, file in files.items()}
    missing = [role for role, path in found.items() if path is None]
    failure = None
    for role in missing:
        file = files[role]
        if not (file.urls and file.sha256):
            continue
        try:
            to = downloads(folder, cache) / file.name
            watch = progress(file) if progress else None
            found[role] = download(file.urls, to, sha256=file.sha256, bytes_=file.bytes, progress=watch)
        except UserError as error:
            failure = str(error)  # the other files would most likely fail alike, and each would take its time
            break
    still = [files[role] for role in missing if found[role] is None]
    if still:
        raise DataMissing(_absence(dataset, still, folder, cache, where, failure))
    return found


def _absence(
    dataset: str, missing: list[File], folder: str, cache: Path, where: str | None, failure: str | None
) -> str:
    """One sentence: what is not there, where it was looked for, what became of the download, what to do."""
    searched = places(folder, cache)
    unset = "" if os.environ.get(VARIABLE) else f" ({VARIABLE} is not set)"
    names = ", ".join(file.name for file in missing)
    said = [f"data set {dataset}: {names} not found in {_or(searched)}{unset}"]
    for file in missing:
        for path in candidates(file, folder, cache):
            said.append(f"{path} is there, but has other content than expected")
    if failure:
        said.append(failure)
    addresses = [file.urls[0] for file in missing if file.urls]
    todo = [f"get {', '.join(addresses)}"] if addresses else []
    if len(addresses) < len(missing):
        nowhere = [file.name for file in missing if not file.urls]
        todo.append(
            where.rstrip(". ") if where else f"get {', '.join(nowhere)}, for which no address is known"
        )
    said.append(f"{', and '.join(todo)}; put {'it' if len(missing) == 1 else 'them'} into {searched[0]}")
    said.append(f"dataset={_or(OFFLINE)} needs no download")
    return "; ".join(said)


def _or(things: Sequence[Path | str]) -> str:
    *most, last = map(str, things)
    return f"{', '.join(most)} or {last}" if most else last
