"""The board with the standings, grids and names from which every page is drawn."""

from collections import Counter
from dataclasses import dataclass
from functools import cached_property
from html import escape

import numpy as np

from mlbench.board.columns import CUT_METRICS, HALF, VARIANTS
from mlbench.board.content import Board
from mlbench.board.grid import Grid, Row, grid, mean
from mlbench.board.pages.markup import address
from mlbench.board.standing import REFERENCE, Standing

FIRST = "f1_macro"  # the metric that is shown where one must be chosen


@dataclass(frozen=True)
class Site:
    board: Board
    standings: dict[str, Standing]  # by metric
    names: dict[Row, str]

    @cached_property
    def methods(self) -> list[str]:
        return sorted(set(self.board.records["method"]))

    @cached_property
    def datasets(self) -> list[str]:
        return sorted(set(self.board.records["dataset"]))

    @cached_property
    def families(self) -> dict[str, str]:
        families = self.board.records.drop_duplicates("method").set_index("method")["family"].to_dict()
        return {name: str(family or "") for name, family in families.items()}

    @cached_property
    def first(self) -> str:
        return FIRST if FIRST in self.standings else next(iter(self.standings))

    @cached_property
    def halves(self) -> dict[str, Grid]:
        """The metrics of label sets with a cut of .5."""
        return {name: grid(self.board.records, name + HALF) for name in CUT_METRICS if name in self.standings}

    @cached_property
    def overall(self) -> dict[Row, float]:
        """The mean over the metrics of a row's place; by it the rows are in order."""
        rows = self.standings[self.first].grid.rows
        places = np.array([each.places for each in self.standings.values()])
        return dict(zip(rows, mean(places, 0)))

    @cached_property
    def ordered(self) -> list[Row]:
        return sorted(
            self.names, key=lambda row: (np.nan_to_num(self.overall.get(row, np.nan), nan=np.inf), row)
        )

    @cached_property
    def cells(self) -> dict[tuple[str, str, str], tuple[Counter, str]]:
        """Data set, method and variant → the states of the cell's runs, and the first reason among them."""
        cells: dict[tuple[str, str, str], tuple[Counter, str]] = {}
        names = ["dataset", "method", "variant", "state", "reason"]
        for dataset, method, variant, state, reason in self.board.records[names].itertuples(index=False):
            states, earlier = cells.get((dataset, method, variant), (Counter(), ""))
            states[state] += 1
            cells[dataset, method, variant] = states, earlier or str(reason or "")
        return cells

    @cached_property
    def tested(self) -> dict[tuple[str, str], list[tuple[str, str, float, float]]]:
        """Metric and data set → first, second, and the interval of the difference."""
        intervals: dict[tuple[str, str], list[tuple[str, str, float, float]]] = {}
        names = ["metric", "dataset", "first", "second", "low", "high"]
        for metric, dataset, *line in self.board.pairs[names].itertuples(index=False):
            intervals.setdefault((metric, dataset), []).append(tuple(line))
        return intervals

    @cached_property
    def beside_reference(self) -> dict[tuple[str, str], list[bool]]:
        """Metric and method → for each data set on which the bootstrap tells the method from the reference,
        whether the method is better."""
        outcomes: dict[tuple[str, str], list[bool]] = {}
        for (metric, _), lines in self.tested.items():
            if metric not in self.standings:
                continue
            higher = self.standings[metric].grid.better == "high"
            for first, second, low, high in lines:
                if REFERENCE.method in (first, second) and not low <= 0 <= high:
                    other = second if first == REFERENCE.method else first
                    wins = (low > 0) == higher  # whether `first` is better
                    outcomes.setdefault((metric, other), []).append(wins == (first == other))
        return outcomes

    def linked(self, row: Row) -> str:
        """The row's name as HTML, leading to the page of its method."""
        tag = ' <span class="tag">tuned</span>' if row.variant == VARIANTS[1] else ""
        return f'<a href="{address("method", row.method)}">{escape(self.board.title(row.method))}</a>{tag}'

    def titled(self, dataset: str) -> str:
        return str(self.board.datasets.get(dataset, {}).get("title") or dataset)
