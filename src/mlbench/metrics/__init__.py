"""The metrics of runs for other programs: `f1_micro(label_sets, targets)`, `ap_macro(scores, targets)`.

Each metric of docs/metrics.md is a function of this module, under its name there. It takes arrays or tensors
(N, L) and returns a float, NaN where the data leave the metric undefined. `streamed.Streamed` keeps batches.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor

from mlbench.errors import UserError
from mlbench.evaluation.suite import METRICS, find


def __getattr__(name: str) -> Callable[[Any, Any], float]:
    if name not in METRICS:
        raise AttributeError(f"module 'mlbench.metrics' has no attribute {name!r}")
    return partial(value, name)


def __dir__() -> list[str]:
    return list(METRICS)


def value(name: str, outputs: Any, targets: Any) -> float:
    """The metric of that name; a metric of label sets refuses scores, which are to be cut first."""
    metric, outputs, targets = find(name), torch.as_tensor(outputs), torch.as_tensor(targets)
    check(name, outputs, targets)
    return float(metric(outputs, targets))


def check(name: str, outputs: Tensor, targets: Tensor) -> None:
    if outputs.ndim != 2 or outputs.shape != targets.shape or not outputs.numel():
        shapes = f"{tuple(outputs.shape)} and {tuple(targets.shape)}"
        raise UserError(f"{name} takes two arrays (N, L) of one shape, not {shapes}")
    if not are_sets(targets):
        raise UserError(f"{name}: targets are 0 or 1, and other numbers are there")
    needs, family = METRICS[name].needs, METRICS[name].family
    if needs == "label_sets" and not are_sets(outputs):
        raise UserError(f"{name} measures label sets, 0 or 1, and scores are given: cut them first")
    if family == "likelihood" and bool(((outputs < 0) | (outputs > 1)).any()):
        raise UserError(f"{name} measures probabilities, and scores outside [0, 1] are given")


def are_sets(values: Tensor) -> bool:
    return bool(((values == 0) | (values == 1)).all())
