"""Weights & Biases: what is sent there, that a resumed run is the same, that it stops no run."""

import json
import socket
import struct
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import precision_recall_curve

from mlbench.assemble import assemble
from mlbench.compose import configure
from mlbench.errors import UserError
from mlbench.results import repeats, told, tracking
from mlbench.results.tracking import WandB
from trackers import KEY, ROWS, Recorder, begun, recorded


def tracker_on(monkeypatch, *failing, mode="offline"):
    wandb = Recorder(*failing)
    monkeypatch.setitem(sys.modules, "wandb", wandb)
    return WandB(project="p", entity=None, group=None, tags=["t"], mode=mode), wandb


def test_a_run_is_known_by_its_key(monkeypatch, tmp_path):
    tracker, wandb = tracker_on(monkeypatch)
    tracker.start(begun(tmp_path, seed=0))
    (init,) = wandb.inits
    assert (init["id"], init["resume"], init["name"]) == (KEY, "allow", "multidigits/erm/0")
    assert (init["project"], init["group"], init["job_type"], init["tags"]) == ("p", "0123", "erm", ["t"])
    assert (init["config"], init["dir"], init["mode"]) == ({"seed": 0}, tmp_path, "offline")


def test_rows_are_sent_once_and_numbered_through_all_stages(monkeypatch, tmp_path):
    tracker, wandb = tracker_on(monkeypatch)
    tracker.start(begun(tmp_path))
    tracker.log("teacher", ROWS[:2])
    tracker.log("teacher", ROWS)
    tracker.log("student", ROWS[:1])
    tracker.log("student", ROWS[:2])
    assert [step for step, _ in wandb.logged] == [0, 1, 2, 3, 4]
    assert wandb.logged[2][1] == {"teacher/epoch": 3, "teacher/loss": 0.125}
    assert wandb.logged[4][1] == {"student/epoch": 2, "student/loss": 0.25}


def test_a_resumed_run_numbers_its_rows_as_before(monkeypatch, tmp_path):
    """So that W&B, which takes no row older than its last, has each of them once."""
    tracker, before = tracker_on(monkeypatch)
    tracker.start(begun(tmp_path))
    tracker.log("train", ROWS[:2])
    tracker, after = tracker_on(monkeypatch)
    tracker.start(begun(tmp_path))
    tracker.log("train", ROWS)
    assert after.inits == before.inits and after.inits[0]["resume"] == "allow"
    assert after.logged[:2] == before.logged and len(after.logged) == 3


def test_a_group_that_is_given_counts(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "wandb", wandb := Recorder())
    WandB(project="p", entity=None, group="mine", tags=[], mode="offline").start(begun(tmp_path))
    assert wandb.inits[0]["group"] == "mine"


def test_a_finished_run_has_its_metrics_and_its_record(monkeypatch, tmp_path):
    tracker, wandb = tracker_on(monkeypatch)
    tracker.start(begun(tmp_path))
    metrics = {"last": {"f1_macro": 0.5}, "best": {"f1_macro": 0.75}}
    selected = {"best": {"epoch": 7, "f1_macro": 0.875}}
    path = recorded(
        tmp_path, metrics=metrics, selected=selected, thresholds={"last": 0.5, "best": [0.1, 0.2]}
    )
    tracker.finish(path)
    assert wandb.summary == {
        **{"test/last/f1_macro": 0.5, "test/best/f1_macro": 0.75},
        **{"selected/best/epoch": 7, "selected/best/f1_macro": 0.875, "cut/last": 0.5},
        **{"data/all": "0123456789abcdef", "seconds/train": 2.0, "seconds/scoring": 0.5},
        "peak_memory_bytes": 300 * 2**20,
    }
    named, (kept, _) = wandb.artifacts
    assert named == (f"record-{KEY}", "record") and kept == str(path)
    assert wandb.calls[-2:] == ["artifact", "finish"] and wandb.exits == [0]


