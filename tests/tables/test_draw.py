"""Random points of a space in a table: within it, and the same everywhere."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from made_up import made_up_spec
from mlbench.errors import UserError
from mlbench.search.sample import sample, value
from mlbench.search.spec import Dimension, read
from mlbench.tables.spec import Draw
from mlbench.tables.spec import read as read_table

SHARES = st.floats(0, 1, exclude_max=True)
FLOATS = Dimension(low=1e-4, high=0.1, log=True)


@given(SHARES, st.integers(1, 50), st.integers(1, 50), st.booleans())
def test_whole_numbers_stay_within_their_bounds(u, low, more, log):
    drawn = value(Dimension(low=low, high=low + more, log=log), u)
    assert isinstance(drawn, int) and low <= drawn <= low + more


@given(SHARES)
def test_numbers_are_spread_as_their_dimension_says(u):
    assert value(FLOATS, u) == pytest.approx(10 ** (-4 + 3 * u), rel=6e-3)
    assert value(Dimension(low=-1.0, high=2.0), u) == pytest.approx(3 * u - 1, abs=1e-2)
    assert value(Dimension(low=0.0, high=1.0, step=0.25), u) in (0, 0.25, 0.5, 0.75, 1)
    assert value(Dimension(choices=("a", "b")), u) == ("a" if u < 0.5 else "b")


def test_a_sample_is_the_same_everywhere():
    assert sample({"lr": FLOATS}, 3) == [{"lr": 0.00212}, {"lr": 0.0481}, {"lr": 0.005}]


def test_neither_more_points_nor_other_options_change_what_is_drawn():
    space = {"lr": FLOATS, "size": Dimension(choices=(32, 64, 128))}
    few, many = sample({"lr": FLOATS}, 5), sample(space, 40)
    assert [point["lr"] for point in many[:5]] == [point["lr"] for point in few]
    assert {point["size"] for point in many} == {32, 64, 128}
    logs = [math.log10(point["lr"]) for point in many]
    assert min(logs) < -3.5 and max(logs) > -1.5


def test_a_table_has_a_run_a_point_beside_its_grid():
    drawing = {"overrides": ["method=erm"], "draw": {"sweep": "erm", "count": 4}}
    spec = made_up_spec(axes={"dataset": ["emotions"], "method": {"plain": ["method=erm"], "tuned": drawing}})
    points = spec.points(("emotions", "", "tuned"))
    assert spec.points(("emotions", "", "plain")) == [[]] and len(points) == 4
    assert list(spec.choose(("emotions", "", "tuned"))) == list(read("erm", {}).space)
    assert points[0] == [f"{name}={given}" for name, given in Draw(sweep="erm", count=1).points[0].items()]
    both = made_up_spec(
        axes={"dataset": ["emotions"], "method": {"tuned": drawing | {"choose": {"train.epochs": [1, 2]}}}}
    )
    assert len(both.points(("emotions", "", "tuned"))) == 8


def test_what_is_drawn_and_given_is_refused_and_so_is_a_sweep_that_is_not_there():
    for wrong, said in {
        ("erm", "train.batch_size=8"): "overrides give it a value, too",
        ("erms", "method=erm"): "did you mean erm",
    }.items():
        drawing = {"overrides": [wrong[1]], "draw": {"sweep": wrong[0], "count": 4}}
        with pytest.raises(UserError, match=said):
            made_up_spec(axes={"dataset": ["emotions"], "method": {"tuned": drawing}})


def test_the_tuned_board_draws_twenty_points_of_every_method_that_has_epochs():
    tuned, main = read_table("board/tuned"), read_table("board/main")
    assert set(tuned.axes["method"]) < set(main.axes["method"])
    assert all(len(tuned.points(("yeast", "", name))) == 20 for name in tuned.axes["method"])
    assert tuned.overrides == main.overrides and list(tuned.axes["dataset"]) == list(main.axes["dataset"])
