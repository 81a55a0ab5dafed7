"""M3LA's threshold rules: cuts on a grid where labels are predicted as often as they are true in training."""

from typing import ClassVar, Literal

import torch
from torch import Tensor

from mlbench.errors import UserError
from mlbench.evaluation.metric import promoted
from mlbench.evaluation.thresholds import Threshold, check_fit_on, check_fittable

GRID = tuple(step / 100 for step in range(101))  # M3LA, Eq. 13-17: steps of 0.01

PredictedPart = Literal["test", "training"]


class LabelCardinality(Threshold):
    """One cut a label, on a grid: the t = 0, 0.01, ..., 1 with the least λ1 A(t) + λ2 B_j(t), the lowest of
    several; label j is predicted where its score is t_j or more (M3LA, Eq. 16 and 17).

        A(t)   = | mean number of labels of a training instance − mean number predicted with t for all |
        B_j(t) = | share of training instances with label j − share of instances predicted to have it |

    λ = (1, 0) is Eq. 13, one cut for all labels; λ = (0, 1) matches each label's frequency alone. A counts
    labels and B lies in [0, 1], so that with equal weights A dominates.

    `fit_on` names the instances that are predicted. `test`, as published, is transductive: the cuts follow
    from the scores (not the targets) of all instances that are cut in one call, so that an instance's label
    set depends on the other instances. `training` takes the scores of the training part.
    """

    fitted: ClassVar[bool] = True
    at_cut: ClassVar[bool] = True
    part = "training"  # the part whose targets count, whichever instances are predicted

    def __init__(self, lambda1: float, lambda2: float, fit_on: PredictedPart):
        for name, weight in (("lambda1", lambda1), ("lambda2", lambda2)):
            if not 0 <= weight < float("inf"):
                raise UserError(f"threshold.{name} is {weight}; it is a weight, 0 or more")
        if lambda1 == lambda2 == 0:
            raise UserError("threshold.lambda1 and threshold.lambda2 are both 0; one of them must weigh")
        check_fit_on(fit_on, PredictedPart)
        self.lambda1, self.lambda2, self.fit_on = lambda1, lambda2, fit_on
        self.positives: Tensor | None = None  # (L,)
        self.instances = 0
        self.fitted_cuts: list[float] | None = None  # None where the cuts follow from the scores that are cut

    def fit(self, scores: Tensor, targets: Tensor) -> None:
        scores = check_fittable(scores, targets, self.part)
        self.positives, self.instances = targets.bool().sum(0), len(targets)
        self.fitted_cuts = self._best_cuts(scores, self.positives) if self.fit_on == "training" else None

    def label_sets(self, scores: Tensor) -> Tensor:
        cuts, scores = self.cuts(scores), promoted(scores)
        return scores >= torch.tensor(cuts, dtype=scores.dtype, device=scores.device)

    def cuts(self, scores: Tensor) -> list[float]:
        assert self.positives is not None, "fit the threshold first"
        return self._best_cuts(scores, self.positives) if self.fitted_cuts is None else self.fitted_cuts

    def _best_cuts(self, scores: Tensor, positives: Tensor) -> list[float]:
        # A and B times their common denominator: costs are whole numbers and exact, so that equal ones tie.
        predicted = predicted_at(scores) * self.instances
        true = positives.to(scores.device).unsqueeze(1) * len(scores)
        overall, single = (predicted.sum(0) - true.sum()).abs(), (predicted - true).abs()
        cost = self.lambda1 * overall.double() + self.lambda2 * single.double()
        return [GRID[step] for step in cost.argmin(dim=1).tolist()]  # the lowest of several best cuts


def predicted_at(scores: Tensor) -> Tensor:
    """(L, 101): for each label and each cut of the grid, the number of instances that score the cut or more.

    Cuts are rounded to the type of the scores: float32(0.1) is at the cut 0.1.
    """
    scores = promoted(scores)
    grid = torch.tensor(GRID, dtype=scores.dtype, device=scores.device)
    # How many cuts each score reaches
    passed = torch.bucketize(scores.T.contiguous(), grid, right=True)
    number = torch.zeros(len(passed), len(GRID) + 1, dtype=torch.int64, device=scores.device)
    number.scatter_add_(1, passed, torch.ones_like(passed))
    return number.flip(1).cumsum(1).flip(1)[:, 1:]
