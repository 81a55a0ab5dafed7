"""A table or a command that cannot work is answered in a line, before anything runs."""

import pytest

from commands import records
from mlbench.commands.reproduce import main
from small_table import TABLE, small

UNKNOWN = {
    "an unknown data set": (
        {"[multidigits]": "[multidigit]"},
        "multidigit few prior: dataset=multidigit: no such",
    ),
    "an unknown method": (
        {"method=prior": "method=priorr"},
        "multidigits few prior: method=priorr: no such method",
    ),
    "an unknown key": ({"epochs=2": "epoch=2"}, "train.epoch: no such key"),
    "a wrong value": ({"epochs=3": "epochs=three"}, "train.epochs=three"),
    "a word that is none": ({"[train.batch_size=20]": "[train.batch_size]"}, "train.batch_size"),
    "an unknown metric": ({"ours: hamming_loss": "ours: haming_loss"}, "metrics.hamming.ours=haming_loss: "),
    "folds without folds": (
        {"seeds: 2": "seeds: 2\nfolds: 5", "size=20]": "size=20, split=holdout]"},
        "split.folds",
    ),
}


@pytest.mark.parametrize("changes, said", UNKNOWN.values(), ids=UNKNOWN)
@pytest.mark.parametrize("before", [[], ["good.yaml"]], ids=["alone", "after another"])
def test_what_a_table_names_must_be_known_before_anything_runs(
    before, changes, said, folder, environment, monkeypatch, capsys
):
    monkeypatch.chdir(folder)
    monkeypatch.setenv("MLBENCH_CACHE", environment["MLBENCH_CACHE"])
    (folder / "good.yaml").write_text(TABLE)
    (folder / "small.yaml").write_text(small(TABLE, **changes))
    assert main([f"table={','.join([*before, 'small.yaml'])}"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("mlbench: table=small.yaml: ") and said in line
    assert not records(folder / "outputs")


BROKEN = {
    "title: [": "line 1, column",
    "title: a\n  b: c: d": "line 2, column",
    "- a\n- b": "it takes keys and their values",
    "word": "",
    "title: a\ntitle: b": "line 2, column",
    "title: ${nothing}": "nothing",
    "axes: {dataset: [[a]], method: [b]}": "",
    "axes: {dataset: 5, method: [b]}": "",
    "axes: [dataset]": "",
    "title: [5]\nseeds: many": "",
    "datasets: 7": "",
    "metrics: [f1]": "",
    "\ttitle: a": "line 1, column",
}


@pytest.mark.parametrize("text", BROKEN)
def test_a_table_that_cannot_be_read_is_a_line(text, folder, monkeypatch, capsys):
    monkeypatch.chdir(folder)
    (folder / "mine.yaml").write_text(text)
    assert main(["table=mine.yaml"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("mlbench: mine.yaml") and BROKEN[text] in line


@pytest.mark.parametrize("content", [b"\xff\xfe\x00", b"a: \x00", None], ids=["binary", "a sign", "a folder"])
def test_a_table_that_is_no_text_is_a_line(content, folder, monkeypatch, capsys):
    monkeypatch.chdir(folder)
    (folder / "mine.yaml").mkdir() if content is None else (folder / "mine.yaml").write_bytes(content)
    assert main(["table=mine.yaml"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("mlbench: ") and "mine.yaml" in line


WRONG = {
    "": "table=... is needed",
    "table=ant/22": "table=ant/22: no such table; there are: ant/1",
    "table=none.yaml": "there is no such file",
    "table=...yaml": "table=..: a folder or file is called so: give one name, not a path",
    "table=small.yaml tables=1": "tables: no such key",
    "table=small.yaml seeds=0": "seeds=0: a whole number, 1 or more",
    "table=small.yaml processes=two": "processes=two: a whole number, 1 or more",
    "table=small.yaml processes=2 hydra/launcher=joblib": "a launcher of Hydra's exclude each other",
    "table=small.yaml dry_run=yes": "dry_run=yes: choose true or false",
    "table=small.yaml only=metod=ant": "the axes are dataset, setting, method",
    "table=small.yaml only=method=ant": "the table has no method ant; it has prior, linear, hidden",
    "table=small.yaml render=true": "none of its runs is here",
    "table=small.yaml dry": "dry: write table=dry",
}


@pytest.mark.parametrize("words", WRONG)
def test_a_wrong_command_is_answered_in_a_line(words, folder, environment, monkeypatch, capsys):
    monkeypatch.chdir(folder)
    monkeypatch.setenv("MLBENCH_CACHE", environment["MLBENCH_CACHE"])
    for name in ("small.yaml", "...yaml"):
        (folder / name).write_text(TABLE)
    assert main(words.split() or ["dry_run=true"]) == 2
    err = capsys.readouterr().err
    assert err.count("\n") == 1 and err.startswith("mlbench: ") and WRONG[words] in err
