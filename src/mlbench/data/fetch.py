"""Which data sets there are and where they stand, and getting them before a run needs them."""

import contextlib
import os
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn
from rich.table import Table

from mlbench.compose import config_dir
from mlbench.data.datasets import file_described
from mlbench.data.sources import File, find, obtain, places
from mlbench.errors import UserError, did_you_mean

USAGE = """python scripts/fetch.py                     lists the data sets and where each stands
python scripts/fetch.py dataset=scene       gets one; dataset=scene,yeast gets several
paths.cache=FOLDER                          where downloads go, as in run.py"""

COLUMNS = ("data set", "N", "d", "L", "labels/row", "sets", "train/test", "state")
NUMBERS = ("instances", "features", "labels", "cardinality", "label_sets")


@dataclass(frozen=True)
class Entry:
    """What conf/dataset says of a data set; `files` is empty where it has none of its own."""

    name: str
    target: str
    files: dict[str, File]
    folder: str
    where: str | None
    statistics: dict[str, Any]

    @property
    def own(self) -> bool:
        """Whether it stands for a format in which people bring files of their own."""
        return self.target.endswith(".OwnFiles")


def main(arguments: list[str] | None = None) -> int:
    """Exit status 0, or 2 where there is something for a person to mend."""
    try:
        return run(sys.argv[1:] if arguments is None else arguments)
    except UserError as error:
        complain(error)
        return 2
    except BrokenPipeError:  # `| head` has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0


def run(arguments: list[str]) -> int:
    if {"-h", "--help"} & set(arguments):
        print(USAGE)
        return 0
    given = {}
    for argument in arguments:
        key, _, value = argument.partition("=")
        if key not in ("dataset", "paths.cache") or not value:
            raise UserError(f"{argument}: give dataset=NAME or nothing{did_you_mean(key, ['dataset'])}")
        given[key] = value
    settings = OmegaConf.load(config_dir() / "config.yaml")
    cache = Path(given.get("paths.cache") or settings.paths.cache).expanduser()
    entries = dict(described())
    if "dataset" not in given:
        show(list(entries.values()), cache)
        return 0
    names = [name.strip() for name in given["dataset"].strip("[]").split(",")]
    for name in names:
        if name not in entries:
            raise UserError(f"dataset={name}: there is no such data set{did_you_mean(name, entries)}")
    return max(fetch(entries[name], cache) for name in names)


def described() -> Iterator[tuple[str, Entry]]:
    """The data sets of conf/dataset, by name."""
    for path in sorted((config_dir() / "dataset").glob("*.yaml")):
        says = OmegaConf.to_container(OmegaConf.load(path))
        files = says.get("files") or {}
        entry = Entry(
            name=path.stem,
            target=says.get("_target_") or "",
            files={role: file_described(path.stem, role, file) for role, file in files.items()},
            folder=says.get("folder") or path.stem,
            where=says.get("where"),
            statistics=says.get("statistics") or {},
        )
        yield path.stem, entry


def fetch(entry: Entry, cache: Path) -> int:
    if entry.own:
        complain(
            f"dataset={entry.name} reads a file of your own, dataset.path=...: there is nothing to fetch"
        )
        return 2
    if not entry.files:
        print(f"{entry.name}: built in, nothing to fetch")
        return 0
    try:
        with progress_bars() as watch:
            found = obtain(entry.name, entry.files, entry.folder, cache, entry.where, watch)
    except UserError as error:
        complain(error)
        return 2
    for path in found.values():
        print(f"{entry.name}: {path}")
    return 0


@contextlib.contextmanager
def progress_bars() -> Iterator[Callable[[File], Any] | None]:
    """One bar a file on a terminal, nothing elsewhere."""
    if not sys.stdout.isatty():
        yield None
        return
    with Progress(TextColumn("{task.description}"), BarColumn(), DownloadColumn(), transient=True) as bars:

        def watch(file: File) -> Callable[[int, int | None], None]:
            task = bars.add_task(file.name, total=file.bytes)
            return lambda done, total: bars.update(task, completed=done, total=total)

        yield watch


def show(entries: list[Entry], cache: Path) -> None:
    """A table on a terminal, aligned columns elsewhere; then what a person must do."""
    listed = [entry for entry in entries if not entry.own]
    rows = [row(entry, cache) for entry in listed]
    if sys.stdout.isatty():
        table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0))
        for column in COLUMNS:
            table.add_column(
                column, justify="left" if column in ("data set", "state") else "right", no_wrap=True
            )
        for cells in rows:
            table.add_row(*cells)
        Console().print(table)
    else:
        widths = [max(map(len, column)) for column in zip(COLUMNS, *rows)]
        for first, *middle, last in (COLUMNS, *rows):
            numbers = (cell.rjust(width) for cell, width in zip(middle, widths[1:]))
            print("  ".join([first.ljust(widths[0]), *numbers, last]))
    for entry, cells in zip(listed, rows):
        if cells[-1] == "by hand":
            print(f"{entry.name}: {entry.where}; put it into {places(entry.folder, cache)[0]}")
    if own := [entry.name for entry in entries if entry.own]:
        print(f"files of your own: dataset={'|'.join(own)} dataset.path=...")


def row(entry: Entry, cache: Path) -> tuple[str, ...]:
    numbers = [shown(entry.statistics.get(name)) for name in NUMBERS]
    split = [shown(entry.statistics.get(part)) for part in ("train", "validation", "test")]
    return entry.name, *numbers, "/".join(filter(None, split)), state(entry, cache)


def shown(number: float | None) -> str:
    if number is None:
        return ""
    return f"{number:,}" if isinstance(number, int) else f"{number:.3f}"


def state(entry: Entry, cache: Path) -> str:
    """Files that are here were verified, this time or before."""
    missing = [file for file in entry.files.values() if find(file, entry.folder, cache) is None]
    if not entry.files:
        return "built in"
    if not missing:
        return "here"
    if all(file.urls for file in missing):
        size = sum(file.bytes or 0 for file in missing)
        return f"get {size / 1e6:.1f} MB" if size >= 1e6 else f"get {size / 1e3:.0f} kB"
    return "by hand"


def complain(text: UserError | str) -> None:
    print(f"mlbench: {text}", file=sys.stderr)
