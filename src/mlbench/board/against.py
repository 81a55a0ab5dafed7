"""All methods beside one: on how many data sets the interval of their difference lies on one side of 0."""

from typing import NamedTuple

from mlbench.board.columns import METRICS
from mlbench.board.content import Board
from mlbench.board.grid import better
from mlbench.errors import UserError, did_you_mean
from mlbench.evaluation.metric import Better


class Count(NamedTuple):
    """How many data sets of those on which both methods have been run decide for each."""

    better: int
    worse: int
    datasets: int

    def __str__(self) -> str:
        return f"{self.better}:{self.worse} of {self.datasets}"


def against(board: Board, method: str) -> dict[str, dict[str, Count]]:
    """The counts by method, in the board's order, and by metric, from the 95 % intervals of pairs.parquet."""
    lines = board.pairs[(board.pairs["first"] == method) | (board.pairs["second"] == method)]
    if lines.empty:
        names = sorted({*board.pairs["first"], *board.pairs["second"]})
        raise UserError(f"method={method}: nothing is compared with it{did_you_mean(method, names)}")
    sides: dict[tuple[str, str], list[int]] = {}
    for line in lines.itertuples(index=False):
        other = line.second if line.first == method else line.first
        side = side_of(line.low, line.high, better(line.metric))
        sides.setdefault((other, line.metric), []).append(-side if line.first == method else side)
    counts = {
        other: {m: counted(sides.get((other, m), [])) for m in METRICS}
        for other in {other for other, _ in sides}
    }
    return {name: counts[name] for name in [*board.methods, *sorted(counts)] if name in counts}


def side_of(low: float, high: float, direction: Better) -> int:
    """1 where the first is better, −1 where it is worse, 0 where the interval does not say."""
    side = (low > 0) - (high < 0)
    return -side if direction == "low" else side


def counted(sides: list[int]) -> Count:
    return Count(sides.count(1), sides.count(-1), len(sides))
