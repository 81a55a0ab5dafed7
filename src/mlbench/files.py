"""The one way to write a file: whole or not at all, under a temporary name in the same folder until then."""

import contextlib
import glob
import os
import platform
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

HERE = platform.node().partition(".")[0]


@contextlib.contextmanager
def whole(path: Path, durable: bool = True) -> Iterator[BinaryIO]:
    """A file to write into, which gets its name when all is written; nothing is left of one that fails.

    `durable`: it is on the disk before it gets its name, for what cannot be made again at no cost. An OSError
    names the path. What killed processes of this machine left of the same file is removed.
    """
    temporary = path.with_name(f"{path.name}.{HERE}-{os.getpid()}-{secrets.token_hex(2)}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _clear(path)
        with temporary.open("wb") as file:
            yield file
            file.flush()
            if durable:
                os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as error:
        if error.filename in (None, str(temporary)):  # a full disk does not say of which file
            error.filename = str(path)
        raise
    finally:
        with contextlib.suppress(OSError):  # a name may be too long, a folder none
            temporary.unlink()


def write(path: Path, text: str, durable: bool = False) -> Path:
    with whole(path, durable) as file:
        file.write(text.encode())
    return path


def _clear(path: Path) -> None:
    for left in path.parent.glob(f"{glob.escape(path.name)}.{glob.escape(HERE)}-*.tmp"):
        process = left.name.split("-")[-2]
        if process.isdecimal() and not _alive(int(process)):
            left.unlink(missing_ok=True)


def _alive(process: int) -> bool:
    if os.name != "posix":  # where asking by signal 0 would be a Ctrl-C
        return True
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:  # somebody else's
        pass
    return True
