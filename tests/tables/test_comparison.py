"""Statistics over whole tables, on the example that Demšar (JMLR 7, 2006) works out, and by plain loops."""

import functools
import itertools
import math
import random

import pytest
from scipy import stats

from mlbench.tables.comparison import compare, holm, order_agreement

# His Table 6: ranks of four variants of C4.5 by their area under the ROC curve on 14 data sets.
VARIANTS = ("C4.5", "C4.5+m", "C4.5+cf", "C4.5+m+cf")
RANKS = {
    "adult": (4, 3, 2, 1),
    "breast cancer": (1, 2, 3, 4),
    "breast cancer wisconsin": (4, 1, 2, 3),
    "cmc": (4, 1, 3, 2),
    "ionosphere": (4, 2, 3, 1),
    "iris": (1, 2.5, 4, 2.5),
    "liver disorders": (3, 2, 4, 1),
    "lung cancer": (2.5, 2.5, 4, 1),
    "lymphography": (4, 3, 2, 1),
    "mushroom": (2.5, 2.5, 2.5, 2.5),
    "primary tumor": (4, 2.5, 1, 2.5),
    "rheum": (3, 2, 4, 1),
    "voting": (4, 1, 2, 3),
    "wine": (3, 1, 4, 2),
}
# Critical values of Nemenyi's test at .05 for 2 to 10 classifiers, from tables of two or three decimals.
CRITICAL = (1.960, 2.343, 2.569, 2.728, 2.850, 2.949, 3.031, 3.102, 3.164)


@functools.cache
def example():
    return compare("auc", "low", {name: dict(zip(VARIANTS, row)) for name, row in RANKS.items()})


def test_mean_ranks_of_the_example():
    assert {name: round(mean, 3) for name, mean in example().mean_ranks.items()} == {
        "C4.5": 3.143,
        "C4.5+m": 2.000,
        "C4.5+cf": 2.893,
        "C4.5+m+cf": 1.964,
    }


def test_friedman_of_the_example():
    """His formula makes nothing of ties and gives 9.28; ours is corrected for them, as is usual."""
    tied = sum(size**3 - size for row in RANKS.values() for size in map(row.count, set(row)))
    correction = 1 - tied / (14 * 4 * (4**2 - 1))
    found = example()
    assert found.statistic * correction == pytest.approx(9.28, abs=0.01)
    assert found.statistic == pytest.approx(10.23, abs=0.01)
    assert found.p == pytest.approx(stats.chi2.sf(found.statistic, 3)) and found.p < 0.05


def test_nemenyi_of_the_example():
    """Critical differences 1.25 at .05 and 1.12 at .10; the best and the worst are 1.18 apart."""
    found = example()
    assert found.critical_difference == pytest.approx(1.25, abs=0.005)
    assert list(found.nemenyi) == list(itertools.combinations(VARIANTS, 2))
    assert 0.05 < found.nemenyi["C4.5", "C4.5+m+cf"] < 0.10
    assert found.nemenyi["C4.5+m", "C4.5+m+cf"] > 0.9
    assert all(p > 0.05 for p in found.nemenyi.values())


@pytest.mark.parametrize("methods", [3, 10])
def test_critical_values(methods):
    values = {name: {str(method): float(method) for method in range(methods)} for name in "abcde"}
    error = math.sqrt(methods * (methods + 1) / (6 * 5))
    assert compare("f1", "high", values).critical_difference / error == pytest.approx(
        CRITICAL[methods - 2], abs=0.001
    )


@pytest.mark.parametrize(
    ("ps", "adjusted"),
    [
        # .005 · 4; .01 · 3; .03 · 2; .04 · 1 would be less than the one before.
        ([0.01, 0.04, 0.03, 0.005], [0.03, 0.06, 0.06, 0.02]),
        ([0.5, 0.4], [0.8, 0.8]),  # .4 · 2; .5 · 1 is less
        ([0.7, 0.6, 0.01], [1.0, 1.0, 0.03]),  # .6 · 2 is more than 1
        ([0.02, 0.02], [0.04, 0.04]),
        ([0.3], [0.3]),
        ([], []),
    ],
)
def test_holm_by_hand(ps, adjusted):
    assert holm(ps) == pytest.approx(adjusted)


def drawn(seed):
    """Three to five methods on two to ten data sets, without ties but for every third seed."""
    draw = random.Random(seed)
    methods, levels = draw.randint(3, 5), 4 if seed % 3 == 0 else 10**6
    rows = draw.randint(2, 5 if seed % 3 == 0 else 10)
    return {f"d{i}": {f"m{j}": draw.randint(0, levels) / levels for j in range(methods)} for i in range(rows)}


@pytest.mark.parametrize("seed", range(4))
def test_two_directions_and_holm(seed):
    values = drawn(seed)
    high, low = (compare("f1", better, values) for better in ("high", "low"))
    methods = list(values["d0"])
    for name in methods:
        assert high.mean_ranks[name] + low.mean_ranks[name] == pytest.approx(len(methods) + 1)
    assert low.nemenyi == pytest.approx(high.nemenyi) and low.wilcoxon == pytest.approx(high.wilcoxon)
    assert (low.statistic, low.p) == pytest.approx((high.statistic, high.p))
    assert low.critical_difference == high.critical_difference and low.datasets == list(values)
    pairs, ps = list(itertools.combinations(methods, 2)), []
    for a, b in pairs:
        first, second = [row[a] for row in values.values()], [row[b] for row in values.values()]
        apart = [abs(x - y) for x, y in zip(first, second)]
        tied = 0 in apart or len(set(apart)) < len(apart)
        method = "asymptotic" if tied else "exact"
        ps.append(stats.wilcoxon(first, second, method=method).pvalue if any(apart) else 1.0)
    assert list(high.wilcoxon) == pairs and list(high.wilcoxon.values()) == pytest.approx(holm(ps))


