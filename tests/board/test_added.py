"""A method of one's own, and another program's predictions, on the committed board, as a person types it."""

import json
import os
from pathlib import Path

import numpy as np
import pytest

from mlbench.assemble import assemble
from mlbench.board import content
from mlbench.commands import score
from mlbench.commands.board import main
from mlbench.compose import configure

pytestmark = pytest.mark.skipif("MLBENCH_DATA" not in os.environ, reason="emotions lies in MLBENCH_DATA")

COMMITTED = content.own_folder()
FOLDS = range(5)


@pytest.fixture(scope="module")
def outputs(tmp_path_factory):
    return tmp_path_factory.mktemp("added")


def add(outputs, *words):
    return main([*words, "datasets=emotions", f"paths.outputs={outputs}"])


@pytest.fixture(scope="module")
def added(outputs):
    """The board with three nearest neighbours on it."""
    assert add(outputs, "add=mine", "method=mlknn", "method.k=3") == 0
    return content.read(outputs / "board" / "mine")


def records_of(outputs, method):
    paths = sorted((outputs / "emotions" / method).glob("*/record.json"))
    return [json.loads(path.read_text()) for path in paths]


def test_the_board_is_as_before_but_for_the_method(added):
    before = content.read(COMMITTED)
    others = added.records[added.records["method"] != "mine"]
    names = ["dataset", "method", "variant", "split", "key", "state", "f1_macro", "brier"]
    expected = before.records[names].reset_index(drop=True)
    assert others[names].reset_index(drop=True).equals(expected)
    ours = (added.pairs["first"] == "mine") | (added.pairs["second"] == "mine")
    assert added.pairs[~ours].reset_index(drop=True).equals(before.pairs)
    assert set(added.methods) - set(before.methods) == {"mine"}


def test_its_place_is_counted_among_the_defaults(added, outputs, capsys):
    assert add(outputs, "add=mine", "method=mlknn", "method.k=3", "metric=hamming_loss") == 0
    printed = capsys.readouterr().out.splitlines()
    mine = np.mean([record["metrics"]["last"]["hamming_loss"] for record in records_of(outputs, "mlknn")])
    before = content.read(COMMITTED).records
    rows = before[(before["dataset"] == "emotions") & (before["variant"] == "default")]
    means = [
        values.mean()
        for _, values in rows[rows["state"] == "finished"].groupby("method")["hamming_loss"]
        if len(values) == len(FOLDS)
    ]
    place = 1 + sum(value < mine for value in means)
    expected = ["emotions", f"{mine:.4f}", f"{place}", "of", f"{len(means) + 1}", f"{min(means):.4f}"]
    assert printed[1].split()[:-1] == expected
    assert "no rating: it takes three data sets" in printed
    page = Path(printed[-1])
    assert page.name == "method-mine.html" and "<h1>mine" in page.read_text()


def test_it_is_compared_with_binary_relevance_on_the_same_rows(added):
    pairs = added.pairs
    found = pairs[(pairs["first"] == "br") & (pairs["second"] == "mine")].set_index("metric")
    rows = added.records[(added.records["dataset"] == "emotions") & (added.records["state"] == "finished")]
    means = rows.groupby("method")["hamming_loss"].mean()  # over folds of 118 and 119 rows, not over rows
    line = found.loc["hamming_loss"]
    assert line["difference"] == pytest.approx(means["br"] - means["mine"], abs=1e-3)
    assert line["low"] <= line["difference"] <= line["high"]


def keep(outputs, folder, fold, scores, with_validation=True):
    """Keeps another program's scores of a fold, as `theirs`."""
    config = configure(["dataset=emotions", "split=published", f"split.fold={fold}"])
    pieces = assemble(config)
    loaded = pieces.dataset.load(config.paths.cache)
    rows = pieces.split(loaded.instances.targets, loaded.official, 0)
    words = []
    for part, key in (("test", None), ("validation", "fit")):
        path = folder / f"{part}{fold}.npz"
        given = scores(loaded.instances.targets[rows[part]])
        np.savez(path, ids=rows[part], labels=np.array(loaded.instances.labels), scores=given)
        words.append(str(path) if key is None else f"{key}={path}")
    words += ["dataset=emotions", "split=published", f"split.fold={fold}", "threshold=cardinality_beside"]
    assert score.main([*words, "as=theirs", f"paths.outputs={outputs}", "intervals=2"]) == 0


def test_another_programs_predictions_stand_on_the_board(outputs, tmp_path, capsys):
    """Scores that are the truth: the first place, and no error."""
    for fold in FOLDS:
        keep(outputs, tmp_path, fold, lambda targets: np.where(targets > 0, 0.9, 0.1))
    capsys.readouterr()
    assert add(outputs, "add=perfect", "as=theirs", "metric=hamming_loss") == 0
    name, value, place, *_ = capsys.readouterr().out.splitlines()[1].split()
    assert (name, value, place) == ("emotions", "0.0000", "1")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["add=br", "method=mlknn"], "add=br: a method of mlbench is called so"),
        (["add=linear_bce", "method=mlknn"], "add=linear_bce: "),
        (["add=a/b", "method=mlknn"], "give one word"),
        (["add=other", "as=nobody"], "no predictions are kept as nobody; `python scripts/score.py SCORES"),
    ],
)
def test_a_wrong_word_is_a_line(words, said, outputs, capsys):
    assert add(outputs, *words) == 2
    printed = capsys.readouterr()
    assert said in printed.err and printed.err.rstrip("\n").count("\n") == 0 and not printed.out
    assert not (outputs / "board" / words[0].removeprefix("add=")).exists()
