"""What a run learns from: the scaled rows of its parts, the task, and what leads from a file to such rows."""

import functools
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch

from mlbench.assemble import Pieces
from mlbench.config import Config, Node
from mlbench.data import gaps, missing
from mlbench.data.contracts import Scaler
from mlbench.data.instances import Instances, Loaded, statistics
from mlbench.data.rows import Rows
from mlbench.data.schema import Schema
from mlbench.data.splits import divided, labelled_rows
from mlbench.data.task import Modality, Task
from mlbench.encoders.encode import encoded
from mlbench.engine.apart import train_apart
from mlbench.engine.score import device_of
from mlbench.errors import UserError
from mlbench.evaluation.frequency import Frequencies
from mlbench.evaluation.thresholds import Threshold


@dataclass(frozen=True)
class Prepared:
    task: Task
    parts: dict[str, Rows]
    labelled: Rows | None  # the rows whose labels training may use, if the threshold is fitted on them
    data: Node  # the data set's identity and statistics
    schema: Schema
    scaler: Scaler
    example: list[float | str] | None  # a row of a file: means and most frequent words of the training rows

    @property
    def frequencies(self) -> Frequencies:
        return Frequencies.of(self.task.positives, self.task.instances)


def prepared(config: Config, pieces: Pieces, identity: Node) -> Prepared:
    """Loads the data set, splits it, encodes texts and images, fills gaps and scales: what is learned for
    this is learned from the rows alone whose labels training may use.
    """
    loaded = pieces.dataset.load(config.paths.cache)
    if not isinstance(loaded, Loaded):
        kind, wanted = type(loaded).__name__, f"{Loaded.__module__}.{Loaded.__name__}"
        raise UserError(f"dataset={pieces.dataset.name}: its load gave a {kind}, and is to give a {wanted}")
    vectors, words = loaded.instances, loaded.instances.words
    rows = divided(pieces.split, vectors.targets, loaded.official, config.seed, words)
    labelled = labelled_rows(pieces.split, rows)
    if pieces.encoders:
        device = device_of(config.train)
        train = functools.partial(train_apart, like=config.train)
        cache = config.paths.cache
        vectors = encoded(vectors, labelled, pieces.encoders, identity, cache, str(device), train)
    fills: gaps.Fills = {}
    if getattr(pieces.dataset, "options", {}).get("missing") == "mean":
        fills = gaps.learned(vectors, labelled)
        vectors = gaps.filled(vectors, fills)
    vectors = missing.simulated(with_features(vectors, pieces.dataset), pieces.dataset, config.seed)
    scaler = missing.fitted_on_present(pieces.dataset.scaling, vectors, labelled)
    instances = missing.scaled(vectors, scaler)
    schema, example = replace(Schema.of(vectors), fills=fills), None
    if not pieces.encoders and vectors.kind == "vector":
        example = schema.typical(missing.means(vectors, labelled))
    rule = pieces.threshold()
    known = rule.fitted and rule.part == "training"
    return Prepared(
        task=describe(instances, labelled, pieces.dataset),
        parts={part: Rows.from_instances(instances, numbers) for part, numbers in rows.items()},
        labelled=Rows.from_instances(instances, labelled) if known else None,
        data=identity | {"statistics": statistics(vectors)},
        schema=schema,
        scaler=scaler,
        example=example,
    )


def with_features(instances: Instances, dataset: Any) -> Instances:
    if not instances.width:
        raise UserError(f"dataset={dataset.name} has labels only, no features to learn from")
    return instances


def describe(instances: Instances, labelled: np.ndarray, dataset: Any) -> Task:
    ranges = instances.modalities or {"features": (0, instances.width)}
    targets = instances.targets[labelled]
    return Task(
        name=dataset.name,
        labels=instances.labels,
        modalities=tuple(Modality(name, start, stop) for name, (start, stop) in ranges.items()),
        instances=len(targets),
        positives=tuple(int(count) for count in targets.sum(axis=0, dtype=np.int64)),
        kind=instances.kind if getattr(dataset, "raw", ()) else dataset.kind,
        shape=instances.row if instances.kind == "image" else (),
        vocabulary=instances.vocabulary,
    )


def check_threshold(threshold: Threshold, task: Task, parts: Mapping[str, Rows]) -> None:
    """Lets a rule refuse the labels, or the part that it is to be fitted on, before any training."""
    if not threshold.fitted:
        threshold.label_sets(torch.zeros(2, len(task.labels)))
    elif threshold.part in parts:
        threshold.check(parts[threshold.part].targets)
