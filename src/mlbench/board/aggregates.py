"""What many data sets say of a row together: wins, gaps to the best, a normalised score, time, ranks."""

from collections.abc import Sequence

import numpy as np

from mlbench.board.grid import PRIOR, Grid, Row, block, mean
from mlbench.tables.comparison import Comparison, compare
from mlbench.tables.ranks import RESOLUTION

LEAST = 0.001  # seconds: clocks and axes know of no less, and the prior takes none


def win_rates(duels: np.ndarray) -> np.ndarray:
    """(R, R): the share of the data sets of both on which the row is better than the column; ties count ½."""
    return mean(duels, 0)


def improvability(grid: Grid) -> np.ndarray:
    """(D, R): by how many per cent the best row's error is below this row's; 0 for the best."""
    errors = grid.errors
    best = _least(errors)
    gap = np.divide(errors - best, errors, out=np.zeros_like(errors), where=errors > RESOLUTION)
    return np.where(np.isnan(errors), np.nan, 100 * gap)


def normalised(grid: Grid) -> np.ndarray:
    """(D, R): 1 for the best row of a data set, 0 for the prior and whatever is below it.

    NaN where the data set has no prior. Where nothing beats the prior, the prior is best: what is equal to it
    has 1.
    """
    errors = grid.errors
    if Row(PRIOR) not in grid.rows:
        return np.full_like(errors, np.nan)
    floor = errors[:, [grid.rows.index(Row(PRIOR))]]
    best = _least(errors)
    span = floor - best
    won = np.divide(
        floor - errors, span, out=(errors - best < RESOLUTION).astype(float), where=span > RESOLUTION
    )
    return np.where(np.isnan(errors) | np.isnan(floor), np.nan, np.clip(won, 0, 1))


def _least(errors: np.ndarray) -> np.ndarray:
    """The lowest error on each data set, (D, 1); NaN where no row has one."""
    known = np.where(np.isnan(errors), np.inf, errors).min(1, keepdims=True, initial=np.inf)
    return np.where(np.isinf(known), np.nan, known)


def geometric(seconds: np.ndarray) -> np.ndarray:
    """(R,): the geometric mean over data sets, (D, R), of what is known; LEAST at least, each."""
    return np.exp(mean(np.log(np.maximum(seconds, LEAST)), 0))


def front(cost: Sequence[float], score: Sequence[float]) -> list[int]:
    """The points that nothing beats, by rising cost.

    A point beats another if it costs at most as much, scores at least as high, and is not the same in both.
    """
    known = [at for at in range(len(cost)) if not (np.isnan(cost[at]) or np.isnan(score[at]))]
    best, unbeaten, last = -np.inf, [], None
    for at in sorted(known, key=lambda at: (cost[at], -score[at])):
        point = (cost[at], score[at])
        if score[at] > best or point == last:
            unbeaten.append(at)
            best, last = score[at], point
    return unbeaten


def whole(grid: Grid) -> Grid:
    """The grid's data sets and rows without a gap, which tests over data sets need."""
    datasets, rows = block(~np.isnan(grid.means))
    return grid.of(datasets, rows)


def ranked(grid: Grid, names: Sequence[str]) -> Comparison | None:
    """Mean ranks, Friedman's test, Nemenyi's critical difference; `names` are those of the rows."""
    values = {dataset: dict(zip(names, map(float, row))) for dataset, row in zip(grid.datasets, grid.means)}
    return compare(grid.metric, grid.better, values, of_pairs=False)
