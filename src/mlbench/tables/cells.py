"""What one cell holds: our mean over folds and seeds, the paper's, and how they stand to each other."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from mlbench.evaluation.metric import Better
from mlbench.results.repeats import Average, Place, average
from mlbench.tables.published import UNREADABLE, Published

Verdict = Literal["agrees", "better", "worse", "not compared", "not run"]

CLOSE = 0.01  # of a quantity in [0, 1]: as near as a reader of a table would ask
STANDARD_ERRORS = 2
UNDEFINED = "not defined on this data"  # finished, and NaN in every run


@dataclass(frozen=True)
class Cell:
    dataset: str
    setting: str
    method: str
    metric: str
    ours: Average | None  # of every finished run, in the paper's unit
    theirs: Published | None
    verdict: Verdict
    reason: str  # why there is no number of ours, or none of theirs
    planned: int  # seeds
    folds: int | None = None  # of each seed

    @property
    def missing(self) -> int:
        """Runs without a number of ours."""
        there = len(self.ours.values) if self.ours else 0
        return self.planned * (self.folds or 1) - there

    @property
    def difference(self) -> float | None:
        """Ours minus theirs."""
        return self.ours.mean - self.theirs.mean if self.verdict in ("agrees", "better", "worse") else None


def cell(
    where: tuple[str, str, str],
    metric: str,
    values: Mapping[Place, float],
    theirs: Published | None,
    better: Better,
    *,
    planned: int,
    folds: int | None = None,
    published_seeds: int | None,
    scale: float,
    not_run: str,
    own: bool = False,
) -> Cell:
    """`values` are ours by seed and fold, `not_run` says why there are none; of an `own` table no paper has
    numbers."""
    ours = average({place: value * scale for place, value in values.items()})
    if ours is None:
        verdict, reason = "not run", UNDEFINED if values else not_run
    elif own:
        verdict, reason = "not compared", ""
    elif why := _incomparable(theirs):
        verdict, reason = "not compared", why
    else:
        verdict, reason = _verdict(ours, theirs, better, published_seeds, scale), ""
    return Cell(*where, metric, ours, theirs, verdict, reason, planned, folds)


def _verdict(ours: Average, theirs: Published, better: Better, seeds: int | None, scale: float) -> Verdict:
    """Agreement is a difference within two standard errors of it, or .01.

    The squared standard errors of both means add up; where the paper gives no spread, or one that cannot be
    right, only ours is known and only ours counts.
    """
    difference = ours.mean - theirs.mean
    squared = [
        std**2 / count
        for std, count in ((ours.std, ours.count), (theirs.trusted_std, seeds))
        if std is not None and count
    ]
    # A difference of exactly .01 between two decimals is a little more or less in binary.
    if abs(difference) <= max(STANDARD_ERRORS * math.sqrt(sum(squared)), CLOSE * scale) + 1e-12:
        return "agrees"
    return "better" if (difference < 0) == (better == "low") else "worse"


def _incomparable(theirs: Published | None) -> str:
    """Why nothing is compared with it; empty where it is."""
    if theirs is None:
        return "not in the paper"
    if theirs.mean is None:
        return theirs.note if theirs.note.startswith(UNREADABLE) else "no number"
    return theirs.not_compared
