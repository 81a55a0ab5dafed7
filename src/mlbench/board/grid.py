"""The numbers of one metric as a grid of data sets, splits and rows; failures have the score of the prior.

A row of the board is a method in a variant: as its paper sets it, or tuned.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import NamedTuple

import numpy as np

from mlbench.board.columns import HALF, VARIANTS
from mlbench.board.content import Frame
from mlbench.evaluation.metric import Better
from mlbench.tables.ranks import RESOLUTION

PRIOR = "prior"  # the method that scores each label by its share in training: the floor
FAILED = ("failed", "timeout", "memory")


class Row(NamedTuple):
    method: str
    variant: str = VARIANTS[0]


@dataclass(frozen=True)
class Grid:
    """`values` are NaN where nothing was run, and `imputed` says where they are the prior's."""

    metric: str
    better: Better
    datasets: list[str]
    rows: list[Row]
    values: np.ndarray  # (D, S, R)
    imputed: np.ndarray  # (D, S, R)

    @cached_property
    def means(self) -> np.ndarray:
        """The means over the splits that a cell has: (D, R)."""
        return mean(self.values, 1)

    @cached_property
    def errors(self) -> np.ndarray:
        """The distance of each mean to the value of a perfect method: (D, R)."""
        return self.means if self.better == "low" else 1 - self.means

    @cached_property
    def splits(self) -> np.ndarray:
        """How many splits each cell has: (D, R)."""
        return (~np.isnan(self.values)).sum(1)

    def of(self, datasets: Iterable[int], rows: Sequence[int]) -> "Grid":
        """The grid with these data sets and rows alone."""
        chosen = list(datasets)
        return replace(
            self,
            datasets=[self.datasets[number] for number in chosen],
            rows=[self.rows[number] for number in rows],
            values=self.values[chosen][:, :, list(rows)],
            imputed=self.imputed[chosen][:, :, list(rows)],
        )

    def variant(self, variant: str) -> "Grid":
        rows = [number for number, row in enumerate(self.rows) if row.variant == variant]
        return self.of(range(len(self.datasets)), rows)


def grid(records: Frame, metric: str) -> Grid:
    """Seeds of a split are averaged. A failure without a prior on the same split remains unknown."""
    frame = records[["dataset", "method", "variant", "split", "state"]].copy()
    value = records[metric].astype(float)
    frame["value"] = value.where(frame["state"] == "finished")
    frame["imputed"] = frame["state"].isin(FAILED)
    floor = frame[(frame["method"] == PRIOR) & (frame["variant"] == VARIANTS[0])]
    floors = floor.groupby(["dataset", "split"])["value"].mean()
    asked = frame.loc[frame["imputed"], ["dataset", "split"]]
    frame.loc[frame["imputed"], "value"] = [floors.get((each[0], each[1]), np.nan) for each in asked.values]
    datasets, splits = sorted(frame["dataset"].unique()), sorted(frame["split"].unique())
    rows = sorted({Row(*each) for each in frame[["method", "variant"]].itertuples(index=False)})
    cells = frame.groupby(["dataset", "split", "method", "variant"]).agg({"value": "mean", "imputed": "any"})
    places = _places(cells.index.to_frame(index=False), datasets, splits, rows)
    values = np.full((len(datasets), len(splits), len(rows)), np.nan)
    values[places] = cells["value"]
    imputed = np.zeros(values.shape, bool)
    imputed[places] = cells["imputed"] & cells["value"].notna()
    return Grid(metric, better(metric), datasets, rows, values, imputed)


def _places(cells: Frame, datasets: list[str], splits: list[int], rows: list[Row]) -> tuple:
    at_row = {row: number for number, row in enumerate(rows)}
    return (
        [datasets.index(name) for name in cells["dataset"]],
        [splits.index(number) for number in cells["split"]],
        [at_row[Row(*each)] for each in cells[["method", "variant"]].itertuples(index=False)],
    )


def costs(records: Frame, column: str, of: Grid) -> np.ndarray:
    """The means of a column over the finished runs of each cell of a grid: (D, R)."""
    done = records[records["state"] == "finished"]
    cells = done.groupby(["dataset", "method", "variant"])[column].mean()
    means = np.full((len(of.datasets), len(of.rows)), np.nan)
    rows = {row: number for number, row in enumerate(of.rows)}
    for (dataset, method, variant), value in cells.items():
        means[of.datasets.index(dataset), rows[Row(method, variant)]] = value
    return means


def better(metric: str) -> Better:
    from mlbench.evaluation.suite import find  # imports torch

    return find(metric.removesuffix(HALF)).better


def duels(grid: Grid) -> np.ndarray:
    """1 where the row is better than the column, 0 where it is worse, ½ where they are equal: (D, R, R).

    Two rows are compared by their means over the splits that both have; NaN where there is none.
    """
    sign = -1 if grid.better == "low" else 1
    apart = mean(sign * (grid.values[:, :, :, None] - grid.values[:, :, None, :]), 1)
    won = np.where(np.abs(apart) < RESOLUTION, 0.5, (apart > 0).astype(float))
    won[np.isnan(apart)] = np.nan
    diagonal = np.arange(len(grid.rows))
    won[:, diagonal, diagonal] = np.nan
    return won


def block(known: np.ndarray) -> tuple[list[int], list[int]]:
    """Data sets and rows without a gap between them, which tests over data sets need.

    As long as a cell is missing, the data set or the row with the largest share of missing cells goes; of
    equal ones a row before a data set, and the last of them.
    """
    datasets, rows = list(range(known.shape[0])), list(range(known.shape[1]))
    while datasets and rows:
        missing = ~known[np.ix_(datasets, rows)]
        if not missing.any():
            break
        of_rows, of_datasets = missing.mean(0), missing.mean(1)
        if of_rows.max() >= of_datasets.max():
            del rows[_last(of_rows)]
        else:
            del datasets[_last(of_datasets)]
    return datasets, rows


def _last(shares: np.ndarray) -> int:
    return int(np.flatnonzero(shares == shares.max())[-1])


def mean(values: np.ndarray, axis: int) -> np.ndarray:
    """The mean of the values that are not NaN; NaN, without a warning, where all are."""
    known = ~np.isnan(values)
    count = known.sum(axis)
    total = np.where(known, values, 0).sum(axis)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)
