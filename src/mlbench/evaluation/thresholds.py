"""Threshold rules, which turn scores into label sets: the interface, what the rules share, the plain rules.

A label belongs to the set if its score lies strictly above the cut; M3LA's rules also predict a label at the
cut. One interface serves three kinds of rules:

- `fit` finds a cut for all labels, or one a label, on the part named by `fit_on`: by matching cardinality or
  frequency (this module) or by maximising F1 (`f1_cuts`).
- The cuts follow from the scores that are cut: M3LA's label cardinality (`transductive`), the best labels of
  each instance (`top_k`). `label_sets` and `cuts` find the cuts anew at each call.
- `oracle` finds one cut for each metric, the best of a list on the test part; `per_metric` does so on the
  validation part. No single label set serves all metrics, so these rules have an `evaluate` of their own.
"""

from collections.abc import Iterable
from typing import Annotated, Any, ClassVar, Literal, Protocol, get_args

import torch
from pydantic import Field
from torch import Tensor

from mlbench.errors import UserError, did_you_mean
from mlbench.evaluation.frequency import Frequencies
from mlbench.evaluation.metric import promoted
from mlbench.evaluation.suite import evaluate

FitOn = Literal["training", "validation"]
Cut = Annotated[float, Field(ge=0, le=1)]  # scores are probabilities


class NoCut(UserError):
    """No cut does what the rule promises."""


class Threshold(Protocol):
    fitted: ClassVar[bool] = False  # whether `fit` must see scores and targets of `part` before the rule cuts
    suffix: ClassVar[str] = ""  # ends the names of metrics of the rule's label sets; only oracle has one
    part: str = ""
    at_cut: ClassVar[bool] = False  # whether a score at the cut is above it
    promises: ClassVar[bool] = False  # something that holds only if nothing else has looked at `part`

    def check(self, targets: Tensor) -> None:
        """Refuses a part that the rule cannot be fitted on, whatever the scores are."""
        return None

    def fit(self, scores: Tensor, targets: Tensor) -> None:
        """Takes (N, L) scores and targets; a rule that is not fitted ignores them."""
        return None

    def label_sets(self, scores: Tensor) -> Tensor:
        """(N, L) booleans for (N, L) scores."""
        ...

    def cuts(self, scores: Tensor) -> Any:
        """The cut for these scores, or one a label, for the record; [] where each instance has its own."""
        ...

    def others(self) -> "dict[str, Threshold]":
        """Rules that are measured beside this one, by the suffix of their metrics; `fit` fits them, too."""
        return {}


def evaluate_under(
    rule: Threshold,
    scores: Tensor,
    targets: Tensor,
    names: Iterable[str] | None = None,
    columns: slice | list[int] = slice(None),
    frequencies: Frequencies | None = None,
) -> dict[str, float]:
    """All metrics, or those named, of (N, L) scores as the rule cuts them; `evaluate` says what the labels'
    frequencies in training are for.

    `columns` selects and orders the columns of scores and label sets for the comparison with the targets; the
    rule cuts before that.
    """
    evaluate_by_rule = getattr(rule, "evaluate", None)
    if evaluate_by_rule is not None:
        return evaluate_by_rule(scores[:, columns], targets, names, frequencies)
    return evaluate(scores[:, columns], rule.label_sets(scores)[:, columns], targets, names, frequencies)


def strictly_above(scores: Tensor, cuts: float | list[float]) -> Tensor:
    """(N, L) booleans. Cuts are rounded to the type of the scores: float32(0.1) is not above 0.1."""
    scores = promoted(scores)
    return scores > torch.tensor(cuts, dtype=scores.dtype, device=scores.device)


def cuts_for_counts(scores: Tensor, counts: Tensor) -> Tensor:
    """One cut for each row of `scores` (C, M), so that the number above it is nearest to `counts` (C,).

    Equal scores cannot be separated; a group of them is left out where that is as near as including it.
    `cuts_below` says where between two scores a cut lies.
    """
    ordered = scores.sort(dim=1, descending=True).values
    pivot = ordered.gather(1, (counts - 1).clamp(min=0).unsqueeze(1))
    fewer, more = (ordered > pivot).sum(1), (ordered >= pivot).sum(1)
    return cuts_below(ordered, torch.where(more - counts < counts - fewer, more, fewer))


