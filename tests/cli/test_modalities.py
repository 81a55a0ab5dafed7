"""Some modalities alone, as a person types it."""

import io
import json

import numpy as np
import pandas as pd
import pytest

from commands import records
from mlbench.compose import choices, configure
from mlbench.config import target

OWN = ["dataset=csv", "dataset.path=train.csv", "dataset.test=test.csv", "dataset.labels=[rain,snow]"]
OWN += ["dataset.modalities={sky:[0,1],soil:[2,2]}", "dataset.scaling=zscore", "split=official"]
QUICK = ["train.epochs=3", "train.progress=false"]


@pytest.fixture
def weather(folder):
    random = np.random.default_rng(0)
    table = pd.DataFrame(random.normal(size=(40, 3)).round(4), columns=["cloud", "wind", "wet"])
    table["rain"] = (table.cloud + table.wet > 0).astype(int)
    table["snow"] = (table.wind > 0).astype(int)
    table[:30].to_csv(folder / "train.csv", index=False)
    table[30:].to_csv(folder / "test.csv", index=False)
    return table


def test_a_run_on_one_modality_is_one_on_its_columns_and_predicts_from_these(at_once, start, folder, weather):
    done = at_once(*OWN, "dataset.use=[sky]", *QUICK)
    assert done.status == 0, done
    used = folder / done.out.split()[-1]
    record = json.loads(used.read_text())
    assert record["data"]["use"] == ["sky"] and record["data"]["statistics"]["features"] == 2
    columns = ["dataset.drop=[wet]", "dataset.modalities=null"]
    done = at_once(*[word for word in OWN if "modalities" not in word], *columns, *QUICK)
    scores = [np.load(each.with_name("scores.npz"))["last"] for each in (used, folder / done.out.split()[-1])]
    np.testing.assert_array_equal(*scores)
    weather[30:][["wind", "cloud"]].to_csv(folder / "new.csv", index=False)
    done = start(f"run={used.parent}", "path=new.csv", program="mlbench.commands.predict").wait()
    assert (done.status, done.err) == (0, ""), done
    found = pd.read_csv(io.StringIO(done.out))[["rain", "snow"]]
    np.testing.assert_allclose(found, scores[0], atol=1e-6)


def test_a_sweep_over_all_subsets(at_once, folder, weather):
    done = at_once("-m", *OWN, "dataset.use=choice([sky],[soil],[soil,sky])", *QUICK)
    assert done.status == 0 and "3 of 3 runs finished" in done.out, done
    done = at_once(*OWN, *QUICK)
    assert len(records(folder / "outputs")) == 3, "all modalities are the run that names none"


def test_modalities_that_instances_lack(at_once, folder, weather):
    lacking = [*OWN, *QUICK, "method=fusion", "dataset.missing_modalities=0.5"]
    done = at_once("-m", *lacking, "seed=0,1")
    assert done.status == 0 and "2 of 2 runs finished" in done.out, done
    outputs = records(folder / "outputs")
    together = {path.parent.name: np.load(path.with_name("scores.npz"))["last"] for path in outputs}
    done = at_once(*lacking, "seed=1", "paths.outputs=alone")
    record = folder / done.out.split()[-1]
    alone = np.load(record.with_name("scores.npz"))["last"]
    np.testing.assert_array_equal(alone, together[record.parent.name])
    assert json.loads(record.read_text())["data"]["missing_modalities"] == 0.5
    whole = folder / at_once(*OWN, *QUICK, "method=fusion", "seed=1").out.split()[-1]
    assert not np.array_equal(alone, np.load(whole.with_name("scores.npz"))["last"])


def test_every_method_that_the_sentence_names_does_without():
    methods = {name: target(configure([f"method={name}"]).method) for name in choices("method")}
    able = {name for name, method in methods.items() if method.requires.missing_modalities}
    assert able == {"fusion", "m3la", "m3la_order", "m3la_wco"}


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (
            ["dataset.use=[sly]"],
            "dataset.use=[sly]: dataset=train has no modality sly; it has sky, soil; did you",
        ),
        (["dataset.use=sky"], "dataset.use=sky: should be a valid list: 'dataset.use=[sky]'"),
        (
            ["method=erm", "dataset.missing_modalities=0.3"],
            "method=erm needs all modalities of an instance, and dataset.missing_modalities=0.3 takes some "
            "away; method=fusion and method=m3la do without",
        ),
        (
            ["method=fusion", "dataset.missing_modalities=1"],
            "dataset.missing_modalities=1: should be less than 1",
        ),
        (["method=cs3g", "dataset.use=[sky]"], "needs 2 modalities or more, dataset.use=[sky] keeps 1;"),
    ],
)
def test_a_wrong_word_is_one_sentence(words, said, at_once, folder, weather):
    done = at_once(*OWN, *words)
    assert done.status == 2 and said in done.err and done.err.count("\n") == 1, done
