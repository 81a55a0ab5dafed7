"""Runs that differ in seed and fold only: one result, its mean, its deviation and what that is over."""

import itertools
import math
import statistics
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from made_up import made_up_record
from mlbench.compose import configure
from mlbench.results import repeats

FOLDED = {(0, 0): 0.1, (0, 1): 0.3, (1, 0): 0.5, (1, 1): 0.9}


def test_the_mean_over_folds_then_over_seeds_by_hand():
    found = repeats.average(FOLDED)
    assert found.by_seed == {0: pytest.approx(0.2), 1: pytest.approx(0.7)} and found.mean == pytest.approx(
        0.45
    )
    assert (found.over, found.count) == ("seeds", 2)
    assert found.std == pytest.approx(0.5 / math.sqrt(2))  # of .2 and .7, not of the four


def test_one_seed_deviates_over_its_folds():
    found = repeats.average({(3, 0): 0.1, (3, 1): 0.3})
    assert (found.mean, found.over, found.count) == (pytest.approx(0.2), "folds", 2)
    assert found.std == pytest.approx(0.2 / math.sqrt(2))


def test_seeds_without_folds_are_as_they_were():
    found = repeats.average({(0, None): 0.1, (1, None): 0.3})
    assert (found.mean, found.over, found.count) == (pytest.approx(0.2), "seeds", 2)
    one = repeats.average({(0, None): 0.25})
    assert (one.mean, one.std, one.over) == (0.25, None, "seeds")


def test_every_seed_counts_alike_however_many_folds_it_has():
    assert repeats.average(FOLDED | {(2, 0): 1.0}).mean == pytest.approx((0.2 + 0.7 + 1.0) / 3)


def test_what_is_undefined_is_left_out():
    undefined = {(0, 1): math.nan, (1, 0): None, (1, 1): math.inf}
    found = repeats.average(FOLDED | undefined)
    assert found.values == {(0, 0): 0.1} and repeats.average(undefined) is None


@settings(max_examples=50, deadline=None)
@given(st.integers(1, 4), st.integers(1, 5), st.data())
def test_a_whole_grid_has_the_mean_of_all(seeds, folds, data):
    places = [(seed, fold) for seed in range(seeds) for fold in range(folds)]
    values = {place: data.draw(st.floats(0, 1)) for place in data.draw(st.permutations(places))}
    found = repeats.average(values)
    assert found.mean == pytest.approx(statistics.fmean(values.values()))
    assert list(found.values) == sorted(places)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ((1, [None], None), "1 seed"),
        ((3, [None], None), "3 seeds"),
        ((1, range(10), 10), "1 seed × 10 folds"),
        ((3, range(9), 10), "3 seeds × 10 folds, 27 of 30 runs"),
        ((2, range(5), None), "2 seeds × 5 folds"),  # of a split that does not say how many there are
    ],
)
def test_how_many_is_said(given, said):
    seeds, there, folds = given
    assert repeats.counted([*itertools.product(range(seeds), there)], folds) == said


# Which runs are one result


def folded(seed=0, fold=0, folds=10, **more):
    record = made_up_record("a", "scene", "ant", seed, **more)
    split = {"_target_": "a.KFold", "folds": folds, "fold": fold}
    return replace(record, config=record.config | {"split": split})


def test_seed_and_fold_make_no_other_result():
    first = folded()
    assert {repeats.result(folded(seed, fold)) for seed in (0, 1) for fold in range(3)} == {
        repeats.result(first)
    }
    assert repeats.result(folded(folds=5)) != repeats.result(first)
    assert repeats.result(folded(rule="best")) != repeats.result(first)
    assert (repeats.repeat(folded(2, 7)), repeats.folds(first)) == ((2, 7), 10)
    plain = made_up_record("a", "scene", "ant", 4)
    assert (repeats.repeat(plain), repeats.folds(plain)) == ((4, None), None)


@pytest.mark.parametrize("split", [None, 5, "kfold", {"fold": "x"}, {"fold": None}])
def test_a_split_that_says_nothing_of_folds_has_none(split):
    record = replace(folded(), config=folded().config | {"split": split})
    assert (repeats.repeat(record), repeats.folds(record)) == ((0, None), None)


def older(*overrides):
    """A record from before options that the method does not take were left out."""
    config = configure([*overrides])
    content = config.model_dump(mode="json")
    return replace(made_up_record("a", "scene", "br", 0), config=content, choices=config.choices)


def test_an_older_record_is_read_as_if_it_were_of_today():
    one, other = (repeats.current(older("method=br", word)) for word in ("loss=focal", "train.epochs=7"))
    assert repeats.result(one) == repeats.result(other)
    assert (one.choices["loss"], one.choices["backbone"]) == ("–", "–") and one.config["loss"] is None
    assert repeats.current(one) == one
    focal, bce = (repeats.current(older("method=erm", f"loss={loss}")) for loss in ("focal", "bce"))
    assert repeats.result(focal) != repeats.result(bce) and focal.choices["loss"] == "focal"


def test_nothing_that_a_record_names_is_imported(tmp_path, monkeypatch):
    (tmp_path / "payload.py").write_text("raise SystemExit('executed')")
    monkeypatch.syspath_prepend(tmp_path)
    record = made_up_record("a", "scene", "ant", 0)
    for method in ({"_target_": "payload.Method"}, {"_target_": 5}, {}, None, "payload"):
        strange = replace(record, config=record.config | {"method": method})
        assert repeats.current(strange) == strange
