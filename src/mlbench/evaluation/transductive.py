"""M3LA's threshold rules: cuts on a grid where labels are predicted as often as they are true in training."""

from typing import ClassVar, Literal, get_args

import torch
from torch import Tensor

from mlbench.errors import UserError, did_you_mean
from mlbench.evaluation.metric import promoted
from mlbench.evaluation.thresholds import check_fittable

GRID = tuple(step / 100 for step in range(101))  # M3LA, Eq. 13-17: steps of 0.01

PredictedPart = Literal["test", "training"]


class LabelCardinality:
    """One cut a label, on a grid: the t = 0, 0.01, ..., 1 with the least λ1 A(t) + λ2 B_j(t), the lowest of
    several; label j is predicted where its score is t_j or more (M3LA, Eq. 16 and 17).

        A(t)   = | mean number of labels of a training instance − mean number predicted with t for all |
        B_j(t) = | share of training instances with label j − share of instances predicted to have it |

    λ = (1, 0) is Eq. 13, one cut for all labels; λ = (0, 1) matches each label's frequency alone. A counts
    labels and B lies in [0, 1], so that with equal weights A dominates.

    `fit_on` names the instances that are predicted. `test`, as published, is transductive: the cuts follow
    from the scores of all instances that are cut together, though not from their targets, so that a label
    set depends on the other instances. `training` takes the scores of the training part.
    """

    fitted: ClassVar[bool] = True
    suffix: ClassVar[str] = ""
    part: ClassVar[str] = "training"  # whose targets count, whichever instances are predicted

    def __init__(self, lambda1: float, lambda2: float, fit_on: PredictedPart):
        for name, weight in (("lambda1", lambda1), ("lambda2", lambda2)):
            if not 0 <= weight < float("inf"):
                raise UserError(f"threshold.{name} is {weight}; it is a weight, 0 or more")
        if lambda1 == lambda2 == 0:
            raise UserError("threshold.lambda1 and threshold.lambda2 are both 0; one of them must weigh")
        choices = get_args(PredictedPart)
        if fit_on not in choices:
            raise UserError(
                f"threshold.fit_on is {fit_on!r}{did_you_mean(str(fit_on), choices)}; it is one of {choices}"
            )
        self.lambda1, self.lambda2, self.fit_on = lambda1, lambda2, fit_on
        self.positives: Tensor | None = None  # (L,)
        self.instances = 0
        self.found: list[float] | None = None  # where the training part is predicted, not what is cut

    def fit(self, scores: Tensor, targets: Tensor) -> None:
        scores = check_fittable(scores, targets, self.part)
        self.positives, self.instances = targets.bool().sum(0), len(targets)
        self.found = self._matched(scores) if self.fit_on == "training" else None

    def label_sets(self, scores: Tensor) -> Tensor:
        cuts, scores = self.cuts(scores), promoted(scores)
        return scores >= torch.tensor(cuts, dtype=scores.dtype, device=scores.device)

    def cuts(self, scores: Tensor) -> list[float]:
        assert self.positives is not None, "fit the threshold first"
        return self._matched(scores) if self.found is None else self.found

    def _matched(self, scores: Tensor) -> list[float]:
        # A and B over one denominator, which is left out: whole numbers are exact, so that ties are ties.
        predicted = predicted_at(scores) * self.instances
        true = self.positives.to(scores.device).unsqueeze(1) * len(scores)
        overall, single = (predicted.sum(0) - true.sum()).abs(), (predicted - true).abs()
        cost = self.lambda1 * overall.double() + self.lambda2 * single.double()
        return [GRID[place] for place in cost.argmin(dim=1).tolist()]  # the first of the least


def predicted_at(scores: Tensor) -> Tensor:
    """(L, 101): the number of instances whose score of a label is at each cut of the grid or above it.

    Compared in the type of the scores: float32(0.1) is at the cut 0.1.
    """
    scores = promoted(scores)
    grid = torch.tensor(GRID, dtype=scores.dtype, device=scores.device)
    passed = torch.bucketize(scores.T.contiguous(), grid, right=True)  # how many cuts each score is not below
    number = torch.zeros(len(passed), len(GRID) + 1, dtype=torch.int64, device=scores.device)
    number.scatter_add_(1, passed, torch.ones_like(passed))
    return number.flip(1).cumsum(1).flip(1)[:, 1:]
