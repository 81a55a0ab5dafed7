"""The numbers that papers printed, as they printed them: facts, carried over by hand into published/*/*.csv.

Every CSV names data sets, methods and metrics alike. A number keeps its printed digits, so that ours can
be rounded as theirs. What could not be read, or cannot be right, says so in its note and counts nowhere; so
does a number that says nothing of a method: it is shown, and nothing is compared with it.
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
NOT_COMPARED = "not compared: "  # and why


@dataclass(frozen=True)
class Published:
    """A printed cell. `mean` is None where it could not be read; `rank` is one the paper itself prints."""

    dataset: str
    setting: str
    method: str
    metric: str
    mean: float | None
    std: float | None
    rank: float | None
    decimals: int
    std_decimals: int  # mostly those of the mean
    note: str

    @property
    def doubtful_std(self) -> bool:
        return any(said in self.note for said in DOUBTFUL_STD)

    @property
    def trusted_std(self) -> float | None:
        return None if self.doubtful_std else self.std

    @property
    def not_compared(self) -> str:
        """Why the number says nothing that ours could agree with; empty for nearly all."""
        return self.note.partition(NOT_COMPARED)[2]


@cache
def published(table: str) -> tuple[Published, ...]:
    """The cells of `<paper>/table<n>`, in the order of the paper's text."""
    return tuple(_cell(row) for row in _rows(table, "mean"))


def statistics(table: str) -> dict[str, dict[str, str]]:
    """A printed table of data sets: data set → statistic → what is printed."""
    found: dict[str, dict[str, str]] = {}
    for row in _rows(table, "statistic"):
        found.setdefault(row["dataset"], {})[row["statistic"]] = row["value"]
    return found


def tables() -> list[str]:
    return sorted(path.relative_to(FOLDER).with_suffix("").as_posix() for path in FOLDER.glob("*/*.csv"))


def _rows(table: str, column: str) -> Iterator[dict[str, str]]:
    """The lines of the file, which must have that column: a table of results is none of data sets."""
    path = FOLDER / f"{table}.csv"
    if not path.is_file():
        near = did_you_mean(table, tables())
        raise UserError(f"published: {table}: no such table of numbers{near}")
    with path.open(newline="") as file:
        rows = csv.DictReader(file)
        if column not in (rows.fieldnames or ()):
            raise UserError(f"published: {table} has no column {column}; it has {', '.join(rows.fieldnames)}")
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
