"""Cells: our mean over the seeds, the paper's number, and when the two agree."""

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlbench.tables.cells import cell
from mlbench.tables.published import Published

WHERE = ("scene", "", "ant")
TURNED = {"low": "high", "high": "low"}
OPPOSITE = {"better": "worse", "worse": "better", "agrees": "agrees"}
COPIED = "std equals that of the emotions cell (suspect copy)"


def printed(mean, std=None, note="", decimals=4):
    return Published(*WHERE, "f1_micro", mean, std, None, decimals, decimals, note)


def judged(values, theirs, better="high", **options):
    """By seed, or in the order of the seeds."""
    by_seed = values if isinstance(values, dict) else dict(enumerate(values))
    by_seed = {seed if isinstance(seed, tuple) else (seed, None): value for seed, value in by_seed.items()}
    options = {"planned": 4, "published_seeds": 4, "scale": 1.0, "not_run": "not yet"} | options
    return cell(WHERE, "f1_micro", by_seed, theirs, better, **options)


def verdict(*arguments, **options):
    return judged(*arguments, **options).verdict


def test_within_a_hundredth_or_two_standard_errors():
    assert verdict([0.505, 0.505], printed(0.5)) == "agrees"
    assert verdict([0.515, 0.515], printed(0.5)) == "better"
    # Ours alone has a spread: 2 · .1 / √4 = .1.
    values = [0.6 + sign * 0.1 * math.sqrt(3) / 2 for sign in (-1, 1, -1, 1)]
    assert judged(values, None).ours.std == pytest.approx(0.1)
    assert verdict(values, printed(0.501)) == "agrees" and verdict(values, printed(0.499)) == "better"
    assert verdict(values, printed(0.699)) == "agrees" and verdict(values, printed(0.701)) == "worse"
    # Both have: 2 · √(.1² / 4 + .24² / 9) = √(.1² + .16²), which is .189.
    both = {"published_seeds": 9}
    assert verdict(values, printed(0.412, 0.24), **both) == "agrees"
    assert verdict(values, printed(0.411, 0.24), **both) == "better"
    # How many seeds are behind theirs is not said, so its spread says nothing of its mean.
    assert verdict(values, printed(0.412, 0.24), published_seeds=None) == "better"


@settings(max_examples=150, deadline=None)
@given(st.integers(0, 9900), st.sampled_from([1, 100]), st.booleans(), st.integers(1, 5))
def test_a_hundredth_exactly_still_agrees(theirs, scale, above, seeds):
    """In decimals; in binary the difference is now a little more, now a little less."""
    other = theirs + (100 if above else -100)
    values = [other / 10000] * seeds
    assert verdict(values, printed(theirs * scale / 10000), scale=scale) == "agrees"
    beyond = [(other + (1 if above else -1)) / 10000] * seeds
    expected = "better" if above else "worse"
    assert verdict(beyond, printed(theirs * scale / 10000), scale=scale) == expected


def test_percent():
    assert verdict([0.45], printed(45.9), scale=100) == "agrees"
    assert verdict([0.45], printed(46.1), scale=100) == "worse"
    assert verdict([0.45], printed(0.45), scale=100) == "better"
    found = judged([0.45, 0.47], printed(44.0), scale=100)
    assert found.ours.mean == pytest.approx(46) and found.ours.std == pytest.approx(math.sqrt(2))
    assert found.difference == pytest.approx(2) and found.verdict == "agrees"  # within two standard errors


def test_a_doubtful_deviation_is_ignored():
    assert verdict([0.55], printed(0.5, 0.2)) == "agrees"
    assert verdict([0.55], printed(0.5, 0.2, COPIED)) == "better"
    assert verdict([0.505], printed(0.5, 0.2, COPIED)) == "agrees"


@pytest.mark.parametrize(
    ("theirs", "reason"),
    [
        (None, "not in the paper"),
        (printed(None, note="illegible in source (row cut off)"), "illegible in source (row cut off)"),
        (printed(None, note="not given in the paper (dash)"), "not given in the paper (dash)"),
        (printed(None, note="something else"), "no number"),
    ],
)
def test_without_a_published_number(theirs, reason):
    found = judged([0.5, 0.7], theirs)
    assert (found.verdict, found.reason, found.difference) == ("not compared", reason, None)
    assert found.ours.mean == pytest.approx(0.6)


def test_a_number_that_says_nothing_is_shown_and_not_compared():
    theirs = printed(18.43, note="mean of 5 seeds; not compared: all labels predicted")
    found = judged([0.1842], theirs, scale=100)
    assert (found.verdict, found.reason) == ("not compared", "all labels predicted")
    assert found.difference is None and found.theirs.mean == 18.43
    assert judged({}, theirs, not_run="data").reason == "data"


def test_not_run():
    found = judged({}, printed(0.5), not_run="data", planned=0)
    assert (found.verdict, found.reason, found.ours, found.difference) == ("not run", "data", None, None)
    assert judged({}, None, not_run="data").verdict == "not run"
    assert found.theirs.mean == 0.5  # is shown all the same


def test_seeds_on_which_the_metric_is_undefined_are_left_out():
    found = judged({2: 0.5, 0: math.nan, 1: 0.7}, printed(0.6))
    assert (
        list(found.ours.values.items()) == [((1, None), 0.7), ((2, None), 0.5)] and found.verdict == "agrees"
    )
    found = judged({0: math.nan, 1: math.nan}, printed(0.6))
    assert (found.verdict, found.reason, found.ours) == ("not run", "not defined on this data", None)


def test_folds_are_averaged_before_seeds():
    """Two seeds of two folds: the standard error is that of the two means, .2 and .4, which is .1."""
    folded = {(0, 0): 0.1, (0, 1): 0.3, (1, 0): 0.2, (1, 1): 0.6}
    found = judged(folded, printed(0.49), planned=2, folds=2)
    assert found.ours.mean == pytest.approx(0.3) and found.ours.std == pytest.approx(0.2 / math.sqrt(2))
    assert (found.verdict, found.missing) == ("agrees", 0)
    assert verdict(folded, printed(0.51), planned=2, folds=2) == "worse"
    assert judged({(0, 1): 0.3}, None, planned=2, folds=2).missing == 3


def test_one_seed_has_no_deviation():
    found = judged([0.7], printed(0.5))
    assert found.verdict == "better" and found.planned == 4 and found.reason == ""
    assert verdict([0.7], printed(0.5, 0.3)) == "agrees"  # theirs alone counts: 2 · .3 / √4
    assert judged([0.5, 0.7], None).ours.std == pytest.approx(math.sqrt(0.02))  # n − 1


numbers = st.floats(0, 1)


@settings(max_examples=150, deadline=None)
@given(
    st.lists(numbers, min_size=1, max_size=5),
    numbers,
    st.none() | st.floats(0, 0.3),
    st.sampled_from(["", COPIED]),
    st.sampled_from(["low", "high"]),
)
def test_the_other_direction_gives_the_opposite_verdict(values, mean, std, note, better):
    theirs = printed(mean, std, note)
    found, turned = judged(values, theirs, better), judged(values, theirs, TURNED[better])
    assert turned.verdict == OPPOSITE[found.verdict] and turned.difference == found.difference
    if found.verdict != "agrees":
        assert (found.difference > 0) == ((found.verdict == "better") == (better == "high"))
    assert verdict(values, printed(found.ours.mean, std, note), better) == "agrees"
