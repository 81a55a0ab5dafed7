"""What a stage may say of itself holds: that nobody waits for it, what it freezes, which epoch it keeps."""

import json

import numpy as np
import pytest
import torch

import staged
from mlbench.compose import configure
from mlbench.experiment import run


@pytest.fixture
def experiment(tmp_path, problem, monkeypatch):
    """experiment("Taught", "seed=1") runs a method of tests/staged.py: its record, its history by stage."""
    monkeypatch.setattr(staged.Network, "seen", {})
    rows = problem.vectors(120)
    path = tmp_path / "small.npz"
    np.savez(path, features=rows.x.numpy(), targets=rows.targets.numpy().astype(np.uint8))

    def experiment(kind, *overrides):
        words = [
            "dataset=npz",
            f"dataset.path={path}",
            f"method._target_=staged.{kind}",
            "split.test=0.3",
            "backbone.widths=[8]",
            "backbone.dropout=0.5",
            "train.epochs=4",
            "train.batch_size=20",
            f"paths.outputs={tmp_path}/outputs",
            f"paths.cache={tmp_path}/cache",
        ]
        record, at = run(configure([*words, *overrides]))
        history = {}
        for line in at.with_name("history.jsonl").read_text().splitlines():
            row = json.loads(line)
            history.setdefault(row.pop("stage"), []).append(row)
        return record, history

    return experiment


@pytest.mark.parametrize("awaited", [[False], [True, False], [False, False], [False, True, False]], ids=str)
def test_a_stage_that_nobody_waits_for_is_trained_wherever_it_stands(awaited, experiment):
    record, history = experiment("Several", f"+method.awaited={awaited}".replace(" ", ""))
    names = {f"net_{number}" for number in range(len(awaited))}
    assert names <= set(record.seconds) and set(history) == names == set(staged.Network.seen)
    for rows in history.values():
        assert [row["epoch"] for row in rows] == [1, 2, 3, 4] and rows[-1]["loss"] != rows[0]["loss"]


def test_a_teacher_that_was_put_in_evaluation_mode_stays_in_it(experiment):
    """With dropout two looks at a batch agree in evaluation mode alone."""
    experiment("Taught", "split.validation=0.2", "selection.rule=best")
    assert set(staged.Network.seen["frozen"]) == {(False, True)}
    for learns in ("teacher", "student"):
        seen = set(staged.Network.seen[learns])
        assert {training for training, _ in seen} == {True} and (True, False) in seen


def test_what_is_frozen_before_the_first_stage_stays_frozen(experiment):
    experiment("Encoded", "split.validation=0.2", "selection.rule=best")
    assert set(staged.Network.seen["encoder"]) == {(False, True)}


@pytest.mark.parametrize("rule", ["last", "best"])
def test_each_stage_keeps_its_own_best_epoch_and_the_next_begins_there(rule, experiment, monkeypatch):
    """The first state that the second stage sees is the one that selection.rule kept of the first."""
    states, loss = [], staged.Twice.loss

    def noted(self, batch):
        states.append(torch.nn.utils.parameters_to_vector(self.parameters()).detach().clone())
        return loss(self, batch)

    monkeypatch.setattr(staged.Twice, "loss", noted)
    record, history = experiment(
        "Twice", "split.validation=0.3", f"selection.rule={rule}", "train.epochs=6", "seed=5"
    )
    column = "validation_f1_macro"
    values = {name: [row[column] for row in rows] for name, rows in history.items()}
    assert record.selected["best"] == {
        "epoch": values["second"].index(max(values["second"])) + 1,
        "f1_macro": max(values["second"]),
    }
    steps = len(states) // 12  # of an epoch
    kept = values["first"].index(max(values["first"])) + 1 if rule == "best" else 6
    assert rule == "last" or kept < 6  # else it would be the last
    if kept < 6:
        assert torch.equal(states[6 * steps], states[kept * steps])
    else:
        assert not torch.equal(states[6 * steps], states[5 * steps])
