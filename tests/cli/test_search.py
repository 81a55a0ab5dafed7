"""scripts/search.py as a person starts, stops and repeats it, on runs of moments."""

import functools
import json
import re
import shlex

import pytest
from optuna.samplers import TPESampler

from commands import records, signalled_at_rename
from mlbench.commands import search as search_command
from mlbench.commands.search import overrides_of
from mlbench.errors import UserError
from mlbench.search.spec import Search, read
from mlbench.search.study import Study

SWEEP = """
overrides: [split.validation=0.4, train.epochs=2, "backbone.widths=[4]", train.batch_size=16]
space:
  train.optimizer.lr: {low: 0.0001, high: 0.1, log: true}
  loss: [bce, ranking]
trials: 3
batch: 2
"""
PROGRAM = {"program": "mlbench.commands.search"}


@pytest.fixture
def search(command, folder):
    (folder / "rate.yaml").write_text(SWEEP)
    return lambda *arguments, **how: command("sweep=rate.yaml", *arguments, **PROGRAM, **how)


def values_of(path) -> dict[tuple[float, str], list[float]]:
    """What each trial's runs had on the validation part, by what was drawn."""
    found = {}
    for file in records(path):
        record = json.loads(file.read_text())
        drawn = record["config"]["train"]["optimizer"]["lr"], record["choices"]["loss"]
        found.setdefault(drawn, []).append(record["selected"]["best"]["f1_macro"])
    return found


def test_a_search_ends_with_the_command_of_its_best_trial_killed_in_between_or_not(search, command, folder):
    done = search("seeds=2")
    assert done.status == 0, done.err
    values = values_of(folder / "outputs")
    assert len(values) == 3 and all(len(runs) == 2 for runs in values.values())
    winner = done.out.splitlines()[-1].removeprefix("python run.py ")
    rate, loss = re.search(r"lr=(\S+) loss=(\w+)", winner).groups()
    best = max(values, key=lambda drawn: sum(values[drawn]))
    assert (float(rate), loss) == best
    assert f"{sum(values[best]) / 2:.4f}" in done.out.splitlines()[2]

    before = {path: path.stat().st_mtime_ns for path in records(folder / "outputs")}
    again = command(*shlex.split(winner))  # the very runs of the search
    assert again.status == 0, again.err
    assert {path: path.stat().st_mtime_ns for path in records(folder / "outputs")} == before

    killed = functools.partial(signalled_at_rename, 3, "record.json", "after")  # in its second batch, or so
    assert search("seeds=2", "paths.outputs=other", first=killed).status < 0
    resumed = search("seeds=2", "paths.outputs=other")
    assert values_of(folder / "other") == values
    assert resumed.out.splitlines()[1:-1] == done.out.splitlines()[1:-1]
    assert resumed.out.splitlines()[-1].replace("paths.outputs=other ", "") == f"python run.py {winner}"


def test_a_trial_that_fails_is_counted_and_not_ranked(folder, monkeypatch):
    search = Search.model_validate(
        {"space": {"loss.alpha": {"low": 0.1, "high": 0.9}}, "overrides": ("loss=focal",), "trials": 6}
    )
    given = {"split.validation": "0.4", "train.epochs": "1", "paths.outputs": str(folder)}
    study = Study("alpha", search, overrides_of(search, given), [])

    def value(run):
        alpha = run.config.loss["alpha"]
        if alpha > 0.5:
            raise UserError("the loss is NaN")
        return alpha

    monkeypatch.setattr(study, "value", value)
    trials = study.run()
    drawn = sorted(trial.params["loss.alpha"] for trial in trials if trial.params["loss.alpha"] <= 0.5)
    assert 0 < len(drawn) < len(trials) == 6
    assert [trial.value for trial in study.ranked(trials)] == drawn[::-1]


def test_stopped_while_it_draws_it_has_the_trials_it_would_have_had(folder, monkeypatch):
    rate = {"low": 0.01, "high": 0.1}
    space = {"train.optimizer.lr": rate, "train.optimizer.weight_decay": rate}
    search = Search.model_validate({"space": space, "trials": 4, "batch": 2})
    given = {"split.validation": "0.4", "train.epochs": "1", "backbone": "linear"}

    def drawn(outputs):
        overrides = overrides_of(search, given | {"paths.outputs": str(folder / outputs)})
        return [trial.params for trial in Study("two", search, overrides, []).run()]

    expected = drawn("whole")
    assert len({tuple(each.values()) for each in expected}) == 4
    sample, stops = TPESampler.sample_independent, iter(["once"])

    def stopped(sampler, study, trial, name, kind):
        if trial.number == 3 and "decay" in name and next(stops, None):
            raise KeyboardInterrupt
        return sample(sampler, study, trial, name, kind)

    monkeypatch.setattr(TPESampler, "sample_independent", stopped)
    with pytest.raises(KeyboardInterrupt):
        drawn("stopped")
    assert drawn("stopped") == expected


@pytest.mark.parametrize(
    "words, sentence",
    [
        ("dataset=scene", "sweep=... is needed"),
        ("sweep=sigmoid_f2", "no such sweep; there are: .*did you mean sigmoid_f1"),
        ("sweep=mine.yaml", "sweep=mine.yaml: there is no such file"),
        ("sweep=asl loss.clip=0.1", "loss.clip=0.1: the sweep searches it"),
        ("sweep=asl seed=3", "a search runs seeds 0, 1"),
        ("sweep=asl method=erm,ant", "method=erm,ant: a search has one value"),
        ("sweep=asl trials=none", "trials=none: "),
        ("sweep=asl sampler=tpee", "sampler=tpee: .*did you mean tpe"),
        ("sweep=asl", "selection.rule=best needs a validation part: add split.validation"),
        ("sweep=asl loss=bce split.validation=0.4", "loss.gamma_positive: no such key"),
    ],
)
def test_what_cannot_be_searched_is_said_in_one_line(words, sentence, capsys):
    assert search_command.main(words.split()) == 2
    assert re.search(f"^mlbench: .*{sentence}.*$", capsys.readouterr().err)


@pytest.mark.parametrize(
    "space, sentence",
    [
        ("{a: {low: 2, high: 1}}", "space.a.*low < high"),
        ("{a: {low: 0.0, high: 1.0, log: true}}", "low above 0"),
        ("{}", "space"),
        ("{a: {lowest: 1}}", "lowest: no such key"),
    ],
)
def test_a_wrong_file_is_named_with_the_key(space, sentence, tmp_path):
    file = tmp_path / "mine.yaml"
    file.write_text(f"space: {space}")
    with pytest.raises(UserError, match=f"mine.yaml: .*{sentence}"):
        read(str(file), {})


@pytest.mark.parametrize(
    "text",
    [
        "space: [",
        "- a",
        "word",
        "a: b: c",
        "space: ${nothing}",
        "space: 5",
        "space: {lr: [[1]]}",
        "space: {lr: 3}",
    ],
)
def test_a_sweep_that_cannot_be_read_is_a_line(text, folder, monkeypatch, capsys):
    monkeypatch.chdir(folder)
    (folder / "mine.yaml").write_text(text)
    assert search_command.main(["sweep=mine.yaml"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("mlbench: mine.yaml")
