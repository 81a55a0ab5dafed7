"""How all rows stand by one metric: ratings, places, gaps and times, as the board's pages show them."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from mlbench.board import aggregates, sensitivity
from mlbench.board.content import Frame
from mlbench.board.elo import Ratings, ratings
from mlbench.board.grid import Grid, Row, costs, duels, grid, mean
from mlbench.tables.comparison import Comparison

REFERENCE = Row("br")  # binary relevance with logistic regression has a rating of 1000


@dataclass(frozen=True)
class Standing:
    """Arrays are over the rows of the grid, (R,), unless they say otherwise."""

    grid: Grid
    won: np.ndarray  # (D, R, R): grid.duels
    ratings: Ratings
    places: np.ndarray  # by rating
    best_place: np.ndarray  # with one data set left out
    worst_place: np.ndarray
    gaps: np.ndarray  # (D, R): improvability in per cent
    scores: np.ndarray  # (D, R): normalised
    train: np.ndarray  # (D, R): seconds
    predict: np.ndarray  # (D, R)

    @cached_property
    def order(self) -> list[int]:
        """The rows from the highest rating on; those without one last, by their score."""
        elo, score = np.nan_to_num(self.ratings.elo, nan=-np.inf), np.nan_to_num(self.score, nan=-1)
        return sorted(range(len(self.grid.rows)), key=lambda at: (-elo[at], -score[at], self.grid.rows[at]))

    @cached_property
    def score(self) -> np.ndarray:
        return mean(self.scores, 0)

    @cached_property
    def gap(self) -> np.ndarray:
        return mean(self.gaps, 0)

    @cached_property
    def win(self) -> np.ndarray:
        """The mean win rate of each row over the rows that it has met."""
        return mean(aggregates.win_rates(self.won), 1)

    @cached_property
    def covered(self) -> np.ndarray:
        """The number of data sets on which each row has run."""
        return (self.grid.splits > 0).sum(0)

    @cached_property
    def imputed(self) -> np.ndarray:
        """The number of data sets on which a split of the row has the score of the prior."""
        return self.grid.imputed.any(1).sum(0)

    @cached_property
    def place_on(self) -> np.ndarray:
        """(D, R): the place on each data set by the mean, ties sharing the better one."""
        return np.array([sensitivity.places(-each) for each in self.grid.errors])

    def compared(self, variant: str, names: dict[Row, str]) -> tuple[Comparison | None, Grid]:
        """The test over the part without gaps of the rows of a variant, and that part."""
        part = aggregates.whole(self.grid.variant(variant))
        return aggregates.ranked(part, [names[row] for row in part.rows]), part

    def time_and_score(self) -> tuple[list[int], np.ndarray, np.ndarray, int]:
        """Of the rows without gaps: their numbers, seconds and scores over the same data sets, how many these
        are."""
        known = ~np.isnan(self.scores) & ~np.isnan(self.train)
        datasets, rows = aggregates.block(known)
        inside = np.ix_(datasets, rows)
        seconds, scores = aggregates.geometric(self.train[inside]), mean(self.scores[inside], 0)
        return rows, seconds, scores, len(datasets)


def standing(records: Frame, metric: str) -> Standing:
    made = grid(records, metric)
    won = duels(made)
    anchor = made.rows.index(REFERENCE) if REFERENCE in made.rows else None
    played = won[~np.isnan(won).all((1, 2))]  # a data set on which nothing was run is none to draw
    rated = ratings(played, anchor)
    best, worst = sensitivity.left_out(played, anchor)
    return Standing(
        grid=made,
        won=won,
        ratings=rated,
        places=sensitivity.places(rated.elo),
        best_place=best,
        worst_place=worst,
        gaps=aggregates.improvability(made),
        scores=aggregates.normalised(made),
        train=costs(records, "train_seconds", made),
        predict=costs(records, "predict_seconds", made),
    )
