"""train.compile=true: the numbers of steps as they are, but for rounding, and the record says so."""

import functools
import shutil

import numpy as np
import pytest
import torch
from torch._dynamo.exc import TorchDynamoException

from mlbench.compose import configure
from mlbench.errors import UserError
from mlbench.experiment import run, run_all

STEPS = torch.compile  # before any test puts another in its place


@pytest.fixture
def traced(monkeypatch):
    """Steps are traced and taken apart as for a compiler, and then done without one, which is sooner done."""
    monkeypatch.setattr(torch, "compile", functools.partial(STEPS, backend="aot_eager"))


@pytest.fixture
def configured(tmp_path, cache):
    def configured(where, *words):
        paths = [f"paths.outputs={tmp_path / where}", f"paths.cache={cache}", "train.progress=false"]
        return configure(["train.epochs=2", *paths, *words])

    return configured


def scores_of(path):
    with np.load(path.with_name("scores.npz")) as archive:
        return archive["last"]


def assert_compiled(ended, plain):
    (record, path), (other, other_path) = ended, plain
    assert (record.trained, other.trained) == ("compiled", "") and record.key == other.key
    np.testing.assert_allclose(scores_of(path), scores_of(other_path), atol=1e-5)


@pytest.mark.parametrize("method", ["erm", "flem_d", "ofcc"])
def test_a_compiled_run_has_the_scores_of_the_run_as_it_is(method, traced, configured):
    words = [f"method={method}"]
    compiled = run(configured("compiled", *words, "train.compile=true"))
    assert_compiled(compiled, run(configured("plain", *words)))


def test_so_has_a_compiled_stack(traced, configured):
    seeds = ["seed=0", "seed=1"]
    together = run_all([configured("compiled", seed, "train.compile=true") for seed in seeds])
    for ended, seed in zip(together, seeds, strict=True):
        assert_compiled(ended, run(configured("plain", seed)))


def test_a_step_that_cannot_be_compiled_is_a_sentence(configured, monkeypatch):
    def without_compiler(*_, **__):
        def call(batch):
            raise TorchDynamoException("no C++ compiler\nfound here")

        return call

    monkeypatch.setattr(torch, "compile", without_compiler)
    with pytest.raises(
        UserError, match=r"cannot be compiled here \(no C\+\+ compiler found here\); train.com"
    ):
        run(configured("compiled", "train.compile=true"))


def test_a_graph_of_compiled_steps_is_refused(configured):
    with pytest.raises(UserError, match=r"a step is captured or compiled; choose one"):
        run(configured("compiled", "train.compile=true", "train.graph=true", "train.accelerator=gpu"))


@pytest.mark.skipif(shutil.which("g++") is None, reason="torch compiles for a CPU with g++")
def test_with_a_compiler_it_is_the_same(configured, request):
    if not request.config.getoption("--thorough"):
        pytest.skip("takes a minute: --thorough")
    assert_compiled(run(configured("compiled", "train.compile=true")), run(configured("plain")))
