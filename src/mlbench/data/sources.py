"""Finds a data set's files in folders that the user names, among the downloads, or on the network."""

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
OFFLINE = ("multidigits",)  # data sets that are made without any file


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
    """The folders in which a data set's files may lie, in the order in which they are searched."""
    roots = [root for root in os.environ.get(VARIABLE, "").split(os.pathsep) if root.strip()]
    return [Path(root).expanduser() / folder for root in roots] + [downloads(folder, cache)]


def candidates(file: File, folder: str, cache: Path) -> Iterator[Path]:
    """The existing files of that name, compressed or not, whatever their content."""
    for directory in places(folder, cache):
        for suffix in SUFFIXES:
            path = directory / (file.name + suffix)
            with contextlib.suppress(PermissionError):  # a folder that may not be entered counts as empty
                if path.is_file():
                    yield path


def find(file: File, folder: str, cache: Path) -> Path | None:
    """The first file of that name with the right checksum; if none is known, the first file of that name."""
    paths = candidates(file, folder, cache)
    return next((p for p in paths if file.sha256 is None or checksum(p, cache) == file.sha256), None)


def checksum(path: Path, cache: Path | None = None) -> str | None:
    """SHA-256 of the uncompressed content; None where it cannot be uncompressed.

    The checksum is kept under `cache` for as long as the file keeps its size and time, so that only the first
    run reads the whole file to hash it.
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
            kept = json.loads(note.read_text())
            if kept["file"] == key:
                return kept["sha256"]
    try:
        sha256, _ = raw_checksum(path)
    except EOFError:
        return None
    except OSError as error:
        if error.errno:
            raise UserError(f"{path} cannot be read: {error.strerror}") from error
        return None
    if note:
        with contextlib.suppress(OSError):  # without a cache to write to, the next run hashes the file again
            write(note, json.dumps({"file": key, "sha256": sha256}))
    return sha256


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
    """The paths of a data set's files by role; files that are found nowhere are downloaded.

    `where` tells a person how to get files that have no address. `progress` gives, for a file that is to be
    downloaded, the function to report its bytes to.
    """
    paths: dict[str, Path] = {}
    missing, failure = [], None
    for role, file in files.items():
        path = find(file, folder, cache)
        if path is None and file.urls and file.sha256 and failure is None:
            try:
                to = downloads(folder, cache) / file.name
                watch = progress(file) if progress else None
                path = download(file.urls, to, sha256=file.sha256, bytes_=file.bytes, progress=watch)
            except UserError as error:
                failure = str(error)  # no other file is tried: each would most likely take its time and fail
        if path is None:
            missing.append(file)
        else:
            paths[role] = path
    if missing:
        raise DataMissing(_absence(dataset, missing, folder, cache, where, failure))
    return paths


def _absence(
    dataset: str, missing: list[File], folder: str, cache: Path, where: str | None, failure: str | None
) -> str:
    """One sentence: the missing files, the places searched, why a download failed, what to do."""
    searched = places(folder, cache)
    unset = "" if os.environ.get(VARIABLE) else f" ({VARIABLE} is not set)"
    names = ", ".join(file.name for file in missing)
    parts = [f"data set {dataset}: {names} not found in {_or(searched)}{unset}"]
    for file in missing:
        for path in candidates(file, folder, cache):
            parts.append(f"{path} is there, but has other content than expected")
    if failure:
        parts.append(failure)
    addresses = [file.urls[0] for file in missing if file.urls]
    todo = [f"get {', '.join(addresses)}"] if addresses else []
    if unknown := [file.name for file in missing if not file.urls]:
        todo.append(
            where.rstrip(". ") if where else f"get {', '.join(unknown)}, for which no address is known"
        )
    parts.append(f"{', and '.join(todo)}; put {'it' if len(missing) == 1 else 'them'} into {searched[0]}")
    parts.append(f"dataset={_or(OFFLINE)} needs no download")
    return "; ".join(parts)


def _or(names: Sequence[Path | str]) -> str:
    *most, last = map(str, names)
    return f"{', '.join(most)} or {last}" if most else last
