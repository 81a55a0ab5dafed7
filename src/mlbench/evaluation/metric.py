"""A metric: one number from outputs and targets, with a name and a direction.

The metrics of a family share their heavy work, counting or sorting. So a metric is written as a function of
the counted or sorted form, and `metric_of` makes a Metric of that function, to be called with plain tensors.
`suite.evaluate` prepares the shared form once for all metrics of a family.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor

Better = Literal["low", "high"]
Family = Literal["label_sets", "ranking", "curves", "likelihood"]
Needs = Literal["label_sets", "scores"]


def promoted(scores: Tensor) -> Tensor:
    """Scores in float32 or float64, whichever holds them exactly: not every device sorts other types."""
    if scores.dtype == torch.float64:
        return scores
    exact = scores.is_floating_point() or scores.dtype == torch.bool
    return scores.to(torch.float32 if exact else torch.float64)


def check_shapes(outputs: Tensor, targets: Tensor) -> None:
    assert outputs.ndim == 2 and outputs.shape == targets.shape, (outputs.shape, targets.shape)
    assert outputs.numel() > 0, "nothing to evaluate: no instances or no labels"


def mean_where(values: Tensor, defined: Tensor) -> Tensor:
    """The mean of the values where `defined` is true; NaN where it is true nowhere."""
    return values.masked_fill(~defined, 0).sum() / defined.sum()


def metric_of(
    prepare: Callable[[Tensor, Tensor], Any],
    family: Family,
    needs: Needs,
    better: Better,
    of_instances: bool = False,
    counted: bool = False,
) -> Callable[[Callable[..., Tensor]], "Metric"]:
    """A decorator that makes a Metric of a function of the prepared form."""

    def decorate(reduce: Callable[..., Tensor]) -> Metric:
        return Metric(reduce.__name__, better, family, needs, prepare, reduce, of_instances, counted)

    return decorate


@dataclass(frozen=True)
class Metric:
    """Called with (outputs, targets), it gives a 0-d float64 tensor. `suite.METRICS` holds all of them."""

    name: str
    better: Better
    family: Family
    needs: Needs
    prepare: Callable[..., Any]  # of outputs and targets, the work that all metrics of the family share
    reduce: Callable[..., Tensor]  # from the prepared form to one number; its docstring defines the metric
    of_instances: bool = False  # a mean over instances; one that leaves the metric undefined is left out
    counted: bool = False  # whether `reduce` takes the labels' frequencies in training, too

    def __call__(self, outputs: Tensor, targets: Tensor, /, frequencies: Any = None) -> Tensor:
        return self.of(self.prepare(outputs, targets), frequencies)

    def of(self, prepared: Any, frequencies: Any = None) -> Tensor:
        if not self.counted:
            return self.reduce(prepared)
        assert frequencies is not None, f"{self.name} needs the labels' frequencies in training"
        return self.reduce(prepared, frequencies)
