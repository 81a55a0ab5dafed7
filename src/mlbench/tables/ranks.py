"""Ranks as papers print them: 1 is best, ties share the best rank, means to one decimal with halves up."""

import math
from collections.abc import Hashable, Mapping, Sequence
from decimal import ROUND_HALF_UP, Decimal
from typing import TypeVar

from mlbench.evaluation.metric import Better

Name = TypeVar("Name", bound=Hashable)

RESOLUTION = 1e-9  # smaller differences come from the order in which numbers were added


def alike(values: Sequence[float]) -> list[float]:
    """The values, with those that differ by less than RESOLUTION made equal to the least of them.

    All comparisons of values use this. Rounding would separate values on either side of a rounding border.
    """
    level, last = math.nan, -math.inf
    levels: dict[float, float] = {}
    for value in sorted(values):
        level = value if value - last >= RESOLUTION else level
        levels[value] = level
        last = value
    return [levels[value] for value in values]


def ranks(values: Mapping[Name, float], better: Better) -> dict[Name, int]:
    """Competition ranks, 1, 2, 2, 4: this rule gives all ranks that ANT and FLEM print."""
    sign, levels = 1 if better == "low" else -1, alike([*values.values()])
    return {
        name: 1 + sum(sign * other < sign * level for other in levels) for name, level in zip(values, levels)
    }


def mean_ranks(columns: Mapping[str, Mapping[str, float]], better: Mapping[str, Better]) -> dict[str, float]:
    """The mean of each name's ranks over the columns, which all have the same names."""
    ranked = [ranks(values, better[column]) for column, values in columns.items()]
    names = ranked[0] if ranked else {}
    return {name: sum(each[name] for each in ranked) / len(ranked) for name in names}


def half_up(value: float, decimals: int = 1) -> float:
    """3.25 → 3.3: rounds halves up, where Python's `round` gives the even digit."""
    return float(Decimal(repr(value)).quantize(Decimal(1).scaleb(-decimals), ROUND_HALF_UP))
