"""How far a standing depends on a choice: on one data set, on the metric, on the default settings."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from mlbench.board.columns import VARIANTS
from mlbench.board.elo import LEAST, rating
from mlbench.board.grid import Grid, Row, duels, mean
from mlbench.tables.ranks import RESOLUTION


def places(elo: np.ndarray) -> np.ndarray:
    """1 for the highest rating; equal ones share the better place, and NaN has none."""
    above = (elo[None, :] > elo[:, None] + RESOLUTION).sum(1)
    return np.where(np.isnan(elo), np.nan, 1.0 + above)


def left_out(won: np.ndarray, anchor: int | None) -> tuple[np.ndarray, np.ndarray]:
    """The best and the worst place of each row when one data set is left out, for each of them; both (R,)."""
    size = won.shape[1]
    if len(won) <= LEAST:
        return np.full(size, np.nan), np.full(size, np.nan)
    rated = (~np.isnan(won)).any(2).sum(0) >= LEAST
    elo = np.where(rated, rating(won, 1.0 - np.eye(len(won)), anchor), np.nan)
    placed = np.array([places(each) for each in elo])
    best = np.where(np.isnan(placed), np.inf, placed).min(0, initial=np.inf)
    worst = np.where(np.isnan(placed), -np.inf, placed).max(0, initial=-np.inf)
    return np.where(np.isfinite(best), best, np.nan), np.where(np.isfinite(worst), worst, np.nan)


def agreement(orders: Sequence[np.ndarray]) -> np.ndarray:
    """Kendall's tau-b of every two orders of the same rows, over the rows that both have."""
    from scipy import stats

    taus = np.full((len(orders), len(orders)), np.nan)
    for i, order in enumerate(orders):
        for j, other in enumerate(orders):
            both = ~(np.isnan(order) | np.isnan(other))
            if both.sum() > 1:
                taus[i, j] = stats.kendalltau(order[both], other[both])[0]
    return taus


@dataclass(frozen=True)
class Tuned:
    """A method's tuned row beside its default one, over the data sets that have both."""

    method: str
    datasets: int
    better: int
    worse: int
    gain: float  # by how many per cent the error falls, the mean over data sets; below 0 it rises
    p: float  # Wilcoxon's signed ranks; NaN with fewer than LEAST data sets


def tuning(grid: Grid) -> list[Tuned]:
    """The methods that have a default and a tuned row on a data set, by falling gain."""
    errors, methods = grid.errors, []
    won = duels(grid)
    for row in grid.rows:
        if row.variant != VARIANTS[1] or Row(row.method) not in grid.rows:
            continue
        tuned, default = grid.rows.index(row), grid.rows.index(Row(row.method))
        outcome = won[:, tuned, default]
        both = ~np.isnan(outcome)
        if not both.any():
            continue
        apart = errors[both, default] - errors[both, tuned]
        share = np.divide(
            apart, errors[both, default], out=np.zeros_like(apart), where=errors[both, default] > 0
        )
        methods.append(
            Tuned(
                row.method,
                datasets=int(both.sum()),
                better=int((outcome[both] == 1).sum()),
                worse=int((outcome[both] == 0).sum()),
                gain=float(100 * mean(share, 0)),
                p=_signed_ranks(apart),
            )
        )
    return sorted(methods, key=lambda each: (-each.gain, each.method))


def _signed_ranks(apart: np.ndarray) -> float:
    from scipy import stats

    apart = np.where(np.abs(apart) < RESOLUTION, 0.0, apart)
    if len(apart) < LEAST:
        return float("nan")
    tested: Any = stats.wilcoxon(apart) if apart.any() else None
    return 1.0 if tested is None else float(tested.pvalue)
