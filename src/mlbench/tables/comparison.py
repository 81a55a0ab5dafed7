"""Tests over a whole table: which methods differ, over the data sets on which all of them have run."""

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from mlbench.evaluation.metric import Better
from mlbench.tables.ranks import alike, mean_ranks

LEVEL = 0.05
FEW = 5  # with fewer data sets the tests say little


@dataclass(frozen=True)
class Comparison:
    """Friedman's test over data sets × methods for one metric; Nemenyi and Wilcoxon with Holm afterwards.

    Demšar, Statistical comparisons of classifiers over multiple data sets, JMLR 7, 2006. The mean ranks here
    share ties (midranks), as the tests ask; those that papers print give ties the best rank.
    """

    metric: str
    better: Better
    datasets: list[str]
    mean_ranks: dict[str, float]
    statistic: float  # Friedman's chi-square
    p: float
    critical_difference: float  # Nemenyi, at LEVEL
    nemenyi: dict[tuple[str, str], float]
    wilcoxon: dict[tuple[str, str], float] = field(default_factory=dict)  # p after Holm
    setting: str = ""  # where each setting is compared by itself


def compare(
    metric: str,
    better: Better,
    values: Mapping[str, Mapping[str, float]],
    setting: str = "",
    of_pairs: bool = True,
) -> Comparison | None:
    """`values`: data set → method → mean. None for fewer than 2 data sets or 3 methods: too little.

    The tests of all pairs take seconds for dozens of methods; without `of_pairs` they are left out.
    """
    from scipy import stats

    methods = list(next(iter(values.values()), {}))
    if len(values) < 2 or len(methods) < 3:
        return None
    sign = 1 if better == "low" else -1
    table = [alike([sign * row[method] for method in methods]) for row in values.values()]
    columns = list(zip(*table))
    ranked = [stats.rankdata(row) for row in table]
    means = {method: float(sum(row[i] for row in ranked) / len(ranked)) for i, method in enumerate(methods)}
    all_tied = all(len(set(row)) == 1 for row in table)  # SciPy would compute 0 / 0
    statistic, p = (0.0, 1.0) if all_tied else stats.friedmanchisquare(*columns)
    # Nemenyi: the critical range is the Studentised range over √2, of infinitely many degrees of freedom.
    error = math.sqrt(len(methods) * (len(methods) + 1) / (6 * len(values)))
    spread = stats.studentized_range(len(methods), math.inf)
    pairs = list(itertools.combinations(methods, 2)) if of_pairs else []
    nemenyi = {(a, b): float(spread.sf(abs(means[a] - means[b]) / error * math.sqrt(2))) for a, b in pairs}
    return Comparison(
        metric=metric,
        setting=setting,
        better=better,
        datasets=list(values),
        mean_ranks=means,
        statistic=float(statistic),
        p=float(p),
        critical_difference=float(spread.isf(LEVEL) / math.sqrt(2) * error),
        nemenyi=nemenyi,
        wilcoxon=_wilcoxon(dict(zip(methods, columns)), pairs),
    )


def _wilcoxon(columns: Mapping[str, tuple], pairs: list[tuple[str, str]]) -> dict[tuple[str, str], float]:
    from scipy import stats

    def p(first: tuple, second: tuple) -> float:
        apart = [a - b for a, b in zip(first, second)]
        _, *sizes = alike([0.0, *map(abs, apart)])
        if not any(sizes):
            return 1.0
        # With ties SciPy's own choice goes through all permutations, which takes seconds a pair.
        method = "exact" if 0 not in sizes and len(set(sizes)) == len(sizes) else "asymptotic"
        tested: Any = stats.wilcoxon([*map(math.copysign, sizes, apart)], method=method)
        return float(tested.pvalue)

    return dict(zip(pairs, holm([p(columns[a], columns[b]) for a, b in pairs])))


def holm(ps: Sequence[float]) -> list[float]:
    """Holm's step-down correction: the least of n values times n, the next times n − 1, …; each at least the
    one before it and at most 1 (Scandinavian Journal of Statistics 6, 1979)."""
    adjusted, largest = [0.0] * len(ps), 0.0
    for done, index in enumerate(sorted(range(len(ps)), key=ps.__getitem__)):
        largest = max(largest, min(1.0, (len(ps) - done) * ps[index]))
        adjusted[index] = largest
    return adjusted


def order_agreement(
    ours: Mapping[str, Mapping[str, float]],
    theirs: Mapping[str, Mapping[str, float]],
    better: Mapping[str, Better],
) -> tuple[float | None, bool | None]:
    """Kendall's tau-b between our order of the methods and the paper's, and whether the same ones come first.

    Both map column → method → mean, with the same columns and methods. None for fewer than two methods.
    """
    from scipy import stats

    if not ours or len(next(iter(ours.values()))) < 2:
        return None, None
    a, b = mean_ranks(ours, better), mean_ranks(theirs, better)
    tested: Any = stats.kendalltau([a[name] for name in a], [b[name] for name in a])
    tau = float(tested.statistic)
    return None if math.isnan(tau) else tau, bool(_first(a) & _first(b))


def _first(ranked: Mapping[str, float]) -> set[str]:
    best = min(ranked.values())
    return {name for name, rank in ranked.items() if rank == best}
