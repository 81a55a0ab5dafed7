"""The one way to write a file: whole, under a temporary name in the same folder that is then changed."""

import contextlib
import glob
import os
import platform
import re
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

HERE = platform.node().partition(".")[0]


@contextlib.contextmanager
def whole(path: Path, durable: bool = True) -> Iterator[BinaryIO]:
    """A file to write into, which gets its name when all is written; if that fails, nothing is left of it.

    `durable`: for content that is costly to make again, the file is on the disk before it gets its name. An
    OSError names the path. Leftovers of killed processes of this machine are removed.
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
        if error.filename in (None, str(temporary)):  # the error of a full disk names no file
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
    for leftover in path.parent.glob(f"{glob.escape(path.name)}.{glob.escape(HERE)}-*.tmp"):
        if abandoned(leftover):
            leftover.unlink(missing_ok=True)


def abandoned(path: Path) -> bool:
    """Whether a file has the temporary name of a process of this machine that is no more."""
    name = re.search(rf"\.{re.escape(HERE)}-(\d+)-[0-9a-f]+\.tmp$", path.name)
    return name is not None and not _alive(int(name[1]))


def _alive(process: int) -> bool:
    if os.name != "posix":  # where asking by signal 0 would be a Ctrl-C
        return True
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:  # the process of another user
        pass
    return True
