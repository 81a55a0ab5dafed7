"""mlbench predict with several runs, each of which reads the file as the file of its own training."""

import functools
import io

import numpy as np
import pandas as pd
import pytest

from commands import reads

ROWS = 40
LABELS = ["rain", "snow"]


@pytest.fixture
def weather():
    """Two columns of numbers, one of words, two that may name the rows, and two labels."""
    rng = np.random.default_rng(0)
    table = pd.DataFrame(
        {"wet": rng.normal(size=ROWS).round(4), "cold": rng.normal(size=ROWS).round(4) * 100}
    )
    table["wind"] = [("calm", "breeze", "storm")[row % 3] for row in range(ROWS)]
    table["station"], table["code"] = [[f"{mark}{row}" for row in range(ROWS)] for mark in "sc"]
    table["rain"] = (table.wet > 0).astype(int)
    table["snow"] = (table.cold > 0).astype(int)
    return table


@pytest.fixture
def trained(command, folder):
    """trained(table, "dataset.decimal=','", sep=";", decimal=",") is the folder of a run on that file."""
    count = iter(range(10))

    def train(table, *words, labels=("dataset.labels=[rain,snow]",), **how):
        name = f"train{next(count)}.csv"
        table.to_csv(folder / name, index=False, **how)
        given = [f"dataset.path={name}", *labels, "train.epochs=3", *words]
        done = command("dataset=csv", *given)
        assert (done.status, done.err) == (0, ""), done
        return (folder / done.out.split()[-1]).parent

    return train


@pytest.fixture
def scores(predict, folder):
    """scores("run=...", "path=...") is what a prediction holds, by label."""

    def read(*words, said=""):
        done = predict(*words, "out=p.csv")
        assert done.status == 0 and said in done.err and bool(said) == bool(done.err), done
        return pd.read_csv(folder / "p.csv", dtype={"id": str})

    return read


def assert_mean(found, *each):
    np.testing.assert_allclose(found[LABELS], sum(one[LABELS] for one in each) / len(each), atol=1e-6)
    assert not np.allclose(each[0][LABELS], each[1][LABELS], atol=1e-3), "the runs differ"


def test_runs_whose_files_were_written_differently(trained, scores, weather, folder):
    """One learned from semicolons, decimal commas and gaps, the other from commas and points, scaled."""
    gaps = weather.drop(columns=["code"])
    gaps.loc[[1, 4], "wet"] = np.nan
    gaps = gaps[["snow", "wind", "cold", "station", "rain", "wet"]]
    european = {"sep": ";", "decimal": ","}
    one = trained(gaps, "dataset.decimal=','", "dataset.id=station", "dataset.missing=mean", **european)
    other = trained(weather.drop(columns=["code"]), "dataset.id=station", "dataset.scaling=zscore", "seed=1")
    new = weather[:9].drop(columns=["code", "rain", "snow"])
    new.to_csv(folder / "commas.csv", index=False)
    new.to_csv(folder / "european.csv", index=False, **european)
    singles = {
        "commas.csv": (scores(f"run={one}", "path=commas.csv", "decimal=."), f"run={other}"),
        "european.csv": (scores(f"run={one}", "path=european.csv"), f"run={other}"),
    }
    for name, (first, run) in singles.items():
        decimal = ["decimal=,"] if name == "european.csv" else []
        second = scores(run, f"path={name}", *decimal)
        for runs in (f"run=[{one},{other}]", f"run=[{other},{one}]"):
            found = scores(runs, f"path={name}")
            assert_mean(found, first, second)
            assert found.id.tolist() == [f"s{row}" for row in range(9)]


def test_a_gap_is_filled_by_the_run_that_knows_how(trained, scores, predict, weather, folder):
    """The other one refuses it, by its name."""
    table = weather[["wet", "cold", *LABELS]].copy()
    table.loc[[1, 4], "wet"] = np.nan
    fills = [trained(table[:20], "dataset.missing=mean"), trained(table[5:], "dataset.missing=mean")]
    plain = trained(weather[["wet", "cold", *LABELS]])
    table[:6][["wet", "cold"]].to_csv(folder / "new.csv", index=False)
    assert_mean(
        scores(f"run=[{fills[0]},{fills[1]}]", "path=new.csv"),
        *(scores(f"run={run}", "path=new.csv") for run in fills),
    )
    done = predict(f"run=[{fills[0]},{plain}]", "path=new.csv")
    assert done.status == 2 and done.err.startswith(f"mlbench: {plain}/model.pt: new.csv, row 1"), done


