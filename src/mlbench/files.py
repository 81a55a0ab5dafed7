"""The one way to write a file: whole, under a temporary name in the same folder that is then changed."""

import contextlib
import glob
import hashlib
import os
import platform
import re
import secrets
import time
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

DAY = 86_400.0


def _start() -> str:
    """Six digits for this machine since its start and for the space of its process numbers.

    Machines may bear one name, and containers of one machine number their processes apart.
    """
    text = ""
    with contextlib.suppress(OSError):
        text = Path("/proc/sys/kernel/random/boot_id").read_text() + str(Path("/proc/self/ns/pid").readlink())
    return hashlib.sha256(text.encode()).hexdigest()[:6]


NODE = platform.node().partition(".")[0]
HERE = f"{NODE}-{_start()}"


@contextlib.contextmanager
def whole(path: Path, durable: bool = True) -> Iterator[BinaryIO]:
    """A file to write into, which gets its name when all is written; if that fails, nothing is left of it.

    `durable`: for content that is costly to make again, the file is on the disk before it gets its name. An
    OSError names the path. What killed processes left of the same file is removed, see `abandoned`.
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
    for leftover in path.parent.glob(f"{glob.escape(path.name)}.{glob.escape(NODE)}-*.tmp"):
        if abandoned(leftover):
            leftover.unlink(missing_ok=True)


def abandoned(path: Path) -> bool:
    """Whether a file has the temporary name of a process that is no more.

    A process of this machine is asked for. One of a machine of the same name, or of this machine before it
    was started again, cannot be: its file is abandoned once nobody has written to it for a day.
    """
    name = re.search(rf"\.{re.escape(NODE)}-([0-9a-f]{{6}})-(\d+)-[0-9a-f]+\.tmp$", path.name)
    if name is None:
        return False
    if f"{NODE}-{name[1]}" == HERE:
        return not _alive(int(name[2]))
    with contextlib.suppress(FileNotFoundError):
        return time.time() - path.stat().st_mtime > DAY
    return False


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
