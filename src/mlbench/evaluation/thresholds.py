"""Rules that turn scores into label sets: what a rule is, what rules share, and the plain ones.

A label belongs to the set when its score lies strictly above the cut; M3LA's rules predict at it, too. One
interface serves every rule:

- A cut for all labels, or one a label, fitted on the part named by `fit_on`: matching cardinality or
  frequency, here, or maximising F1, in `f1_cuts`. `fit` finds the cuts.
- A rule that looks at the very scores it cuts: M3LA's label cardinality, in `transductive`, or the best
  labels of each instance, in `top_k`. `fit` keeps what it needs of the targets, or nothing; `label_sets`
  and `cuts` work out the cuts from the scores they are given, and keep nothing for the next call.
- `oracle`: one cut for each metric, the best of a list on the test part. Its `part` is "test", which no other
  rule's is, `fit` sees test targets, and `suffix` is "_oracle". No one label set serves all its
  metrics, so it has an `evaluate` of its own.
"""

from collections.abc import Iterable
from typing import Annotated, Any, ClassVar, Literal, Protocol, get_args

import torch
from pydantic import Field
from torch import Tensor

from mlbench.errors import UserError, did_you_mean
from mlbench.evaluation.metric import promoted
from mlbench.evaluation.suite import evaluate

FitOn = Literal["training", "validation"]
Cut = Annotated[float, Field(ge=0, le=1)]  # scores are probabilities


class Threshold(Protocol):
    fitted: bool  # it needs labelled scores, those of `part`, before it can cut
    suffix: str  # what the names of metrics of its label sets end in: "" for all rules but oracle

    def fit(self, scores: Tensor, targets: Tensor) -> None:
        """Look at (N, L) scores and targets; does nothing where `fitted` is false."""

    def label_sets(self, scores: Tensor) -> Tensor:
        """(N, L) booleans for (N, L) scores."""

    def cuts(self, scores: Tensor) -> Any:
        """For the record: the cut for these scores, or one a label; [] where each instance has its own."""


def evaluate_under(
    rule: Threshold,
    scores: Tensor,
    targets: Tensor,
    names: Iterable[str] | None = None,
    columns: slice | list[int] = slice(None),
) -> dict[str, float]:
    """All metrics, or those named, of scores as the rule cuts them; (N, L) both.

    `columns` is an order in which scores and label sets, once cut, are held against the targets.
    """
    own = getattr(rule, "evaluate", None)
    if own is not None:
        return own(scores[:, columns], targets, names)
    return evaluate(scores[:, columns], rule.label_sets(scores)[:, columns], targets, names)


def strictly_above(scores: Tensor, cuts: float | list[float]) -> Tensor:
    """(N, L) booleans. Compared in the type of the scores: float32(0.1) is not above 0.1."""
    scores = promoted(scores)
    return scores > torch.tensor(cuts, dtype=scores.dtype, device=scores.device)


def cuts_for_counts(scores: Tensor, counts: Tensor) -> Tensor:
    """One cut for each row of `scores` (C, M), so that the number above it is nearest to `counts` (C,).

    Exact: the scores are sorted. Equal scores cannot be separated; where leaving a group of them out is
    as near as taking it in, it is left out. The place of the cut is that of `cuts_below`.
    """
    ordered = scores.sort(dim=1, descending=True).values
    pivot = ordered.gather(1, (counts - 1).clamp(min=0).unsqueeze(1))
    fewer, more = (ordered > pivot).sum(1), (ordered >= pivot).sum(1)
    return cuts_below(ordered, torch.where(more - counts < counts - fewer, more, fewer))


