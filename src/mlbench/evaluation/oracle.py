"""The threshold rule that looks at test targets: each metric at the cut that is best for it."""

import math
from collections.abc import Iterable
from typing import Annotated, ClassVar

import torch
from pydantic import Field
from torch import Tensor

from mlbench.evaluation.metric import promoted
from mlbench.evaluation.suite import METRICS, evaluate, find
from mlbench.evaluation.thresholds import Cut, check_fittable, strictly_above

OF_LABEL_SETS = [name for name, metric in METRICS.items() if metric.needs == "label_sets"]


def best_cuts(
    scores: Tensor, targets: Tensor, cuts: list[float], names: Iterable[str]
) -> dict[str, tuple[float | None, float]]:
    """For each metric of label sets the cut that is best for it, the first if tied, and its value there.

    None and NaN where every cut leaves it undefined.
    """
    values = [evaluate(None, strictly_above(scores, cut), targets, names) for cut in cuts]
    best = {}
    for name in names:
        sign = 1 if find(name).better == "high" else -1
        defined = [(cut, found[name]) for cut, found in zip(cuts, values) if not math.isnan(found[name])]
        best[name] = max(defined, key=lambda pair: sign * pair[1], default=(None, math.nan))
    return best


class Oracle:
    """Every metric of label sets at its own cut, the best of a list on the very part that it is measured on.

    No honest estimate, but what several papers print (MPVAE, C-GMVAE, MulSupCon): the names of these metrics
    end in `_oracle`. A metric of order needs no cut, is measured once, and keeps its name. `label_sets` are
    those of the cut that is best for f1_macro, whose parts are the F1 of each label. Where an epoch is
    selected, the cut is the best for the metric and the part that are looked at.
    """

    fitted: ClassVar[bool] = True
    suffix: ClassVar[str] = "_oracle"
    part: ClassVar[str] = "test"

    def __init__(self, cuts: Annotated[list[Cut], Field(min_length=1)]):
        self.cuts_to_try = list(cuts)
        self.best: dict[str, tuple[float | None, float]] | None = None
        self.seen: tuple[Tensor, Tensor] | None = None  # where those are the best

    def fit(self, scores: Tensor, targets: Tensor) -> None:
        self.seen = check_fittable(scores, targets, self.part), targets
        self.best = best_cuts(*self.seen, self.cuts_to_try, OF_LABEL_SETS)

    def evaluate(
        self, scores: Tensor, targets: Tensor, names: Iterable[str] | None = None
    ) -> dict[str, float]:
        """All metrics, or those named, each at the cut that is best for it with these scores and targets."""
        names = list(METRICS if names is None else names)
        cut = [name for name in names if find(name).needs == "label_sets"]
        if self.seen and all(map(torch.equal, (promoted(scores), targets), self.seen)):
            best = {name: self.best[name] for name in cut}  # which took a search
        else:
            best = best_cuts(scores, targets, self.cuts_to_try, cut)
        values = evaluate(scores, None, targets, [name for name in names if name not in best])
        values |= {name: value for name, (_, value) in best.items()}
        return {name: values[name] for name in names}

    def label_sets(self, scores: Tensor) -> Tensor:
        assert self.best is not None, "fit the threshold first"
        return strictly_above(scores, self.best["f1_macro"][0])

    def cuts(self, scores: Tensor) -> dict[str, float | None]:
        """For the record: the cut of each metric, by the name it has there."""
        assert self.best is not None, "fit the threshold first"
        return {f"{name}{self.suffix}": cut for name, (cut, _) in self.best.items()}
