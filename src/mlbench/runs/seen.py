"""What becomes of all runs below a folder: finished, running, stopped or failed; tasks that wait."""

import json
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Literal

from mlbench.errors import UserError, one_line
from mlbench.results import store

State = Literal["running", "stopped", "failed", "unreadable", "finished"]
STATES: tuple[State, ...] = ("running", "stopped", "failed", "unreadable", "finished")
RAY = "ray"  # the note of launch=ray, whose tasks have no queue of their own
TRACES = ("config.yaml", "failed.json", store.CLAIM)  # of a run, beside its record


@dataclass(frozen=True)
class Seen:
    folder: Path
    state: State

    @property
    def name(self) -> str:
        return "/".join(self.folder.parts[-3:])

    def line(self) -> str:
        """The run with how far it is, and where it runs or why it does not."""
        return "  ".join(filter(None, (self.name, seed(self.folder), how_far(self.folder), self._more())))

    def _more(self) -> str:
        if self.state == "running":
            return where(self.folder)
        if self.state == "failed":
            return one_line(store.failure(self.folder).get("reason", "for no reason that can be read"))
        if self.state == "stopped" and (held := store.holder(self.folder)):
            return f"its process ended without a word: {described(held)}"
        if self.state == "unreadable":
            return "record.json is not a record; running it again sets it aside"
        return ""


def seen(outputs: Path) -> Iterator[Seen]:
    """Each run below the outputs, in the order of their folders."""
    for run in store.folders(outputs):
        if state := state_of(run):
            yield Seen(run, state)


def state_of(run: Path) -> State | None:
    """None for a folder that is no run's."""
    if store.whole(run):
        return "finished"
    if not any((run / name).exists() for name in (*TRACES, ".lock", ".lock.lease", "record.json")):
        return None
    if store.claimed(run):
        return "running"
    if (run / "failed.json").exists():
        return "failed"
    if (run / "record.json").exists():
        return "unreadable"
    return "stopped" if any((run / name).exists() for name in TRACES) else None


def seed(run: Path) -> str:
    line = re.search(r"^seed: (\d+)$", _config(run), re.MULTILINE)
    return f"seed {line[1]}" if line else ""


def how_far(run: Path) -> str:
    if far := store.progress(run):
        stage, epoch, epochs = far
        return f"{stage}: epoch {epoch} of {epochs}"
    epochs = re.search(r"^  epochs: (\d+)$", _config(run), re.MULTILINE)
    return f"no checkpoint yet, {epochs[1]} epochs" if epochs else ""


def where(run: Path) -> str:
    held = store.holder(run)
    return f"on {described(held)}" if held else "by a process that left no note"


def described(held: dict) -> str:
    """gpu01, process 4242, since 2026-01-02 03:04 UTC (0:12:03)"""
    try:
        begun = datetime.fromisoformat(held["since"])
        passed = timedelta(seconds=int((datetime.now(UTC) - begun).total_seconds()))
        since = f"since {begun:%Y-%m-%d %H:%M} UTC ({passed})"
    except (KeyError, TypeError, ValueError):
        since = "since when is not said"
    return f"{held.get('host', '?')}, process {held.get('process', '?')}, {since}"


def _config(run: Path) -> str:
    try:
        return (run / "config.yaml").read_text(errors="replace")
    except OSError:
        return ""


@dataclass(frozen=True)
class Task:
    """A group of runs that a launch gave to SLURM or Ray; some of the runs have no record."""

    name: str  # 12_3
    group: str
    state: str
    left: int
    of: int

    def line(self) -> str:
        return (
            f"{self.name}  {self.state}  group {self.group}, {self.left} of {self.of} runs without a record"
        )


def tasks(outputs: Path) -> Iterator[Task]:
    """The tasks of launches that have runs left, by the notes of those who launched them."""
    notes = [*notes_of(outputs)]
    queue = queued() if notes else {}
    for path, groups in notes:
        for number, group in enumerate(groups):
            left = sum(not store.whole(Path(run)) for run in group["runs"])
            name = f"{path.stem}_{number}"
            if path.stem == RAY:
                state = "at work or waiting while its command runs"
            elif queue is None:
                state = "SLURM cannot be asked here"
            else:
                state = queue.get(name, "in no queue any more")
            if left:
                yield Task(name, group["name"], state, left, len(group["runs"]))


def notes_of(outputs: Path) -> Iterator[tuple[Path, list[dict]]]:
    for path in sorted((outputs / "launches").glob("*/*.json")):
        try:
            groups = json.loads(path.read_text())
            [(group["name"], [Path(run) for run in group["runs"]]) for group in groups]
        except (OSError, ValueError, TypeError, KeyError):
            continue  # another file
        yield path, groups


def queued() -> dict[str, str] | None:
    """Tasks of this person's in SLURM's queue, by name; None where nobody answers."""
    from mlbench.runs import slurm

    if not shutil.which("squeue"):
        return None
    try:
        return {name: f"{state} ({reason})" for name, (state, reason) in slurm.queued(at_first=True).items()}
    except UserError:
        return None