def cuts_below(ordered: Tensor, chosen: Tensor) -> Tensor:
    """One cut for each row of `ordered` (C, M), highest first, with the first `chosen` (C,) above it.

    Where that parts no equal scores. The cut is the middle between the lowest score above it and the
    highest not above it; the highest score where none is to be above, the next number below the lowest
    where all are.
    """
    last = ordered.shape[1] - 1
    lowest_above = ordered.gather(1, (chosen - 1).clamp(min=0).unsqueeze(1)).squeeze(1)
    highest_below = ordered.gather(1, chosen.clamp(max=last).unsqueeze(1)).squeeze(1)
    middle = halfway(lowest_above, highest_below)
    under_all = just_under(ordered[:, last])
    return torch.where(chosen > last, under_all, torch.where(chosen == 0, ordered[:, 0], middle))


def cut_for_count(scores: Tensor, count: int) -> Tensor:
    """What `cuts_for_counts` finds for one row (M,), without sorting it: with many labels it is long."""
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
    """Between two scores; between neighbouring numbers there is nothing, and the lower one is taken."""
    middle = ((above.double() + below.double()) / 2).to(above.dtype)
    return torch.where(middle < above, middle, below)  # rounding may give the upper one


def just_under(scores: Tensor) -> Tensor:
    """The next smaller numbers of the same type: cuts that are strictly below these scores."""
    return torch.nextafter(scores, torch.full_like(scores, -torch.inf))


def check_fit_on(fit_on: str) -> FitOn:
    choices = get_args(FitOn)
    if fit_on not in choices:
        raise UserError(
            f"threshold.fit_on is {fit_on!r}{did_you_mean(str(fit_on), choices)}; it is one of {choices}"
        )
    return fit_on


def check_fittable(scores: Tensor, targets: Tensor, part: str) -> Tensor:
    assert scores.ndim == 2 and scores.shape == targets.shape, (scores.shape, targets.shape)
    if scores.numel() == 0:
        raise UserError(f"the threshold is to be fitted on the {part} part, which has no instances")
    if scores.isnan().any():
        raise UserError(
            f"the threshold cannot be fitted: scores of the {part} part are NaN; did training diverge?"
        )
    return promoted(scores)


class Fixed:
    """One cut for every label, given."""

    fitted: ClassVar[bool] = False
    suffix: ClassVar[str] = ""

    def __init__(self, value: Cut):
        self.value = float(value)

    def fit(self, scores: Tensor, targets: Tensor) -> None:
        pass

    def label_sets(self, scores: Tensor) -> Tensor:
        return strictly_above(scores, self.value)

    def cuts(self, scores: Tensor) -> float:
        return self.value


class Fitted:
    """A rule whose cut for every label, or cuts, one a label, follow from labelled scores, by `find`."""

    fitted: ClassVar[bool] = True
    suffix: ClassVar[str] = ""

    def __init__(self, fit_on: FitOn):
        self.part = check_fit_on(fit_on)
        self.found: Tensor | None = None

    def find(self, scores: Tensor, targets: Tensor) -> Tensor:
        """() or (L,) from scores that can be fitted on, and targets, (N, L) both."""
        raise NotImplementedError

    def fit(self, scores: Tensor, targets: Tensor) -> None:
        self.found = self.find(check_fittable(scores, targets, self.part), targets)

    def label_sets(self, scores: Tensor) -> Tensor:
        return strictly_above(scores, self.cuts(scores))

    def cuts(self, scores: Tensor) -> float | list[float]:
        assert self.found is not None, "fit the threshold first"
        return self.found.tolist()


class Cardinality(Fitted):
    """One cut for every label: where the mean number of labels predicted comes nearest to the true one.

    On the part it is fitted on; ties and the place of the cut as in `cuts_for_counts`.
    """

    def find(self, scores: Tensor, targets: Tensor) -> Tensor:
        return cut_for_count(scores.flatten(), int(targets.bool().sum()))


class FrequencyPerLabel(Fitted):
    """One cut a label: where the number of instances predicted to carry it is nearest to the true number.

    On the part it is fitted on; ties and the place of the cut as in `cuts_for_counts`. A label that no
    instance carries is cut at its highest score.
    """

    def find(self, scores: Tensor, targets: Tensor) -> Tensor:
        return cuts_for_counts(scores.T.contiguous(), targets.bool().sum(0))
