"""Downloads a file: continues where it broke off, tries several mirrors, accepts only the right checksum."""

import errno
import hashlib
import lzma
import re
import time
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path
from urllib.parse import urlsplit

import requests
import urllib3

from mlbench.data.files import COMPRESSIONS, unpacked
from mlbench.errors import UserError
from mlbench.locks import lock

Progress = Callable[[int, int | None], None]  # bytes so far, and bytes in all if the server tells

SUFFIXES = ("", ".gz", ".bz2", ".xz")

CHUNK = 1 << 16
ATTEMPTS = 8  # requests to one mirror; all but the first continue where a connection broke off
SLOWEST = 1024  # bytes per second; a slower server is given up like a silent one


class Refused(Exception):
    """One mirror did not deliver; the message says why, in a few words."""


def raw_checksum(path: Path, most: int | None = None) -> tuple[str, int]:
    """SHA-256 and length of a file's uncompressed content, read up to the first chunk beyond `most` bytes.

    Raises EOFError if a compressed file breaks off and OSError if it is damaged.
    """
    digest, length = hashlib.sha256(), 0
    try:
        for chunk in unpacked(path):
            digest.update(chunk)
            length += len(chunk)
            if most is not None and length > most:
                break
    except (zlib.error, lzma.LZMAError) as error:
        raise OSError(f"{path} is damaged: {error}") from error
    return digest.hexdigest(), length


def download(
    urls: Sequence[str],
    to: Path,
    *,
    sha256: str,
    bytes_: int | None = None,
    progress: Progress | None = None,
    connect: float = 10.0,
    read: float = 30.0,
    stall: float = 60.0,
    redirects: int = 5,
) -> Path:
    """Fetches a file from the first of `urls` that has the right content; returns its path.

    `sha256` and `bytes_` are those of the uncompressed content. A mirror may serve the file compressed: it
    stays compressed, and its name is `to` with .gz, .bz2 or .xz. Bytes received so far are kept in
    `<to>.part`, so that another mirror, or the next run, continues there; only right content gets the name.

    Seconds: `connect` until a server answers, `read` between two packets, `stall` over which the mean rate
    must reach SLOWEST.
    """
    part = to.with_name(f"{to.name}.part")
    failures = []
    try:
        to.parent.mkdir(parents=True, exist_ok=True)
        # A second run waits here for the first, then uses the file of the first.
        with lock(to.with_name(f"{to.name}.lock")), requests.Session() as session:
            for suffix in SUFFIXES:
                existing = to.with_name(to.name + suffix)
                if existing.exists() and _state(existing, sha256, bytes_) == "right":
                    return existing
            session.max_redirects = redirects
            for url in urls:
                try:
                    _from_mirror(session, url, part, sha256, bytes_, progress, (connect, read), stall)
                    return _settle(part, to)
                except Refused as why:
                    failures.append(f"{urlsplit(url).netloc or url}: {why}")
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            needed = f", which takes {bytes_:,} bytes" if bytes_ else ""
            raise UserError(f"no space left in {to.parent} for {to.name}{needed}; make room there") from error
        raise UserError(f"cannot write {to.name} into {to.parent}: {error.strerror or error}") from error
    raise UserError(f"could not download {to.name}: {'; '.join(failures) or 'no address is known for it'}")


def _from_mirror(
    session: requests.Session,
    url: str,
    part: Path,
    sha256: str,
    bytes_: int | None,
    progress: Progress | None,
    timeout: tuple[float, float],
    stall: float,
) -> None:
    """Leaves the right content in `part`, or raises Refused."""
    trouble, begun = "it broke off too often", False
    for _ in range(ATTEMPTS):
        had = _size(part)
        if had and _state(part, sha256, bytes_) == "right":  # killed between the last byte and the rename
            return
        if not had:
            if begun:  # a second download from the start would bring the same content
                break
            begun = True
        broken = None
        try:
            _stream(session, url, part, bytes_, progress, timeout, stall)
        except (requests.RequestException, urllib3.exceptions.HTTPError) as error:
            broken = _in_words(error, timeout)
        state = _state(part, sha256, bytes_)
        if state == "right":  # even if the server announced more bytes
            return
        if _is_page(part):
            part.unlink()
            raise Refused("it sends a web page instead of the file")
        if state == "short" and _size(part) > had:
            trouble = broken or f"it ends after {_size(part):,} bytes"
        elif broken:
            raise Refused(broken)
        else:
            part.unlink(missing_ok=True)
            if not had:
                raise Refused(f"its content is {state}")
            # The bytes received before may be of another version, or compressed by another mirror.
            trouble = trouble if begun else "what it sends does not continue what was there"
    raise Refused(trouble)


