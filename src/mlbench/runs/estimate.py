"""How long a group of runs will take and how much memory: by records of the same kind, else by operations.

Operations are multiply-adds of the layers between features and labels, forward and twice as many backward,
of all instances in all epochs. What a method does beside that (several stages, a solver) is not counted.
"""

import itertools
import statistics
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mlbench.config import Config, taken
from mlbench.errors import UserError
from mlbench.results import store
from mlbench.results.record import Brief
from mlbench.runs.run import Run

READ = 30  # records of a kind, at most
MARGIN = 2.0  # by which operations may be wrong, as a factor
RATE = 5e9  # multiply-adds a second of one core
STEP = 1e-3  # seconds of a step, however small
OPENED = 5.0  # seconds until the data of a run are there and its scores are measured
PROCESS = 500e6  # bytes of a process with torch
WEIGHT = 16  # bytes of a weight: itself, its gradient and two moments


@dataclass(frozen=True)
class Estimate:
    once: float | None  # seconds of a group, whatever its size; None where nothing is known
    each: float  # seconds that a run adds
    bytes_once: float
    bytes_each: float
    by: str

    def seconds(self, runs: int) -> float | None:
        return None if self.once is None else self.once + runs * self.each

    def memory(self, runs: int) -> float | None:
        return None if self.once is None else self.bytes_once + runs * self.bytes_each

    def fitting(self, seconds: float) -> int:
        """How many runs a group of `seconds` may have; at least one."""
        if self.once is None or not self.each:
            return 10**9
        return max(1, int((seconds - self.once) // self.each))


def estimated(run: Run, outputs: Path) -> Estimate:
    """The time and memory that a group with this run will take."""
    known = list(alike(run, outputs))
    return by_records(known) if known else by_operations(run.config)


def by_records(records: list[Brief]) -> Estimate:
    """Each run takes as long as the longest of the records, whose seconds are their share of a stack's."""
    each = max(sum(record.seconds.values()) for record in records)
    memory = statistics.fmean(record.peak_memory_bytes for record in records)
    return Estimate(OPENED, each, memory, 0.0, "records")


def alike(run: Run, outputs: Path) -> Iterator[Brief]:
    """Finished runs of the same data, method, backbone and device, of as many epochs and batches."""
    kind = kind_of(taken(run.config.model_dump(mode="json")))
    paths = sorted(run.folder.parent.glob("*/record.json"))
    count = 0
    for path in paths:
        try:
            record = store.brief(path.parent)
        except UserError:
            continue
        if record and not record.imported and kind_of(record.config) == kind:
            count += 1
            yield record
        if count == READ:
            return


def kind_of(settings: dict[str, Any]) -> list[Any]:
    train = settings.get("train") or {}
    numbers = [train.get(name) for name in ("epochs", "batch_size", "accelerator", "devices", "precision")]
    return [settings.get("backbone"), settings.get("split", {}).get("_target_"), *numbers]


def by_operations(config: Config) -> Estimate:
    known = config.dataset.get("statistics") or {}
    instances, features, labels = (known.get(name) for name in ("instances", "features", "labels"))
    if not (instances and features and labels):
        return Estimate(None, 0.0, 0.0, 0.0, "nothing")
    content = taken(config.model_dump())
    widths = [features, *layers(content["backbone"] or {}), labels]
    weights = sum(before * after for before, after in itertools.pairwise(widths))
    train = config.train
    epochs = train.epochs if "epochs" in content["train"] else 1
    steps = epochs * -(-instances // train.batch_size)
    each = 3 * weights * instances * epochs / RATE
    data = instances * features * 4.0
    return Estimate(
        OPENED + MARGIN * steps * STEP,
        MARGIN * each + 0.5,
        PROCESS + 2 * data,
        data + weights * WEIGHT,
        "operations",
    )


def layers(backbone: dict[str, Any]) -> list[int]:
    """The widths that the backbone is told."""
    return [width for width in backbone.get("widths") or [] if isinstance(width, int)]
