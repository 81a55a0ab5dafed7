"""Ranks as papers print them: 1 is best, ties share the best rank, means to one decimal with halves up."""

from collections.abc import Mapping
from decimal import ROUND_HALF_UP, Decimal

from mlbench.evaluation.metric import Better


def ranks(values: Mapping[str, float], better: Better) -> dict[str, int]:
    """Competition ranks, inferred from all printed ranks of ANT and FLEM: 1, 2, 2, 4."""
    sign = 1 if better == "low" else -1
    return {
        name: 1 + sum(sign * other < sign * value for other in values.values())
        for name, value in values.items()
    }


def mean_ranks(columns: Mapping[str, Mapping[str, float]], better: Mapping[str, Better]) -> dict[str, float]:
    """Mean over the columns, each ranked for itself. Every column has the same names."""
    ranked = [ranks(values, better[column]) for column, values in columns.items()]
    names = ranked[0] if ranked else {}
    return {name: sum(each[name] for each in ranked) / len(ranked) for name in names}


def half_up(value: float, decimals: int = 1) -> float:
    """3.25 → 3.3, where Python's round gives the even digit."""
    return float(Decimal(repr(value)).quantize(Decimal(1).scaleb(-decimals), ROUND_HALF_UP))