def test_ties_share_their_ranks():
    found = compare("f1", "high", {"a": {"x": 0.9, "y": 0.9, "z": 0.1}, "b": {"x": 0.5, "y": 0.5, "z": 0.5}})
    assert found.mean_ranks == {"x": 1.75, "y": 1.75, "z": 2.5}
    assert found.nemenyi["x", "y"] == pytest.approx(1) and found.wilcoxon["x", "y"] == 1.0


def test_float_noise_breaks_no_tie():
    """The same counts, added in another order: every figure is that of equal values."""
    counts = {"a": (90, 90, 40), "b": (76, 75, 76), "c": (30, 80, 80), "d": (12, 40, 99), "e": (5, 50, 50)}
    exact = {name: dict(zip("xyz", [count / 152 for count in row])) for name, row in counts.items()}
    noisy = {
        name: {method: value + 1e-16 * place for place, (method, value) in enumerate(row.items())}
        for name, row in exact.items()
    }
    assert noisy["a"]["x"] != noisy["a"]["y"]
    for better in ("high", "low"):
        clean, found = compare("f1", better, exact), compare("f1", better, noisy)
        assert found.mean_ranks == clean.mean_ranks and found.nemenyi == clean.nemenyi
        assert (found.statistic, found.p) == (clean.statistic, clean.p)
        assert found.wilcoxon == clean.wilcoxon


def test_differences_that_are_the_same_are_tied_though_their_floats_are_not():
    """.2 − .1 and .9 − .8: Wilcoxon's ranks are midranks, and its p that of ten times the numbers."""
    tenths = {"a": (2, 1), "b": (9, 8), "c": (5, 7), "d": (2, 6), "e": (1, 8)}
    assert 0.2 - 0.1 != 0.9 - 0.8
    small, large = (
        compare("f1", "high", {name: {"x": x / by, "y": y / by, "z": 0.0} for name, (x, y) in tenths.items()})
        for by in (10, 1)
    )
    assert small.wilcoxon["x", "y"] == large.wilcoxon["x", "y"]


def test_methods_that_are_alike_everywhere_do_not_differ():
    found = compare("f1", "high", {name: dict.fromkeys("xyz", 0.5) for name in "abcd"})
    assert (found.statistic, found.p) == (0.0, 1.0) and set(found.mean_ranks.values()) == {2.0}
    assert set(found.wilcoxon.values()) == {1.0} and min(found.nemenyi.values()) == pytest.approx(1)


@pytest.mark.parametrize(("datasets", "methods"), [(0, 0), (1, 5), (5, 2), (5, 1)])
def test_too_little_to_compare(datasets, methods):
    values = {str(d): {str(m): (d + m) / 32 for m in range(methods)} for d in range(datasets)}
    assert compare("f1", "high", values) is None


# The order of the methods beside the paper's

BETTER = {"f1": "high", "loss": "low"}
OURS = {"f1": {"x": 0.9, "y": 0.8, "z": 0.7}, "loss": {"x": 0.1, "y": 0.2, "z": 0.3}}
THEIRS = {"f1": {"x": 0.6, "y": 0.5, "z": 0.1}, "loss": {"x": 0.3, "y": 0.4, "z": 0.5}}


def turned(columns):
    return {column: dict(zip(row, reversed(row.values()))) for column, row in columns.items()}


def test_order_agreement():
    assert order_agreement(OURS, THEIRS, BETTER) == (pytest.approx(1), True)
    assert order_agreement(OURS, turned(THEIRS), BETTER) == (pytest.approx(-1), False)
    # Their y and z are tied: of three pairs two agree, tau-b is 2 / √(3 · 2).
    tied = {column: row | {"z": row["y"]} for column, row in THEIRS.items()}
    assert order_agreement(OURS, tied, BETTER) == (pytest.approx(2 / math.sqrt(6)), True)
    # A tie for the first place holds either of the two.
    first = {column: row | {"x": row["y"]} for column, row in THEIRS.items()}
    assert order_agreement(OURS, first, BETTER)[1] is True
    swapped = {column: row | {"x": row["y"], "y": row["x"]} for column, row in THEIRS.items()}
    assert order_agreement(OURS, swapped, BETTER) == (pytest.approx(1 / 3), False)


def test_an_order_does_not_hang_on_the_last_bit():
    ours = {"f1": {"x": 90 / 152, "y": math.nextafter(90 / 152, 0.0), "z": 0.1}}
    theirs = {"f1": {"x": 0.4, "y": 0.5, "z": 0.1}}
    assert order_agreement(ours, theirs, BETTER) == (pytest.approx(2 / math.sqrt(6)), True)


def test_an_order_of_nothing_or_of_one_method_says_nothing():
    assert order_agreement({}, {}, BETTER) == (None, None)
    assert order_agreement({"f1": {}}, {"f1": {}}, BETTER) == (None, None)
    one = {"f1": {"x": 0.5}}
    assert order_agreement(one, one, BETTER) == (None, None)
    all_tied = {"f1": {"x": 0.5, "y": 0.5}}
    assert order_agreement(all_tied, {"f1": {"x": 0.1, "y": 0.2}}, BETTER) == (None, True)
