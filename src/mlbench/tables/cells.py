"""A cell of a table: our mean over folds and seeds, the paper's number, and whether the two agree."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

from mlbench.evaluation.metric import Better
from mlbench.results.repeats import Average, Repeat, average
from mlbench.tables.published import UNREADABLE, Published

Verdict = Literal["agrees", "better", "worse", "not compared", "not run"]

CLOSE = 0.01  # for a quantity in [0, 1]: a difference that a reader of a table would overlook
STANDARD_ERRORS = 2
COMPARED = ("agrees", "better", "worse")
UNDEFINED = "not defined on this data"  # every run has finished, and the metric is NaN in each


@dataclass(frozen=True)
class Cell:
    dataset: str
    setting: str
    method: str
    metric: str
    ours: Average | None  # over all finished runs, in the paper's unit
    theirs: Published | None
    verdict: Verdict
    reason: str  # why there is no number of ours, or none of theirs
    planned: int  # number of seeds
    folds: int | None = None  # of each seed

    @property
    def missing(self) -> int:
        """The number of runs without a number of ours."""
        return self.planned * (self.folds or 1) - (len(self.ours.values) if self.ours else 0)

    @property
    def compared(self) -> tuple[float, float] | None:
        """Our mean and theirs, where the two are compared."""
        if self.ours is None or self.theirs is None or self.theirs.mean is None:
            return None
        return (self.ours.mean, self.theirs.mean) if self.verdict in COMPARED else None

    @property
    def difference(self) -> float | None:
        """Ours minus theirs, where the two are compared."""
        return None if self.compared is None else self.compared[0] - self.compared[1]


def cell(
    where: tuple[str, str, str],
    metric: str,
    values: Mapping[Repeat, float],
    theirs: Published | None,
    better: Better,
    *,
    planned: int,
    folds: int | None = None,
    published_seeds: int | None,
    scale: float,
    not_run: str,
    unpublished: bool = False,
) -> Cell:
    """`values` are ours by seed and fold; `not_run` says why there are none. `unpublished`: no paper."""
    ours = average({repeat: value * scale for repeat, value in values.items()})
    if ours is None:
        verdict, reason = "not run", UNDEFINED if values else not_run
    elif unpublished:
        verdict, reason = "not compared", ""
    elif theirs is None:
        verdict, reason = "not compared", "not in the paper"
    elif theirs.mean is None:
        reason = theirs.note if theirs.note.startswith(UNREADABLE) else "no number"
        verdict = "not compared"
    elif theirs.not_compared:
        verdict, reason = "not compared", theirs.not_compared
    else:
        difference = ours.mean - theirs.mean
        errors = (ours.std, ours.count), (theirs.trusted_std, published_seeds)
        verdict, reason = _verdict(difference, errors, better, scale), ""
    return Cell(*where, metric, ours, theirs, verdict, reason, planned, folds)


def _verdict(
    difference: float, errors: Iterable[tuple[float | None, int | None]], better: Better, scale: float
) -> Verdict:
    """Ours agrees with theirs if their difference is within two of its standard errors, or within .01.

    `errors` are deviation and count of both means, whose squared standard errors add up; where the paper
    prints no deviation, or an impossible one, only ours counts.
    """
    squared = [std**2 / count for std, count in errors if std is not None and count]
    # A difference of exactly .01 between two decimals is a little more or less in binary.
    if abs(difference) <= max(STANDARD_ERRORS * math.sqrt(sum(squared)), CLOSE * scale) + 1e-12:
        return "agrees"
    return "better" if (difference < 0) == (better == "low") else "worse"
