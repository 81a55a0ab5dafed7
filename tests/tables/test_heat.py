"""Heat maps of the report: found where two numbers vary and nothing else does, and written as CSV too."""

import csv
import itertools
import json

import pytest

from made_up import made_up_record
from mlbench.commands.report import main
from mlbench.tables.report import content

SLOPES, OFFSETS = (1.0, 6.0, 11.0), (-0.5, 0.0)


def swept(seed=0, dataset="scene", mean=0.5, fold=None, **loss):
    """A record of a sweep over options of the loss."""
    metrics = {"last": {"f1_macro": mean, "hamming_loss": 1 - mean}}
    record = made_up_record("a", dataset, "erm", seed, metrics=metrics)
    record.config["loss"] = {"_target_": "a.loss", "on": "logits", "beta": None} | loss
    record.config["split"] = {"test": 0.3, "fold": fold}
    return record


def drawn(*records):
    return content({f"{number}/record.json": record for number, record in enumerate(records)})


def grid(**more):
    return [
        swept(seed, slope=slope, offset=offset, mean=(slope - offset) / 20, **more)
        for slope, offset, seed in itertools.product(SLOPES, OFFSETS, (0, 1))
    ]


def means(data, found):
    """Row by row, of the first metric: None where there is no run."""
    values = {run["group"]: run["values"][0] for run in data["runs"]}
    return [[values.get(place) for place in row] for row in found["groups"]]


def test_two_numbers_that_vary_are_a_grid_with_more_values_across():
    data = drawn(*reversed(grid()))
    (found,) = data["grids"]
    assert (found["across"], found["down"], found["more"]) == ("loss.slope", "loss.offset", "")
    assert (found["columns"], found["rows"]) == (list(SLOPES), list(OFFSETS))
    expected = [[(slope - offset) / 20 for slope in SLOPES] for offset in OFFSETS]
    assert means(data, found) == [pytest.approx(row) for row in expected]
    assert len(data["runs"]) == 12 and len(data["groups"]) == 6


def test_a_run_that_is_missing_leaves_a_hole():
    (found,) = drawn(*grid()[1:])["grids"]  # the other seed is there
    assert None not in itertools.chain(*found["groups"])
    (found,) = drawn(*grid()[2:])["grids"]
    assert [[place is None for place in row] for row in found["groups"]] == [
        [True, False, False],
        [False] * 3,
    ]


def points(*pairs, **more):
    return [swept(slope=slope, offset=offset, **more) for slope, offset in pairs]


@pytest.mark.parametrize(
    "records",
    [
        points((1, 1), (2, 2), (3, 3)),  # taken at random: a third of the pairs
        points((1, 1), (2, 1), (3, 1)),  # one number
        [*points((1, 1), (1, 2)), *points((2, 1), (2, 2), on="probabilities")],
        [*points((1, 1), (1, 2)), *points((2, 1), (2, 2), dataset="yeast")],
        [swept(fold=fold, slope=slope) for fold in (0, 1) for slope in (1, 2)],
        [swept(slope=slope, offset=offset) for slope in (1, 2) for offset in (0.5, None)],
    ],
    ids=["random", "one", "on", "dataset", "fold", "null"],
)
def test_what_is_no_grid_is_not_drawn(records):
    assert drawn(*records)["grids"] == []


def test_every_data_set_and_every_setting_of_the_rest_has_its_own():
    data = drawn(*grid(), *grid(dataset="yeast"), *grid(on="probabilities"))
    datasets = [data["groups"][found["groups"][0][0]]["dataset"] for found in data["grids"]]
    assert datasets == ["scene", "yeast", "scene"]
    assert [found["more"] for found in data["grids"]] == ["loss.on=logits", "", "loss.on=probabilities"]


def test_of_three_numbers_every_two_are_a_grid_for_each_value_of_the_third():
    three = itertools.product((1, 2, 3), (0.1, 0.2), (5, 6))
    data = drawn(*(swept(slope=slope, offset=offset, size=size) for slope, offset, size in three))
    axes = [(found["across"], found["down"]) for found in data["grids"]]
    slope, offset, size = "loss.slope", "loss.offset", "loss.size"
    assert axes == [(slope, offset)] * 2 + [(slope, size)] * 2 + [(offset, size)] * 3
    assert "loss.size=5" in data["grids"][0]["more"] and "loss.size=6" in data["grids"][1]["more"]
    for found in data["grids"]:
        assert found["across"] not in found["more"] and found["down"] not in found["more"]


@pytest.fixture
def outputs(tmp_path):
    for number, record in enumerate(grid()):
        path = tmp_path / "scene" / "erm" / f"{number:016x}" / "record.json"
        path.parent.mkdir(parents=True)
        record.write(path)
    return tmp_path


def test_the_csv_has_every_cell_with_every_metric(outputs, capsys):
    assert main([f"paths.outputs={outputs}"]) == 0
    assert capsys.readouterr().out == f"{outputs}/report.html\n{outputs}/report-heat.csv\n"
    with (outputs / "report-heat.csv").open(newline="") as file:
        lines = list(csv.DictReader(file))
    pairs = [(float(line["across_value"]), float(line["down_value"])) for line in lines]
    assert pairs == [(slope, offset) for offset in OFFSETS for slope in SLOPES]
    for line, (slope, offset) in zip(lines, pairs):
        assert (line["map"], line["dataset"], line["across"], line["seeds"]) == (
            "1",
            "scene",
            "loss.slope",
            "2",
        )
        assert float(line["f1_macro"]) == pytest.approx((slope - offset) / 20)
        assert float(line["hamming_loss"]) == pytest.approx(1 - (slope - offset) / 20)


def test_the_csv_of_runs_that_are_gone_goes_too(outputs, capsys):
    assert main([f"paths.outputs={outputs}"]) == 0
    for path in sorted(outputs.glob("*/*/*/record.json"))[2:]:
        path.unlink()
    assert main([f"paths.outputs={outputs}"]) == 0
    assert capsys.readouterr().out.endswith(f"heat.csv\n{outputs}/report.html\n")
    assert not (outputs / "report-heat.csv").exists()


def test_seeds_on_which_a_metric_is_undefined_are_left_out_of_its_mean(outputs):
    for path in outputs.glob("*/*/*/record.json"):
        record = json.loads(path.read_text())
        if record["seed"] == 0:
            record["metrics"]["last"]["f1_macro"] = None
            path.write_text(json.dumps(record))
    assert main([f"paths.outputs={outputs}"]) == 0
    with (outputs / "report-heat.csv").open(newline="") as file:
        first = next(csv.DictReader(file))
    assert float(first["f1_macro"]) == pytest.approx(0.075) and first["seeds"] == "2"


def test_help_says_how_to_get_one(capsys):
    assert main(["--help"]) == 0
    said = capsys.readouterr().out
    assert "heat map" in said and "report-heat.csv" in said and "run.py -m loss=sigmoid_f1" in said
