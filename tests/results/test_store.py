"""The store: runs that are claimed, that fail, that finish, and all of them as one table."""

import json
import math
import os
import subprocess
import sys
import threading
from dataclasses import replace

import pytest
from omegaconf import OmegaConf

from mlbench.errors import UserError
from mlbench.results import store
from mlbench.results.record import Record


@pytest.fixture
def put(record, tmp_path):
    """put(seed=3) writes a record like the one of a run, in a folder of its own."""

    def put(method="prior", outputs=tmp_path, **changes):
        changed = replace(record, choices=record.choices | {"method": method}, **changes)
        run = store.folder(outputs, "multidigits", method, changed.key)
        run.mkdir(parents=True, exist_ok=True)
        changed.write(run / "record.json")
        return run

    return put


@pytest.mark.parametrize(
    "dataset, method",
    [("..", "erm"), ("a/b", "erm"), ("/", "erm"), ("", "erm"), ("a\0b", "erm"), ("a", ".."), ("a", "b/..")],
)
def test_a_run_lies_nowhere_but_below_outputs(tmp_path, dataset, method):
    with pytest.raises(UserError, match="one name, not a path"):
        store.folder(tmp_path, dataset, method, "0123")


@pytest.mark.parametrize("name", ["a b", "[a]=#'b'", "é", "...", ".a", "a:b" if os.name == "posix" else "a"])
def test_any_other_name_is_a_folder(tmp_path, name):
    assert store.folder(tmp_path, name, "erm", "0123") == tmp_path / name / "erm" / "0123"
    store.folder(tmp_path, name, "erm", "0123").mkdir(parents=True)


def test_a_run_without_a_record_is_not_finished(tmp_path, put):
    assert store.finished(tmp_path) is None
    assert store.finished(tmp_path / "nowhere") is None
    assert isinstance(store.finished(put()), Record)


def whole(record_text: str) -> dict:
    return json.loads(record_text)


