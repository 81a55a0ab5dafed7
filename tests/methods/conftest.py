"""What the tests of methods share: the references that stand beside them, and experiments on multidigits."""

import sys
from pathlib import Path

import numpy as np
import pytest

from mlbench.compose import configure
from mlbench.experiment import run

sys.path.append(str(Path(__file__).parent))  # for transfer_reference.py


QUICK = ["method.teachers.epochs=1", "train.epochs=1", "method.teachers.batch_size=64", "train.batch_size=64"]


@pytest.fixture
def amalgamate(tmp_path):
    """amalgamate("method=tc") runs an experiment on multidigits, by default in next to no time."""

    def amalgamate(*overrides, outputs="outputs", quick=True):
        where = [f"paths.outputs={tmp_path / outputs}", f"paths.cache={tmp_path / 'cache'}"]
        record, path = run(configure([*where, *(QUICK if quick else []), *overrides]))
        return record, dict(np.load(path.with_name("scores.npz"))), path

    return amalgamate


@pytest.fixture
def small(tmp_path):
    """Overrides that choose 130 rows to train with."""
    rng = np.random.default_rng(0)
    words = ["dataset=npz", "dataset.name=small", f"paths.cache={tmp_path}/cache"]
    for part, rows in (("path", 130), ("test", 20)):
        x = rng.normal(size=(rows, 7)).astype(np.float32)
        y = (x[:, :4] + rng.normal(size=(rows, 4)) > 0).astype(np.uint8)
        np.savez(tmp_path / f"{part}.npz", features=x, targets=y)
        words.append(f"dataset.{part}={tmp_path}/{part}.npz")
    return words