def _stream(
    session: requests.Session,
    url: str,
    part: Path,
    bytes_: int | None,
    progress: Progress | None,
    timeout: tuple[float, float],
    stall: float,
) -> None:
    """Writes the response to one request into `part`, behind its content if the server can continue there."""
    had = _size(part)
    headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={had}-"} if had else {})
    with session.get(url, headers=headers, stream=True, timeout=timeout) as response:
        if had and response.status_code == 416:  # the part is at least as long as the file
            return
        if response.status_code not in (200, 206):
            raise Refused(f"HTTP {response.status_code} {response.reason}")
        span = re.match(r"bytes (\d+)-", response.headers.get("Content-Range", ""))
        start = int(span[1]) if response.status_code == 206 and span else 0
        if start not in (0, had):
            raise Refused(f"asked for the bytes from {had:,} on, it sends those from {start:,} on")
        length = response.headers.get("Content-Length", "")
        total = start + int(length) if length.isdigit() else None
        # Compressed bytes may be a little more than the content. The bound ends an endless response.
        most = bytes_ + bytes_ // 100 + CHUNK if bytes_ is not None else None
        done = marked = start
        since = time.monotonic()
        with part.open("ab" if start else "wb") as out:
            # Each read takes what the socket has: waiting for a whole chunk would hide a slow server.
            while chunk := response.raw.read1(CHUNK, decode_content=False):
                out.write(chunk)
                done += len(chunk)
                if most is not None and done > most:
                    out.truncate(0)
                    raise Refused(f"it sends more than the {bytes_:,} bytes of the file")
                if progress:
                    progress(done, total)
                if (now := time.monotonic()) - since >= stall:
                    if done - marked < SLOWEST * stall:
                        raise Refused(f"too slow: {done - marked:,} bytes in {now - since:.0f} s")
                    since, marked = now, done


def _state(path: Path, sha256: str, bytes_: int | None) -> str:
    """'right', 'short' (more may follow), or what is wrong with a file."""
    if not path.exists():
        return "short"
    try:
        actual, length = raw_checksum(path, bytes_)
    except EOFError:
        return "short"
    except OSError as error:
        if error.errno:  # the disk failed, not the content
            raise
        return "damaged"
    except UserError:  # the file unpacks to far more than any data set
        return "damaged"
    if actual == sha256:
        return "right"
    if bytes_ is not None and length < bytes_:
        return "short"
    return f"another one (SHA-256 {actual[:12]}…, not {sha256[:12]}…)"


def _settle(part: Path, to: Path) -> Path:
    with part.open("rb") as file:
        start = file.read(6)
    suffix = next((suffix for magic, (suffix, _) in COMPRESSIONS.items() if start.startswith(magic)), "")
    for ending in SUFFIXES:  # wrong content under a name that is looked at first would hide this file
        to.with_name(to.name + ending).unlink(missing_ok=True)
    return part.replace(to.with_name(to.name + suffix))


def _is_page(path: Path) -> bool:
    if not path.exists():
        return False
    with path.open("rb") as file:
        return file.read(512).lstrip().lower().startswith((b"<!doctype html", b"<html"))


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _in_words(error: Exception, timeout: tuple[float, float]) -> str:
    match error:
        case requests.TooManyRedirects():
            return "it redirects without end"
        case requests.ConnectTimeout():
            return f"no answer within {timeout[0]:g} s"
        case requests.ReadTimeout() | urllib3.exceptions.ReadTimeoutError():
            return f"silent for {timeout[1]:g} s"
        case requests.exceptions.SSLError():
            return "its certificate is not accepted"
        case requests.exceptions.ProxyError():
            return "the proxy does not let it through"
        case requests.ConnectionError():
            return "no connection"
        case urllib3.exceptions.HTTPError():
            return "the connection broke"
        case _:
            return str(error)
