"""All metrics of one set of outputs, and the registry that everything else asks about metrics."""

import inspect
from collections.abc import Iterable

import torch
from torch import Tensor

from mlbench.errors import UserError, did_you_mean
from mlbench.evaluation import curves, label_sets, ranking
from mlbench.evaluation.label_sets import f1_per_label
from mlbench.evaluation.metric import Metric

# Every metric of the three modules, in the order of their files. A metric written there is registered here.
METRICS: dict[str, Metric] = {
    name: member.metric
    for module in (label_sets, ranking, curves)
    for name, member in vars(module).items()
    if hasattr(member, "metric")
}


def find(name: str) -> Metric:
    """The metric of that name; UserError, with the nearest name, when there is none."""
    if name not in METRICS:
        raise UserError(
            f"unknown metric {name!r}{did_you_mean(name, METRICS) or ': known are ' + ', '.join(METRICS)}"
        )
    return METRICS[name]


def stem_of(name: str) -> str | None:
    """The metric behind a name with a suffix, of a threshold rule or of a method: `f1_macro_oracle`."""
    stems = [stem for stem in METRICS if name == stem or name.startswith(f"{stem}_")]
    return max(stems, key=len, default=None)


def definition(name: str) -> str:
    """What the metric of that name is, in a sentence; its conventions stand in docs/metrics.md."""
    return " ".join(inspect.getdoc(METRICS[name].reduce).partition("\n\n")[0].split())


def evaluate(
    scores: Tensor | None, label_sets: Tensor | None, targets: Tensor, names: Iterable[str] | None = None
) -> dict[str, float]:
    """All metrics, or those named, as plain floats; NaN where the data leave one undefined. All three (N, L).

    Counting and sorting are done once for all metrics that need them, and not at all if none does:
    `scores` or `label_sets` may be None where no metric named needs them.
    """
    chosen = [find(name) for name in (METRICS if names is None else names)]
    outputs = {"scores": scores, "label_sets": label_sets}
    values: dict[str, Tensor] = {}
    for prepare in dict.fromkeys(metric.prepare for metric in chosen):
        family = [metric for metric in chosen if metric.prepare is prepare]
        output = outputs[family[0].needs]
        assert output is not None, f"{family[0].name} needs {family[0].needs}"
        prepared = prepare(output, targets)
        values |= {metric.name: metric.reduce(prepared) for metric in family}
    if not chosen:
        return {}
    numbers = torch.stack([values[metric.name] for metric in chosen]).tolist()  # one copy from the device
    return {metric.name: number for metric, number in zip(chosen, numbers)}


def measure(name: str, scores: Tensor | None, label_sets: Tensor | None, targets: Tensor) -> float:
    """One metric, at the cost of its own family: for model selection at every epoch."""
    return evaluate(scores, label_sets, targets, [name])[name]


def per_label(scores: Tensor, label_sets: Tensor, targets: Tensor) -> dict[str, list[float]]:
    """F1, average precision, area under the ROC curve and number of positives of each label.

    F1 and average precision are 0, the area NaN, for a label without positives.
    """
    by_label = curves.rank_instances(scores, targets)
    return {
        "f1": f1_per_label(label_sets, targets).tolist(),
        "ap": by_label.average_precision.tolist(),
        "auc": by_label.area_under_roc.tolist(),
        "support": by_label.relevant.tolist(),
    }
