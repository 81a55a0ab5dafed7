"""What below the outputs nothing needs: files of processes that are gone, checkpoints of what is finished."""

import contextlib
import os
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from filelock import Timeout

from mlbench.errors import UserError
from mlbench.files import abandoned
from mlbench.locks import lock
from mlbench.results import store
from mlbench.results.index import index_of
from mlbench.runs.seen import notes_of, queued, state_of

STILL = 60.0  # seconds in which nobody has written to a file of a process that seems to be gone
SHARED = "stages"  # in a data set's folder: stages that several runs share


@dataclass(frozen=True)
class Unneeded:
    path: Path  # a file or a folder
    why: str
    lock: Path | None = None  # held while it is removed
    run: Path | None = None  # claimed while it is removed

    @property
    def size(self) -> int:
        if not self.path.is_dir():
            return _size(self.path)
        return sum(_size(Path(folder) / name) for folder, _, names in os.walk(self.path) for name in names)

    def remove(self) -> bool:
        """Removes the file or folder, unless a process has taken it up meanwhile; returns whether it did."""
        with contextlib.ExitStack() as held:
            try:
                if self.lock:
                    held.enter_context(lock(self.lock, timeout=0))
                if self.run:
                    held.enter_context(store.claim(self.run, wait=False))
                    if not store.whole(self.run):
                        return False
            except (Timeout, store.Busy):
                return False
            if self.path.is_dir():
                shutil.rmtree(self.path)
            else:
                self.path.unlink(missing_ok=True)
            return True


def unneeded(outputs: Path) -> Iterator[Unneeded]:
    """What may be removed: nothing that a run needs which is at work, has stopped, or has failed."""
    runs = {run: state for run in store.folders(outputs) if (state := state_of(run))}
    yield from temporary(outputs)
    for run, state in runs.items():
        left = store.passing(run) if state == "finished" else []
        if left and not store.claimed(run):
            yield from (Unneeded(path, "the run has finished", run=run) for path in left)
    for folder in store.folders(outputs):
        if folder.parent.name == SHARED and folder not in runs:
            yield from of_shared(folder, [runs[run] for run in runs if run.parents[1] == folder.parents[1]])
    yield from launches(outputs)


def temporary(outputs: Path) -> Iterator[Unneeded]:
    for folder, _, names in os.walk(outputs):
        for path in (Path(folder) / name for name in names if name.endswith(".tmp")):
            with contextlib.suppress(OSError):
                if abandoned(path) and time.time() - path.stat().st_mtime > STILL:
                    yield Unneeded(path, "half a file of a process that is gone")


def of_shared(folder: Path, states: list[str]) -> Iterator[Unneeded]:
    """Shared stages of a data set: all if it has no runs, what is no outcome if all have finished."""
    if states and {*states} != {"finished"}:
        return
    for path in sorted(folder.iterdir()):
        held = path.with_suffix(".lock")
        if path.suffix in (".ckpt", ".progress") and states:
            yield Unneeded(path, "all runs of the data set have finished", held)
        elif path.suffix in (".pt", ".ckpt", ".progress") and not states:
            yield Unneeded(path, "the data set has no runs any more", held)


def launches(outputs: Path) -> Iterator[Unneeded]:
    """Logs of launches whose runs all have a record, or are gone, and of which nothing is queued.

    Where SLURM cannot be asked, a run without a folder may still be queued.
    """
    left: dict[Path, bool] = {}
    notes = [*notes_of(outputs)]
    queue = queued() if notes else {}
    for path, groups in notes:
        runs = [Path(run) for group in groups for run in group["runs"]]
        open_still = any((queue is None or run.exists()) and not store.whole(run) for run in runs)
        waiting = any(name.partition("_")[0] == path.stem for name in queue or {})
        left[path.parent] = left.get(path.parent, False) or open_still or waiting
    for folder, needed in left.items():
        if not needed:
            yield Unneeded(folder, "all runs of the launch have finished")


def tidy(outputs: Path) -> None:
    """Leaves a line for each record in the index."""
    with contextlib.suppress(UserError):
        index_of(outputs / "data" / "method" / "key").tidy(everything=True)


def _size(path: Path) -> int:
    try:
        return path.lstat().st_size
    except OSError:
        return 0
