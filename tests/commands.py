"""The command line in processes of its own, as a person starts and stops them.

They are forked from one process that has imported torch and Lightning already, which saves each of them
five seconds; everything else is theirs: arguments, working directory, environment, signals, exit status.
"""

import gc
import importlib
import multiprocessing
import os
import resource
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mlbench.results.record import Record

ROOT = Path(__file__).parents[1]
PATIENCE = 120  # seconds until a test that waits in vain fails

forks = multiprocessing.get_context("forkserver")
PRELOADED = (
    "mlbench.commands.run",
    "mlbench.experiment",
    "mlbench.search.study",
    "mlbench.commands.reproduce",
    "mlbench.tables.table",
    "mlbench.commands.predict",
    "mlbench.predict",
)
forks.set_forkserver_preload([*PRELOADED, "sklearn.datasets", "commands", "outside", "warm"])


@dataclass
class Done:
    status: int
    out: str
    err: str


class Command:
    """A command at work. `first` is called in its process before anything else: limits and accidents.

    What it writes goes to two files, or to a terminal. `program` is a module with a `main`.
    """

    def __init__(
        self,
        folder: Path,
        arguments: tuple[str, ...],
        environment: dict[str, str],
        first: Callable | None = None,
        terminal: Path | None = None,
        program: str = "mlbench.commands.run",
    ):
        number = len(list(folder.parent.glob("*.out")))
        files = folder.parent / f"{number}.out", folder.parent / f"{number}.err"
        for file in files:
            file.touch()
        self.streams = (terminal, terminal) if terminal else files
        served = (folder, arguments, environment, self.streams, first, program)
        self.process = forks.Process(target=serve, args=served)
        self.process.start()

    @property
    def err(self) -> str:
        return self.streams[1].read_text()

    def until(self, happened: Callable[[], Any]) -> Any:
        """Waits until something happened, while the command is at work; what happened."""
        return until(happened, lambda: self.process.is_alive() or happened())

    def signal(self, number: int) -> None:
        os.kill(self.process.pid, number)

    def wait(self) -> Done:
        self.process.join(PATIENCE)
        assert self.process.exitcode is not None, "the command does not end"
        return Done(self.process.exitcode, *(s.read_text() if s.is_file() else "" for s in self.streams))


def until(happened: Callable[[], Any], possible: Callable[[], Any] = lambda: True) -> Any:
    end = time.monotonic() + PATIENCE
    while not (found := happened()):
        assert possible(), "the command ended before"
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.002)
    return found


def serve(
    folder: Path,
    arguments: tuple[str, ...],
    environment: dict[str, str],
    streams: tuple[Path, Path],
    first: Callable | None,
    program: str,
) -> None:
    gc.freeze()  # looking through all that was imported before the fork would copy it
    os.chdir(folder)
    os.environ.update(environment)
    sys.path[1:1] = environment["PYTHONPATH"].split(os.pathsep)
    for descriptor, stream in enumerate(streams, start=1):
        os.dup2(os.open(stream, os.O_WRONLY), descriptor)
    sys.stdout, sys.stderr = (
        sys.__stdout__,
        sys.__stderr__,
    )  # a fork of a test's process has its captured ones
    if first:
        first()
    sys.argv = ["run.py", *arguments]
    sys.exit(importlib.import_module(program).main())


def limit_files(size: int) -> None:
    """No file of this process grows beyond `size` bytes: a disk that fills up."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))


def reads(text: str) -> None:
    """The standard input of this process is a pipe that holds `text`, which is short."""
    reading, writing = os.pipe()
    os.write(writing, text.encode())
    os.close(writing)
    sys.stdin = os.fdopen(reading)


def signalled_at_rename(number: int, suffix: str, when: str, which: int = signal.SIGKILL) -> None:
    """Gets a signal just before or after it renames the n-th of its files whose name ends with `suffix`."""
    replace, left = Path.replace, [number]

    def replaced(path: Path, target: Path) -> Path:
        left[0] -= str(target).endswith(suffix)
        due = left[0] == 0 and str(target).endswith(suffix)
        if due and when == "before":
            os.kill(os.getpid(), which)
        moved = replace(path, target)
        if due and when == "after":
            os.kill(os.getpid(), which)
        return moved

    Path.replace = replaced


def signalled_at_call(name: str, which: int) -> None:
    """Gets a signal when it first calls a function, named with its module, before the function begins."""
    module, _, attribute = name.rpartition(".")
    function, left = getattr(importlib.import_module(module), attribute), [which]

    def called(*given: Any, **named: Any) -> Any:
        if left:
            os.kill(os.getpid(), left.pop())
        return function(*given, **named)

    setattr(importlib.import_module(module), attribute, called)


def at_step(number: int, act: Callable[[], Any]) -> None:
    """Does something after the n-th step of Adam's in this process."""
    from torch.optim import Adam

    step, count = Adam.step, iter(range(1, 10**6))

    def counted(self: Adam) -> None:
        step(self)
        if next(count) == number:
            act()

    Adam.step = counted


def signalled_at_step(number: int, *signals: int) -> None:
    def act() -> None:
        for which in signals:
            os.kill(os.getpid(), which)

    at_step(number, act)


def gated_at_step(number: int, gate: Path) -> None:
    """Says that it waits by creating `<gate>.waits`, and goes on once `gate` is there."""

    def act() -> None:
        gate.with_suffix(".waits").touch()
        until(gate.exists)

    at_step(number, act)


def records(outputs: Path) -> list[Path]:
    return sorted(outputs.glob("*/*/*/record.json"))


def result(record: Path) -> dict[str, Any]:
    """All that a run measured, for comparison to the last bit."""
    read = Record.read(record)
    with np.load(record.with_name("scores.npz")) as archive:
        scores = {name: (archive[name].dtype, archive[name].tobytes()) for name in archive.files}
    return {
        "key": read.key,
        "scores": scores,
        "metrics": read.metrics,
        "per_label": read.per_label,
        "thresholds": read.thresholds,
        "selected": read.selected,
        "history": record.with_name("history.jsonl").read_text(),
    }
