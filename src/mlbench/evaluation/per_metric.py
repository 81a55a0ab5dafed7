"""The threshold rule that measures each metric at the cut that was best for it on the validation part."""

import math
from collections.abc import Iterable
from typing import Annotated, ClassVar

from pydantic import Field
from torch import Tensor

from mlbench.evaluation.frequency import Frequencies
from mlbench.evaluation.oracle import best_cuts
from mlbench.evaluation.suite import OF_LABEL_SETS, evaluate, every, find
from mlbench.evaluation.thresholds import Cut, Threshold, check_fittable, strictly_above


class ValidationPerMetric(Threshold):
    """Every metric of label sets at its own cut, the best of a list on the validation part.

    This is `Oracle` without the look at test targets, so metrics keep their names. A metric that every cut
    leaves undefined on the validation part has no cut and is NaN. `label_sets` uses the cut that is best for
    f1_macro, since a record gives the F1 of each label, which f1_macro averages.
    """

    fitted: ClassVar[bool] = True
    part = "validation"

    def __init__(self, cuts: Annotated[list[Cut], Field(min_length=1)]):
        self.cuts_to_try = list(cuts)
        self.fitted_on: tuple[Tensor, Tensor] | None = None  # scores and targets
        self.best: dict[str, float | None] = {}  # the cuts found so far; selection asks for one metric only

    def fit(self, scores: Tensor, targets: Tensor) -> None:
        self.fitted_on = check_fittable(scores, targets, self.part), targets
        self.best = {}

    def cuts_of(self, names: list[str], frequencies: Frequencies | None = None) -> dict[str, float | None]:
        assert self.fitted_on is not None, "fit the threshold first"
        missing = [name for name in names if name not in self.best]
        if missing:
            searched = best_cuts(*self.fitted_on, self.cuts_to_try, missing, frequencies)
            self.best |= {name: cut for name, (cut, _) in searched.items()}
        return {name: self.best[name] for name in names}

    def evaluate(
        self,
        scores: Tensor,
        targets: Tensor,
        names: Iterable[str] | None = None,
        frequencies: Frequencies | None = None,
    ) -> dict[str, float]:
        """All metrics, or those named, each at its fitted cut."""
        names = list(every(frequencies) if names is None else names)
        cuts = self.cuts_of([name for name in names if find(name).needs == "label_sets"], frequencies)
        values = evaluate(scores, None, targets, [name for name in names if name not in cuts], frequencies)
        for cut in dict.fromkeys(cuts.values()):
            at_cut = [name for name in cuts if cuts[name] == cut]
            if cut is None:
                values |= dict.fromkeys(at_cut, math.nan)
            else:
                values |= evaluate(None, strictly_above(scores, cut), targets, at_cut, frequencies)
        return {name: values[name] for name in names}

    def label_sets(self, scores: Tensor) -> Tensor:
        cut = self.cuts_of(["f1_macro"])["f1_macro"]
        assert cut is not None, "f1_macro is defined for all label sets"
        return strictly_above(scores, cut)

    def cuts(self, scores: Tensor) -> dict[str, float | None]:
        """The cut of each metric."""
        return self.cuts_of(OF_LABEL_SETS) | self.best
