"""Rules with others beside them on the same scores: one training shows what each is worth."""

from torch import Tensor

from mlbench.evaluation.thresholds import Cardinality, Cut, FitOn, Fixed, Threshold
from mlbench.evaluation.transductive import LabelCardinality


class Beside(LabelCardinality):
    """M3LA's rule, Eq. 16, on the instances that are predicted, whose metrics keep their names.

    Beside it, by the same scores: the rule on the training part, whose metrics of label sets end in `_clean`,
    and one cut for every label, `value`, whose metrics end in `_fixed`.
    """

    def __init__(self, lambda1: float, lambda2: float, value: Cut):
        super().__init__(lambda1, lambda2, "test")
        self.clean, self.fixed = LabelCardinality(lambda1, lambda2, "training"), Fixed(value)

    def fit(self, scores: Tensor, targets: Tensor) -> None:
        super().fit(scores, targets)
        self.clean.fit(scores, targets)

    def others(self) -> dict[str, Threshold]:
        return {"_clean": self.clean, "_fixed": self.fixed}


class CardinalityBeside(Cardinality):
    """One cut by cardinality, and beside it the cut `value`, whose metrics of label sets end in `_fixed`."""

    def __init__(self, fit_on: FitOn, value: Cut):
        super().__init__(fit_on)
        self.fixed = Fixed(value)

    def others(self) -> dict[str, Threshold]:
        return {"_fixed": self.fixed}
