"""The bytes of a file, compressed or not, and the numbers in them."""

import bz2
import codecs
import gzip
import lzma
import warnings
import zlib
from pathlib import Path

import numpy as np

from mlbench.errors import UserError

# By the first bytes, not by the suffix: mirrors rename files, and browsers unpack what they fetch.
COMPRESSIONS = {
    b"\x1f\x8b": gzip.decompress,
    b"BZh": bz2.decompress,
    b"\xfd7zXZ\x00": lzma.decompress,
}
DAMAGE = (EOFError, OSError, ValueError, zlib.error, lzma.LZMAError)


def content(path: Path) -> bytes:
    """What a text file holds, unpacked when it is gzip, bzip2 or xz, without a byte order mark."""
    try:
        data = Path(path).read_bytes()
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}") from error
    if not data:
        raise UserError(f"{path} is empty: fetch it again")
    for magic, unpack in COMPRESSIONS.items():
        if data.startswith(magic):
            try:
                data = unpack(data)
                break
            except DAMAGE as error:
                raise UserError(f"{path} is truncated or damaged ({error}): fetch it again") from error
    return data.removeprefix(codecs.BOM_UTF8)


def encoding(data: bytes) -> str:
    """UTF-8 where the bytes are UTF-8, else Latin-1, in which any byte is a character."""
    if data.isascii():
        return "utf-8"
    try:
        data.decode("utf-8")
    except UnicodeDecodeError:
        return "latin-1"
    return "utf-8"


def numbers_in(text: bytes, separator: str, count: int) -> np.ndarray | None:
    """float64, each exactly as float() reads it; None unless the text is `count` numbers and nothing else."""
    with warnings.catch_warnings():
        warnings.simplefilter("error", DeprecationWarning)  # how NumPy before 2.4 says ValueError
        try:
            # Stripped, as NumPy takes white space with no number behind it for -1 at the beginning of a text.
            numbers = np.fromstring(text.strip(), sep=separator)
        except (ValueError, DeprecationWarning):
            return None
    return numbers if len(numbers) == count else None
