"""A stage that leaves the epoch with the lowest mean training loss: alone, beside others, interrupted."""

import dataclasses

import pytest
import torch

from mlbench.compose import configure
from mlbench.config import science
from mlbench.engine.fit import fit
from mlbench.engine.loop import Loop
from mlbench.engine.many import fit_together

EPOCHS = 12
ROUGH = {
    "optimizer": ("Adam", {"lr": 0.3}),
    "batch_size": 8,
}  # so large a rate that the loss goes up and down


def assert_same(ours, theirs):
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)


def lowest(job):
    return dataclasses.replace(job, stage=dataclasses.replace(job.stage, leaves="lowest_loss"))


def test_the_epoch_with_the_lowest_loss_is_left(problem):
    def trained(name, epochs, change=lambda job: job):
        job = change(problem.job(problem.erm(), problem.vectors(60), name=name, epochs=epochs, **ROUGH))
        return fit(job), job

    whole, _ = trained("whole", EPOCHS)
    losses = [row["loss"] for row in whole.history]
    best = losses.index(min(losses)) + 1
    assert best < EPOCHS, "the case is one in which the last epoch is not the best"
    (ours, job), (shorter, _) = trained("lowest", EPOCHS, lowest), trained("shorter", best)
    assert ours.history == whole.history
    assert_same(ours.last, shorter.last)
    assert_same(job.stage.module.state_dict(), shorter.last)


def test_beside_others_and_interrupted_it_is_the_same(jobs, monkeypatch):
    def made(folder):
        return [lowest(job) for job in jobs(folder, {}, {}, {}, epochs=EPOCHS, **ROUGH)]

    alone, between, stopped = [fit(job) for job in made("alone")], Loop._between, []

    def stop_once(loop):
        if loop.epoch == EPOCHS - 1 and not stopped:
            stopped.append(True)
            loop.stop.ask()
        between(loop)

    stacked = made("stack")
    monkeypatch.setattr(Loop, "_between", stop_once)
    with pytest.raises(KeyboardInterrupt):
        fit_together(stacked)
    outcomes = fit_together(stacked)
    for job, expected in zip(stacked, alone, strict=True):
        assert outcomes[job.path].history == expected.history
        assert_same(outcomes[job.path].last, expected.last)


def test_a_run_that_leaves_the_last_epoch_has_the_key_it_had():
    key = science(configure(["method=mulsupcon"]), {})["method"]
    assert "leaves" not in key["pretrain"]
    other = science(configure(["method=mulsupcon", "method.pretrain.leaves=lowest_loss"]), {})["method"]
    assert other["pretrain"]["leaves"] == "lowest_loss"
