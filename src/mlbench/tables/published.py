"""The numbers that papers printed, copied by hand into published/*/*.csv.

All CSVs use the same names of data sets, methods and metrics. A number keeps its printed digits, so that ours
can be rounded like it. The note of a number says if it could not be read, cannot be right, or says nothing of
a method: such a number is shown, but nothing is compared with it.
"""

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from mlbench.errors import UserError, did_you_mean

FOLDER = Path(__file__).parent / "published"
UNREADABLE = ("illegible in source", "not given in the paper")
DOUBTFUL_STD = ("std equals that of", "cannot have this std", "std impossible")
NOT_COMPARED = "not compared: "  # begins a note that says why


@dataclass(frozen=True)
class Published:
    """A printed cell. `mean` is None where it could not be read; `rank` is one that the paper prints."""

    dataset: str
    setting: str
    method: str
    metric: str
    mean: float | None
    std: float | None
    rank: float | None
    decimals: int
    std_decimals: int  # in most papers as many as `decimals`
    note: str

    @property
    def doubtful_std(self) -> bool:
        return any(phrase in self.note for phrase in DOUBTFUL_STD)

    @property
    def trusted_std(self) -> float | None:
        return None if self.doubtful_std else self.std

    @property
    def not_compared(self) -> str:
        """Why our number cannot be compared with this one; empty for nearly all."""
        return self.note.partition(NOT_COMPARED)[2]


@cache
def published(table: str) -> tuple[Published, ...]:
    """The cells of `<paper>/table<n>`, in the order of the paper's text."""
    return tuple(_cell(row) for row in _rows(table, "mean"))


def statistics(table: str) -> dict[str, dict[str, str]]:
    """A printed table of data sets: data set → statistic → the printed value."""
    printed: dict[str, dict[str, str]] = {}
    for row in _rows(table, "statistic"):
        printed.setdefault(row["dataset"], {})[row["statistic"]] = row["value"]
    return printed


def tables() -> list[str]:
    return sorted(path.relative_to(FOLDER).with_suffix("").as_posix() for path in FOLDER.glob("*/*.csv"))


def _rows(table: str, column: str) -> Iterator[dict[str, str]]:
    """The lines of the file. It must have `column`, by which tables of results and of data sets differ."""
    path = FOLDER / f"{table}.csv"
    if not path.is_file():
        near = did_you_mean(table, tables())
        raise UserError(f"published: {table}: no such table of numbers{near}")
    with path.open(newline="") as file:
        rows = csv.DictReader(file)
        names = rows.fieldnames or ()
        if column not in names:
            raise UserError(f"published: {table} has no column {column}; it has {', '.join(names)}")
        yield from rows


def _cell(row: dict[str, str]) -> Published:
    mean, std, rank = row["mean"], row["std"], row["rank"]
    return Published(
        **{key: row[key] for key in ("dataset", "setting", "method", "metric", "note")},
        mean=float(mean) if mean else None,
        std=float(std) if std else None,
        rank=float(rank) if rank else None,
        decimals=_decimals(mean),
        std_decimals=_decimals(std),
    )


def _decimals(number: str) -> int:
    return len(number.partition(".")[2])
