"""What a metric is: one number from outputs and targets, with a name and a direction.

Metrics of a family share their heavy work: counting, or sorting. So a metric is written as a reduction of
that shared form, and `metric_of` makes it callable on plain tensors too. `suite.evaluate` prepares the shared
form once for all metrics of the family; a metric called alone prepares it for itself.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor

Better = Literal["low", "high"]
Family = Literal["label_sets", "ranking", "curves"]
Needs = Literal["label_sets", "scores"]


def promoted(scores: Tensor) -> Tensor:
    """Scores in a type that sorts everywhere and holds them exactly: float32 or float64."""
    if scores.dtype in (torch.float32, torch.float64):
        return scores
    return scores.to(
        torch.float32 if scores.is_floating_point() or scores.dtype == torch.bool else torch.float64
    )


def check_shapes(outputs: Tensor, targets: Tensor) -> None:
    assert outputs.ndim == 2 and outputs.shape == targets.shape, (outputs.shape, targets.shape)
    assert outputs.numel() > 0, "nothing to evaluate: no instances or no labels"


def mean_where(values: Tensor, defined: Tensor) -> Tensor:
    """Mean of the values that are defined; NaN when none is."""
    return values.masked_fill(~defined, 0).sum() / defined.sum()


def metric_of(
    prepare: Callable[[Tensor, Tensor], Any], family: Family, needs: Needs, better: Better
) -> Callable[[Callable[[Any], Tensor]], Callable[[Tensor, Tensor], Tensor]]:
    """Make a reduction of the prepared form a metric: a function (outputs, targets) -> 0-d float64 tensor."""

    def decorate(reduce: Callable[[Any], Tensor]) -> Callable[[Tensor, Tensor], Tensor]:
        def function(outputs: Tensor, targets: Tensor, /) -> Tensor:
            return reduce(prepare(outputs, targets))

        function.__name__ = function.__qualname__ = reduce.__name__
        function.__module__ = reduce.__module__
        function.__doc__ = reduce.__doc__
        function.metric = Metric(reduce.__name__, better, family, needs, prepare, reduce)
        return function

    return decorate


@dataclass(frozen=True)
class Metric:
    """A row of the registry `suite.METRICS`."""

    name: str
    better: Better
    family: Family
    needs: Needs
    prepare: Callable[[Tensor, Tensor], Any]  # the work its family shares
    reduce: Callable[[Any], Tensor]  # from there to one number
