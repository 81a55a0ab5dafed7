"""What a table can show of a record: its metrics under a selection rule, and facts of the run itself."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

from mlbench.errors import UserError
from mlbench.evaluation.embedding import PROBES
from mlbench.evaluation.metric import Better
from mlbench.evaluation.suite import ALL, evaluate, find, of_top, paragraphs, stem_of, without_rule
from mlbench.evaluation.suite import definition as definition_of_metric
from mlbench.results.record import Record


@dataclass(frozen=True)
class Fact:
    """A number of a run that is no metric: the same under every rule."""

    better: Better
    of: Callable[[Record], float]


def train_time_minutes(record: Record) -> float:
    """All stages, without scoring. A stage that runs share counts in each of them; of runs that were trained
    as one each has its share of the time."""
    return sum(seconds for stage, seconds in record.seconds.items() if stage != "scoring") / 60


FACTS = {"train_time_minutes": Fact("low", train_time_minutes)}


def values(record: Record, rule: str) -> dict[str, float]:
    """A run's metrics and facts by name; empty where the run was not scored under that rule. Of imported
    predictions neither epochs nor times are known: they have the same metrics under every rule."""
    if record.imported:
        return record.metrics[record.rule]
    metrics = record.metrics.get(rule)
    return metrics | {name: fact.of(record) for name, fact in FACTS.items()} if metrics else {}


def with_depths(record: Record, scores: Path, wanted: Collection[str]) -> Record:
    """The record with those of the wanted metrics that are of the top k, for a k that no record has, measured
    of the run's kept scores. Where a metric needs what the scores' file does not have, it stays away.
    """
    tops = [name for name in wanted if name not in ALL and (metric := of_top(name)) and not metric.counted]
    if not tops or not scores.is_file():
        return record
    with np.load(scores) as kept:
        targets = torch.from_numpy(kept["targets"])
        more = {
            rule: evaluate(torch.from_numpy(kept[rule]), None, targets, tops)
            for rule in record.metrics
            if rule in kept
        }
    return replace(record, metrics={rule: each | more.get(rule, {}) for rule, each in record.metrics.items()})


def definition(name: str) -> str:
    """A sentence that says what a name of `values` means."""
    if name in FACTS:
        return " ".join((FACTS[name].of.__doc__ or "").split())
    if name in PROBES:
        return paragraphs(PROBES[name].reduce)[0]
    stem = stem_of(name)
    return definition_of_metric(stem) if stem else ""


def check(metrics: Mapping[str, str]) -> None:
    """`metrics` are ours by the names of the published; UserError for one that there is not."""
    for name, ours in metrics.items():
        try:
            better(ours)
        except UserError as error:
            raise UserError(f"metrics.{name}.ours={ours}: {error}") from None


def better(name: str) -> Better:
    known = FACTS | PROBES
    return known[name].better if name in known else find(without_rule(name)).better
