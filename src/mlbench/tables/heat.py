"""Grids of results that differ in two numbers and in nothing else; the report draws them as heat maps."""

import itertools
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mlbench.results.repeats import GROUPS
from mlbench.tables.formats import comma_separated


@dataclass(frozen=True)
class Grid:
    """Two options that vary, and for each pair of their values a group of runs, which is one result."""

    across: str
    down: str
    groups: Mapping[tuple[float, float], int]  # (value across, value down) → index of the group

    @property
    def columns(self) -> list[float]:
        return sorted({across for across, _ in self.groups})

    @property
    def rows(self) -> list[float]:
        return sorted({down for _, down in self.groups})

    @property
    def is_one(self) -> bool:
        """Whether both options have two values or more, and half of the pairs exist: random points do not."""
        columns, rows = len(self.columns), len(self.rows)
        return columns > 1 and rows > 1 and 2 * len(self.groups) >= columns * rows

    def drawn(self, more: str) -> dict[str, Any]:
        """The grid for the page, row by row, None where there is no run. `more` names what sets it apart."""
        return {
            "across": self.across,
            "down": self.down,
            "more": more,
            "columns": self.columns,
            "rows": self.rows,
            "groups": [[self.groups.get((across, down)) for across in self.columns] for down in self.rows],
        }


def grids(choices: Sequence[Any], configs: Sequence[Mapping[str, str]]) -> list[Grid]:
    """The grids among groups of runs with options `configs`; `choices` must be equal within a grid, too.

    If more than two numbers vary, every two of them make a grid for each setting of the others.
    """
    numbers = [dict(_numbers(config)) for config in configs]
    alike: dict[str, list[int]] = {}
    for index, config in enumerate(configs):
        rest = {name: None if name in numbers[index] else value for name, value in config.items()}
        alike.setdefault(json.dumps([choices[index], rest], sort_keys=True), []).append(index)
    candidates = []
    for members in alike.values():
        values = {name: len({numbers[index][name] for index in members}) for name in numbers[members[0]]}
        varying = [name for name in sorted(values, key=lambda name: -values[name]) if values[name] > 1]
        for across, down in itertools.combinations(varying, 2):  # more values go across: pages are wide
            settings: dict[tuple, dict[tuple[float, float], int]] = {}
            for index in members:
                options = numbers[index]
                others = tuple(options[name] for name in varying if name not in (across, down))
                settings.setdefault(others, {})[options[across], options[down]] = index
            candidates += [Grid(across, down, groups) for groups in settings.values()]
    return [grid for grid in candidates if grid.is_one]


def _numbers(config: Mapping[str, str]) -> Iterator[tuple[str, float]]:
    for name, text in config.items():
        try:
            number = float(text)
        except ValueError:
            continue
        if math.isfinite(number):
            yield name, number


def comma(content: Mapping[str, Any]) -> str:
    """The grids as CSV, with all metrics: a line for each cell, means over its folds and seeds."""
    names = [*GROUPS, "rule"]
    rows: list[list[Any]] = [
        ["map", *names, "more", "across", "across_value", "down", "down_value", "seeds", "runs"]
    ]
    rows[0] += content["metrics"]
    for number, grid in enumerate(content["grids"], start=1):
        for down, indices in zip(grid["rows"], grid["groups"]):
            for across, index in zip(grid["columns"], indices):
                if index is not None:
                    group = content["groups"][index]
                    means = [result and result["mean"] for result in group["results"]]
                    axes = [grid["more"], grid["across"], across, grid["down"], down]
                    chosen = [group[name] for name in names]
                    rows.append([number, *chosen, *axes, group["seeds"], group["runs"], *means])
    return comma_separated(rows)
