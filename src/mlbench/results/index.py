"""records.index below the outputs: what each record says in brief, so that the record need not be opened.

A line a record, appended when the run has finished, or by the first reader who meets the record without one.
A line is believed as long as the record's file is the one that it was made of: of the same size, times and
inode. Whatever is wrong with the index (half a line of a killed process, an edit by hand) costs time alone: a
record without a line to believe is opened.

A line holds, with tabs between: FORMAT, a checksum of the rest, the record's path as JSON, what its file was,
what this run alone says, and what it shares with many others, which is parsed once.
"""

import contextlib
import functools
import json
import os
import time
import zlib
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from pydantic_core import from_json

from mlbench.files import whole
from mlbench.results.record import Brief, Record

NAME = "records.index"
FORMAT = b"1"
SHARED = ("choices", "data", "config", "versions", "revision", "code", "rule", "imported")
FRESH = 2.0  # seconds: a file that is younger may change again without its times telling
SPARE = 1000  # outdated lines that are kept, beside one for each line that counts

Stamp = bytes


def stamp_of(status: os.stat_result) -> Stamp:
    """Size, times and inode: a file whose stamp differs is another file. No program can set ctime back."""
    return b"%d %d %d %d" % (status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino)


@dataclass(frozen=True)
class Line:
    stamp: Stamp
    own: bytes
    shared: bytes


class Index:
    def __init__(self, outputs: Path):
        self.outputs, self.path = outputs, outputs / NAME
        self._forget()

    def _forget(self) -> None:
        self.lines: dict[str, Line] = {}
        self.briefs: dict[str, tuple[Stamp, Brief]] = {}
        self.texts: dict[bytes, bytes] = {}  # texts that several lines share, each held once
        self.parts: dict[bytes, dict[str, Any]] = {}  # shared texts, parsed
        self.inode, self.end, self.read_lines = 0, 0, 0

    def brief(self, run: Path) -> Brief | None:
        """What the run's record says in brief; None without a record, ValueError for a file that is none."""
        path = run / "record.json"
        name = "/".join(run.parts[-3:])
        try:
            status = path.stat()
        except (FileNotFoundError, NotADirectoryError):
            return None
        stamp = stamp_of(status)
        if known := self._known(name, stamp):
            return known
        self.refresh()
        if known := self._known(name, stamp):
            return known
        try:
            brief = Record.read(path).brief
            after = stamp_of(path.stat())
        except FileNotFoundError:
            return None
        if after == stamp:
            self.briefs[name] = stamp, brief
            if time.time() - max(status.st_mtime, status.st_ctime) > FRESH:
                self.append(name, stamp, brief)
        return brief

    def _known(self, name: str, stamp: Stamp) -> Brief | None:
        before, brief = self.briefs.get(name, (b"", None))
        if before == stamp:
            return brief
        line = self.lines.get(name)
        if line is None or line.stamp != stamp:
            return None
        if (shared := self.parts.get(line.shared)) is None:
            shared = self.parts[line.shared] = _parsed(line.shared)
        own = _parsed(line.own)
        settings = shared["config"] | own.pop("config")
        brief = Brief(**shared | own | {"config": settings})
        self.briefs[name] = stamp, brief
        return brief

    def refresh(self) -> None:
        """Reads what has been appended since the last look, but no line that is still being written."""
        with contextlib.suppress(OSError), self.path.open("rb") as file:
            status = os.fstat(file.fileno())
            if status.st_ino != self.inode or status.st_size < self.end:
                self._forget()
                self.inode = status.st_ino
            if status.st_size == self.end:
                return
            file.seek(self.end)
            for line in file:
                if line.endswith(b"\n"):
                    self.end += len(line)
                    self._take(line[:-1])

    def _take(self, line: bytes) -> None:
        self.read_lines += bool(line)
        head, _, rest = line.partition(b"\t")
        checksum, _, content = rest.partition(b"\t")
        parts = content.split(b"\t")
        if head == FORMAT and checksum == checksum_of(content) and len(parts) == 4:
            name, stamp, own, shared = parts
            self.lines[json.loads(name)] = Line(stamp, own, self.texts.setdefault(shared, shared))

    def note(self, run: Path, record: Brief) -> None:
        """Appends the line of a record that this process has just written."""
        brief = record.brief if isinstance(record, Record) else record
        self.append("/".join(run.parts[-3:]), stamp_of((run / "record.json").stat()), brief)

    def append(self, name: str, stamp: Stamp, brief: Brief) -> None:
        """Appends a line; none on a full disk or in another user's folder, since the record says the same."""
        line = line_of(name, stamp, brief)
        with contextlib.suppress(OSError):
            file = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)
            try:
                os.write(file, b"\n" + line + b"\n")  # the first one ends what a killed process began
            finally:
                os.close(file)

    def tidy(self, everything: bool = False) -> None:
        """Writes the index anew, without lines whose record is gone: at once if asked for `everything`, else
        once most lines count no more.
        """
        self.refresh()
        if everything or self.read_lines > 2 * len(self.lines) + SPARE:
            kept = {
                name: line
                for name, line in self.lines.items()
                if (self.outputs / name / "record.json").exists()
            }
            with contextlib.suppress(OSError), whole(self.path, durable=False) as file:
                file.writelines(bytes_of(name, line) + b"\n" for name, line in kept.items())


def checksum_of(content: bytes) -> bytes:
    return b"%08x" % zlib.crc32(content)


def line_of(name: str, stamp: Stamp, brief: Brief) -> bytes:
    content = {each.name: getattr(brief, each.name) for each in fields(brief)}
    settings = dict(content["config"])
    own = {"config": {"seed": settings.pop("seed")}} if "seed" in settings else {"config": {}}
    own |= {key: value for key, value in content.items() if key not in SHARED}
    shared = {key: content[key] for key in SHARED} | {"config": settings}
    return bytes_of(name, Line(stamp, _json(own), _json(shared)))


def bytes_of(name: str, line: Line) -> bytes:
    content = b"\t".join((_json(name), line.stamp, line.own, line.shared))
    return b"\t".join((FORMAT, checksum_of(content), content))


def _parsed(text: bytes) -> Any:
    """What json.loads returns, in half the time."""
    try:
        return from_json(text)
    except ValueError:  # half of a surrogate pair, as in the name of a file that is no text
        return json.loads(text)


def _json(content: Any) -> bytes:
    return json.dumps(content, separators=(",", ":"), default=str).encode()


def index_of(run: Path) -> Index:
    """The index that has the run: its folder lies three steps below the outputs."""
    return _opened(run.absolute().parents[2])


@functools.cache
def _opened(outputs: Path) -> Index:
    return Index(outputs)
