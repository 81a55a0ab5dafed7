"""Options that the validation part chooses: which run of a grid counts, and what a table says of it."""

import csv
import itertools
import json
import statistics

import pytest
from hypothesis import given
from hypothesis import strategies as st

from commands import records
from made_up import finish, made_up_run, made_up_spec
from mlbench import experiment
from mlbench.commands.reproduce import main
from mlbench.compose import configure, configure_each
from mlbench.engine import many
from mlbench.results import store
from mlbench.results.validation import best_first
from mlbench.runs.groups import grouped
from mlbench.tables import spec
from mlbench.tables.plan import Case
from mlbench.tables.table import fill
from small import smaller

GRID = """
title: A small grid
axes:
  dataset: [multidigits]
  method:
    prior: [method=prior]
    chosen:
      overrides: [backbone=linear]
      choose: {train.optimizer.lr: [0.0001, 0.01, 0.1], train.epochs: [1, 2]}
overrides: [split.validation=0.4, train.batch_size=20, selection.rule=best, selection.metric=hamming_loss]
metrics:
  f1: {ours: f1_micro}
  hamming: {ours: hamming_loss}
variants: [{title: the last epoch, rule: last}]
rule: best
seeds: 2
layout: {rows: method, columns: metric}
decimals: 4
"""
PROGRAM = {"program": "mlbench.commands.reproduce"}


@pytest.fixture
def grid(command, folder):
    """grid("render=true", GRID): the command, on a table of that text."""

    def grid(*arguments, text=GRID):
        (folder / "grid.yaml").write_text(text)
        return command("table=grid.yaml", *arguments, **PROGRAM)

    return grid


def found(folder):
    """Of the runs of the grid: seed, learning rate, epochs and record."""
    read = [json.loads(path.read_text()) for path in records(folder / "outputs")]
    of_grid = [record for record in read if record["choices"]["method"] == "erm"]
    return [
        (one["seed"], one["config"]["train"]["optimizer"]["lr"], one["config"]["train"]["epochs"], one)
        for one in of_grid
    ]


def lines(folder):
    rows = csv.DictReader((folder / "outputs/tables/grid/runs.csv").open())
    return [row for row in rows if row["method"] == "chosen"]


def test_each_seed_has_the_options_that_are_best_on_its_validation_part(grid, command, folder):
    done = grid()
    assert done.status == 0, done.err
    runs = found(folder)
    assert len(runs) == 2 * 3 * 2
    order = [*itertools.product([0.0001, 0.01, 0.1], [1, 2])]
    expected = {}
    for seed in (0, 1):
        own = {(lr, epochs): one for number, lr, epochs, one in runs if number == seed}
        values = [own[point]["selected"]["best"]["hamming_loss"] for point in order]
        point = order[values.index(min(values))]
        expected[seed] = f"train.optimizer.lr={point[0]} train.epochs={point[1]}", own[point]
    shown = {int(row["seed"]): row for row in lines(folder) if row["chosen"] == "True"}
    assert {seed: row["options"] for seed, row in shown.items()} == {
        s: words for s, (words, _) in expected.items()
    }
    assert len(lines(folder)) == 12 and all(row["validation"] for row in lines(folder))
    text = (folder / "outputs/tables/grid/table.md").read_text()
    for rule in ("best", "last"):
        mean = statistics.fmean(one["metrics"][rule]["f1_micro"] for _, one in expected.values())
        assert f"| {mean:.4f} ± " in text or f"| **{mean:.4f} ± " in text
        column = "f1_micro" if rule == "best" else "f1_micro_last"
        assert [float(row[column]) for row in shown.values()] == [
            one["metrics"][rule]["f1_micro"] for _, one in expected.values()
        ]
    assert "## The last epoch" in text and "Selection: last." in text
    assert "| chosen | train.optimizer.lr, train.epochs, by validation hamming_loss |" in text
    assert f"| multidigits chosen | {expected[0][0]}: 0" in text
    page = (folder / "outputs/tables/grid/table.html").read_text()
    assert expected[0][0] in page and expected[0][1]["key"] in page

    before = {path: path.stat().st_mtime_ns for path in records(folder / "outputs")}
    again = command(
        "backbone=linear", "split.validation=0.4", "train.batch_size=20", "selection.rule=best",
        "selection.metric=hamming_loss", *expected[1][0].split(), "seed=1",
    )  # fmt: skip
    assert again.status == 0 and expected[1][1]["key"] in again.out
    assert grid().status == 0  # what is there is rendered again, to the same bytes
    assert {path: path.stat().st_mtime_ns for path in records(folder / "outputs")} == before
    assert (folder / "outputs/tables/grid/table.md").read_text() == text


