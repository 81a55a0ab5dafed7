"""A person edits a method of theirs: the finished run is told to be of other code, until it is run again."""

import json

import pytest

from commands import records

MINE = """\
from mlbench.methods.erm import ERM
from parts import FACTOR


class Mine(ERM):
    def loss(self, batch):
        return FACTOR * super().loss(batch)
"""
CHANGED = "record.json: its code has changed since; force=true runs it again"


@pytest.fixture
def mine(command, folder, environment):
    """mine() runs the method with some words; its record, and what was said on stderr."""
    (folder / "mine.py").write_text(MINE)
    (folder / "parts.py").write_text("FACTOR = 1.0\n")

    def mine(*words):
        words = ["method._target_=mine.Mine", "train.epochs=1", "backbone=linear", *words]
        done = command(*words, PYTHONPATH=f"{folder}:{environment['PYTHONPATH']}")
        assert done.status == 0, done.err
        return json.loads(records(folder / "outputs")[-1].read_text()), done.err

    return mine


def test_an_edited_method_does_not_give_its_old_number_in_silence(mine, folder):
    first, said = mine()
    assert said == "" and len(first["code"]) == 16
    assert mine() == (first, "")
    (folder / "mine.py").write_text(f'"""Words alone."""\n{MINE}')
    assert mine() == (first, "")

    (folder / "parts.py").write_text("FACTOR = 100.0\n")
    record, said = mine()
    (line,) = said.splitlines()
    assert (
        record == first and line.startswith("mlbench: outputs/multidigits/mine/") and line.endswith(CHANGED)
    )
    again, said = mine("force=true")
    assert said == "" and again["code"] != first["code"] and again["key"] == first["key"]
    assert again["metrics"] != first["metrics"]
    assert mine() == (again, "")


def test_an_older_record_says_nothing_of_its_code(mine, folder):
    record, _ = mine()
    del record["code"]
    (path,) = records(folder / "outputs")
    path.write_text(json.dumps(record))
    assert mine() == (record, "")
