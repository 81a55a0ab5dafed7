"""Where runs differ in two numbers and in nothing else: the grids that the report draws as heat maps."""

import csv
import io
import itertools
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mlbench.results.repeats import GROUPS


@dataclass(frozen=True)
class Grid:
    """Two options that vary, and for each pair of values the group of runs: one result."""

    across: str
    down: str
    groups: Mapping[tuple[float, float], int]  # (value across, value down) → place of the group

    @property
    def columns(self) -> list[float]:
        return sorted({across for across, _ in self.groups})

    @property
    def rows(self) -> list[float]:
        return sorted({down for _, down in self.groups})

    @property
    def is_one(self) -> bool:
        """Two values each, and half of the pairs there: points taken at random are no grid."""
        columns, rows = len(self.columns), len(self.rows)
        return columns > 1 and rows > 1 and 2 * len(self.groups) >= columns * rows

    def drawn(self, more: str) -> dict[str, Any]:
        """For the page, row by row, None where there is no run. `more` tells it from others of its kind."""
        return {
            "across": self.across,
            "down": self.down,
            "more": more,
            "columns": self.columns,
            "rows": self.rows,
            "groups": [[self.groups.get((across, down)) for across in self.columns] for down in self.rows],
        }


def grids(choices: Sequence[Any], configs: Sequence[Mapping[str, str]]) -> list[Grid]:
    """Of groups of runs: `configs` are their options, `choices` what else must be the same in a grid.

    Where more than two numbers vary, every two of them make a grid for each setting of the others.
    """
    numbers = [dict(_numbers(config)) for config in configs]
    alike: dict[str, list[int]] = {}
    for place, config in enumerate(configs):
        rest = {name: None if name in numbers[place] else value for name, value in config.items()}
        alike.setdefault(json.dumps([choices[place], rest], sort_keys=True), []).append(place)
    found = []
    for places in alike.values():
        values = {name: len({numbers[place][name] for place in places}) for name in numbers[places[0]]}
        varying = [name for name in sorted(values, key=lambda name: -values[name]) if values[name] > 1]
        for across, down in itertools.combinations(varying, 2):  # pages are wide: more values go across
            settings: dict[tuple, dict[tuple[float, float], int]] = {}
            for place in places:
                own = numbers[place]
                others = tuple(own[name] for name in varying if name not in (across, down))
                settings.setdefault(others, {})[own[across], own[down]] = place
            found += [Grid(across, down, groups) for groups in settings.values()]
    return [grid for grid in found if grid.is_one]


def _numbers(config: Mapping[str, str]) -> Iterator[tuple[str, float]]:
    for name, text in config.items():
        try:
            number = float(text)
        except ValueError:
            continue
        if math.isfinite(number):
            yield name, number


def comma(content: Mapping[str, Any]) -> str:
    """As CSV what the page draws of them, and all metrics: a line a cell, means over its folds and seeds."""
    metrics, groups = list(content["metrics"]), content["groups"]
    names = [*GROUPS, "rule"]
    head = ["map", *names, "more", "across", "across_value", "down", "down_value", "seeds", "runs", *metrics]
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(head)
    for number, grid in enumerate(content["grids"], start=1):
        for down, row in zip(grid["rows"], grid["groups"]):
            for across, place in zip(grid["columns"], row):
                if place is not None:
                    said = [*(groups[place][name] for name in names), grid["more"]]
                    said += [grid["across"], across, grid["down"], down]
                    said += [groups[place]["seeds"], groups[place]["runs"]]
                    means = [result and result["mean"] for result in groups[place]["results"]]
                    writer.writerow([number, *said, *means])
    return buffer.getvalue()
