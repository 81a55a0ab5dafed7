"""A threshold rule with a bound on its errors: conformal risk control, and Learn then Test."""

import math
from typing import Annotated, ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor

from mlbench.evaluation.thresholds import FittedCuts, NoCut, just_under

Share = Annotated[float, Field(gt=0, lt=1)]
GRID = 1000  # cuts of `fdr`: 0, 1/1000, ...; a sequence of tests pays nothing for many
BLOCK = 2**22  # entries of instances × cuts at once
ROUNDING = 1e-9  # sums of shares such as 1/3


class Conformal(FittedCuts):
    """One cut for every label, which bounds the risk of an instance that is exchangeable with those of the
    validation part.

    `fnr`, the share of an instance's labels that is not predicted, only rises with the cut: the highest cut
    λ with n/(n+1) R̂(λ) + 1/(n+1) ≤ level has an expected risk of at most `level` (Angelopoulos, Bates,
    Fisch, Lei, Schuster, Conformal Risk Control, ICLR 2024, Theorem 1). Instances without labels do not
    count, here or in what is promised.

    `fdr`, the share of an instance's predicted labels that is wrong, 0 where none is predicted, may rise and
    fall. Cuts are tested from the highest down, each by its Hoeffding-Bentkus p value, and the last before
    the first that fails is taken: but for one validation part in 1/delta the risk is at most `level`
    (Angelopoulos, Bates, Candès, Jordan, Lei, Learn then Test, 2021, fixed sequence testing).
    """

    promises: ClassVar[bool] = True

    def __init__(self, risk: Literal["fnr", "fdr"], level: Share, delta: Share):
        super().__init__("validation")
        self.risk, self.level, self.delta = risk, level, delta

    def check(self, targets: Tensor) -> None:
        if self.risk == "fnr":
            known, needed = int(targets.bool().any(1).sum()), math.ceil(1 / self.level - 1 - ROUNDING)
            what = "instances with labels"
        else:
            known, needed = len(targets), math.ceil(math.log(self.delta) / math.log1p(-self.level) - ROUNDING)
            what = "instances"
        if known < max(needed, 1):
            asked = f"threshold=conformal threshold.level={self.level:g}"
            raise NoCut(
                f"{asked} needs {max(needed, 1)} {what} in the validation part, which has {known}: raise "
                "split.validation or threshold.level"
            )

    def find(self, scores: Tensor, targets: Tensor) -> Tensor:
        self.check(targets)
        find = self.controlled_fnr if self.risk == "fnr" else self.controlled_fdr
        return find(scores, targets.bool())

    def controlled_fnr(self, scores: Tensor, true: Tensor) -> Tensor:
        """Each true label, once the cut reaches its score, adds its share of its instance's labels to the
        sum of risks: just under the first score at which the sum is too high.
        """
        carried = true.sum(1)
        instances = int((carried > 0).sum())
        ordered, order = scores[true].sort()
        share = (1 / carried.double()).unsqueeze(1).expand_as(true)[true][order]
        missed = share.cumsum(0)
        allowed = self.level * (instances + 1) - 1 + ROUNDING
        return just_under(ordered[(missed > allowed).nonzero()[0, 0]])

    def controlled_fdr(self, scores: Tensor, true: Tensor) -> Tensor:
        cuts = torch.arange(GRID, dtype=torch.float64).div(GRID).to(scores.dtype)
        p = hoeffding_bentkus(false_discoveries(scores, true, cuts), len(scores), self.level)
        failed = (p > self.delta).nonzero()
        lowest = int(failed[-1]) + 1 if len(failed) else 0  # cuts rise, tests begin with the highest
        if lowest == GRID:
            raise NoCut(
                f"threshold=conformal threshold.risk=fdr: no cut has a false discovery rate of at most "
                f"{self.level:g} with threshold.delta={self.delta:g}; raise threshold.level or "
                "split.validation"
            )
        return cuts[lowest]


def false_discoveries(scores: Tensor, true: Tensor, cuts: Tensor) -> Tensor:
    """(C,) the sum over instances of the share of false labels among those that score above a cut."""
    total = torch.zeros(len(cuts), dtype=torch.float64)
    rows = max(1, BLOCK // max(len(cuts), scores.shape[1]))
    for some, relevant in zip(scores.split(rows), true.split(rows)):
        passed = torch.bucketize(some, cuts)  # how many cuts a score lies above
        above = torch.zeros(2, len(some), len(cuts) + 1, dtype=torch.float64)
        above[0].scatter_add_(1, passed, torch.ones_like(passed, dtype=torch.float64))
        above[1].scatter_add_(1, passed, (~relevant).double())
        chosen, wrong = above.flip(2).cumsum(2).flip(2)[:, :, 1:]
        total += (wrong / chosen.clamp(min=1)).sum(0)
    return total


def hoeffding_bentkus(total: Tensor, instances: int, level: float) -> Tensor:
    """p values, (C,), of the hypotheses that a risk in [0, 1] is above `level`, for the sums of the risks of
    some instances (Learn then Test, Proposition 2): the lower of Hoeffding's and Bentkus'.
    """
    from scipy.stats import binom

    mean = (total / instances).clamp(max=level)
    # KL divergence of Bernoulli distributions; 0 log 0 is 0
    apart = torch.xlogy(mean, mean / level) + torch.xlogy(1 - mean, (1 - mean) / (1 - level))
    hoeffding = (-instances * apart).exp()
    bentkus = math.e * torch.from_numpy(binom.cdf((total - ROUNDING).ceil().numpy(), instances, level))
    return torch.minimum(hoeffding, bentkus)
