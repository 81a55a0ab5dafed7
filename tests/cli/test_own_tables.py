"""A person's own table, named and described on the command line as a shell passes it."""

import html
import json
import shutil

import pytest

from commands import records
from mlbench.commands.reproduce import main as reproduce

WEATHER = "humidity,rain (mm),größe\n" + "".join(f"{row / 7},{row % 2},{row % 3 // 2}\n" for row in range(20))
LABELS = "dataset.labels=[rain (mm),größe]"
NAMES = ["my data [1].csv", "x=1, it's #2.csv", 'so "called" größer.csv']
QUICK = ("dataset=csv", "method=prior")
TABLE = """
title: Mine
axes:
  dataset: {own: [dataset=csv, dataset.path=a.csv, "dataset.labels=[rain (mm)]"]}
  setting: {one: []}
  method: {prior: [method=prior]}
metrics: {f1: {ours: f1_micro}}
seeds: 1
layout: {blocks: setting, rows: method, columns: metric}
decimals: 4
"""


@pytest.fixture
def own(folder):
    """Writes a file below the working directory; its name there."""

    def own(name, content=WEATHER):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return name

    return own


@pytest.mark.parametrize("name", NAMES)
def test_a_path_needs_no_quotes_but_the_shells(name, own, at_once, folder):
    own(f"my [data]/{name}"), own(f"my [data]/test {name}")
    given = [f"dataset.path=my [data]/{name}", f"dataset.test=my [data]/test {name}", "split=official"]
    done = at_once(*QUICK, *given, LABELS, f"paths.outputs=out of {name}", f"paths.cache=kept of {name}")
    assert (done.status, done.err) == (0, "")
    (record,) = records(folder / f"out of {name}")
    assert json.loads(record.read_text())["per_label"]["label"] == ["rain (mm)", "größe"]
    assert (folder / f"kept of {name}").is_dir()


def test_home_is_a_persons_home(own, at_once, folder, monkeypatch):
    monkeypatch.setenv("HOME", str(folder / "at home"))
    own("at home/a.csv")
    done = at_once("-m", *QUICK, "dataset.path=~/a.csv", LABELS, "paths.outputs=~/o [1]", "seed=0,1")
    assert (done.status, done.err) == (0, "")
    assert {path.name for path in folder.iterdir()} == {"at home"}
    assert len(records(folder / "at home" / "o [1]")) == 2


def test_a_sweep_over_files(own, at_once, folder):
    own("a [1].csv"), own("b=2.csv"), own("c,d.csv")
    done = at_once("-m", *QUICK, "dataset.path=a [1].csv,b=2.csv,'c,d.csv'", LABELS, "engine=single")
    assert (done.status, done.err) == (0, "") and "3 of 3 runs finished" in done.out
    assert {record.parts[-4] for record in records(folder / "outputs")} == {"a [1]", "b=2", "c,d"}


def test_teachers_and_the_commands_beside_run_take_such_paths(own, at_once, folder, capfd):
    own("a.csv")
    given = ["dataset=csv", "dataset.path=a.csv", LABELS, "train.epochs=1", "paths.outputs=o [1]"]
    assert at_once(*given).status == 0
    (record,) = records(folder / "o [1]")
    shutil.move(record.parent, folder / "the 1st [é]")
    teachers = "method.teachers.from=[the 1st [é]/model.pt,./the 1st [é]/model.pt]"
    done = at_once("method=tc", *given, teachers, "split=amalgamation", "paper=none")
    assert (done.status, done.err) == (0, "")

    (folder / "my [table].yaml").write_text(TABLE)
    assert reproduce(["table=my [table].yaml", "paths.outputs=o, [it's]"]) == 0
    assert capfd.readouterr().out == "o, [it's]/tables/my [table]\n"
    assert len(records(folder / "o, [it's]")) == 1
    header = (folder / "o, [it's]" / "tables" / "my [table]" / "table.md").read_text()
    assert "| data | own " in header  # by the name on its axis, where the run gives it none
    for name in ("table.md", "table.tex", "table.html"):
        text = html.unescape((folder / "o, [it's]" / "tables" / "my [table]" / name).read_text())
        assert "python scripts/reproduce.py 'table=my [table].yaml'" in text  # as a shell takes it


SIMPLE = "day,humidity,rain,storm,tags\n" + "".join(
    f"{'mtwtfss'[row % 7]},{row / 7},{row % 2},{row % 3 // 2},{'ab'[row % 2]};c\n" for row in range(20)
)


@pytest.mark.parametrize(
    ("given", "labels"),
    [
        ("dataset.labels=rain", ["rain"]),
        ("dataset.labels=[2,3]", ["rain", "storm"]),
        ("dataset.labels=[2,storm]", ["rain", "storm"]),
        ("dataset.label_list=tags", ["a", "b", "c"]),
    ],
)
def test_labels_are_what_was_said(given, labels, own, at_once, folder):
    drop = [] if "tags" in given else ["dataset.drop=tags"]
    done = at_once(*QUICK, f"dataset.path={own('a.csv', SIMPLE)}", given, *drop)
    assert (done.status, done.err) == (0, "")
    (record,) = records(folder / "outputs")
    content = json.loads(record.read_text())
    assert content["per_label"]["label"] == labels
    assert content["metrics"]["last"]["subset_accuracy"] < 1


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (["dataset.labels=tags"], "'tags' holds 'a;c', and a label is 0 or 1: a column that lists labels is"),
        (["dataset.labels=[0,1]"], "line 2: label 'day' is 'm'; a label is 0 or 1, or NO or YES"),
        (
            ["dataset.labels=[2,7]"],
            "no column 7, which dataset.labels names; its 5 columns are counted from 0",
        ),
        (["dataset.labels=[rain,rain]"], "dataset.labels names the column 'rain'"),
        (["dataset.labels=[]"], "the labels are not given: say one of dataset.labels=[one,another]"),
        (["dataset.labels=rain,storm"], "one list is written 'dataset.labels=[rain,storm]'"),
        (["dataset.label_list=rain"], "it is a label, dataset.labels=[rain]"),
        (["dataset.labels=[rain]", "dataset.separator=#"], "no column 'rain', which dataset.labels names"),
        (["dataset.labels=[rain]", "dataset.separator=##"], "dataset.separator=## is not one character"),
    ],
)
def test_labels_that_cannot_be_meant_are_answered_in_one_line(given, said, own, at_once):
    done = at_once(*QUICK, f"dataset.path={own('a.csv', SIMPLE)}", *given)
    assert (done.status, done.out) == (2, "")
    (line,) = done.err.splitlines()
    assert said in line
