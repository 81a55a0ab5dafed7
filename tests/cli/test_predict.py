"""mlbench predict: new rows, by the names of their columns, to the scores that the run gives."""

import csv
import io
import json

import numpy as np
import pandas as pd
import pytest
import torch
from weather import COLUMNS, ROWS, scores_of, table_of


def test_the_test_parts_file_gives_the_runs_scores_and_its_metrics(trained, predict, weather, folder):
    for words in (
        ["dataset.scaling=zscore"],
        ["method=br"],
        ["dataset.scaling=minmax", "method=mlknn", "method.k=3"],
    ):
        run = trained(*words)
        done = predict(f"run={run}", "path=test.csv", "out=p.csv")
        assert (done.status, done.err) == (0, ""), done
        found = pd.read_csv(folder / "p.csv")
        assert list(found) == ["id", "rain", "snow"] and found.id.tolist() == [*range(10)]
        np.testing.assert_allclose(found[["rain", "snow"]], scores_of(run), atol=1e-6)
        assert "subset_accuracy=" in done.out


@pytest.mark.parametrize("out", ["p.csv", "p.npz"])
def test_predictions_that_are_scored_have_the_metrics_of_the_run(
    out, trained, predict, weather, folder, start
):
    run = trained("threshold.value=0.45")
    assert predict(f"run={run}", "path=test.csv", f"out={out}").status == 0
    truth = weather[30:][["rain", "snow"]].assign(id=range(10))[["id", "snow", "rain"]]
    truth.to_csv(folder / "truth.csv", index=False)
    words = (out, "truth=truth.csv", "threshold=0.45")
    done = start(*words, program="mlbench.commands.score").wait()
    assert done.status == 0, done
    measured = dict(line.split() for line in done.out.splitlines() if len(line.split()) == 2)
    recorded = json.loads((run / "record.json").read_text())["metrics"]["last"]
    for name in ("f1_macro", "subset_accuracy", "ranking_loss", "ap_macro"):
        assert float(measured[name]) == pytest.approx(recorded[name], abs=1e-4), name


def test_columns_go_by_name_in_any_order_and_labels_may_be_missing(trained, predict, weather, folder):
    run = trained("dataset.scaling=zscore")
    new = weather[30:].assign(station=[f"s{number}" for number in range(10)], note="?")
    new[["side", "station", "note", "cold", "wind", "wet"]].to_csv(
        folder / "new.tsv.gz", sep="\t", index=False
    )
    done = predict(f"run={run}/model.pt", "path=new.tsv.gz", "id=station")
    assert (
        done.status == 0 and "new.tsv.gz: a column that the method does not know left out: note" in done.err
    )
    found = table_of(done.out)
    assert found.id.tolist() == [f"s{number}" for number in range(10)]
    np.testing.assert_allclose(found[["rain", "snow"]], scores_of(run), atol=1e-6)


def test_one_row_with_one_word(trained, predict, weather, folder):
    """By itself a file of one row does not show what its words are among."""
    run = trained()
    weather[30:31][COLUMNS].to_csv(folder / "one.csv", index=False)
    found = table_of(predict(f"run={run}", "path=one.csv").out)
    np.testing.assert_allclose(found[["rain", "snow"]], scores_of(run)[:1], atol=1e-6)


def test_label_sets_in_every_form(trained, predict, folder):
    run = trained("threshold=cardinality", "threshold.fit_on=training")
    sets = table_of(predict(f"run={run}", "path=test.csv", "give=sets").out)
    lists = table_of(predict(f"run={run}", "path=test.csv", "give=labels").out).labels.fillna("")
    both = table_of(predict(f"run={run}", "path=test.csv", "give=all").out)
    predict(f"run={run}", "path=test.csv", "give=all", "out=p.npz")
    predict(f"run={run}", "path=test.csv", "give=all", "out=p.parquet")
    named = [
        ";".join(label for label in ("rain", "snow") if row[label]) for row in sets.to_dict(orient="records")
    ]
    assert lists.tolist() == named == both.labels.fillna("").tolist()
    with np.load(folder / "p.npz") as kept:
        assert kept["labels"].tolist() == ["rain", "snow"]
        np.testing.assert_array_equal(kept["sets"], sets[["rain", "snow"]])
        np.testing.assert_array_equal(kept["scores"], scores_of(run))
    packed = pd.read_parquet(folder / "p.parquet")
    np.testing.assert_array_equal(packed[["rain", "snow"]].to_numpy(), scores_of(run))


