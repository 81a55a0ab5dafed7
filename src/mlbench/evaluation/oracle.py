"""The threshold rule that looks at test targets: each metric is measured at the cut that is best for it."""

import math
from collections.abc import Iterable
from typing import Annotated, ClassVar

import torch
from pydantic import Field
from torch import Tensor

from mlbench.evaluation.frequency import Frequencies
from mlbench.evaluation.metric import promoted
from mlbench.evaluation.suite import OF_LABEL_SETS, evaluate, every, find
from mlbench.evaluation.thresholds import Cut, Threshold, check_fittable, strictly_above


def best_cuts(
    scores: Tensor,
    targets: Tensor,
    cuts: list[float],
    names: Iterable[str],
    frequencies: Frequencies | None = None,
) -> dict[str, tuple[float | None, float]]:
    """For each metric of label sets, the cut that is best for it, the first of several, and its value there.

    A metric that every cut leaves undefined gets None and NaN.
    """
    names = list(names)
    metrics = [evaluate(None, strictly_above(scores, cut), targets, names, frequencies) for cut in cuts]
    best = {}
    for name in names:
        sign = 1 if find(name).better == "high" else -1
        defined = [(cut, values[name]) for cut, values in zip(cuts, metrics) if not math.isnan(values[name])]
        best[name] = max(defined, key=lambda pair, sign=sign: sign * pair[1], default=(None, math.nan))
    return best


class Oracle(Threshold):
    """Every metric of label sets at its own cut, the best of a list on the very part that it is measured on.

    This is no honest estimate, but several papers print it (MPVAE, C-GMVAE, MulSupCon): the names of these
    metrics end in `_oracle`. A metric of order needs no cut and keeps its name. `label_sets` uses the cut
    that is best for f1_macro, since a record gives the F1 of each label, which f1_macro averages. Model
    selection takes, at each epoch, the cut that is best for its metric on its part.
    """

    fitted: ClassVar[bool] = True
    suffix: ClassVar[str] = "_oracle"
    part = "test"

    def __init__(self, cuts: Annotated[list[Cut], Field(min_length=1)]):
        self.cuts_to_try = list(cuts)
        self.best: dict[str, tuple[float | None, float]] = {}  # the cuts that are best for the fitted tensors
        self.fitted_on: tuple[Tensor, Tensor] | None = None  # scores and targets

    def fit(self, scores: Tensor, targets: Tensor) -> None:
        self.fitted_on = check_fittable(scores, targets, self.part), targets
        self.best = best_cuts(*self.fitted_on, self.cuts_to_try, OF_LABEL_SETS)

    def evaluate(
        self,
        scores: Tensor,
        targets: Tensor,
        names: Iterable[str] | None = None,
        frequencies: Frequencies | None = None,
    ) -> dict[str, float]:
        """All metrics, or those named, each at the cut that is best for it with these scores and targets."""
        names = list(every(frequencies) if names is None else names)
        need_cuts = [name for name in names if find(name).needs == "label_sets"]
        known = {}  # `fit` has searched these tensors already, but for metrics that take frequencies
        if self.fitted_on and all(map(torch.equal, (promoted(scores), targets), self.fitted_on)):
            known = self.best
        missing = [name for name in need_cuts if name not in known]
        searched = best_cuts(scores, targets, self.cuts_to_try, missing, frequencies)
        known |= searched
        best = {name: known[name] for name in need_cuts}
        values = evaluate(scores, None, targets, [name for name in names if name not in best], frequencies)
        values |= {name: value for name, (_, value) in best.items()}
        return {name: values[name] for name in names}

    def label_sets(self, scores: Tensor) -> Tensor:
        assert self.best, "fit the threshold first"
        cut = self.best["f1_macro"][0]
        assert cut is not None, "f1_macro is defined for all label sets"
        return strictly_above(scores, cut)

    def cuts(self, scores: Tensor) -> dict[str, float | None]:
        """The cut of each metric, by the metric's name in the record."""
        assert self.best, "fit the threshold first"
        return {f"{name}{self.suffix}": cut for name, (cut, _) in self.best.items()}
