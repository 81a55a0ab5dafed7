"""The bytes of a file, compressed or not, and the numbers in them."""

import bz2
import codecs
import contextlib
import gzip
import itertools
import lzma
import warnings
import zlib
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import BinaryIO, NamedTuple

import numpy as np

from mlbench.errors import UserError

# First bytes of a compressed file → (what its name ends with, how to open it). By the first bytes, not by the
# suffix: mirrors rename files, and browsers unpack what they fetch.
COMPRESSIONS = {
    b"\x1f\x8b": (".gz", gzip.open),
    b"BZh": (".bz2", bz2.open),
    b"\xfd7zXZ\x00": (".xz", lzma.open),
}
DAMAGE = (EOFError, OSError, ValueError, MemoryError, zlib.error, lzma.LZMAError)
# A file may take this much memory: ROOM bytes whatever its size, or GROWTH bytes for each of its own.
ROOM, GROWTH = 64 << 20, 256
NAME_BYTES = 64  # of a name such as feature12
PIECE = 8 << 20  # bytes of a text file at once
DAMAGED = "it is damaged, or of another format"


def room(size: int) -> int:
    """The memory, in bytes, that a file of `size` bytes may take, whatever its header announces.

    A few bytes can announce any number of rows or unpack to any length. Real data sets stay far below: the
    labels of AmazonCat-13K become 16 bytes for each byte of their file, the 18 kB of genbase 174.
    """
    return max(ROOM, GROWTH * size)


def refuse_more_than_room(path: Path, size: int, needed: int, announced: str, cure: str = DAMAGED) -> None:
    """Refuses to make of a file's `size` bytes what they announce, if that takes `needed` bytes."""
    if needed > room(size):
        raise UserError(
            f"{path} says that it has {announced}, which would take {needed >> 20:,} MB, far more than is in "
            f"it: {cure}"
        )


def opener(path: Path) -> Callable[..., BinaryIO] | None:
    """The function that opens a compressed file; None for a plain one."""
    with path.open("rb") as file:
        start = file.read(6)
    return next((opens for magic, (_, opens) in COMPRESSIONS.items() if start.startswith(magic)), None)


def unpacked(path: Path, at_once: int = 1 << 20) -> Iterator[bytes]:
    """The content of a file, uncompressed, a megabyte at a time. One that is damaged raises one of DAMAGE."""
    opens, size, length = opener(path), path.stat().st_size, 0
    with opens(path, "rb") if opens else path.open("rb") as file:
        while chunk := file.read(at_once):
            length += len(chunk)
            if opens and length > room(size):
                raise UserError(
                    f"{path} unpacks to more than {room(size):,} bytes, out of {size:,}: if that is right, "
                    f"unpack it yourself and give what comes out"
                )
            yield chunk


def content(path: Path) -> bytes:
    """What a text file holds, unpacked when it is gzip, bzip2 or xz, without a byte order mark."""
    path = Path(path)
    with damage_said(path):
        data = b"".join(unpacked(path)) if opener(path) else path.read_bytes()
    if not data:
        raise UserError(f"{path} is empty: put a whole file in its place")
    return data.removeprefix(codecs.BOM_UTF8)


def lines(path: Path) -> Iterator[bytes]:
    """The lines of `content(path)`, without their ends; a file may be larger than the memory."""
    rest, length = b"", 0
    with damage_said(path):
        for block in unpacked(path):
            whole, end, last = (block if length else block.removeprefix(codecs.BOM_UTF8)).rpartition(b"\n")
            length += len(block)
            if end:
                yield from (rest + whole).split(b"\n")
                rest = b""
            rest += last
    if not length:
        raise UserError(f"{path} is empty: put a whole file in its place")
    yield rest


class Block(NamedTuple):
    """Some whole lines of a text file."""

    line: int  # the number of the first one in the file, from 1
    data: bytes


def blocks(path: Path, start: int = 0, line: int = 1, lines: int | None = None) -> Iterator[Block]:
    """`content(path)` from byte `start` on, which begins line `line`, about PIECE bytes at a time and at most
    so many lines; a file may be larger than the memory.
    """
    held: list[bytes] = []
    skipped = size = length = 0
    with damage_said(path):
        for chunk in unpacked(path, min(PIECE, 1 << 20)):
            rest = chunk if length else chunk.removeprefix(codecs.BOM_UTF8)
            length += len(chunk)
            skip = min(start - skipped, len(rest))
            skipped, rest = skipped + skip, rest[skip:]
            held.append(rest)
            size += len(rest)
            if size < PIECE or b"\n" not in rest:
                continue
            whole, end, rest = b"".join(held).rpartition(b"\n")
            held, size = [rest], len(rest)
            for block in of_lines(Block(line, whole + end), lines):
                yield block
                line = block.line + block.data.count(b"\n")
    if not length:
        raise UserError(f"{path} is empty: put a whole file in its place")
    if size:
        yield from of_lines(Block(line, b"".join(held)), lines)


def of_lines(block: Block, lines: int | None) -> Iterator[Block]:
    """The block in blocks of at most so many lines."""
    line, data = block
    if lines is None or data.count(b"\n") <= lines:
        yield block
        return
    ends = np.flatnonzero(np.frombuffer(data, np.uint8) == ord("\n"))[lines - 1 :: lines] + 1
    for number, (start, stop) in enumerate(itertools.pairwise([0, *ends.tolist(), len(data)])):
        if start < stop:
            yield Block(line + number * lines, data[start:stop])


def in_blocks(data: bytes, start: int, line: int) -> Iterator[Block]:
    """The same of what a file holds."""
    while start < len(data):
        stop = data.find(b"\n", start + PIECE) + 1 or len(data)
        yield Block(line, data[start:stop])
        line += data.count(b"\n", start, stop)
        start = stop


@contextlib.contextmanager
def damage_said(path: Path) -> Iterator[None]:
    """What keeps a file from being read, in a sentence."""
    try:
        yield
    except DAMAGE as error:
        if isinstance(error, OSError) and error.errno:
            raise UserError(f"{path} cannot be read: {error.strerror}") from error
        raise UserError(f"{path} is truncated or damaged ({reason(error)}): fetch it again") from error


def reason(error: Exception) -> str:
    """An error's message, or its class where there is none."""
    return str(error) or type(error).__name__


def encoding(data: bytes) -> str:
    """UTF-8 where the bytes are UTF-8, else Latin-1, in which any byte is a character."""
    if data.isascii():
        return "utf-8"
    try:
        data.decode("utf-8")
    except UnicodeDecodeError:
        return "latin-1"
    return "utf-8"


def encoding_of(blocks: Iterable[Block]) -> str:
    """That of all blocks together."""
    return "utf-8" if all(encoding(block.data) == "utf-8" for block in blocks) else "latin-1"


def numbers_in(text: bytes, separator: str, count: int) -> np.ndarray | None:
    """float64, each exactly as float() reads it; None unless the text is `count` numbers and nothing else."""
    if b"\0" in text:  # NumPy reads no further than that
        return None
    with warnings.catch_warnings():
        warnings.simplefilter("error", DeprecationWarning)  # how NumPy before 2.4 says ValueError
        try:
            # Stripped, as NumPy takes white space with no number behind it for -1 at the beginning of a text.
            numbers = np.fromstring(text.strip(), sep=separator)
        except (ValueError, DeprecationWarning):
            return None
    return numbers if len(numbers) == count else None