def test_a_point_that_fails_is_left_out_and_counted(grid, folder):
    other = "method._target_: [outside.Needs, mlbench.methods.erm.ERM]"
    done = grid("seeds=1", text=GRID.replace("train.epochs: [1, 2]", other))
    failed = [line for line in done.err.splitlines() if "failed: " in line]
    assert done.status == 2 and len(failed) == 3 and all("outside.Needs" in line for line in failed)
    kept = [row for row in lines(folder) if row["chosen"] == "True"]
    assert len(kept) == 1 and kept[0]["options"].endswith("mlbench.methods.erm.ERM")
    text = (folder / "outputs/tables/grid/table.md").read_text()
    assert text.splitlines()[-1].endswith(" 3 |") and "without" in text  # of six three are without a value


def test_nothing_is_chosen_before_all_points_are_there(grid, folder):
    assert grid("seeds=1").status == 0
    chosen = next(row for row in lines(folder) if row["chosen"] == "True")
    other = next(row for row in lines(folder) if row["chosen"] == "False")
    assert chosen["options"] != other["options"]
    next(path for path in records(folder / "outputs") if path.parent.name == other["key"]).unlink()
    assert grid("seeds=1", "render=true").status == 0
    text = (folder / "outputs/tables/grid/table.md").read_text()
    assert "| **chosen** | not run: not yet | not run: not yet |" in text
    assert not any(row["chosen"] == "True" for row in lines(folder))
    assert grid("seeds=1").status == 0
    assert next(row for row in lines(folder) if row["chosen"] == "True") == chosen


WRONG = {
    "no validation part": (
        {"split.validation=0.4, ": ""},
        "multidigits prior: selection.rule=best needs a validation part: add split.validation=0.1",
    ),
    "another rule": (
        {"selection.rule=best, ": ""},
        "multidigits chosen: choose goes by the best epoch of every run: add selection.rule=best",
    ),
    "an unknown option": ({"train.epochs:": "train.epoch:"}, "multidigits chosen: train.epoch: no such key"),
    "a wrong value": ({"[1, 2]": "[1, two]"}, "multidigits chosen: train.epochs=two"),
}


