"""A selection rule on a stage: keeps the stage's best epoch."""

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from mlbench.data.rows import Rows
from mlbench.engine.score import score_part, state_of
from mlbench.evaluation.frequency import Frequencies
from mlbench.evaluation.suite import find
from mlbench.evaluation.thresholds import Threshold, evaluate_under
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
        self.threshold.fit(scores, self.data.targets)
        (value,) = evaluate_under(
            self.threshold, scores, self.data.targets, [self.metric], frequencies=self.frequencies
        ).values()
        sign = 1 if find(self.metric).better == "high" else -1
        if not math.isnan(value) and (not self.kept or sign * value > sign * self.kept["value"]):
            self.kept = {"epoch": epoch, "value": value, "state": state_of(module)}
        return value
