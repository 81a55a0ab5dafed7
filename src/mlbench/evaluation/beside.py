"""M3LA's cuts as published and two other rules beside them: one training shows what each is worth."""

from torch import Tensor

from mlbench.evaluation.thresholds import Cut, Fixed, Threshold
from mlbench.evaluation.transductive import LabelCardinality


class Beside(LabelCardinality):
    """The rule of Eq. 16 on the instances that are predicted, whose metrics keep their names.

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
