"""Files between two fits: what is written is read again, and a foreign file does nothing."""

import os
import random

import numpy as np
import torch

from mlbench.engine.generators import generators, set_generators
from mlbench.engine.saved import read, write
from mlbench.seeding import seed_everything


def drawn():
    return [random.random(), random.gauss(0, 1), *np.random.normal(size=3), *torch.rand(3).tolist()]  # noqa: NPY002


def test_generators_go_on_from_a_file_where_they_stood(tmp_path):
    """After an odd number of normal draws, of which each generator keeps the second of a pair."""
    seed_everything(1)
    drawn()
    write(tmp_path / "state", generators())
    following = drawn()
    seed_everything(2)
    set_generators(read(tmp_path / "state"))
    assert drawn() == following


def test_a_file_under_another_name_is_none(tmp_path, capsys):
    """A finished stage that a person called a checkpoint, a tensor, an older program's."""
    for content in ({"last": {}, "history": []}, torch.ones(2), [1]):
        write(tmp_path / "train.ckpt", content)
        assert read(tmp_path / "train.ckpt", ("epoch", "batch")) is None
        assert "train.ckpt is not what its name says; its stage starts again" in capsys.readouterr().err
        assert not (tmp_path / "train.ckpt").exists()


class Calls:
    """Pickled, it makes a folder when it is read."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


def test_what_a_foreign_file_asks_to_be_called_is_not(tmp_path, capsys):
    for content in (Calls(tmp_path / "called"), {"last": {"weight": Calls(tmp_path / "called")}}):
        torch.save(content, tmp_path / "train.pt")
        assert read(tmp_path / "train.pt") is None and not (tmp_path / "train.pt").exists()
        assert "train.pt is damaged" in capsys.readouterr().err
        assert not (tmp_path / "called").exists()
