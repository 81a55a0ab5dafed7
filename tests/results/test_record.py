"""The record: what was measured comes back as it was, and the file is whole or not there."""

import json
import math
import os
import subprocess
from dataclasses import asdict, replace

import pytest

from mlbench.results import record as records
from mlbench.results.record import Record, revision, write_json


def test_a_record_comes_back_as_it_was_written(record, tmp_path):
    path = tmp_path / "record.json"
    record.write(path)
    again = Record.read(path)
    assert repr(again) == repr(record)  # NaN is not equal to itself, but is written alike
    assert again.metrics["last"].keys() == record.metrics["last"].keys()


def test_what_is_undefined_comes_back_as_nan(record, tmp_path):
    path = tmp_path / "record.json"
    undefined = {"last": {"f1_macro": 0.5, "auc_macro": math.nan}}
    by_label = {"label": ["a", "b"], "support": [3.0, 0.0], "auc": [0.5, math.nan]}
    replace(record, metrics=undefined, per_label=by_label).write(path)
    again = Record.read(path)
    assert math.isnan(again.metrics["last"]["auc_macro"]) and again.metrics["last"]["f1_macro"] == 0.5
    assert again.per_label["label"] == ["a", "b"] and again.per_label["support"] == [3.0, 0.0]
    assert again.per_label["auc"][0] == 0.5 and math.isnan(again.per_label["auc"][1])


def test_the_file_is_json_for_every_reader(record, tmp_path):
    """NaN and Infinity are no JSON, though Python writes and reads them."""
    path = tmp_path / "record.json"
    replace(record, metrics={"last": {"a": math.nan, "b": math.inf}}).write(path)

    def refuse(word):
        raise AssertionError(word)

    content = json.loads(path.read_text(), parse_constant=refuse)
    assert content["metrics"] == {"last": {"a": None, "b": None}}


def test_it_says_what_the_run_was(record, finished_run):
    content = json.loads(finished_run[1].read_text())
    assert content.keys() == asdict(record).keys()
    assert len(record.key) == 16 and finished_run[1].parent.name == record.key
    assert (record.choices["method"], record.choices["dataset"]) == ("prior", "multidigits")
    assert record.parts == {"train": 1600, "test": 800}
    assert record.data["statistics"]["instances"] == 2400 and len(record.data["sha256"]) == 64
    assert record.config["seed"] == record.seed == 0
    assert {"python", "torch", "numpy", "mlbench"} <= set(record.versions)
    assert record.peak_memory_bytes > 1e7 and record.started <= record.finished
    assert all(seconds >= 0 for seconds in record.seconds.values()) and "scoring" in record.seconds
    assert len(record.per_label["label"]) == len(record.per_label["f1"]) == 10


def test_a_write_that_fails_leaves_what_was_there(tmp_path, monkeypatch):
    path = tmp_path / "record.json"
    write_json(path, {"old": 1})

    def run_out_of_space(_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", run_out_of_space)
    with pytest.raises(OSError, match="No space left"):
        write_json(path, {"new": 2})
    assert json.loads(path.read_text()) == {"old": 1}
    assert list(tmp_path.iterdir()) == [path]


@pytest.fixture
def checkout(tmp_path, monkeypatch):
    """A repository with the package in it, which `revision` takes for its own."""
    package = tmp_path / "src" / "mlbench"
    (package / "results").mkdir(parents=True)
    (tmp_path / "conf").mkdir()
    for path in (
        package / "results" / "record.py",
        package / "compose.py",
        tmp_path / "conf" / "config.yaml",
    ):
        path.write_text("# as committed\n")
    own = ["-c", "user.name=a", "-c", "user.email=a@b.c", "-c", "commit.gpgsign=false"]
    for arguments in (["init", "-q"], ["add", "."], [*own, "commit", "-q", "-m", "first"]):
        subprocess.run(["git", "-C", str(tmp_path), *arguments], check=True)
    monkeypatch.setattr(records, "__file__", str(package / "results" / "record.py"))
    return tmp_path


def test_the_revision_is_the_commit_and_whether_the_code_was_changed(checkout):
    command = ["git", "-C", str(checkout), "rev-parse", "HEAD"]
    commit = subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    (checkout / "notes.txt").write_text("not code")
    assert revision() == commit
    for changed in ("src/mlbench/compose.py", "conf/config.yaml"):
        (checkout / changed).write_text("# changed\n")
        assert revision() == f"{commit}+"
        (checkout / changed).write_text("# as committed\n")
    (checkout / "conf" / "new.yaml").write_text("# new\n")
    assert revision() == f"{commit}+"


def test_an_installed_package_has_no_revision(checkout, tmp_path_factory, monkeypatch):
    inside = checkout / "venv" / "mlbench" / "results"
    outside = tmp_path_factory.mktemp("site-packages") / "mlbench" / "results"
    for folder in (inside, outside):
        folder.mkdir(parents=True)
        (folder / "record.py").write_text("# installed\n")
        monkeypatch.setattr(records, "__file__", str(folder / "record.py"))
        assert revision() is None
