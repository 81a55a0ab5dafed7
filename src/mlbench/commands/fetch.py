"""The command line that lists the data sets and where they stand, or gets them before a run needs them."""

import contextlib
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn
from rich.table import Table

from mlbench.commands.arguments import answered, check_keys, pairs
from mlbench.compose import config_dir
from mlbench.data.catalogue import BY_HAND, Entry, described, facts, size, state
from mlbench.data.sources import File, obtain, places
from mlbench.errors import UserError, complain, did_you_mean
from mlbench.spelling import spelled

USAGE = f"""{spelled("fetch")}       lists the data sets and where each stands
  dataset=scene       gets one; dataset=scene,yeast gets several
  format=markdown     what conf/dataset says of each, as the README shows it
  paths.cache=FOLDER  where downloads go, as in {spelled("run")}"""

KEYS = ("dataset", "format", "paths.cache")
COLUMNS = ("data set", "N", "d", "L", "labels/row", "sets", "train/test", "state")
MARKDOWN = (
    "`dataset=`",
    "instances",
    "features",
    "labels",
    "labels per instance",
    "label sets",
    "official split",
    "modalities",
    "files",
)


def main(arguments: list[str] | None = None) -> int:
    return answered(run, arguments, USAGE)


def run(arguments: list[str]) -> int:
    options = pairs(arguments, KEYS[0], KEYS)
    check_keys(options, KEYS)
    for key, value in options.items():
        if not value:
            raise UserError(f"{key}=: a value is missing; write {key}=..., or leave the word out")
    if options.get("format", "markdown") != "markdown":
        raise UserError(f"format={options['format']}: choose markdown, or leave it out")
    settings = OmegaConf.load(config_dir() / "config.yaml")
    cache = Path(options.get("paths.cache") or settings.paths.cache).expanduser()
    entries = dict(described())
    if "format" in options:
        print(markdown(list(entries.values())))
        return 0
    if "dataset" not in options:
        show(list(entries.values()), cache)
        return 0
    names = [name.strip() for name in options["dataset"].strip("[]").split(",") if name.strip()]
    for name in names:
        if name not in entries:
            raise UserError(f"dataset={name}: there is no such data set{did_you_mean(name, entries)}")
    return max(fetch(entries[name], cache) for name in names)


def fetch(entry: Entry, cache: Path) -> int:
    if entry.is_format:
        complain(
            f"dataset={entry.name} reads a file of your own, dataset.path=...: there is nothing to fetch"
        )
        return 2
    if not entry.files:
        print(f"{entry.name}: built in, nothing to fetch")
        return 0
    try:
        with progress_bars() as watch:
            paths = obtain(entry.name, entry.files, entry.folder, cache, entry.where, watch)
    except UserError as error:
        complain(error)
        return 2
    for path in paths.values():
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
    listed = [entry for entry in entries if not entry.is_format]
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
        if cells[-1] == BY_HAND:
            print(f"{entry.name}: {entry.where}; put it into {places(entry.folder, cache)[0]}")
    if formats := [entry.name for entry in entries if entry.is_format]:
        print(f"files of your own: dataset={'|'.join(formats)} dataset.path=...")


def markdown(entries: list[Entry]) -> str:
    """The same on every machine: what is said of the data sets, not where they stand."""
    rows = [MARKDOWN, ["---"] + ["---:"] * 6 + ["---"] + ["---:"]]
    for entry in entries:
        if not entry.is_format:
            get = size(list(entry.files.values())) if entry.files else "built in"
            modalities = ", ".join(name.replace("_", " ") for name in entry.modality_names)
            rows.append((f"`{entry.name}`", *facts(entry), modalities, get))
    return "\n".join(f"| {' | '.join(cells)} |" for cells in rows)


def row(entry: Entry, cache: Path) -> tuple[str, ...]:
    return entry.name, *facts(entry), state(entry, cache)
