"""Every metric on random scores, beside scikit-learn's for those that it has under the same convention."""

import warnings
from collections.abc import Iterator

import numpy as np
import sklearn.metrics as theirs
import torch

from mlbench.bench.timing import Row, compare, timed
from mlbench.evaluation.suite import METRICS, evaluate

Values = dict[str, float]


def metrics(repeats: int = 5, instances: int = 100_000, labels: int = 100) -> Iterator[Row]:
    """Family by family the same metrics on both sides, then all of ours beside all that scikit-learn has."""
    generator = torch.Generator().manual_seed(0)
    targets = torch.rand(instances, labels, generator=generator) < min(3 / labels, 0.5)
    scores = (torch.randn(instances, labels, generator=generator) + 2 * targets.float() - 2).sigmoid()
    sets = scores > 0.5
    truth, predicted, real = targets.numpy().astype(np.uint8), sets.numpy().astype(np.uint8), scores.numpy()
    outputs = {label_sets: predicted, ranking: real, curves: real}
    size, shared, seconds = f"{instances:,} × {labels}", 0, [0.0] * repeats
    for family, output in outputs.items():
        with warnings.catch_warnings(action="ignore"):  # of labels that a few rows do not show
            names = list(family(truth[:100], output[:100]))
        row = compare(
            f"{len(names)} of {family.__name__}, {size}",
            "scikit-learn",
            ours=lambda names=names: evaluate(scores, sets, targets, names),
            other=lambda family=family, output=output: family(truth, output),
            repeats=repeats,
            agree=largest_difference,
        )
        yield row
        shared += len(names)
        seconds = [so_far + more for so_far, more in zip(seconds, row.other)]
    everything = [timed(lambda: evaluate(scores, sets, targets)) for _ in range(repeats)]
    yield Row(f"all {len(METRICS)}, {size}", f"scikit-learn's {shared}", everything, seconds)


def largest_difference(ours: Values, other: Values) -> Values:
    return {"largest_difference": max(abs(ours[name] - other[name]) for name in other)}


def label_sets(truth: np.ndarray, predicted: np.ndarray) -> Values:
    values = {
        "subset_accuracy": theirs.accuracy_score(truth, predicted),
        "subset_loss": theirs.zero_one_loss(truth, predicted),
        "hamming_loss": theirs.hamming_loss(truth, predicted),
    }
    for ours, average in {"micro": "micro", "macro": "macro", "example": "samples"}.items():
        measured = theirs.precision_recall_fscore_support(truth, predicted, average=average, zero_division=0)
        values |= {f"{name}_{ours}": value for name, value in zip(("precision", "recall", "f1"), measured)}
    return values | {"f1_weighted": theirs.f1_score(truth, predicted, average="weighted", zero_division=0)}


def ranking(truth: np.ndarray, scores: np.ndarray) -> Values:
    return {
        "ranking_loss": theirs.label_ranking_loss(truth, scores),
        "coverage": theirs.coverage_error(truth, scores),
        "ap_example": theirs.label_ranking_average_precision_score(truth, scores),
    }


def curves(truth: np.ndarray, scores: np.ndarray) -> Values:
    return {
        "ap_macro": theirs.average_precision_score(truth, scores, average="macro"),
        "ap_micro": theirs.average_precision_score(truth, scores, average="micro"),
        "auc_macro": theirs.roc_auc_score(truth, scores, average="macro"),
        "auc_micro": theirs.roc_auc_score(truth, scores, average="micro"),
    }
