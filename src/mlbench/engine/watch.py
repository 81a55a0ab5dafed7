"""A selection rule on a stage: keeps the stage's best epoch."""

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

from mlbench.data.rows import Rows
from mlbench.engine.score import score_part, state_of
from mlbench.evaluation.frequency import Frequencies
from mlbench.evaluation.suite import evaluate, find
from mlbench.evaluation.thresholds import NoCut, Threshold, evaluate_under
from mlbench.methods.base import Learner


@dataclass
class Watch:
    """Measures a metric on a part and keeps the epoch where it was best, the first of several.

    A threshold rule that is fitted is fitted on the same scores; oracle cuts them where the metric is best.
    """

    rule: str  # best | oracle
    part: str
    data: Rows
    metric: str
    threshold: Threshold
    frequencies: Frequencies | None = None  # of the labels in training
    kept: dict[str, Any] = field(default_factory=dict)  # epoch, value and state of the best epoch so far

    def look(
        self, module: Learner, epoch: int, rank: int = 0, world: int = 1, all_gather: Callable | None = None
    ) -> float:
        scores = score_part(module, self.data, rank, world, all_gather)
        value = self.measured(scores)
        sign = 1 if find(self.metric).better == "high" else -1
        if not math.isnan(value) and (not self.kept or sign * value > sign * self.kept["value"]):
            self.kept = {"epoch": epoch, "value": value, "state": state_of(module)}
        return value

    def since(self, epoch: int, every: int) -> int:
        """How many looks ago the best epoch was; 0 while there is none."""
        return epoch // every - self.kept["epoch"] // every if self.kept else 0

    def measured(self, scores: Tensor) -> float:
        """The metric; NaN if it needs label sets and the rule finds no cut, as it may in an early epoch."""
        targets, names = self.data.targets, [self.metric]
        try:
            self.threshold.fit(scores, targets)
            values = evaluate_under(self.threshold, scores, targets, names, frequencies=self.frequencies)
        except NoCut:
            if find(self.metric).needs == "label_sets":
                return math.nan
            values = evaluate(scores, None, targets, names, self.frequencies)
        return values[self.metric]