@pytest.mark.parametrize("cuts, column", [(0.5, [0.5, 0.5]), ([0.25, 0.75], [0.25, 0.75]), (None, None)])
def test_labels_are_a_table(cuts, column, monkeypatch, tmp_path):
    tracker, wandb = tracker_on(monkeypatch)
    tracker.start(begun(tmp_path))
    tracker.finish(recorded(tmp_path, thresholds={"last": cuts}))
    ((step, shown),) = wandb.logged
    assert step is None
    calm = {"label": "calm", "positives": 10, "AP": 0.5, "AUC": 0.5, "F1": 0.5}
    loud = {"label": "loud", "positives": 3, "AP": 0.5, "AUC": 0.5, "F1": 0.25}
    rows = [calm, loud]
    if column:
        rows = [row | {"cut": cut} for row, cut in zip(rows, column)]
    assert shown["labels"] == rows


def test_curves_are_those_of_the_best_and_worst_labels(monkeypatch, tmp_path):
    """Worked out by hand; equal scores are one point."""
    tracker, wandb = tracker_on(monkeypatch)
    tracker.start(begun(tmp_path))
    tracker.finish(recorded(tmp_path))
    kind, points, *axes = wandb.logged[0][1]["curves"]
    assert (kind, axes) == ("line", ["recall", "precision", "label"])
    calm = [(0.5, 1), (0.5, 0.5), (1, 0.5)]
    loud = [(0, 0), (0, 0), (1, pytest.approx(1 / 3)), (1, 0.25)]
    found = [(row["label"], row["recall"], row["precision"]) for row in points]
    assert found == [("calm", *point) for point in calm] + [("loud", *point) for point in loud]


@given(st.integers(0, 2**32 - 1))
def test_a_curve_is_scikit_learns(seed):
    rng = np.random.default_rng(seed)
    rows = rng.integers(1, 60)
    scores, targets = rng.integers(0, 9, rows) / 8, rng.random(rows) < 0.4
    targets[0] = True
    recall, precision = told.curve(scores, targets)
    wanted_precision, wanted_recall, _ = precision_recall_curve(targets, scores)
    np.testing.assert_allclose(recall, wanted_recall[::-1][1:])
    np.testing.assert_allclose(precision, wanted_precision[::-1][1:])


def test_a_curve_has_few_points_and_keeps_its_ends():
    rng = np.random.default_rng(0)
    scores, targets = rng.random(5000), rng.random(5000) < 0.1
    recall, precision = told.curve(scores, targets)
    assert len(recall) == len(precision) == told.POINTS
    assert recall[-1] == 1 and precision[-1] == targets.mean()


def test_of_many_labels_three_of_each_end_are_drawn(tmp_path):
    count, quality = 9, [0.1, 0.9, 0.5, 0.3, 0.8, 0.2, 0.7, 0.6, 0.4]
    names = [f"label {number}" for number in range(count)]
    per_label = {"label": names, "f1": quality, "ap": quality, "auc": quality, "support": [1] * count}
    path = recorded(tmp_path, per_label=per_label)
    targets = np.ones((4, count))
    targets[:, 1] = 0  # nothing to recall
    np.savez(tmp_path / "scores.npz", last=np.full((4, count), 0.5), targets=targets, ids=range(4))
    drawn = {row[2] for row in told.told(path).sheets["curves"].rows}
    assert drawn == {names[label] for label in (4, 6, 7, 3, 5, 0)}


def test_embeddings_that_a_run_keeps_are_a_map(monkeypatch, tmp_path):
    targets = np.array([[1, 0, 1], [1, 0, 0], [0, 0, 1]], np.uint8)
    vectors = np.array([[3, 4], [0, 0], [-3, -4]], np.float32)
    np.savez(
        tmp_path / "embeddings.npz",
        embeddings=vectors,
        ids=[7, 9, 4],
        targets=targets,
        labels=["a", "b", "x"],
    )
    monkeypatch.setattr(told, "LABELS", 2)
    tracker, wandb = tracker_on(monkeypatch)
    tracker.start(begun(tmp_path))
    tracker.finish(recorded(tmp_path))
    ((step, values),) = wandb.logged
    assert step is None and [row["row"] for row in values["embeddings"]] == [7, 9, 4]
    assert [row["x"] for row in values["embeddings"]] == pytest.approx([5, 0, -5])
    assert [row["label x"] for row in values["embeddings"]] == [True, False, True]
    assert values["embeddings"][0].keys() == {"x", "y", "row", "label a", "label x"}, "the most frequent"
    assert wandb.summary and wandb.exits == [0]


