"""Published splits: what they say, the same whenever they are made, of one label matrix alone."""

import json
import os

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlbench.board.splits import write_splits
from mlbench.data import published
from mlbench.data.published import FOLDS, PARTS, Published, checksum, made, packed, unpacked
from mlbench.data.splits import divided
from mlbench.errors import UserError

SHIPPED = sorted(published.folder().glob("*.json"))


def of(path, fold=0):
    return Published(dataset=None, path=str(path), folds=FOLDS, fold=fold)


def targets_of(rows, seed=0):
    return (np.random.default_rng(seed).random((rows, 4)) < [0.5, 0.3, 0.1, 0.05]).astype(np.uint8)


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "own.json"
    path.write_text(json.dumps(made("own", targets_of(90))))
    return path


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_shipped_folds_part_the_rows(path):
    kept = published.read(path)
    number = unpacked(kept["parts"], FOLDS)
    assert number.shape == (FOLDS, kept["instances"]) and number.max() < len(PARTS)
    assert ((number == PARTS.index("test")).sum(0) == 1).all()  # every row is tested once
    for fold in number:
        train, validation, test = np.bincount(fold)
        assert abs(test - kept["instances"] / FOLDS) < 1
        assert validation == (train + validation) // 5


@pytest.mark.real
@pytest.mark.skipif(not os.environ.get("MLBENCH_DATA"), reason="MLBENCH_DATA names no folder with data")
@pytest.mark.parametrize("name", ["emotions", "birds"])
def test_shipped_files_come_out_the_same(name, tmp_path, monkeypatch):
    written = write_splits([f"dataset={name}", f"paths.cache={tmp_path}"], tmp_path / "again.json")
    assert written.read_bytes() == (published.folder() / f"{name}.json").read_bytes()


@given(st.integers(1, 60), st.integers(0, 2**32 - 1))
def test_packing_loses_nothing(rows, seed):
    number = np.random.default_rng(seed).integers(0, 3, (FOLDS, rows)).astype(np.uint8)
    kept = {"parts": published.base64.b64encode(packed(number)).decode()}
    assert (unpacked(kept["parts"], FOLDS) == number).all()


def test_the_seed_of_a_run_has_no_say_and_the_folds_differ(file):
    one, other = (divided(of(file), targets_of(90), None, seed) for seed in (0, 7))
    assert all((one[part] == other[part]).all() for part in PARTS)
    tested = [divided(of(file, fold), targets_of(90), None, 0)["test"] for fold in range(FOLDS)]
    assert sorted(np.concatenate(tested).tolist()) == [*range(90)]


def test_other_labels_are_refused_in_a_sentence(file):
    changed = targets_of(90)
    changed[3, 2] ^= 1
    for targets in (changed, targets_of(91), targets_of(90)[::-1]):
        with pytest.raises(
            UserError, match=r"own.json is of 90 rows whose labels have the SHA-256 .* choose split=kfold"
        ):
            of(file)(targets, None, 0)
    assert len({checksum(np.zeros(shape)) for shape in [(4, 6), (6, 4), (3, 8)]}) == 3


@pytest.mark.parametrize(
    "damage",
    [
        lambda text: text[:40],
        lambda text: "[]",
        lambda text: text.replace('"instances": 90', '"instances": 91'),
        lambda text: json.dumps(json.loads(text) | {"parts": "AAAA"}),
    ],
)
def test_a_damaged_file_is_refused(file, damage):
    file.write_text(damage(file.read_text()))
    with pytest.raises(UserError, match="is no whole index file of a published split"):
        of(file)(targets_of(90), None, 0)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"dataset": "emotion"}, "did you mean emotions"),
        ({"dataset": None}, "none is published for this data set"),
        ({"path": "nowhere.json"}, "split.path=nowhere.json: there is no such file"),
    ],
)
def test_what_is_not_published_is_answered(given, said):
    with pytest.raises(UserError, match=said):
        Published(**{"dataset": None, "path": None, "folds": FOLDS, "fold": 0} | given)(
            targets_of(9), None, 0
        )


@pytest.mark.parametrize("wrong", [{"fold": 5}, {"fold": -1}, {"folds": 10}])
def test_there_are_five_folds(wrong):
    with pytest.raises(UserError, match=r"split\.fold"):
        Published(**{"dataset": "emotions", "path": None, "folds": FOLDS, "fold": 0} | wrong)
