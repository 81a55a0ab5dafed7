"""The registry of all metrics, and their values for one set of outputs."""

import inspect
import re
from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import cache, partial
from types import ModuleType
from typing import Any

import torch
from torch import Tensor

from mlbench.errors import UserError, did_you_mean
from mlbench.evaluation import curves, label_sets, likelihood, propensity, ranking, reliability
from mlbench.evaluation.frequency import Frequencies, by_group
from mlbench.evaluation.groups import at_depth
from mlbench.evaluation.label_sets import f1_per_label
from mlbench.evaluation.metric import Metric


def of_modules(*modules: ModuleType) -> dict[str, Metric]:
    """Every metric of the modules, in the order of their files: writing a metric there registers it."""
    return {
        name: member
        for module in modules
        for name, member in vars(module).items()
        if isinstance(member, Metric)
    }


METRICS = of_modules(label_sets, ranking, curves, likelihood, reliability)
COUNTED = of_modules(propensity) | by_group(METRICS)  # those that take the labels' frequencies in training
ALL = METRICS | COUNTED

OF_TOP: dict[str, Callable[..., Tensor]] = {
    "precision": ranking.precision_at,
    "recall": ranking.recall_at,
    "ndcg": ranking.gain_at,
    "psp": propensity.psp_at,
}
OF_LABEL_SETS = [name for name, metric in METRICS.items() if metric.needs == "label_sets"]
OF_RULES = ("_oracle", "_clean", "_fixed")  # what threshold rules end names of metrics of label sets in


def find(name: str) -> Metric:
    """The metric of that name; UserError with the nearest name where there is none."""
    if not (metric := ALL.get(name) or of_top(name)):
        near = did_you_mean(name, ALL) or f": known are {', '.join(ALL)}"
        raise UserError(f"unknown metric {name!r}{near}")
    return metric


@cache
def of_top(name: str) -> Metric | None:
    """The metric of the top k of that name, whatever k is; None where the name is of no such family."""
    if not (known := at_depth(name, ALL)):
        return None
    family, k = known
    like = ALL[f"{family}_at_3"]

    def reduce(*prepared: Any) -> Tensor:
        return OF_TOP[family](*prepared, k)

    reduce.__doc__ = re.sub(r"\b3\b", str(k), inspect.getdoc(like.reduce) or "")
    return replace(like, name=name, prepare=partial(like.prepare, depths=(k,)), reduce=reduce)


def every(frequencies: Frequencies | None) -> dict[str, Metric]:
    """All metrics that can be measured, with or without the labels' frequencies in training."""
    return METRICS if frequencies is None else ALL


def of_label_sets(frequencies: Frequencies | None) -> list[str]:
    return [name for name, metric in every(frequencies).items() if metric.needs == "label_sets"]


def stem_of(name: str) -> str | None:
    """The metric that a threshold rule or a method gave a suffix: f1_macro of `f1_macro_oracle`."""
    deep = re.match(r"[a-z]+_at_\d+", name)
    known = [*ALL, *([deep[0]] if deep and of_top(deep[0]) else [])]
    stems = [stem for stem in known if name == stem or name.startswith(f"{stem}_")]
    return max(stems, key=len, default=None)


def without_rule(name: str) -> str:
    """The name without the end that a threshold rule gave it."""
    cut = {stem for stem, metric in ALL.items() if metric.needs == "label_sets"}
    ends = [end for end in OF_RULES if name.endswith(end) and name.removesuffix(end) in cut]
    return name.removesuffix(ends[0]) if ends else name


def definition(name: str) -> str:
    """The metric of that name in a sentence; docs/metrics.md adds its conventions."""
    return paragraphs(find(name).reduce)[0]


def paragraphs(documented: object) -> list[str]:
    """The paragraphs of a docstring, each on one line."""
    return [" ".join(text.split()) for text in (inspect.getdoc(documented) or "").split("\n\n")]


def evaluate(
    scores: Tensor | None,
    label_sets: Tensor | None,
    targets: Tensor,
    names: Iterable[str] | None = None,
    frequencies: Frequencies | None = None,
) -> dict[str, float]:
    """All metrics, or those named, of (N, L) tensors, as plain floats; NaN where a metric is undefined.

    Those of `COUNTED` are among all of them where the labels' frequencies in training are given.
    `scores` or `label_sets` may be None if no metric named needs them. Counting and sorting are done once for
    all metrics that need them, and not at all if none does: model selection asks for one metric an epoch.
    """
    chosen = [find(name) for name in (every(frequencies) if names is None else names)]
    outputs = {"scores": scores, "label_sets": label_sets}
    values: dict[str, Tensor] = {}
    for prepare in dict.fromkeys(metric.prepare for metric in chosen):
        family = [metric for metric in chosen if metric.prepare is prepare]
        output = outputs[family[0].needs]
        assert output is not None, f"{family[0].name} needs {family[0].needs}"
        prepared = prepare(output, targets)
        values |= {metric.name: metric.of(prepared, frequencies) for metric in family}
    if not chosen:
        return {}
    numbers = torch.stack([values[metric.name] for metric in chosen]).tolist()  # one copy from the device
    return {metric.name: number for metric, number in zip(chosen, numbers)}


def per_label(scores: Tensor, label_sets: Tensor, targets: Tensor) -> dict[str, list[float]]:
    """F1, average precision, area under the ROC curve and number of positives of each label.

    For a label without positives, F1 and average precision are 0 and the area is NaN.
    """
    by_label = curves.rank_instances(scores, targets)
    return {
        "f1": f1_per_label(label_sets, targets).tolist(),
        "ap": by_label.average_precision.tolist(),
        "auc": by_label.area_under_roc.tolist(),
        "support": by_label.relevant.tolist(),
    }
