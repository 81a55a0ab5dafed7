"""MPVAE and C-GMVAE on their way through a run: neighbours, interruptions, what the command line refuses."""

import functools
import importlib
import os
import signal
from itertools import count

import numpy as np
import pytest
import torch

import commands
from mlbench.compose import configure
from mlbench.errors import UserError
from mlbench.experiment import run, run_all

QUICK = {
    "mpvae": ["method.draws=3", "method.label_widths=[9]", "method.decoder_widths=[9]"],
    "cgmvae": ["method.embedding=9", "method.label_widths=[9]", "method.decoder_widths=[9]"],
}


def words_of(method, small):
    return [*small, f"method={method}", "backbone.widths=[9]", "train.progress=false", *QUICK[method]]


@pytest.mark.parametrize("method", QUICK)
def test_runs_beside_one_another_leave_what_each_leaves_alone(method, tmp_path, small):
    """Noise is a run's own, in training and, where scores are drawn, in scoring."""
    words = [*words_of(method, small), "train.epochs=3", "method.test_latent=2"]
    configs = [[*words, f"seed={seed}", f"method.divergence={w}"] for seed, w in ((0, 1), (0, 3), (1, 3))]
    together = run_all([configure([*own, f"paths.outputs={tmp_path}/together"]) for own in configs])
    for own, (record, path) in zip(configs, together):
        _, alone = run(configure([*own, f"paths.outputs={tmp_path}/alone"]))
        assert record.trained == ""
        with np.load(path.with_name("scores.npz")) as ours, np.load(alone.with_name("scores.npz")) as theirs:
            assert all(np.array_equal(ours[name], theirs[name]) for name in theirs)


def stopped_at_call(number, method):
    """Asked to stop when a loss calls `divergence` for the n-th time."""
    module, calls = importlib.import_module(f"mlbench.methods.generative.{method}"), count(1)
    inner = module.divergence

    def called(*given):
        if next(calls) == number:
            os.kill(os.getpid(), signal.SIGTERM)
        return inner(*given)

    module.divergence = called


@pytest.mark.parametrize("method", QUICK)
def test_an_interrupted_run_ends_as_an_undisturbed_one(method, small, command, folder):
    """Within an epoch: what was drawn is in the checkpoint."""
    words = [*words_of(method, small), "train.epochs=2", "train.batch_size=2", "method.test_latent=2"]
    assert command(*words, "paths.outputs=undisturbed").status == 0
    assert command(*words, first=functools.partial(stopped_at_call, 100, method)).status == 130
    (checkpoint,) = folder.glob("outputs/*/*/*/stages/*.ckpt")
    assert 0 < torch.load(checkpoint)["batch"] < 65
    assert command(*words).status == 0
    (ours,), (theirs,) = commands.records(folder / "outputs"), commands.records(folder / "undisturbed")
    assert commands.result(ours) == commands.result(theirs)
    for file in sorted(own.name for own in theirs.parent.glob("*.npz")):
        with np.load(ours.with_name(file)) as one, np.load(theirs.with_name(file)) as other:
            assert all(np.array_equal(one[name], other[name]) for name in other)


@pytest.mark.parametrize(
    ("method", "change", "said"),
    [
        ("mpvae", "latent=0", "method.latent=0: should be greater"),
        ("mpvae", "dropout=1", "method.dropout"),
        ("mpvae", "test_draws=some", "should be 'all', or should be a valid integer"),
        ("cgmvae", "test_latent=0", r"method\.test_latent=0: should be 'mean', or should be greater"),
        ("cgmvae", "test_latent=meen", "did you mean mean"),
        ("cgmvae", "draws=3", "draws"),
    ],
)
def test_what_cannot_be_is_refused_in_a_line(method, change, said):
    with pytest.raises(UserError, match=said) as refused:
        configure([f"method={method}", f"method.{change}"])
    assert "\n" not in str(refused.value)
