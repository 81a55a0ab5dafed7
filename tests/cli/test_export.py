"""mlbench export: what onnxruntime finds in the file is what mlbench predict finds."""

import json

import numpy as np
import onnx
import onnxruntime
import pandas as pd
import pytest

COLUMNS = ["wet", "cold", "wind", "side"]
LABELS = ["rain", "snow"]


@pytest.fixture
def weather(folder):
    """A table with numbers, a column of three words and one of two, and two labels."""
    rng = np.random.default_rng(0)
    table = pd.DataFrame({"wet": rng.normal(size=40), "cold": 100 * rng.normal(size=40)}).round(4)
    table["wind"] = rng.choice(["calm", "breeze", "storm"], 40)
    table["side"] = rng.choice(["lee", "luv"], 40)
    table["rain"] = (table.wet > 0).astype(int)
    table["snow"] = ((table.cold > 0) & (table.wind != "calm")).astype(int)
    table.loc[[3, 7], "wet"], table.loc[[4, 7], "wind"] = np.nan, None
    table.to_csv(folder / "weather.csv", index=False)
    return table


@pytest.fixture
def trained(command, folder, weather):
    """trained("method=br") is the folder of a run."""

    def train(*words):
        data = ["dataset=csv", "dataset.path=weather.csv", "dataset.labels=[rain,snow]", "train.epochs=3"]
        done = command(*data, "dataset.missing=mean", *words)
        assert (done.status, done.err) == (0, ""), done
        return (folder / done.out.split()[-1]).parent

    return train


@pytest.fixture
def export(start):
    return lambda *words: start(*words, program="mlbench.commands.export").wait()


def test_from_a_table_to_a_run_to_onnxruntime(trained, export, start, weather, folder):
    run = trained("dataset.scaling=zscore", "threshold=per_label")
    done = export(f"run={run}", "out=made/model.onnx")
    assert (done.status, done.err) == (0, ""), done
    assert done.out.splitlines()[-1] == "made/model.onnx"

    session = onnxruntime.InferenceSession(folder / "made/model.onnx")
    assert [each.shape for each in (*session.get_inputs(), *session.get_outputs())] == [
        ["batch", 4],
        *[["batch", 2]] * 2,
    ]
    said = session.get_modelmeta().custom_metadata_map
    assert "NaN where a cell has no value" in said["x"]
    assert json.loads(said["columns"]) == COLUMNS and json.loads(said["labels"]) == LABELS
    assert said["key"] == run.name and (said["dataset"], said["method"]) == ("weather", "erm")
    words = json.loads(said["values"])
    assert words == {"wind": ["breeze", "calm", "storm"], "side": ["lee", "luv"]}
    assert json.loads(said["cuts"]) != [0.5, 0.5] and said["cut"] == "score > cut"
    x = weather[COLUMNS].replace({name: {w: n for n, w in enumerate(words[name])} for name in words})
    assert x.isna().sum().sum() == 4  # which the graph fills
    scores, labels = session.run(["scores", "labels"], {"x": x.to_numpy(np.float32)})

    assert (
        start(f"run={run}", "path=weather.csv", "out=p.npz", "give=all", program=PREDICT).wait().status == 0
    )
    with np.load(folder / "p.npz") as predicted:
        np.testing.assert_allclose(scores, predicted["scores"], rtol=0, atol=1e-5)
        assert labels.dtype == np.uint8 and np.array_equal(labels, predicted["sets"])
        assert 0 < labels.mean() < 1
    onnx.checker.check_model(onnx.load(folder / "made/model.onnx"), full_check=True)
    assert b"/src/mlbench/" not in (folder / "made/model.onnx").read_bytes()


def test_a_model_card_has_what_the_record_has(trained, export, folder):
    run = trained("dataset.scaling=zscore", "threshold=per_label", "seed=3")
    assert export(f"run={run}", "out=one.onnx").status == export(f"run={run}", "out=two.onnx").status == 0
    card = (folder / "one.md").read_text()
    assert card == (folder / "two.md").read_text()
    record = json.loads((run / "record.json").read_text())
    rows = [[cell.strip() for cell in line.split(" | ")] for line in card.splitlines() if line[:1] == "|"]
    told = {row[0].lstrip("| "): row[1:] for row in rows}
    assert told["seed"][0].rstrip(" |") == "3" and told["threshold"][0].rstrip(" |") == "per_label"
    for name in ("f1_macro", "ranking_loss", "subset_accuracy"):
        value, interval, _ = told[name]
        low, high = map(float, interval.strip("[]").split(", "))
        assert value == f"{record['metrics']['last'][name]:.4f}" and low <= float(value) <= high
    assert [label for label in told if label in LABELS] == LABELS
    assert told["rain"][-1].rstrip(" |") == f"{record['thresholds']['last'][0]:.3f}"
    assert record["key"] in card and record["versions"]["torch"] in card and "seed: 3" in card


PREDICT = "mlbench.commands.predict"
