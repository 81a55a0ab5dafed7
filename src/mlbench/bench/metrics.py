"""Every metric on random scores, beside scikit-learn's and torchmetrics' for those they have under the same
convention.
"""

import warnings
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import sklearn.metrics as sklearn
import torch
import torchmetrics.functional.classification as torchmetrics
from torch import Tensor

from mlbench.bench.timing import Row, compare, timed
from mlbench.evaluation.suite import METRICS, evaluate

Values = dict[str, Any]  # by name; numbers, or tensors of one


def metrics(repeats: int = 5, instances: int = 100_000, labels: int = 100) -> Iterator[Row]:
    """Family by family the same metrics on both sides, then all that we had at that commit beside all that
    each library has.
    """
    generator = torch.Generator().manual_seed(0)
    targets = torch.rand(instances, labels, generator=generator) < min(3 / labels, 0.5)
    scores = (torch.randn(instances, labels, generator=generator) + 2 * targets.float() - 2).sigmoid()
    sets = scores > 0.5
    ours = scores, sets, targets
    arrays = [scores.numpy(), sets.numpy().astype(np.uint8), targets.numpy().astype(np.uint8)]
    tensors = [scores, sets.int(), targets.int()]
    sides = {
        "scikit-learn": (arrays, [sklearn_label_sets, sklearn_ranking, sklearn_curves]),
        "torchmetrics": (tensors, [torchmetrics_label_sets, torchmetrics_ranking, torchmetrics_curves]),
    }
    size, had, seconds = f"{instances:,} × {labels}", {}, {}
    for library, (theirs, families) in sides.items():
        had[library], seconds[library] = 0, [0.0] * repeats
        for family in families:
            row = beside(library, family, theirs, ours, size, repeats)
            yield row
            had[library] += row.notes["metrics"]
            seconds[library] = [so_far + more for so_far, more in zip(seconds[library], row.other)]
    everything = [timed(lambda: evaluate(*ours)) for _ in range(repeats)]
    for library in sides:
        count, beside_whom = {"metrics": len(METRICS)}, f"{had[library]} of {library}"
        yield Row(f"all of ours, {size}", beside_whom, everything, seconds[library], count)


def beside(
    library: str,
    family: Callable[..., Values],
    theirs: Sequence[Any],
    ours: tuple[Tensor, Tensor, Tensor],
    size: str,
    repeats: int,
) -> Row:
    with warnings.catch_warnings(action="ignore"):  # of labels that a few rows do not show
        names = list(family(*[part[:100] for part in theirs]))

    def differ(mine: Values, other: Values) -> dict[str, Any]:
        largest = max(abs(mine[name] - float(other[name])) for name in names)
        return {"metrics": len(names), "largest_difference": largest}

    return compare(
        f"{family.__name__.partition('_')[2]}, {size}",
        library,
        ours=lambda: evaluate(*ours, names),
        other=lambda: family(*theirs),
        repeats=repeats,
        agree=differ,
    )


def sklearn_label_sets(_: np.ndarray, sets: np.ndarray, targets: np.ndarray) -> Values:
    values = {
        "subset_accuracy": sklearn.accuracy_score(targets, sets),
        "subset_loss": sklearn.zero_one_loss(targets, sets),
        "hamming_loss": sklearn.hamming_loss(targets, sets),
    }
    empty: Any = {"zero_division": 0}  # which scikit-learn's own annotation says is a word
    for kind, average in {"micro": "micro", "macro": "macro", "example": "samples"}.items():
        measured = sklearn.precision_recall_fscore_support(targets, sets, average=average, **empty)
        values |= {f"{name}_{kind}": value for name, value in zip(("precision", "recall", "f1"), measured)}
    return values | {"f1_weighted": sklearn.f1_score(targets, sets, average="weighted", **empty)}


def sklearn_ranking(scores: np.ndarray, _: np.ndarray, targets: np.ndarray) -> Values:
    return {
        "ranking_loss": sklearn.label_ranking_loss(targets, scores),
        "coverage": sklearn.coverage_error(targets, scores),
        "ap_example": sklearn.label_ranking_average_precision_score(targets, scores),
    }


def sklearn_curves(scores: np.ndarray, _: np.ndarray, targets: np.ndarray) -> Values:
    return {
        f"{name}_{average}": measure(targets, scores, average=average)
        for name, measure in {"ap": sklearn.average_precision_score, "auc": sklearn.roc_auc_score}.items()
        for average in ("macro", "micro")
    }


def torchmetrics_label_sets(_: Tensor, sets: Tensor, targets: Tensor) -> Values:
    labels = targets.shape[1]
    values = {
        "subset_accuracy": torchmetrics.multilabel_exact_match(sets, targets, labels),
        "hamming_loss": torchmetrics.multilabel_hamming_distance(sets, targets, labels, average="micro"),
    }
    values["subset_loss"] = 1 - values["subset_accuracy"]
    by_row = sets.unsqueeze(-1), targets.unsqueeze(-1)  # by instance it takes a dimension more
    for name in ("precision", "recall", "f1"):
        measure = getattr(torchmetrics, f"multilabel_{name}{'_score' if name == 'f1' else ''}")
        for average in ("micro", "macro"):
            values[f"{name}_{average}"] = measure(sets, targets, labels, average=average)
        by_instance = measure(*by_row, labels, average="micro", multidim_average="samplewise")
        values[f"{name}_example"] = by_instance.mean()
    return values | {
        "f1_weighted": torchmetrics.multilabel_f1_score(sets, targets, labels, average="weighted")
    }


def torchmetrics_ranking(scores: Tensor, _: Tensor, targets: Tensor) -> Values:
    labels = targets.shape[1]
    return {
        "ranking_loss": torchmetrics.multilabel_ranking_loss(scores, targets, labels),
        "coverage": torchmetrics.multilabel_coverage_error(scores, targets, labels),
        "ap_example": torchmetrics.multilabel_ranking_average_precision(scores, targets, labels),
    }


def torchmetrics_curves(scores: Tensor, _: Tensor, targets: Tensor) -> Values:
    labels = targets.shape[1]
    measures = {"ap": torchmetrics.multilabel_average_precision, "auc": torchmetrics.multilabel_auroc}
    return {
        f"{name}_{average}": measure(scores, targets, labels, average=average)
        for name, measure in measures.items()
        for average in ("macro", "micro")
    }
