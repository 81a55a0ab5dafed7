"""M3LA's threshold rule, which looks at all the scores it cuts, those of the test part when it is scored."""

from typing import ClassVar

import torch
from torch import Tensor

from mlbench.errors import UserError
from mlbench.evaluation.metric import promoted
from mlbench.evaluation.thresholds import check_fittable, strictly_above

GRID = tuple(step / 100 for step in range(101))  # M3LA, Eq. 13-17: steps of 0.01


def predicted_at(scores: Tensor) -> Tensor:
    """(L, 101): the number of instances whose score of a label lies strictly above each cut of the grid."""
    scores = promoted(scores)
    grid = torch.tensor(GRID, dtype=scores.dtype, device=scores.device)
    passed = torch.bucketize(scores.T.contiguous(), grid)  # how many cuts each score lies strictly above
    number = torch.zeros(len(passed), len(GRID) + 1, dtype=torch.int64, device=scores.device)
    number.scatter_add_(1, passed, torch.ones_like(passed))
    return number.flip(1).cumsum(1).flip(1)[:, 1:]


class CardinalityPerLabel:
    """One cut a label: where it is predicted as often, on the part that is cut, as it is true in training.

    M3LA, Eq. 13-17. Transductive: the cuts follow from the scores of all the instances that are cut together,
    though not from their targets, so that an instance's label set depends on the others. Of the part it is
    fitted on, the training part, it keeps how often each label is true. Where an epoch is selected that is
    the part that is looked at, as for every rule that is fitted.

    Label j's cut is the t = 0, 0.01, ..., 1 with the least

        λ1 |C(t) − C| / L + λ2 |f_j(t) − f_j|,

    the lowest if there are several. C is the mean number of labels of a training instance and C(t) of those
    predicted with t for all L labels, f_j and f_j(t) the shares of instances with label j. We choose how
    the two parts are put together: the paper's first grid (Eq. 13) is garbled, and taken from it is only that
    λ1 weighs the overall cardinality and λ2 that of the single label. The division by L makes both shares.
    """

    fitted: ClassVar[bool] = True
    suffix: ClassVar[str] = ""
    fit_on: ClassVar[str] = "training"

    def __init__(self, lambda1: float, lambda2: float):
        for name, weight in (("lambda1", lambda1), ("lambda2", lambda2)):
            if not 0 <= weight < float("inf"):
                raise UserError(f"threshold.{name} is {weight}; it is a weight, 0 or more")
        if lambda1 == lambda2 == 0:
            raise UserError("threshold.lambda1 and threshold.lambda2 are both 0; one of them must weigh")
        self.lambda1, self.lambda2 = lambda1, lambda2
        self.positives: Tensor | None = None  # (L,)
        self.instances = 0

    def fit(self, scores: Tensor, targets: Tensor) -> None:
        check_fittable(scores, targets, self.fit_on)
        self.positives, self.instances = targets.bool().sum(0), len(targets)

    def label_sets(self, scores: Tensor) -> Tensor:
        return strictly_above(scores, self.cuts(scores))

    def cuts(self, scores: Tensor) -> list[float]:
        assert self.positives is not None, "fit the threshold first"
        # Shares over one denominator, which is left out: whole numbers are exact, so that ties are ties.
        predicted = predicted_at(scores) * self.instances
        true = self.positives.to(scores.device).unsqueeze(1) * len(scores)
        overall, single = (predicted.sum(0) - true.sum()).abs(), (predicted - true).abs()
        cost = self.lambda1 * overall.double() + self.lambda2 * scores.shape[1] * single.double()
        return [GRID[place] for place in cost.argmin(dim=1).tolist()]  # the first of the least