def cuts_below(ordered: Tensor, chosen: Tensor) -> Tensor:
    """One cut for each row of `ordered` (C, M), highest first, with the first `chosen` (C,) scores above it.

    `chosen` must separate no equal scores. The cut is the middle between the lowest score above it and the
    highest score not above it. If no score is to be above, it is the highest score; if all are, the next
    number below the lowest.
    """
    last = ordered.shape[1] - 1
    lowest_above = ordered.gather(1, (chosen - 1).clamp(min=0).unsqueeze(1)).squeeze(1)
    highest_below = ordered.gather(1, chosen.clamp(max=last).unsqueeze(1)).squeeze(1)
    middle = halfway(lowest_above, highest_below)
    under_all = just_under(ordered[:, last])
    return torch.where(chosen > last, under_all, torch.where(chosen == 0, ordered[:, 0], middle))


def cut_for_count(scores: Tensor, count: int) -> Tensor:
    """The cut of `cuts_for_counts` for one row (M,), found without sorting: the row may hold all entries."""
    pivot = scores.kthvalue(len(scores) - max(count - 1, 0)).values
    above, below = scores > pivot, scores < pivot
    fewer, more = int(above.sum()), len(scores) - int(below.sum())
    chosen = more if more - count < count - fewer else fewer
    if chosen == 0:
        return pivot
    if chosen == len(scores):
        return just_under(scores.min())
    return halfway(scores[above].min(), pivot) if chosen == fewer else halfway(pivot, scores[below].max())


def halfway(above: Tensor, below: Tensor) -> Tensor:
    """The middle of two scores; the lower score where no number lies between them."""
    middle = ((above.double() + below.double()) / 2).to(above.dtype)
    return torch.where(middle < above, middle, below)  # rounding may give the upper one


def just_under(scores: Tensor) -> Tensor:
    """The next smaller numbers of the same type: cuts that lie strictly below these scores."""
    return torch.nextafter(scores, torch.full_like(scores, -torch.inf))


def check_fit_on(fit_on: str, allowed: Any = FitOn) -> None:
    choices = get_args(allowed)
    if fit_on not in choices:
        near = did_you_mean(str(fit_on), choices)
        raise UserError(f"threshold.fit_on is {fit_on!r}{near}; it is one of {choices}")


def check_fittable(scores: Tensor, targets: Tensor, part: str, what: str = "threshold") -> Tensor:
    """The scores in a type that every device sorts; refused if there are none, or if one is NaN."""
    assert scores.ndim == 2 and scores.shape == targets.shape, (scores.shape, targets.shape)
    if scores.numel() == 0:
        raise UserError(f"the {what} is to be fitted on the {part} part, which has no instances")
    if scores.isnan().any():
        raise UserError(
            f"the {what} cannot be fitted: scores of the {part} part are NaN; did training diverge?"
        )
    return promoted(scores)


class Fixed(Threshold):
    """One given cut for every label."""

    def __init__(self, value: Cut):
        self.value = float(value)

    def label_sets(self, scores: Tensor) -> Tensor:
        return strictly_above(scores, self.value)

    def cuts(self, scores: Tensor) -> float:
        return self.value


class FittedCuts(Threshold):
    """A rule whose one cut, or cut for each label, `find` derives from scores and targets of a part."""

    fitted: ClassVar[bool] = True

    def __init__(self, fit_on: FitOn):
        check_fit_on(fit_on)
        self.part = fit_on
        self.fitted_cuts: Tensor | None = None

    def find(self, scores: Tensor, targets: Tensor) -> Tensor:
        """One cut, (), or one a label, (L,), from checked scores and targets, both (N, L)."""
        raise NotImplementedError

    def fit(self, scores: Tensor, targets: Tensor) -> None:
        self.fitted_cuts = self.find(check_fittable(scores, targets, self.part), targets)

    def label_sets(self, scores: Tensor) -> Tensor:
        return strictly_above(scores, self.cuts(scores))

    def cuts(self, scores: Tensor) -> float | list[float]:
        assert self.fitted_cuts is not None, "fit the threshold first"
        return self.fitted_cuts.tolist()


class Cardinality(FittedCuts):
    """One cut for every label: on the part fitted on, the mean number of labels predicted is nearest to the
    true one. Ties and the place of the cut are those of `cuts_for_counts`.
    """

    def find(self, scores: Tensor, targets: Tensor) -> Tensor:
        return cut_for_count(scores.flatten(), int(targets.bool().sum()))


class FrequencyPerLabel(FittedCuts):
    """One cut a label: on the part fitted on, the number of instances predicted to carry the label is nearest
    to the true one. Ties and the place of the cut are those of `cuts_for_counts`; a label that no instance
    carries is cut at its highest score.
    """

    def find(self, scores: Tensor, targets: Tensor) -> Tensor:
        return cuts_for_counts(scores.T.contiguous(), targets.bool().sum(0))
