"""The metrics of runs for other programs: `f1_micro(label_sets, targets)`, `ap_macro(scores, targets)`.

Each metric of docs/metrics.md is a function of this module, under its name there, and so is each of the top
k for another k, as `ndcg_at_10`. It takes arrays or tensors
(N, L) and returns a float, NaN where the data leave the metric undefined. `streamed.Streamed` keeps batches.
A target that is NaN is not known: its entry is left out, and a warning says how many (docs/metrics.md).
Metrics by label frequency and psp_at_k also take `counts=`, the training instances that carry each label, and
psp_at_k `instances=`, how many there are in all; options of both are those of `Frequencies`.
"""

import warnings
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor

from mlbench.errors import UserError
from mlbench.evaluation.frequency import Frequencies
from mlbench.evaluation.metric import Metric
from mlbench.evaluation.suite import ALL, find, of_top
from mlbench.evaluation.unknown import of_known


def __getattr__(name: str) -> Callable[..., float]:
    if name not in ALL and not of_top(name):
        raise AttributeError(f"module 'mlbench.metrics' has no attribute {name!r}")
    return partial(value, name)


def __dir__() -> list[str]:
    return list(ALL)


def value(name: str, outputs: Any, targets: Any, **counted: Any) -> float:
    """The metric of that name; a metric of label sets refuses scores, which are to be cut first."""
    metric, outputs, targets = find(name), torch.as_tensor(outputs), torch.as_tensor(targets)
    check(name, outputs, targets)
    return float(measured(metric, outputs, targets, frequencies_of(name, targets.shape[1], **counted)))


def measured(metric: Metric, outputs: Tensor, targets: Tensor, frequencies: Frequencies | None) -> Tensor:
    """The metric, of the known entries alone where targets are NaN."""
    unknown = unknown_in(targets)
    if not unknown.any():
        return metric(outputs, targets, frequencies)
    left_out = f"{metric.name}: {int(unknown.sum()):,} of {targets.numel():,} targets are NaN and left out"
    warnings.warn(left_out, stacklevel=3)
    return of_known(metric, outputs, targets.nan_to_num(0), ~unknown, frequencies)


def frequencies_of(name: str, labels: int, counts: Any = None, **options: Any) -> Frequencies | None:
    """What a metric is told of training; None for one that needs nothing of it."""
    if not find(name).counted:
        if counts is not None or options:
            raise UserError(f"{name} does not depend on training: leave out counts, and options of theirs")
        return None
    if counts is None or len(counts) != labels:
        given = "none are" if counts is None else f"{len(counts)} are"
        raise UserError(
            f"{name} takes counts=[...], for each of {labels} labels its training instances; {given} given"
        )
    if name.startswith("psp") and not options.get("instances"):
        raise UserError(f"{name} takes instances=..., how many instances there are to train on")
    try:
        return Frequencies(torch.as_tensor(counts), **options)
    except TypeError:
        known = ", ".join(each for each in Frequencies.__dataclass_fields__ if each != "positives")
        raise UserError(f"{name} takes counts, {known}; {', '.join(options)} are given") from None


def check(name: str, outputs: Tensor, targets: Tensor) -> None:
    if outputs.ndim != 2 or outputs.shape != targets.shape or not outputs.numel():
        shapes = f"{tuple(outputs.shape)} and {tuple(targets.shape)}"
        raise UserError(f"{name} takes two arrays (N, L) of one shape, not {shapes}")
    if not are_sets(targets[~unknown_in(targets)]):
        raise UserError(f"{name}: targets are 0 or 1, or NaN where not known, and other numbers are there")
    needs, family = find(name).needs, find(name).family
    if needs == "label_sets" and not are_sets(outputs):
        raise UserError(f"{name} measures label sets, 0 or 1, and scores are given: cut them first")
    if family == "likelihood" and bool(((outputs < 0) | (outputs > 1)).any()):
        raise UserError(f"{name} measures probabilities, and scores outside [0, 1] are given")


def unknown_in(targets: Tensor) -> Tensor:
    return targets.isnan() if targets.is_floating_point() else torch.zeros_like(targets, dtype=torch.bool)


def are_sets(values: Tensor) -> bool:
    return bool(((values == 0) | (values == 1)).all())