@pytest.mark.parametrize(
    "damage",
    [
        lambda text: text[: len(text) // 2].encode(),
        lambda text: b"",
        lambda text: b"\x89PNG\xff\xfe",
        lambda text: b"{}",
        lambda text: b"[]",
        lambda text: b"17",
        lambda text: json.dumps(whole(text) | {"metrics": [1, 2]}).encode(),
        lambda text: json.dumps(whole(text) | {"mood": "good"}).encode(),
        lambda text: json.dumps({k: v for k, v in whole(text).items() if k != "seed"}).encode(),
    ],
    ids=["half", "empty", "binary", "object", "list", "number", "shape", "more", "less"],
)
def test_what_is_no_record_is_said_in_one_sentence(damage, put, tmp_path):
    path = put() / "record.json"
    path.write_bytes(damage(path.read_text()))
    for read in (lambda: store.finished(path.parent), lambda: store.records(tmp_path)):
        with pytest.raises(UserError) as error:
            read()
        assert str(error.value).startswith(f"{path} is not a record (")
        assert "running it again sets it aside" in str(error.value) and "\n" not in str(error.value)


def test_what_is_no_record_is_set_aside_to_run_again(put, capsys):
    """And nothing of it is lost, however often that happens."""
    run = put()
    for number in (1, 2):
        (run / "record.json").write_text(f"{{{number}")
        assert not store.whole(run) and store.taken_up(run) is None
        (line,) = capsys.readouterr().err.splitlines()
        assert line.startswith(f"mlbench: {run}/record.json is not a record (")
        assert line.endswith(f"; it is now record.broken-{number}.json, and the run is made again")
        assert (run / f"record.broken-{number}.json").read_text() == f"{{{number}"
        assert not (run / "record.json").exists() and store.taken_up(run) is None
    assert put() == run and store.whole(run) and store.taken_up(run).key == run.name
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("text", ["{", "[1]", "7", '{"type": ["DataMissing"], "reason": null}', "[" * 10**5])
def test_a_note_of_failure_that_is_none_says_nothing_wrong(text, tmp_path):
    (tmp_path / "failed.json").write_text(text)
    assert all(isinstance(words, str) for words in store.failure(tmp_path).values())


# All runs as one table


def test_records_are_a_row_each(put, tmp_path):
    first = {"last": {"f1_macro": 0.5, "auc_macro": math.nan}}
    second = {"last": {"f1_macro": 0.25}, "best": {"f1_macro": 0.75}}
    paths = [
        put(key="a" * 16, seed=0, metrics=first) / "record.json",
        put(key="b" * 16, seed=1, metrics=second, rule="best", method="erm") / "record.json",
    ]
    frame = store.records(tmp_path).set_index("key")
    assert frame.loc["a" * 16, "f1_macro"] == 0.5 and math.isnan(frame.loc["a" * 16, "auc_macro"])
    row = frame.loc["b" * 16]
    assert (row["method"], row["seed"], row["rule"], row["f1_macro"]) == ("erm", 1, "best", 0.75)
    assert set(frame.loc[["a" * 16, "b" * 16], "path"]) == set(paths)
    assert {"dataset", "split", "loss", "threshold"} <= set(frame.columns)


def test_a_failed_run_and_a_stranger_are_no_rows(put, tmp_path):
    run = put()
    failed = store.folder(tmp_path, "multidigits", "prior", "f" * 16)
    failed.mkdir(parents=True)
    store.fail(failed, RuntimeError("no"))
    (tmp_path / "sweeps" / "today").mkdir(parents=True)
    (tmp_path / "sweeps" / "today" / "0.json").write_text("{}")
    assert list(store.records(tmp_path)["path"]) == [run / "record.json"]


def test_no_records_are_an_empty_table(tmp_path):
    assert store.records(tmp_path).empty
    assert store.records(tmp_path / "nowhere").empty


def test_a_thousand_records_are_a_table(put, record, tmp_path):
    text = (put() / "record.json").read_text()
    for seed in range(1000):
        run = store.folder(tmp_path / "many", "multidigits", "prior", f"{seed:016x}")
        run.mkdir(parents=True)
        (run / "record.json").write_text(text.replace('"seed": 0', f'"seed": {seed}'))
    frame = store.records(tmp_path / "many")
    assert sorted(frame["seed"]) == list(range(1000))
    assert (frame["f1_macro"] == record.metrics["last"]["f1_macro"]).all()


# The life of a run


def test_a_failure_is_noted_and_forgotten_once_the_run_is_finished(record, tmp_path):
    try:
        raise ValueError("the loss is nan")
    except ValueError as error:
        store.fail(tmp_path, error)
    note = json.loads((tmp_path / "failed.json").read_text())
    assert (note["reason"], note["type"]) == ("the loss is nan", "ValueError")
    assert note["when"].endswith("+00:00") and "test_store.py" in note["traceback"]
    history = {"train": [{"epoch": 1, "loss": 0.5}, {"epoch": 2, "loss": 0.25}], "count": []}
    store.finish(tmp_path, record, history)
    assert not (tmp_path / "failed.json").exists()
    rows = [json.loads(line) for line in (tmp_path / "history.jsonl").read_text().splitlines()]
    assert rows == [{"stage": "train", "epoch": 1, "loss": 0.5}, {"stage": "train", "epoch": 2, "loss": 0.25}]
    assert store.finished(tmp_path).key == record.key


def test_an_error_without_words_is_noted_by_its_name(tmp_path):
    store.fail(tmp_path, MemoryError())
    assert json.loads((tmp_path / "failed.json").read_text())["reason"] == "MemoryError"


def test_a_failure_that_cannot_be_noted_hides_nothing(tmp_path):
    store.fail(tmp_path / "nowhere", ValueError("what really happened"))


def test_the_configuration_is_kept(record, tmp_path):
    store.begin(tmp_path, record.config)
    assert OmegaConf.to_container(OmegaConf.load(tmp_path / "config.yaml")) == record.config


def test_a_run_that_is_cleared_has_nothing_left_to_pick_up(record, tmp_path):
    (tmp_path / "stages").mkdir()
    (tmp_path / "stages" / "0-train.ckpt").write_text("half of a training")
    store.begin(tmp_path, record.config)
    store.finish(tmp_path, record, {"train": []})
    store.clear(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["config.yaml"]


# One process works on a run


def test_another_claim_waits(tmp_path, capsys):
    inside = threading.Event()

    def work():
        with store.claim(tmp_path):
            inside.set()

    with store.claim(tmp_path):
        other = threading.Thread(target=work)
        other.start()
        while "waiting for another process" not in capsys.readouterr().err:
            assert other.is_alive()
        assert not inside.is_set()
    other.join()
    assert inside.is_set()


def test_a_claim_ends_with_an_error(tmp_path, capsys):
    with pytest.raises(ZeroDivisionError), store.claim(tmp_path):
        raise ZeroDivisionError
    with store.claim(tmp_path):
        pass
    assert capsys.readouterr().err == ""


def test_a_dead_process_holds_nothing(tmp_path, capsys):
    code = (
        "import sys, time, pathlib; from mlbench.results import store\n"
        "with store.claim(pathlib.Path(sys.argv[1])): print('held', flush=True); time.sleep(600)"
    )
    with subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE) as holder:
        assert holder.stdout.readline() == b"held\n"
        holder.kill()
    with store.claim(tmp_path):
        pass
    assert capsys.readouterr().err == ""


def test_a_folder_that_cannot_be_written_is_said_in_one_sentence(tmp_path):
    (tmp_path / "outputs").write_text("a file, not a folder")
    run = store.folder(tmp_path / "outputs", "multidigits", "prior", "a" * 16)
    with pytest.raises(UserError, match=r"^cannot write to .* choose another folder with paths\.outputs="):
        store.claim(run).__enter__()
