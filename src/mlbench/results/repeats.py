"""Runs that differ in seed and fold only are one result: the mean over a seed's folds, then over seeds."""

import contextlib
import math
import statistics
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Literal

from mlbench.config import MACHINE, NOT_TAKEN, Node, fingerprint, taken
from mlbench.results.record import Record

Place = tuple[int, int | None]  # seed and fold; None where the split has no folds

GROUPS = ("dataset", "method", "loss", "backbone", "split", "threshold")  # whose choices define a result
NOT_SCIENCE = ("seed", "engine", "force", "trust", "paths", "logger", "choices")  # of a configuration
OURS = "mlbench.methods."


@dataclass(frozen=True)
class Average:
    """A metric of the runs of one result, each by its seed and fold, as far as it is defined."""

    values: Mapping[Place, float]

    @cached_property
    def by_seed(self) -> dict[int, float]:
        """Over the folds of each seed, as many as there are."""
        found: dict[int, list[float]] = {}
        for (seed, _), value in self.values.items():
            found.setdefault(seed, []).append(value)
        return {seed: statistics.fmean(values) for seed, values in found.items()}

    @property
    def mean(self) -> float:
        return statistics.fmean(self.by_seed.values())

    @property
    def over(self) -> Literal["seeds", "folds"]:
        """What the deviation is over: the folds where there is one seed, else the seeds' means over folds."""
        folds = {fold for _, fold in self.values} - {None}
        return "folds" if folds and len(self.by_seed) == 1 else "seeds"

    @property
    def count(self) -> int:
        """Of the numbers that the deviation is over."""
        return len(self.values) if self.over == "folds" else len(self.by_seed)

    @property
    def std(self) -> float | None:
        """Sample standard deviation, n - 1."""
        numbers = self.values if self.over == "folds" else self.by_seed
        return statistics.stdev(numbers.values()) if len(numbers) > 1 else None


def average(values: Mapping[Place, float | None]) -> Average | None:
    """Of those that are defined; None where none is."""
    defined = {place: value for place, value in values.items() if value is not None and math.isfinite(value)}
    return Average(dict(sorted(defined.items()))) if defined else None


def grid(places: Collection[Place], folds: int | None) -> tuple[int, int | None]:
    """How many seeds there are, and how many folds each should have: `folds`, where the split says so."""
    there = {fold for _, fold in places} - {None}
    return len({seed for seed, _ in places}), max(folds or 0, len(there)) or None


def counted(places: Collection[Place], folds: int | None) -> str:
    """3 seeds; 3 seeds × 10 folds; 3 seeds × 10 folds, 27 of 30 runs"""
    seeds, folds = grid(places, folds)
    said = f"{seeds} seed{'s' if seeds != 1 else ''}"
    if folds is None:
        return said
    planned = seeds * folds
    missing = f", {len(places)} of {planned} runs" if len(places) < planned else ""
    return f"{said} × {folds} fold{'s' if folds != 1 else ''}{missing}"


def fold(record: Record) -> int | None:
    number = _split(record).get("fold")
    return number if isinstance(number, int) else None


def folds(record: Record) -> int | None:
    """How many there are to a seed; None where the split has none."""
    number = _split(record).get("folds")
    return number if isinstance(number, int) and fold(record) is not None else None


def place(record: Record) -> Place:
    return record.seed, fold(record)


def result(record: Record) -> str:
    """The same for all runs of one result, and for no others."""
    return fingerprint(science(record))


def science(record: Record) -> dict[str, Any]:
    """What defines a run, but for its seed and fold: where and how it ran is left out."""
    config = {name: value for name, value in record.config.items() if name not in NOT_SCIENCE}
    if isinstance(config.get("train"), dict):
        config["train"] = {name: value for name, value in config["train"].items() if name not in MACHINE}
    if isinstance(config.get("split"), dict):
        config["split"] = {name: value for name, value in config["split"].items() if name != "fold"}
    names = [record.choices.get(name) for name in GROUPS]
    return {"config": config, "files": record.data.get("files"), "rule": record.rule, "choices": names}


def current(record: Record) -> Record:
    """Without what its method does not take, which older records name.

    Only methods of this package are asked: a record may come from anywhere, and nothing that it names is
    imported.
    """
    config = record.config
    with contextlib.suppress(ImportError, AttributeError, KeyError, TypeError):
        if config["method"]["_target_"].startswith(OURS):
            config = taken(config)
            without = [name for name, choice in config["choices"].items() if choice == NOT_TAKEN]
            return replace(record, config=config, choices=record.choices | dict.fromkeys(without, NOT_TAKEN))
    return record


def _split(record: Record) -> Node:
    split = record.config.get("split")
    return split if isinstance(split, dict) else {}
