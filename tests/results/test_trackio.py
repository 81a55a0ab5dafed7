"""trackio, whose module a small one stands in for: it is told what W&B is told, and it stops no run."""

import sys
import types

import pytest

from mlbench.assemble import assemble
from mlbench.compose import configure
from mlbench.errors import UserError
from mlbench.results import told
from mlbench.results.tracking import Trackio
from trackers import KEY, ROWS, Recorder, begun, recorded


class Box(types.ModuleType):
    """Stands in for the module trackio."""

    def __init__(self, *failing, there=0):
        super().__init__("trackio")
        self.failing, self.there, self.made = failing, there, []

    def init(self, **how):
        print("* Trackio says hello")
        run = Recorder(*self.failing)
        run.attempt("init")
        run.inits.append(how)
        run._next_step = self.there
        self.made.append(run)
        return run

    def Table(self, columns, data):
        return [dict(zip(columns, row, strict=True)) for row in data]


def boxed(monkeypatch, *failing, group=None, there=0):
    monkeypatch.setitem(sys.modules, "trackio", box := Box(*failing, there=there))
    return Trackio(project="p", group=group, space=None), box


def test_trackio_is_told_the_same(monkeypatch, tmp_path, capsys):
    tracker, box = boxed(monkeypatch)
    tracker.start(begun(tmp_path, seed=0))
    tracker.log("train", ROWS[:2])
    tracker.log("train", ROWS)
    path = recorded(tmp_path)
    tracker.finish(path)
    (run,) = box.made
    (how,) = run.inits
    assert (how["project"], how["group"], how["resume"]) == ("p", "0123", "allow")
    assert how["name"] == f"multidigits/erm/0/{KEY}" and how["space_id"] is None
    assert how["config"] == {"seed": 0, "key": KEY, "job_type": "erm"}
    *rows, (_, last) = run.logged
    assert rows == [(n, {"train/epoch": n + 1, "train/loss": row["loss"]}) for n, row in enumerate(ROWS)]
    summary, sheets = told.told(path)
    assert summary.items() <= last.items() and last["labels"][0]["label"] == "calm"
    assert [row["recall"] for row in last["curves"]] == [row[0] for row in sheets["curves"].rows]
    named = {"name": f"record-{tmp_path.name}", "type": "record"}
    assert run.artifacts == [(str(path), named)] and run.calls[-1] == "finish"
    assert capsys.readouterr().out == "", "the standard output is the run's own"


def test_trackio_is_not_told_again_what_it_has(monkeypatch, tmp_path):
    tracker, box = boxed(monkeypatch, there=2, group="mine")
    tracker.start(begun(tmp_path))
    tracker.log("train", ROWS)
    assert [step for step, _ in box.made[0].logged] == [2] and box.made[0].inits[0]["group"] == "mine"


@pytest.mark.parametrize("failing", ["init", "log", "artifact", "finish"])
def test_whatever_trackio_does_the_run_goes_on(failing, monkeypatch, tmp_path, capsys):
    tracker, _ = boxed(monkeypatch, failing)
    tracker.start(begun(tmp_path))
    tracker.log("train", ROWS)
    tracker.finish(recorded(tmp_path))
    tracker.stop()
    said = capsys.readouterr().err
    assert said == f"mlbench: trackio gave up (no {failing}); the run goes on without it\n"


def test_a_run_under_trackio_is_the_same(experiment, record, monkeypatch):
    monkeypatch.setitem(sys.modules, "trackio", box := Box())
    mirrored, _ = experiment("logger=trackio", "logger.project=mine")
    assert mirrored.key == record.key and mirrored.per_label == record.per_label
    (run,) = box.made
    assert run.inits[0]["project"] == "mine" and run.calls[-1] == "finish"


def test_without_trackio_its_choice_is_refused_in_one_sentence(monkeypatch):
    monkeypatch.setitem(sys.modules, "trackio", None)
    with pytest.raises(
        UserError, match=r"^logger=trackio: trackio cannot be imported \(.*\); pip install 'multi"
    ):
        assemble(configure(["logger=trackio"]))