@pytest.mark.parametrize(("changes", "words"), WRONG.values(), ids=WRONG)
def test_what_cannot_be_chosen_is_said_before_anything_runs(
    changes, words, folder, environment, monkeypatch, capsys
):
    monkeypatch.chdir(folder)
    monkeypatch.setenv("MLBENCH_CACHE", environment["MLBENCH_CACHE"])
    text = GRID
    for old, new in changes.items():
        assert old in text
        text = text.replace(old, new)
    (folder / "grid.yaml").write_text(text)
    assert main(["table=grid.yaml"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"mlbench: table=grid.yaml: {words}")
    assert not records(folder / "outputs")


def test_points_are_composed_as_runs_by_hand_are():
    overrides = ["method=flem", "dataset=scene"]
    points = [[f"method.w_ld={a}", f"train.optimizer.lr={b}"] for a in (0.1, 1) for b in (1e-5, 0.5)]
    assert configure_each(overrides, points) == [configure([*overrides, *point]) for point in points]


def test_the_grid_of_a_method_and_data_set_is_trained_as_one(tmp_path, cache, monkeypatch):
    """w_ld and w_le are tensors: of 48 runs as many as a stack takes, then the rest."""
    table, place = spec.read("flem/vector"), ("emotions", "", "flem_d")
    words = [word for word in table.overrides_at(place) if not word.startswith("dataset=")]
    points = configure_each(words, table.points(place))
    groups = grouped(smaller(config, seed, tmp_path, cache) for config in points for seed in range(3))
    assert [len(group) for group in groups] == [32, 16]
    stacks, train = [], many._train
    monkeypatch.setattr(many, "_train", lambda jobs: (stacks.append(jobs), train(jobs))[1])
    ended = experiment.run_all(groups[1])
    assert [len(jobs) for jobs in stacks] == [16]
    assert {record.trained for record, _ in ended} == {""}  # each has the bits that it has alone
    assert len({(record.config["method"]["w_ld"], record.seed) for record, _ in ended}) > 4


# Records that no training made

METRIC = "f1_macro"  # any_config's selection.metric


def made_up(tmp_path, values, choose=("method.k",)):
    """A case of one seed whose runs had these values on the validation part; None: failed; "": not run."""
    table = made_up_spec(axes={"dataset": ["scene"], "method": ["bl"]}, seeds=1)
    runs = []
    for place in range(len(values)):
        run = made_up_run(tmp_path, "scene", f"bl{place}", 0)
        runs.append(type(run)(0, run.config, (*run.overrides, f"method.k={place}"), run.key, run.folder))
    case = Case("scene", "", "bl", tuple(runs), choose=choose)
    for place, (run, value) in enumerate(zip(runs, values)):
        if value is None:
            run.folder.mkdir(parents=True)
            store.fail(run.folder, ValueError("out of range"))
        elif value != "":
            kept = {} if value == "none" else {"best": {"epoch": 1, METRIC: value}}
            config = {"selection": {"metric": METRIC}, "split": {}, "threshold": {"_target_": "a.Fixed"}}
            # On the test part the later run is always the better one.
            finish(
                case,
                run,
                selected=kept,
                config=config,
                metrics={"last": {"hamming_loss": 0.1, "f1_macro": place}},
            )
    return fill("made-up", table, [case])


def chosen(table):
    return {
        choice.options: (choice.equal, choice.without) for choice in table.choices["scene", "", "bl"].values()
    }


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([0.2, 0.5, 0.4], {"method.k=1": (1, 0)}),
        ([0.5, 0.2, 0.5], {"method.k=0": (2, 0)}),
        ([0.5, 0.5 + 1e-12, 0.1], {"method.k=0": (2, 0)}),
        ([None, 0.2, 0.1], {"method.k=1": (1, 1)}),
        (["none", 0.2, float("nan")], {"method.k=1": (1, 2)}),
        (["", 0.2, 0.1], {}),
        ([None, 0.2, ""], {}),
    ],
)
def test_which_is_chosen_and_how_surely(tmp_path, values, expected):
    table = made_up(tmp_path, values)
    assert chosen(table) == expected
    (run,) = [*table.runs(("scene", "", "bl")), None][:1]
    cells = {cell.metric: cell for cell in table.views[0].cells()}
    if expected:
        assert cells["f1_macro"].ours.values == {(0, None): int(run.overrides[-1][-1])}
    else:
        assert run is None and cells["f1_macro"].ours is None


def test_why_none_is_chosen(tmp_path):
    def reason(name, values):
        return next(made_up(tmp_path / name, values).views[0].cells()).reason

    assert "no epoch of any run has f1_macro on the validation part" in reason("a", ["none", "none"])
    assert reason("b", ["", 0.5]) == "not yet"


@given(
    st.lists(st.sampled_from([None, float("nan"), 0.1, 0.25, 0.25 + 1e-13, 1.0]), max_size=7), st.booleans()
)
def test_the_best_come_first_and_equals_as_they_stood(values, low):
    order = best_first(values, low=low)
    assert sorted(order) == [
        place for place, value in enumerate(values) if value is not None and value == value
    ]
    for a, b in itertools.pairwise(order):
        apart = (values[b] - values[a]) * (1 if low else -1)
        assert apart > 1e-9 or (abs(apart) < 1e-9 and a < b)
