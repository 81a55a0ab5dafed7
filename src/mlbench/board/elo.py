"""Ratings by who beats whom: Bradley and Terry's model by maximum likelihood, on the scale of Elo.

Each data set is one game of every two rows that have run on it. A difference of 400 points stands for odds
of 10 to 1. Half a win is added to either side of every two rows that have met, so that one which never lost
has a finite rating (Haldane's and Anscombe's correction). Intervals are of the bootstrap over data sets: what
is asked is how the ratings would come out on other data sets like these.
"""

from dataclasses import dataclass

import numpy as np

from mlbench.board.grid import mean

POINTS = 400 / np.log(10)  # of a unit of log odds
ANCHOR_AT = 1000.0
DRAWS = 400
LEAST = 3  # data sets; with fewer a row is not rated
ADDED = 0.5
PRECISION = 1e-7  # of a strength: a step of Newton's that short is the last
RIDGE = 1e-5  # of a step, where rows have not met: less would let rounding move them for ever


@dataclass(frozen=True)
class Ratings:
    """Ratings with their intervals; NaN for rows that are not rated."""

    elo: np.ndarray  # (R,)
    low: np.ndarray
    high: np.ndarray


def ratings(duels: np.ndarray, anchor: int | None, seed: int = 0) -> Ratings:
    """`duels` is (D, R, R), as grid.duels gives it; `anchor` is the row at 1000, without one the mean is."""
    count = len(duels)
    rated = (~np.isnan(duels)).any(2).sum(0) >= LEAST
    if not count:
        return Ratings(*np.full((3, duels.shape[1]), np.nan))
    point = rating(duels, np.ones((1, count)), anchor)[0]
    drawn = np.random.default_rng(seed).multinomial(count, np.full(count, 1 / count), DRAWS)
    low, high = _percentiles(rating(duels, drawn, anchor), rated)
    return Ratings(np.where(rated, point, np.nan), low, high)


def rating(duels: np.ndarray, weights: np.ndarray, anchor: int | None) -> np.ndarray:
    """(W, R): ratings for each of W weightings of the data sets, (W, D); NaN where a row has met nobody."""
    met = ~np.isnan(duels)
    flat = (len(duels), -1)
    size = duels.shape[1]
    won = (weights @ np.where(met, duels, 0).reshape(flat)).reshape(-1, size, size)
    games = (weights @ met.astype(float).reshape(flat)).reshape(-1, size, size)
    strengths = fitted(won + ADDED * (games > 0))
    strengths[~(games > 0).any(2)] = np.nan
    origin = mean(strengths, 1)[:, None] if anchor is None else strengths[:, [anchor]]
    return ANCHOR_AT + POINTS * (strengths - origin)


def fitted(won: np.ndarray) -> np.ndarray:
    """(W, R) strengths that make `won`, (W, R, R), likeliest: P(i beats j) = 1 / (1 + exp(s_j − s_i)); sum 0.

    Newton's method on a concave function; a step is at most 2 long, which keeps it from leaping over the top.
    """
    strengths = np.zeros(won.shape[:2])
    left = np.arange(len(won))  # weightings that still move
    for _ in range(200):
        step = _step(won[left], strengths[left])
        longest = np.abs(step).max(1, keepdims=True, initial=0)
        strengths[left] += step * np.minimum(1, 2 / np.maximum(longest, 1e-300))
        left = left[longest[:, 0] >= PRECISION]
        if not len(left):
            break
    return strengths


def _step(won: np.ndarray, strengths: np.ndarray) -> np.ndarray:
    size = won.shape[1]
    games = won + won.swapaxes(1, 2)
    likely = 1 / (1 + np.exp(strengths[:, None, :] - strengths[:, :, None]))
    slope = (won - games * likely).sum(2)
    curve = games * likely * (1 - likely)
    fixed = np.full((size, size), 1 / max(size, 1)) + RIDGE * np.eye(size)  # what games leave open
    bend = np.eye(size) * curve.sum(2)[:, :, None] - curve + fixed
    return np.linalg.solve(bend, slope[:, :, None])[:, :, 0]


def _percentiles(drawn: np.ndarray, rated: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    low, high = np.full((2, len(rated)), np.nan)
    for row in np.flatnonzero(rated):
        known = drawn[:, row][~np.isnan(drawn[:, row])]
        if len(known):
            low[row], high[row] = np.percentile(known, (2.5, 97.5))
    return low, high
