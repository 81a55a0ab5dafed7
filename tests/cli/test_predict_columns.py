"""mlbench predict: columns that training was given by number are known by name in other files."""

import io

import numpy as np
import pandas as pd
import pytest

ROWS = 40


@pytest.fixture
def weather(folder):
    """Beside two features and two labels: a column of names, notes, and a number of no use."""
    rng = np.random.default_rng(0)
    table = pd.DataFrame({"station": [f"0{row}" for row in range(ROWS)], "wet": rng.normal(size=ROWS)})
    table["note"] = [f"no two alike {row}" for row in range(ROWS)]
    table["cold"], table["serial"] = rng.normal(size=(2, ROWS)).round(3)
    table["rain"] = (table.wet > 0).astype(int)
    table["snow"] = (table.cold > 0).astype(int)
    table[:30].to_csv(folder / "train.csv", index=False)
    table[30:].to_csv(folder / "test.csv", index=False)
    return table


@pytest.fixture
def trained(command, folder, weather):
    def train(*words, dataset="csv"):
        files = [f"dataset={dataset}", "dataset.path=train.csv", "dataset.test=test.csv", "split=official"]
        done = command(*files, "train.epochs=3", *words)
        assert (done.status, done.err) == (0, ""), done
        return (folder / done.out.split()[-1]).parent

    return train


def scores_of(run):
    with np.load(run / "scores.npz") as kept:
        return kept["last"]


def test_columns_dropped_by_number_are_known_by_name(trained, predict, weather, folder):
    run = trained("dataset.labels=[5,6]", "dataset.id=0", "dataset.drop=[2,4]")
    again = weather[30:][["serial", "rain", "cold", "snow", "wet", "station", "note"]]
    again.to_csv(folder / "new.csv", index=False)
    for name in ("test.csv", "new.csv"):
        done = predict(f"run={run}", f"path={name}", "out=p.csv")
        assert (done.status, done.err) == (0, ""), done
        assert done.out.startswith("subset_accuracy="), "the labels are found, too"
        found = pd.read_csv(folder / "p.csv", dtype={"id": str})
        assert found.id.tolist() == weather.station[30:].tolist(), "names of rows keep their zeros"
        np.testing.assert_allclose(found[["rain", "snow"]], scores_of(run), atol=1e-6)


def test_a_number_that_stands_elsewhere_in_the_new_file_drops_nothing(trained, predict, weather, folder):
    """Column 2 of the new file is a feature; a column that training never saw is still told."""
    run = trained("dataset.labels=[rain,snow]", "dataset.id=0", "dataset.drop=[2,4]")
    weather[30:][["note", "cold", "wet"]].assign(other=1).to_csv(folder / "new.csv", index=False)
    done = predict(f"run={run}", "path=new.csv")
    assert done.status == 0 and done.err.endswith("that the method does not know left out: other\n"), done
    found = pd.read_csv(io.StringIO(done.out))
    assert found.id.tolist() == [*range(10)]
    np.testing.assert_allclose(found[["rain", "snow"]], scores_of(run), atol=1e-6)


def test_the_index_that_pandas_writes_names_the_rows(trained, predict, weather, folder):
    indexed = weather.set_index("station").rename_axis(None).drop(columns=["note", "serial"])
    for name, rows in (("train", indexed[:30]), ("test", indexed[30:])):
        rows.to_csv(folder / f"{name}.csv")
    run = trained("dataset.labels=[rain,snow]", "dataset.id=0")
    done = predict(f"run={run}", "path=test.csv", "out=p.csv")
    assert (done.status, done.err) == (0, ""), done
    assert pd.read_csv(folder / "p.csv", dtype=str).id.tolist() == weather.station[30:].tolist()
    run = trained("dataset.labels=[rain,snow]")
    done = predict(f"run={run}", "path=test.csv", "out=p.csv")
    assert (done.status, done.err) == (0, ""), "the index is nothing that the method should know"


def test_a_list_of_labels_by_number(trained, predict, weather, folder):
    table = weather[["wet", "cold"]].assign(
        tags=weather.apply(lambda row: ";".join(name for name in ("rain", "snow") if row[name]), axis=1)
    )
    table[:30].to_csv(folder / "train.csv", index=False)
    table[30:].to_csv(folder / "test.csv", index=False)
    run = trained("dataset.label_list=2", "dataset.names=[rain,snow]")
    table[30:][["tags", "cold", "wet"]].to_csv(folder / "new.csv", index=False)
    done = predict(f"run={run}", "path=new.csv", "out=p.csv")
    assert (done.status, done.err) == (0, "") and done.out.startswith("subset_accuracy="), done
    np.testing.assert_allclose(pd.read_csv(folder / "p.csv")[["rain", "snow"]], scores_of(run), atol=1e-6)
    rows = table[30:].assign(tags=[tags.split(";") if tags else [] for tags in table.tags[30:]])
    rows.to_json(folder / "new.jsonl", orient="records", lines=True, double_precision=15)
    assert (
        predict(f"run={run}", "path=new.jsonl", "out=q.csv").out.split("q.csv")[0]
        == done.out.split("p.csv")[0]
    )