@pytest.mark.parametrize("ids", [[*"abcd"], ["a,b", 'he said "no"', "two\nlines", "é"], [0, 1, 2, 3]])
def test_the_text_of_a_table_is_read_as_what_was_written(ids):
    from mlbench.commands.predict import lines

    scores = np.array([0, 1e-7, 0.1, 1], np.float32)
    written = pd.DataFrame({"id": ids, "rain": scores, "labels": ["", "rain;snow", "a, b", "x"]})
    read = pd.read_csv(
        io.BytesIO(lines(written)), names=[*written], keep_default_na=False, dtype={"rain": np.float32}
    )
    assert read.id.tolist() == ids and read.labels.tolist() == written.labels.tolist()
    assert np.array_equal(read.rain, scores)
    assert lines(written).count(b"\n") == 4 + ("two\nlines" in ids)


def test_several_runs_give_their_mean(trained, predict):
    runs = [trained("seed=0"), trained("seed=1", "method=br")]
    found = table_of(predict(f"run=[{runs[0]},{runs[1]}]", "path=test.csv").out)
    np.testing.assert_allclose(
        found[["rain", "snow"]], (scores_of(runs[0]) + scores_of(runs[1])) / 2, atol=1e-6
    )


def test_other_formats(trained, predict, weather, folder):
    run = trained("dataset.drop=[wind,side]", "dataset.scaling=zscore")
    numbers = weather[30:][["wet", "cold"]]
    np.savez(folder / "named.npz", features=numbers.to_numpy()[:, ::-1], feature_names=["cold", "wet"])
    np.savez(folder / "nameless.npz", features=numbers.to_numpy())
    numbers.to_parquet(folder / "p.parquet")
    head = "@relation r\n@attribute wet numeric\n@attribute cold numeric\n@data\n"
    (folder / "a.arff").write_text(head + numbers.to_csv(index=False, header=False))
    pairs = [f"{','.join(labels)} 1:{wet} 2:{cold}" for wet, cold, labels in rows_with_labels(weather[30:])]
    (folder / "labelled.svm").write_text("\n".join(pairs))
    (folder / "l.libsvm").write_text("\n".join(pair.partition(" ")[2] for pair in pairs))
    (folder / "first.svm").write_text(" 1:0.5\n")  # a later column is in no row
    for name in ("named.npz", "nameless.npz", "p.parquet", "a.arff", "labelled.svm", "l.libsvm"):
        done = predict(f"run={run}", f"path={name}", "out=out.csv")
        assert (done.status, done.err) == (0, ""), (name, done)
        assert done.out.startswith("subset_accuracy") == (name == "labelled.svm")  # it has labels
        out = pd.read_csv(folder / "out.csv")
        np.testing.assert_allclose(out[["rain", "snow"]], scores_of(run), atol=1e-6)
    assert predict(f"run={run}", "path=first.svm").status == 0


def test_json_lines(trained, predict, weather, folder):
    """A field a column, in any order; a field that is null or not there is a gap. Ids keep their form."""
    weather["wind"] = weather.wind.map({"calm": "1", "breeze": "2", "storm": "3+"})
    weather.to_csv(folder / "train.csv", index=False)
    weather[30:].assign(cold=weather.cold.mask(weather.index == 38)).to_csv(folder / "test.csv", index=False)
    run = trained("dataset.missing=mean")
    rows = weather[30:][["side", "wind", "cold", "wet"]].assign(name=range(7, 17)).to_dict("records")
    rows = [row | {"wind": int(row["wind"]) if row["wind"] != "3+" else "3+"} for row in rows]
    rows[9]["other"], rows[3]["name"] = 1, None
    del rows[8]["cold"]
    (folder / "new.jsonl").write_text("\n".join(map(json.dumps, rows)))
    (folder / "list.jsonl").write_text(json.dumps(rows))
    for name in ("new.jsonl", "list.jsonl"):
        done = predict(f"run={run}", f"path={name}", "out=p.csv", "id=name")
        assert (done.status, done.err.count("\n")) == (0, 1) and done.err.endswith("left out: other\n"), done
        found = pd.read_csv(folder / "p.csv", dtype={"id": str}, keep_default_na=False)
        np.testing.assert_allclose(found[["rain", "snow"]], scores_of(run), atol=1e-6)
        assert found.id.tolist() == ["7", "8", "9", "", *map(str, range(11, 17))]
    labelled = [row | {"rain": True, "snow": 0} for row in rows]
    (folder / "labelled.jsonl").write_text("\n".join(map(json.dumps, labelled)))
    assert predict(f"run={run}", "path=labelled.jsonl", "out=p.csv").out.startswith("subset_accuracy=")
    mistakes = {
        '{"wet": 1, "cold": 2, "wind": "1"}': "1 of the 4 columns of the training are not there: 'side'",
        '{"wet": [1], "cold": 2, "wind": "1", "side": "lee"}': "row 0 (from 0): column 'wet' is [1]",
        '{"wet": 1, "cold": 2, "wind": 4, "side": "lee"}': "column 'wind' is 4, which training never saw",
        '{"wet": 1,': "bad.jsonl, line 1 is no JSON",
    }
    for line, sentence in mistakes.items():
        (folder / "bad.jsonl").write_text(line)
        done = predict(f"run={run}", "path=bad.jsonl")
        assert done.status == 2 and sentence in done.err and done.err.count("\n") == 1, done


