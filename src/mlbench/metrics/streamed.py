"""A metric of runs as a metric of torchmetrics, for the loop of another program."""

from typing import Any

from torch import Tensor
from torchmetrics import Metric
from torchmetrics.utilities import dim_zero_cat

from mlbench.evaluation.suite import find
from mlbench.evaluation.thresholds import strictly_above
from mlbench.metrics import check, frequencies_of, measured


class Streamed(Metric):
    """`Streamed("f1_micro", cut=0.5)`: all batches are kept, those of all processes are joined, and the
    metric is that of all instances, no mean over batches. Without `cut`, a metric of label sets takes sets.

    `counted` holds the `counts` of labels in training, and what goes with them, for a metric that takes them.
    Under a sampler that repeats instances to fill the last batches, those count as often as they come.
    """

    full_state_update = False
    outputs: list[Tensor]
    targets: list[Tensor]

    def __init__(
        self, name: str, cut: float | None = None, counted: dict[str, Any] | None = None, **options: Any
    ):
        super().__init__(**options)
        self.name, self.cut, self.counted = find(name).name, cut, counted or {}
        self.add_state("outputs", [], dist_reduce_fx="cat")
        self.add_state("targets", [], dist_reduce_fx="cat")

    def update(self, outputs: Tensor, targets: Tensor) -> None:
        outputs = outputs.detach()
        if self.cut is not None and find(self.name).needs == "label_sets":
            outputs = strictly_above(outputs, self.cut)
        self.outputs.append(outputs)
        self.targets.append(targets)

    def compute(self) -> Tensor:
        outputs, targets = dim_zero_cat(self.outputs), dim_zero_cat(self.targets)
        check(self.name, outputs, targets)
        frequencies = frequencies_of(self.name, targets.shape[1], **self.counted)
        return measured(find(self.name), outputs, targets, frequencies)
