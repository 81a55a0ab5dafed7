"""What a page draws of a run's findings: arrays of labels by labels, of many labels the frequent ones."""

import json

import numpy as np
import pytest

from made_up import made_up_record
from mlbench.commands.report import main
from mlbench.compose import configure
from mlbench.errors import UserError
from mlbench.experiment import run
from mlbench.tables.matrices import MEANINGS, MOST, matrices


def keep(folder, name, labels, targets, **arrays):
    beside = {"labels": np.array(labels), "targets": targets, "ids": np.arange(len(targets))}
    np.savez(folder / f"{name}.npz", **beside, **arrays)


def test_arrays_of_labels_by_labels_are_found_and_no_others(tmp_path):
    targets = np.ones((5, 2), np.uint8)
    square = np.array([[0.123456, -2.0], [0.0, 1.0]])
    keep(tmp_path, "label_correlations", ["a", "b"], targets, correlations=square)
    keep(tmp_path, "mine", ["a", "b"], targets, mask=square > 0, degrees=np.ones((5, 2)), one=np.ones(2))
    keep(tmp_path, "correlations", ["a", "b"], targets, root=square, correlations=square)
    keep(tmp_path, "broken", ["a", "b"], targets, nan=np.full((2, 2), np.nan))
    keep(tmp_path, "scores", ["a", "b"], targets, last=square)
    keep(tmp_path, "embeddings", ["a", "b"], targets, embeddings=square)
    np.savez(tmp_path / "other.npz", square=square)
    found = {each["name"]: each for each in matrices(tmp_path)}
    assert list(found) == ["correlations: correlations", "label_correlations: correlations", "mine: mask"]
    correlations = found["label_correlations: correlations"]
    assert correlations["labels"] == ["a", "b"] and correlations["of"] == 2
    assert correlations["values"] == [[0.1235, -2.0], [0.0, 1.0]]
    assert correlations["said"] == MEANINGS["label_correlations", "correlations"]
    assert found["mine: mask"]["values"] == [[1.0, 0.0], [0.0, 1.0]]
    assert found["mine: mask"]["said"] == "rows and columns are labels"


def test_an_array_that_may_be_of_instances_is_not_taken_for_one_of_labels(tmp_path):
    keep(tmp_path, "distributions", ["a", "b"], np.ones((2, 2), np.uint8), degrees=np.ones((2, 2)))
    assert matrices(tmp_path) == []


def test_of_many_labels_those_with_the_most_training_rows_in_their_order(tmp_path):
    draws = np.random.default_rng(0)
    targets = (draws.random((60, 174)) < draws.random(174)).astype(np.uint8)
    labels, square = [f"label {number}" for number in range(174)], draws.normal(size=(174, 174))
    keep(tmp_path, "label_interactions", labels, targets, interactions=square)
    (found,) = matrices(tmp_path)
    shown = [labels.index(name) for name in found["labels"]]
    assert len(shown) == MOST and shown == sorted(shown) and found["of"] == 174
    counts = targets.sum(0)
    assert counts[shown].min() >= np.delete(counts, shown).max()
    assert found["values"] == pytest.approx(square[np.ix_(shown, shown)], rel=1e-3)


def test_a_file_that_cannot_be_read_is_one_sentence(tmp_path):
    (tmp_path / "label_correlations.npz").write_bytes(b"half of a file")
    with pytest.raises(UserError, match=r"label_correlations.npz: cannot be read .*; force=true makes"):
        matrices(tmp_path)


def test_the_page_of_all_runs_has_those_of_the_first_run_of_each_result(tmp_path, capsys):
    for method, seed in (("m3la", 0), ("m3la", 1), ("bl", 0), ("cs3g", 0)):
        folder = tmp_path / "scene" / method / f"{seed:016x}"
        folder.mkdir(parents=True)
        made_up_record(f"{seed:016x}", "scene", method, seed).write(folder / "record.json")
        if method == "m3la":
            found = np.full((2, 2), seed + 0.5)
            keep(folder, "label_correlations", ["a", "b"], np.ones((5, 2)), correlations=found)
    (tmp_path / "scene" / "cs3g" / f"{0:016x}" / "label_interactions.npz").write_bytes(b"half of a file")
    assert main([f"paths.outputs={tmp_path}"]) == 0
    assert capsys.readouterr().err.count("label_interactions.npz: cannot be read") == 1
    page = (tmp_path / "report.html").read_text()
    drawn = json.loads(page.partition('id="data">')[2].partition("</script>")[0])
    (one,) = drawn["matrices"]
    assert drawn["groups"][one["group"]]["method"] == "m3la" and one["seed"] == 0
    assert one["values"] == [[0.5, 0.5], [0.5, 0.5]]


@pytest.mark.parametrize("method", ["m3la", "cs3g"])
def test_a_run_leaves_what_is_drawn(method, tmp_path):
    places = [f"paths.outputs={tmp_path}", f"paths.cache={tmp_path}", "train.progress=false"]
    words = [f"method={method}", "dataset=multidigits", "train.epochs=1", *places]
    words += ["method.hidden=4"] if method == "m3la" else []
    record, path = run(configure(words))
    (found,) = matrices(path.parent)
    assert found["said"] in MEANINGS.values() and found["labels"] == record.per_label["label"]