def test_decimal_commas_as_in_the_table_of_the_training(trained, predict, weather, folder):
    commas = {"sep": ";", "decimal": ",", "index": False}
    for name, rows in (("train", weather[:30]), ("test", weather[30:])):
        rows.to_csv(folder / f"{name}.csv", **commas)
    run = trained("dataset.decimal=','")
    done = predict(f"run={run}", "path=test.csv", "out=out.csv")
    assert done.status == 0, done
    np.testing.assert_allclose(pd.read_csv(folder / "out.csv")[["rain", "snow"]], scores_of(run), atol=1e-6)
    weather[30:].to_csv(folder / "points.csv", index=False)
    assert predict(f"run={run}", "path=points.csv", "out=points.npz", "decimal=.").status == 0
    with np.load(folder / "points.npz") as kept:
        np.testing.assert_allclose(kept["scores"], scores_of(run), atol=1e-6)
    done = predict(f"run={run}", "path=points.csv", "decimal=;")
    assert (done.status, done.err) == (2, "mlbench: decimal=;: . or , stands before a fraction\n")


def rows_with_labels(table):
    for _, row in table.iterrows():
        yield row.wet, row.cold, [label for label in ("rain", "snow") if row[label]]


@pytest.mark.parametrize(
    "change, sentence",
    [
        ({"wet": None}, "1 of the 4 columns of the training are not there: 'wet'"),
        ({"wet": "much"}, "row 0 (from 0): column 'wet' is much, and a feature is a finite number"),
        ({"wet": np.inf}, "column 'wet' is inf"),
        ({"wet": np.nan}, "column 'wet' is nan"),
        ({"wind": "strom"}, "column 'wind' is strom, which training never saw"),
        ({"rain": 2}, "label 'rain' is 2, and a label is 0 or 1"),
    ],
)
def test_rows_that_do_not_fit(change, sentence, trained, predict, weather, folder):
    run, new = trained(), weather[30:].copy()
    for column, value in change.items():
        new = new.drop(columns=column) if value is None else new.assign(**{column: value})
    new.to_csv(folder / "new.csv", index=False)
    done = predict(f"run={run}", "path=new.csv", "out=p.csv")
    assert done.status == 2 and sentence in done.err and done.err.count("\n") == 1, done
    assert not (folder / "p.csv").exists()


