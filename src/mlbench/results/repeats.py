"""Averages the runs of a result, which differ in seed and fold only: over a seed's folds, then over seeds."""

import contextlib
import functools
import json
import math
import statistics
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Literal, TypeVar

from mlbench.config import MACHINE, NOT_TAKEN, Node, fingerprint, taken
from mlbench.results.record import Brief

AnyBrief = TypeVar("AnyBrief", bound=Brief)
Repeat = tuple[int, int | None]  # seed and fold; None where the split has no folds

# The choices that define a result
GROUPS = ("dataset", "method", "loss", "backbone", "split", "calibration", "threshold")
NOT_SCIENCE = (
    "seed",
    "engine",
    "force",
    "trust",
    "paths",
    "logger",
    "outputs",
    "choices",
)  # keys that define none
OURS = {"method": "mlbench.methods.", "split": "mlbench.data.splits."}  # of which a record may ask


@dataclass(frozen=True)
class Average:
    """The defined values of a metric in the runs of one result, by seed and fold."""

    values: Mapping[Repeat, float]

    @cached_property
    def by_seed(self) -> dict[int, float]:
        """The mean over the folds of each seed."""
        if all(fold is None for _, fold in self.values):
            return {seed: value for (seed, _), value in self.values.items()}
        values: dict[int, list[float]] = {}
        for (seed, _), value in self.values.items():
            values.setdefault(seed, []).append(value)
        return {seed: statistics.fmean(of_folds) for seed, of_folds in values.items()}

    @property
    def mean(self) -> float:
        return statistics.fmean(self.by_seed.values())

    @property
    def over(self) -> Literal["seeds", "folds"]:
        """What `std` is taken over: the folds of a single seed, else the seeds' means over folds."""
        folds = {fold for _, fold in self.values} - {None}
        return "folds" if folds and len(self.by_seed) == 1 else "seeds"

    @property
    def count(self) -> int:
        """How many numbers `std` is taken over."""
        return len(self._spread)

    @property
    def std(self) -> float | None:
        """Sample standard deviation, n - 1; None for a single number."""
        return deviation([*self._spread.values()]) if self.count > 1 else None

    @property
    def _spread(self) -> Mapping[Any, float]:
        return self.values if self.over == "folds" else self.by_seed


def deviation(values: Sequence[float]) -> float:
    """As statistics.stdev, which takes fifty times as long: 0 for equal values."""
    moved = [value - values[0] for value in values]
    mean = statistics.fmean(moved)
    return math.sqrt(math.fsum((value - mean) ** 2 for value in moved) / (len(values) - 1))


def average(values: Mapping[Repeat, float | None]) -> Average | None:
    """The average of the defined values; None where none is defined."""
    defined = {
        repeat: value for repeat, value in values.items() if value is not None and math.isfinite(value)
    }
    return Average(dict(sorted(defined.items()))) if defined else None


def grid(repeats: Collection[Repeat], folds: int | None) -> tuple[int, int | None]:
    """The number of seeds, and the number of folds to a seed: at least `folds`, which the split gives."""
    present = {fold for _, fold in repeats} - {None}
    return len({seed for seed, _ in repeats}), max(folds or 0, len(present)) or None


def counted(repeats: Collection[Repeat], folds: int | None) -> str:
    """3 seeds; 3 seeds × 10 folds; 3 seeds × 10 folds, 27 of 30 runs"""
    seeds, folds = grid(repeats, folds)
    text = f"{seeds} seed{'s' if seeds != 1 else ''}"
    if folds is None:
        return text
    planned = seeds * folds
    missing = f", {len(repeats)} of {planned} runs" if len(repeats) < planned else ""
    return f"{text} × {folds} fold{'s' if folds != 1 else ''}{missing}"


def fold(record: Brief) -> int | None:
    number = _split(record).get("fold")
    return number if isinstance(number, int) else None


def folds(record: Brief) -> int | None:
    """The number of folds to a seed; None where the split has none."""
    number = _split(record).get("folds")
    return number if isinstance(number, int) and fold(record) is not None else None


def repeat(record: Brief) -> Repeat:
    return record.seed, fold(record)


def result(record: Brief) -> str:
    """A hash that the runs of one result share with no other run."""
    return fingerprint(science(record))


def science(record: Brief) -> dict[str, Any]:
    """What defines a run, without its seed and fold, and without where and how it ran."""
    return science_of(record.config, record.choices, record.data.get("files"), record.rule)


def science_of(config: Node, choices: Mapping[str, str], files: Any, rule: str) -> dict[str, Any]:
    """The `science` of a run that has no record yet, of what its record will hold."""
    config = _without(config, NOT_SCIENCE)
    for group, left_out in (("train", MACHINE), ("split", ("fold",))):
        if isinstance(config.get(group), dict):
            config[group] = _without(config[group], left_out)
    names = [choices.get(name) for name in GROUPS]
    return {"config": config, "files": files, "rule": rule, "choices": names}


def current(record: AnyBrief) -> AnyBrief:
    """The record without options that its method does not take, which older records hold.

    Only methods and splits of this package are asked: a record may come from anywhere, so nothing else that
    it names is imported.
    """
    seed = {name: value for name, value in record.config.items() if name == "seed"}
    known = _current(json.dumps(_without(record.config, seed)))
    if known is None:
        return record
    config, without = known
    return replace(record, config=config | seed, choices=record.choices | dict.fromkeys(without, NOT_TAKEN))


@functools.lru_cache(4096)
def _current(text: str) -> tuple[Node, list[str]] | None:
    """A configuration as `current` leaves it, and the choices that its method does not take; None where it
    names code that is not ours. `text` is the configuration without its seed, which many runs share.
    """
    config = json.loads(text)
    with contextlib.suppress(ImportError, AttributeError, KeyError, TypeError):
        if all(config[group]["_target_"].startswith(room) for group, room in OURS.items()):
            config = taken(config)
            return config, [name for name, choice in config["choices"].items() if choice == NOT_TAKEN]
    return None


def _without(content: Node, names: Collection[str]) -> Node:
    return {name: value for name, value in content.items() if name not in names}


def _split(record: Brief) -> Node:
    split = record.config.get("split")
    return split if isinstance(split, dict) else {}
