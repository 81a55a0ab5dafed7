"""Rules that turn scores into label sets.

A label belongs to the set when its score lies strictly above the cut. One interface serves every rule, those
to come among them:

- A cut for all labels, or one a label, fitted on the part named by `fit_on`: matching cardinality or
  frequency, maximising each label's F1, the mean over instances of the cut that is best for each. `fit` finds
  the cuts.
- A rule that looks at the very scores it cuts: M3LA's cardinality on the test part (Eq. 13-17), the top k of
  each instance. `fit` keeps what it needs of the targets, or nothing; `label_sets` and `cuts` work out the
  cuts from the scores they are given, and keep nothing for the next call.
- `oracle`: one rule for each metric, the best of a list of cuts on the test part. Its `fit_on` is "test",
  which no other rule accepts, `fit` sees test targets, and `suffix` is "_oracle": its metrics' names end so.
"""

from typing import ClassVar, Literal, Protocol, get_args

import torch
from torch import Tensor

from mlbench.errors import UserError, did_you_mean
from mlbench.evaluation.metric import promoted

FitOn = Literal["training", "validation"]


class Threshold(Protocol):
    fitted: bool  # it needs labelled scores, of the part its `fit_on` names, before it can cut
    suffix: str  # what the names of metrics of its label sets end in: "" for all rules but oracle

    def fit(self, scores: Tensor, targets: Tensor) -> None:
        """Look at (N, L) scores and targets; does nothing where `fitted` is false."""

    def label_sets(self, scores: Tensor) -> Tensor:
        """(N, L) booleans for (N, L) scores."""

    def cuts(self, scores: Tensor) -> float | list[float]:
        """For the record: the cut for these scores, or one a label; [] where each instance has its own."""


def strictly_above(scores: Tensor, cuts: float | list[float]) -> Tensor:
    """(N, L) booleans. Compared in the type of the scores: float32(0.1) is not above 0.1."""
    scores = promoted(scores)
    return scores > torch.tensor(cuts, dtype=scores.dtype, device=scores.device)


def cuts_for_counts(scores: Tensor, counts: Tensor) -> Tensor:
    """One cut for each row of `scores` (C, M), so that the number above it is nearest to `counts` (C,).

    Exact: the scores are sorted. Equal scores cannot be separated; where leaving a group of them out is
    as near as taking it in, it is left out. The cut is the middle between the lowest score above it and
    the highest not above it; the highest score where none is to be above, the next number below the
    lowest where all are.
    """
    ordered = scores.sort(dim=1, descending=True).values
    last = ordered.shape[1] - 1
    pivot = ordered.gather(1, (counts - 1).clamp(min=0).unsqueeze(1))
    fewer, more = (ordered > pivot).sum(1), (ordered >= pivot).sum(1)
    chosen = torch.where(more - counts < counts - fewer, more, fewer)
    lowest_above = ordered.gather(1, (chosen - 1).clamp(min=0).unsqueeze(1)).squeeze(1)
    highest_below = ordered.gather(1, chosen.clamp(max=last).unsqueeze(1)).squeeze(1)
    middle = ((lowest_above.double() + highest_below.double()) / 2).to(scores.dtype)
    # Between neighbouring numbers there is no middle, and rounding may give the upper one.
    middle = torch.where(middle < lowest_above, middle, highest_below)
    under_all = torch.nextafter(ordered[:, last], torch.full_like(middle, -torch.inf))
    return torch.where(chosen > last, under_all, torch.where(chosen == 0, ordered[:, 0], middle))


def check_fit_on(fit_on: str) -> FitOn:
    choices = get_args(FitOn)
    if fit_on not in choices:
        raise UserError(
            f"threshold.fit_on is {fit_on!r}{did_you_mean(str(fit_on), choices)}; it is one of {choices}"
        )
    return fit_on


def check_fittable(scores: Tensor, targets: Tensor, fit_on: FitOn) -> Tensor:
    assert scores.ndim == 2 and scores.shape == targets.shape, (scores.shape, targets.shape)
    if scores.numel() == 0:
        raise UserError(f"the threshold is to be fitted on the {fit_on} part, which has no instances")
    if scores.isnan().any():
        raise UserError(
            f"the threshold cannot be fitted: scores of the {fit_on} part are NaN; did training diverge?"
        )
    return promoted(scores)


class Fixed:
    """One cut for every label, given."""

    fitted: ClassVar[bool] = False
    suffix: ClassVar[str] = ""

    def __init__(self, value: float):
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise UserError(f"threshold.value is {value!r}; it is a number, the cut for every label")
        self.value = float(value)

    def fit(self, scores: Tensor, targets: Tensor) -> None:
        pass

    def label_sets(self, scores: Tensor) -> Tensor:
        return strictly_above(scores, self.value)

    def cuts(self, scores: Tensor) -> float:
        return self.value


class Cardinality:
    """One cut for every label: where the mean number of labels predicted comes nearest to the true one.

    On the part it is fitted on; ties and the place of the cut as in `cuts_for_counts`.
    """

    fitted: ClassVar[bool] = True
    suffix: ClassVar[str] = ""

    def __init__(self, fit_on: FitOn):
        self.fit_on = check_fit_on(fit_on)
        self.cut: float | None = None

    def fit(self, scores: Tensor, targets: Tensor) -> None:
        scores = check_fittable(scores, targets, self.fit_on)
        self.cut = cuts_for_counts(scores.reshape(1, -1), targets.bool().sum().reshape(1)).item()

    def label_sets(self, scores: Tensor) -> Tensor:
        return strictly_above(scores, self.cuts(scores))

    def cuts(self, scores: Tensor) -> float:
        assert self.cut is not None, "fit the threshold first"
        return self.cut


class FrequencyPerLabel:
    """One cut a label: where the number of instances predicted to carry it is nearest to the true number.

    On the part it is fitted on; ties and the place of the cut as in `cuts_for_counts`. A label that no
    instance carries is cut at its highest score.
    """

    fitted: ClassVar[bool] = True
    suffix: ClassVar[str] = ""

    def __init__(self, fit_on: FitOn):
        self.fit_on = check_fit_on(fit_on)
        self.cut_per_label: list[float] | None = None

    def fit(self, scores: Tensor, targets: Tensor) -> None:
        scores = check_fittable(scores, targets, self.fit_on)
        self.cut_per_label = cuts_for_counts(scores.T.contiguous(), targets.bool().sum(0)).tolist()

    def label_sets(self, scores: Tensor) -> Tensor:
        return strictly_above(scores, self.cuts(scores))

    def cuts(self, scores: Tensor) -> list[float]:
        assert self.cut_per_label is not None, "fit the threshold first"
        return self.cut_per_label
