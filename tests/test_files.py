"""The one way to write a file: whole under its name, or nothing at all."""

import errno
import functools
import multiprocessing
import os
import shutil
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

import commands
from mlbench import files


def test_a_file_has_its_name_once_it_is_whole(tmp_path):
    path = tmp_path / "deep" / "er" / "file.txt"
    with files.whole(path) as file:
        file.write(b"half")
        assert not path.exists()
        file.write(b" and whole")
    assert path.read_bytes() == b"half and whole"
    assert list(path.parent.iterdir()) == [path]


def test_text_is_utf_8_with_its_own_ends_of_lines(tmp_path):
    assert files.write(tmp_path / "été", "α\nβ\r\n").read_bytes() == "α\nβ\r\n".encode()


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, OSError(errno.ENOSPC, "full")])
def test_what_fails_leaves_what_was_there(error, tmp_path):
    path = files.write(tmp_path / "file", "before")
    with pytest.raises(type(error) if isinstance(error, OSError) else error), files.whole(path) as file:
        file.write(b"after")
        raise error
    assert path.read_text() == "before" and list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("what", ["full", "folder", "long"])
def test_an_oserror_names_the_file(what, tmp_path):
    path = tmp_path / ("x" * 300 if what == "long" else "file")
    if what == "folder":
        path.mkdir()
    with pytest.raises(OSError) as raised, files.whole(path):
        if what == "full":
            raise OSError(errno.ENOSPC, "No space left on device")
    assert raised.value.filename == str(path) and raised.value.strerror
    assert list(tmp_path.iterdir()) == ([path] if what == "folder" else [])


def test_an_error_over_another_file_names_that_one(tmp_path):
    with pytest.raises(FileNotFoundError) as raised, files.whole(tmp_path / "file"):
        (tmp_path / "source").read_bytes()
    assert raised.value.filename == str(tmp_path / "source")


def test_several_write_at_once(tmp_path):
    texts = [str(number) * 100_000 for number in range(8)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(functools.partial(files.write, tmp_path / "file"), texts * 4))
    assert (tmp_path / "file").read_text() in texts
    assert list(tmp_path.iterdir()) == [tmp_path / "file"]


def killed_at(path):
    commands.signalled_at_rename(1, path.name, "before")
    files.write(path, "lost")


def test_what_a_killed_process_left_goes_with_the_next_writing(tmp_path):
    """Of the same file; what a living process is writing, another machine or another file stays."""
    path = files.write(tmp_path / "[table].md", "first")
    names = [f"{files.HERE}-{os.getppid()}-0", f"{files.NODE}-123abc-4194305-0", "far-123abc-4194305-0"]
    others = [tmp_path / f"[table].md.{name}.tmp" for name in names]
    for other in others:
        other.touch()
    context = multiprocessing.get_context("fork")
    killed = context.Process(target=killed_at, args=[path])
    killed.start()
    killed.join()
    assert len([*tmp_path.iterdir()]) == 5 and path.read_text() == "first"
    files.write(path, "second")
    assert path.read_text() == "second" and sorted(tmp_path.iterdir()) == sorted([path, *others])


def test_a_machine_of_the_same_name_is_waited_for(tmp_path):
    """Its processes cannot be asked for: what nobody has written to for a day is abandoned."""
    path = files.write(tmp_path / "record.json", "first")
    left = tmp_path / f"record.json.{files.NODE}-123abc-1-0.tmp"
    for hours, stays in ((23, True), (25, False)):
        left.touch()
        os.utime(left, (time.time() - 3600 * hours,) * 2)
        files.write(path, "second")
        assert left.exists() == stays


def test_processes_in_containers_of_one_machine_are_told_apart():
    """A process that numbers processes anew, as one in a container does, has another name for where it is."""
    apart = ["unshare", "--pid", "--fork", "--mount-proc", sys.executable]
    if shutil.which("unshare") is None or subprocess.run([*apart, "-c", ""], capture_output=True).returncode:
        pytest.skip("processes may not be numbered anew here")
    words = ["-c", "from mlbench import files; print(files.HERE)"]
    there = subprocess.run([*apart, *words], capture_output=True, text=True, check=True).stdout.strip()
    again = subprocess.run(
        [sys.executable, *words], capture_output=True, text=True, check=True
    ).stdout.strip()
    assert again == files.HERE != there and there.startswith(f"{files.NODE}-")