def test_what_was_dropped_from_an_arff_file(command, predict, weather, folder):
    kinds = ["rain {0,1}", "wet numeric", "note string", "snow {0,1}", "cold numeric"]
    head = ["@relation 'r: -C 1'", *(f"@attribute {kind}" for kind in kinds), "@data"]
    lines = weather[["rain", "wet", "note", "snow", "cold"]].to_csv(
        index=False, header=False, quotechar="'", quoting=2
    )
    (folder / "a.arff").write_text("\n".join([*head, lines.replace("'0'", "0").replace("'1'", "1")]))
    done = command("dataset=meka", "dataset.path=a.arff", "dataset.drop=[2,3]", "train.epochs=3")
    assert done.status == 0, done
    run = (folder / done.out.split()[-1]).parent
    weather[30:][["note", "snow", "wet", "cold"]].to_csv(folder / "new.csv", index=False)
    done = predict(f"run={run}", "path=new.csv", "out=p.csv")
    assert (done.status, done.err) == (0, ""), done
    done = predict(f"run={run}", "path=a.arff", "out=whole.csv", "id=note")
    assert (done.status, done.err) == (0, "") and done.out.startswith("subset_accuracy="), done
    found = pd.read_csv(folder / "whole.csv")
    assert found.id.tolist() == weather.note.tolist(), "the file's texts may name its rows"
    np.testing.assert_allclose(found.rain[30:], pd.read_csv(folder / "p.csv").rain, atol=1e-6)


@pytest.mark.parametrize("form", ["dense", "sparse"])
def test_words_of_an_arff_file_in_an_order_of_its_own(form, command, predict, folder):
    """Its header may declare more values than training saw, fewer, or others first; a row that has one of
    them is refused. A column of many words names no rows, however few they are.
    """
    rng, towns = np.random.default_rng(0), [f"town {number}" for number in range(50)]
    table = pd.DataFrame({"wet": rng.normal(size=240).round(3), "side": rng.choice(["lee", "luv"], 240)})
    table["wind"] = rng.choice(["calm", "breeze", "storm"], 240)
    table["town"] = [towns[row % 50] for row in range(240)]
    table["rain"] = (table.wet > 0).astype(int)
    table["snow"] = (table.side == "lee").astype(int)
    few = table[:12][table.wind[:12] != "storm"]
    table.to_csv(folder / "train.csv", index=False)
    few.to_csv(folder / "few.csv", index=False)
    done = command("dataset=csv", "dataset.path=train.csv", "dataset.labels=[rain,snow]", "train.epochs=3")
    assert done.status == 0, done
    run = (folder / done.out.split()[-1]).parent
    assert predict(f"run={run}", "path=few.csv", "out=few.npz").status == 0

    def written(values, rows):
        """As WEKA does it: of a sparse row the first value of an attribute is left out."""
        kinds = {name: "{" + ",".join(f"'{word}'" for word in words) + "}" for name, words in values.items()}
        head = [f"@attribute {name} {kinds.get(name, 'numeric')}" for name in ("town", "wet", "wind", "side")]
        lines = []
        for row in rows[["town", "wet", "wind", "side"]].to_dict("records"):
            cells = [str(cell) if name == "wet" else f"'{cell}'" for name, cell in row.items()]
            first = [name in values and cell == values[name][0] for name, cell in row.items()]
            pairs = [f"{column} {cell}" for column, cell in enumerate(cells) if not first[column]]
            lines.append("{" + ",".join(pairs) + "}" if form == "sparse" else ",".join(cells))
        (folder / "new.arff").write_text("\n".join(["@relation r", *head, "@data", *lines]))

    own = {"town": towns[::-1], "wind": ["calm", "breeze"], "side": ["luv", "gale", "lee"]}
    written(own, few)
    done = predict(f"run={run}", "path=new.arff", "out=p.csv")
    assert (done.status, done.err) == (0, ""), done
    with np.load(folder / "few.npz") as kept:
        np.testing.assert_allclose(pd.read_csv(folder / "p.csv")[["rain", "snow"]], kept["scores"], atol=1e-6)
    written(own, few.assign(side=["gale", *few.side[1:]]))
    done = predict(f"run={run}", "path=new.arff", "out=p.csv")
    assert done.status == 2 and done.err.count("\n") == 1, done
    assert "new.arff, line 7: column 'side' is gale, which training never saw; it knows lee, luv" in done.err


def test_texts_in_a_column_given_by_number(command, predict, folder):
    rows = [f"{row},{'wet sky' if row % 2 else 'dry land'},{row % 2},{row % 3 // 2}" for row in range(40)]
    (folder / "a.csv").write_text("\n".join(["name,body,rain,snow", *rows]))
    given = ["dataset=image_folder", "dataset.path=a.csv", "dataset.text=1", "dataset.labels=[2,3]"]
    done = command(*given, "dataset.id=0", "encoder.text=tfidf", "train.epochs=2")
    assert done.status == 0, done
    (folder / "new.csv").write_text("body,name\nwet sky,x1\ndry land,x2\n")
    done = predict(f"run={(folder / done.out.split()[-1]).parent}", "path=new.csv")
    assert (done.status, done.err) == (0, ""), done
    assert pd.read_csv(io.StringIO(done.out)).id.tolist() == ["x1", "x2"]