def test_a_stopped_run_is_marked_as_failed(monkeypatch, tmp_path):
    tracker, wandb = tracker_on(monkeypatch)
    tracker.stop()  # before it started: nothing to do
    tracker.start(begun(tmp_path))
    tracker.stop()
    assert wandb.exits == [1]


def test_an_unreachable_server_means_offline(monkeypatch, tmp_path, capsys):
    tracker, wandb = tracker_on(monkeypatch, "init online", mode="online")
    tracker.start(begun(tmp_path))
    assert wandb.calls == ["init online", "teardown", "init offline"]
    assert [init["id"] for init in wandb.inits] == [KEY, KEY]
    assert capsys.readouterr().err == "mlbench: W&B gave up (no init online); recording offline\n"
    tracker.log("train", ROWS)
    assert len(wandb.logged) == 3


@pytest.mark.parametrize("failing", ["init offline", "log", "artifact", "finish"])
def test_whatever_fails_the_run_goes_on_without_it(failing, monkeypatch, tmp_path, capsys):
    tracker, wandb = tracker_on(monkeypatch, failing, "teardown")
    tracker.start(begun(tmp_path))
    tracker.log("train", ROWS)
    tracker.finish(recorded(tmp_path))
    tracker.stop()
    said = capsys.readouterr().err
    assert said == f"mlbench: W&B gave up (no {failing}); the run goes on without it\n"
    assert wandb.calls.count(failing) == 1 and wandb.calls[-1] == "teardown"


def test_what_waits_for_a_server_is_bounded(monkeypatch, tmp_path):
    tracker, wandb = tracker_on(monkeypatch, mode="online")
    tracker.start(begun(tmp_path))
    assert wandb.settings["init_timeout"] == tracking.SECONDS_TO_START
    assert wandb.settings["finish_timeout"] == tracking.SECONDS_TO_FINISH


def test_without_wandb_its_choice_is_refused_in_one_sentence(monkeypatch):
    config = configure(["logger=wandb"])
    monkeypatch.setitem(sys.modules, "wandb", None)
    with pytest.raises(
        UserError, match=r"^logger=wandb: wandb cannot be imported \(.*\); .* or logger=local$"
    ):
        assemble(config)


def test_a_group_is_what_the_store_calls_a_result(experiment, monkeypatch):
    monkeypatch.setitem(sys.modules, "wandb", wandb := Recorder())
    made = [experiment("logger=wandb", *words)[0] for words in ([], ["seed=1"], ["threshold.value=0.4"])]
    groups = [init["group"] for init in wandb.inits]
    assert groups == [repeats.result(record) for record in made]
    assert groups[0] == groups[1] != groups[2] and wandb.inits[0]["job_type"] == "prior"


def test_a_run_is_the_same_whatever_its_logger(experiment, record, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "wandb", Recorder("init offline"))
    mirrored, _ = experiment("logger=wandb")
    assert "W&B gave up" in capsys.readouterr().err
    assert mirrored.key == record.key and mirrored.per_label == record.per_label


# The real thing


@pytest.fixture
def real_wandb(monkeypatch, tmp_path):
    """wandb itself, keeping to this test's folder and to what this test says of servers and keys."""
    for name in ("WANDB_MODE", "WANDB_API_KEY", "WANDB_PROJECT", "WANDB_RUN_ID", "WANDB_DISABLED"):
        monkeypatch.delenv(name, raising=False)
    for name in ("DATA", "CACHE", "CONFIG"):
        monkeypatch.setenv(f"WANDB_{name}_DIR", str(tmp_path / "wandb-home"))
    import wandb

    wandb.teardown()  # what an earlier test set up
    yield wandb
    wandb.teardown()