def test_runs_on_different_columns_of_one_file(trained, scores, weather, folder):
    """Each drops what the other learned from; the labels stand in another order; nothing is strange."""
    one = trained(weather, "dataset.drop=[wind,4]", "dataset.id=3", "dataset.scaling=minmax")
    lists = weather.apply(lambda row: ";".join(name for name in LABELS[::-1] if row[name]), axis=1)
    table = weather.drop(columns=LABELS).assign(tags=lists)
    listed = ["dataset.label_list=tags", "dataset.names=[snow,rain]"]
    other = trained(table, "dataset.drop=[0,code]", "dataset.id=station", labels=listed)
    weather.to_csv(folder / "new.csv", index=False)
    found = scores(f"run=[{one},{other}]", "path=new.csv")
    assert_mean(found, scores(f"run={one}", "path=new.csv"), scores(f"run={other}", "path=new.csv"))


def test_runs_that_name_rows_otherwise_are_told(trained, scores, weather, folder):
    one = trained(weather.drop(columns="code"), "dataset.id=station")
    other = trained(weather.drop(columns="station"), "dataset.id=code", "seed=1")
    weather[:5].to_csv(folder / "new.csv", index=False)
    said = f"{other}/model.pt names rows by 'code', {one}/model.pt by 'station': the predictions have"
    found = scores(f"run=[{one},{other}]", "path=new.csv", said=said)
    assert found.id.tolist() == [f"s{row}" for row in range(5)]
    found = scores(f"run=[{one},{other}]", "path=new.csv", "id=code")
    assert found.id.tolist() == [f"c{row}" for row in range(5)]


def test_what_cannot_be_averaged(trained, predict, weather, folder):
    one = trained(weather[["wet", "cold", *LABELS]])
    other = trained(weather[["wet", "cold", "rain"]], labels=("dataset.labels=[rain]",))
    lacking = trained(weather[["wet", "wind", *LABELS]])
    weather[["wet", "cold"]].to_csv(folder / "new.csv", index=False)
    done = predict(f"run=[{one},{other}]", "path=new.csv")
    assert done.status == 2 and "know different labels, such as 'snow': only runs with" in done.err, done
    done = predict(f"run=[{one},{lacking}]", "path=new.csv")
    assert done.status == 2 and f"{lacking}/model.pt: new.csv: 1 of the 2 columns" in done.err, done
    assert done.err.count("\n") == 1


def test_a_long_file_and_the_standard_input(trained, scores, predict, weather, folder, monkeypatch):
    from mlbench.data import new_rows, together
    from mlbench.predict import Trained, predictions

    one = trained(weather[["wet", "cold", *LABELS]], "dataset.decimal=','", sep=";", decimal=",")
    other = trained(weather[["wet", "cold", "wind", *LABELS]], "seed=1")
    new = weather[["wind", "cold", "wet"]]
    new.to_csv(folder / "new.csv", index=False)
    wanted = scores(f"run=[{one},{other}]", "path=new.csv")
    for module in (new_rows, together):
        monkeypatch.setattr(module, "CELLS", 12)
    runs = [Trained.of_run(one), Trained.of_run(other)]
    found = [*predictions(runs, str(folder / "new.csv"))]
    assert {len(piece.ids) for piece in found} == {4}
    np.testing.assert_allclose(np.concatenate([each.scores for each in found]), wanted[LABELS], atol=1e-6)
    assert np.concatenate([each.ids for each in found]).tolist() == [*range(ROWS)]
    piped = functools.partial(reads, new.to_csv(index=False))
    done = predict(f"run=[{one},{other}]", "path=-", first=piped)
    assert (done.status, done.err) == (0, ""), done
    np.testing.assert_allclose(pd.read_csv(io.StringIO(done.out))[LABELS], wanted[LABELS], atol=1e-6)