def test_what_was_said_of_the_trainings_file_holds_for_new_ones(predict, command, weather, folder):
    """Gaps get what training rows have, `drop` and `id` are not said again, lists of labels are measured."""
    lists = weather.apply(lambda row: "|".join(name for name in ("rain", "snow") if row[name]), axis=1)
    stations = [f"s{row}" for row in range(ROWS)]
    table = weather.drop(columns=["rain", "snow"]).assign(station=stations, tags=lists)
    table["note"] = "of no use " + table.station
    table.loc[[1, 4, 32, 33], "wet"] = np.nan
    table.loc[[2, 31, 33], "wind"] = None
    table[:30].to_csv(folder / "train.csv", index=False, sep=";")
    table[30:].to_csv(folder / "test.csv", index=False, sep=";")
    said = ["label_list=tags", "names=[rain,snow]", "separator=;", "id=station", "missing=mean"]
    said += ["drop=[note]", "licence=CC-BY-4.0", "path=train.csv", "test=test.csv"]
    done = command("dataset=csv", "split=official", "train.epochs=3", *(f"dataset.{word}" for word in said))
    assert (done.status, done.err) == (0, ""), done
    run = (folder / done.out.split()[-1]).parent
    assert torch.load(run / "model.pt", weights_only=True)["rows"]["licence"] == "CC-BY-4.0"

    done = predict(f"run={run}", "path=test.csv", "out=p.csv")
    assert (done.status, done.err) == (0, ""), done
    found = pd.read_csv(folder / "p.csv")
    assert found.id.tolist() == [f"s{row}" for row in range(30, ROWS)]
    np.testing.assert_allclose(found[["rain", "snow"]], scores_of(run), atol=1e-6)
    recorded = json.loads((run / "record.json").read_text())["metrics"]["last"]
    assert f"subset_accuracy={recorded['subset_accuracy']:.4f}" in done.out

    new = table[30:34].drop(columns=["station", "note", "tags"])
    mean, word = table[:30].wet.mean(), table[:30].wind.mode()[0]
    new.fillna({"wet": mean, "wind": word}).to_csv(folder / "whole.csv", index=False, sep=";")
    lines = [",".join("?" if pd.isna(cell) else str(cell) for cell in row) for row in new.to_numpy()]
    kinds = ["wet numeric", "cold numeric", "wind {breeze,calm,storm}", "side {lee,luv}"]
    arff = ["@relation r", *(f"@attribute {kind}" for kind in kinds), "@data", *lines]
    (folder / "new.arff").write_text("\n".join(arff))
    for name in ("whole.csv", "new.arff"):
        other = table_of(predict(f"run={run}", f"path={name}").out)
        np.testing.assert_allclose(other[["rain", "snow"]], found[["rain", "snow"]][:4], atol=1e-6)
    said = predict(f"run={run}", "path=whole.csv", "id=station")
    assert said.status == 2 and "has no column 'station', which id names" in said.err


def test_what_is_asked_for_wrongly(trained, predict, folder):
    run = trained("threshold=top_k", "threshold.k=1")
    sets = predict(f"run={run}", "path=test.csv", "give=sets")
    assert sets.status == 2 and "threshold rule has no cuts for new rows" in sets.err
    old = torch.load(run / "model.pt", weights_only=True)
    torch.save({key: value for key, value in old.items() if key != "rows"}, folder / "old.pt")
    torch.save(old | {"rows": old["rows"] | {"cuts": [0.5, 0.4, 0.3]}}, folder / "cuts.pt")
    (folder / "empty.csv").write_text("")
    (folder / "twice.csv").write_text("wet,wet,cold,wind,side\n1,2,3,calm,lee\n")
    run, other = trained("threshold=fixed"), trained("threshold=lcard_global")
    mistakes = {
        ("path=test.csv",): "run is needed and not given",
        (f"run={run}",): "path is needed and not given",
        (f"run={run}", "path=none.csv"): "path=none.csv: no such file",
        (f"run={run}", "path=train.docx"): "path=train.docx: no such file",
        (f"run={run}", "path=test.csv", "out=p.doc"): "out=p.doc: should end in one of .csv",
        (f"run={run}", "path=test.csv", "give=score"): "give=score: should be one of",
        (f"run={run}", "path=twice.csv"): "twice.csv has several columns 'wet'",
        (f"run=[{run},{other}]", "path=test.csv", "give=all"): "differ in whether a score at the cut",
        (f"run={run}", "path=test.csv", "id=name"): "test.csv has no column 'name', which id names",
        (f"run={run}", "path=empty.csv"): "empty.csv is no table of text with a header line",
        (f"run={run}", "path=test.csv", "ot=p.csv"): "ot: no such key",
        ("run=nowhere", "path=test.csv"): "nowhere",
        ("run=cuts.pt", "path=test.csv"): "it has 3 cuts for 2 labels",
        ("run=old.pt", "path=test.csv"): "old.pt: an older version wrote it",
    }
    for words, sentence in mistakes.items():
        done = predict(*words)
        assert done.status == 2 and sentence in done.err and done.err.count("\n") == 1, (words, done)


def test_a_table_from_the_standard_input(trained, weather, folder):
    import subprocess
    import sys

    run = trained()
    program = [sys.executable, "-m", "mlbench", "predict", f"run={run}", "path=-"]
    done = subprocess.run(
        program,
        input=weather[30:].to_csv(index=False),
        capture_output=True,
        text=True,
        cwd=folder,
        timeout=200,
    )
    rows = [*csv.reader(done.stdout.splitlines())]
    assert done.returncode == 0 and rows[0] == ["id", "rain", "snow"] and len(rows) == 11