def wandb_records(path):
    """The records of a .wandb file: a header of 7 bytes, then LevelDB's log format in blocks of 32 KiB."""
    from wandb.proto.wandb_internal_pb2 import Record

    data, at, whole = path.read_bytes(), 7, b""
    assert data[:4] == b":W&B"
    while at + 7 <= len(data):
        left = 32768 - at % 32768
        if left < 7:
            at += left
            continue
        _, length, kind = struct.unpack("<IHB", data[at : at + 7])
        whole += data[at + 7 : at + 7 + length]
        at += 7 + length
        if kind in (1, 4):  # in one piece, or the last piece
            record, whole = Record.FromString(whole), b""
            yield getattr(record, record.WhichOneof("record_type"))


def mirrored_in(folder, wandb):
    """What the one offline run below `folder` holds: id, config, history, summary, artefacts."""
    wandb.teardown()  # its service writes in its own time, but no longer than this
    (path,) = folder.rglob("offline-run-*/*.wandb")
    ids, config, history, summary, artifacts = set(), {}, [], {}, []

    def values(items):
        return {"/".join(item.nested_key) or item.key: json.loads(item.value_json) for item in items}

    for record in wandb_records(path):
        match type(record).__name__:
            case "RunRecord":
                ids.add(record.run_id)
                config |= values(record.config.update)
            case "HistoryRecord":
                history.append(values(record.item))
            case "SummaryRecord":
                summary |= values(record.update)
            case "ArtifactRecord":
                artifacts.append((record.name, [entry.local_path for entry in record.manifest.contents]))
    return ids, config, history, summary, artifacts


def test_an_offline_run_holds_all_of_it(experiment, real_wandb, tmp_path, monkeypatch):
    monkeypatch.delenv("WANDB_DATA_DIR")
    record, path = experiment("logger=wandb", "method=erm", "train.epochs=2")
    ids, config, history, summary, artifacts = mirrored_in(path.parent, real_wandb)
    assert ids == {record.key}
    assert config["seed"] == 0 and config["method"] == {"_target_": "mlbench.methods.erm.ERM"}
    rows = [json.loads(line) for line in path.with_name("history.jsonl").read_text().splitlines()]
    assert [row["train/loss"] for row in history] == [row["loss"] for row in rows]
    assert [row["_step"] for row in history] == [0, 1]
    shown = history[-1]
    assert shown["labels/_type"] == "table-file" and shown["labels/nrows"] == 10
    assert shown["curves_table/ncols"] == 3 and summary["seconds/train"] == record.seconds["train"]
    assert summary["data/sha256"] == record.data["sha256"]
    assert summary["test/last/f1_macro"] == record.metrics["last"]["f1_macro"]
    assert artifacts[-1] == (f"record-{record.key}", [str(path)])
    of_tables = [f"run-{record.key}-{name}" for name in ("labels", "curves_table")]
    assert sorted(name for name, _ in artifacts[:-1]) == sorted(of_tables)
    files = [Path(file) for _, each in artifacts for file in each]
    assert files and all(file.is_file() and file.is_relative_to(path.parent) for file in files), (
        "none at home"
    )


def test_a_server_that_is_not_there_does_not_stop_a_run(
    experiment, real_wandb, record, monkeypatch, tmp_path, capsys
):
    with socket.socket() as closed:  # bound, so that nobody else is there, but not listening
        closed.bind(("127.0.0.1", 0))
        monkeypatch.setenv("WANDB_BASE_URL", f"http://127.0.0.1:{closed.getsockname()[1]}")
        monkeypatch.setenv("WANDB_API_KEY", "0" * 40)
        monkeypatch.setattr(tracking, "SECONDS_TO_START", 1)
        mirrored, path = experiment("logger=wandb", "logger.mode=online")
    assert "recording offline" in capsys.readouterr().err
    assert mirrored.key == record.key and path.is_file()
    ids, _, _, summary, artifacts = mirrored_in(path.parent, real_wandb)
    assert ids == {record.key} and artifacts[-1][0] == f"record-{record.key}"
    assert summary["test/last/f1_macro"] == record.metrics["last"]["f1_macro"]
