"""Which of two methods is better on a data set: the paired bootstrap over the test rows of all splits."""

import itertools
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from mlbench.board import columns
from mlbench.evaluation.intervals import Part, drawn, paired
from mlbench.evaluation.thresholds import strictly_above
from mlbench.results import store
from mlbench.runs.run import Run

DRAWS = 1000


def pairs(finished: Mapping[tuple[str, str], Sequence[Run]]) -> list[dict[str, Any]]:
    """The lines of all pairs of methods that have finished the most splits of a data set."""
    rows = []
    for dataset in dict.fromkeys(dataset for dataset, _ in finished):
        of_dataset = {method: runs for (name, method), runs in finished.items() if name == dataset}
        splits = {method: frozenset(run.fold for run in runs) for method, runs in of_dataset.items()}
        most = max(splits.values(), key=len)
        pooled = {m: Pooled.of(runs) for m, runs in of_dataset.items() if splits[m] == most}
        rows += of_pairs(dataset, pooled)
    return rows


class Pooled:
    """Scores and label sets of one method on the test rows of all splits, in the order of the rows."""

    def __init__(self, ids: np.ndarray, scores: Tensor, sets: Tensor, targets: Tensor):
        order = np.argsort(ids, kind="stable")
        self.ids, self.scores, self.sets, self.targets = (
            ids[order],
            scores[order],
            sets[order],
            targets[order],
        )

    @classmethod
    def of(cls, runs: Sequence[Run]) -> "Pooled":
        ids, scores, sets, targets = zip(*map(read, runs))
        return cls(np.concatenate(ids), torch.cat(scores), torch.cat(sets), torch.cat(targets))

    @property
    def parts(self) -> list[Part]:
        return [Part(self.sets, columns.CUT_METRICS), Part(self.scores, columns.SCORE_METRICS)]

    def only(self, metric: str) -> list[Part]:
        return [Part(self.sets if metric in columns.CUT_METRICS else self.scores, (metric,))]


def read(run: Run) -> tuple[np.ndarray, Tensor, Tensor, Tensor]:
    """Row numbers, scores, label sets by the run's cut, and true labels of its test part."""
    record = store.finished(run.folder)
    assert record is not None, "only runs that have finished are compared"
    with np.load(run.folder / "scores.npz") as archive:
        ids, targets = archive["ids"], archive["targets"]
        scores = torch.from_numpy(archive[record.rule])
    sets = strictly_above(scores, record.thresholds[record.rule])
    return ids, scores, sets, torch.from_numpy(targets).bool()


def of_pairs(dataset: str, pooled: Mapping[str, Pooled]) -> list[dict[str, Any]]:
    """A line a metric and a pair, the first by name minus the second; all see the same resamples."""
    names = sorted(pooled)
    values = {name: drawn(pooled[name].parts, pooled[name].targets, DRAWS) for name in names}
    rows = []
    for first, second in itertools.combinations(names, 2):
        assert (pooled[first].ids == pooled[second].ids).all(), "all methods are tested on the same rows"
        for metric in columns.METRICS:
            difference = paired(values[first][metric], values[second][metric])
            numbers = (difference.value, difference.low, difference.high, difference.bootstrap)
            rows.append(dict(zip(columns.PAIRS, (dataset, metric, first, second, *map(rounded, numbers)))))
    return rows


def rounded(value: float) -> float:
    """Six decimals: what is behind them depends on the order of sums, and takes room in the file."""
    return value if math.isnan(value) else round(value, 6)
