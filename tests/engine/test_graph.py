"""A step that is recorded and replayed: it learns what a step learns. Where there is no GPU a tape of
operations stands for the graph.
"""

from contextlib import ExitStack
from dataclasses import replace

import pytest
import torch

from mlbench.compose import choices, configure, shipped_target
from mlbench.config import target
from mlbench.engine import graph, loop, many, plan
from mlbench.engine.fit import fit
from mlbench.engine.score import state_of
from mlbench.experiment import Experiment, prepare
from replicas import Hooked, bits, equal
from small import smaller
from taped import recorded


@pytest.fixture
def taped(monkeypatch):
    """Steps are recorded on tapes, which are counted; an optimiser has its rates in tensors, as on a GPU."""
    tapes = []

    def counted(act, generators):
        tapes.append(recorded(act, generators))
        return tapes[-1]

    def built(*given):
        optimizer = plan.build_optimizer(*given)
        for group in optimizer.param_groups:
            if group.get("fused"):  # other steps ask a CPU's tensor for its number
                group["lr"] = torch.tensor(group["lr"], dtype=torch.float64)
        return optimizer

    monkeypatch.setattr(graph, "captured", counted)
    monkeypatch.setattr(loop, "build_optimizer", built)
    monkeypatch.setattr(graph, "check", lambda *_: None)
    return tapes


CASES = {
    "plain": {},
    "dropout": {"module": {"dropout": 0.4}},
    "hooks": {"module": {"kind": Hooked}},
    "accumulated": {"accumulate": 2, "gradient_clip": 0.1},
    "averaged": {"ema": 0.9, "looks": ["best"]},
    "momentum": {"optimizer": ("SGD", {"lr": 0.1, "momentum": 0.9, "fused": True})},
}


@pytest.mark.parametrize("case", CASES)
def test_one_alone_learns_the_same_bits(case, jobs, taped):
    expected = fit(jobs("without", CASES[case])[0])
    assert not taped
    equal(fit(jobs("with", CASES[case] | {"graph": True})[0]), expected)
    assert taped


@pytest.mark.parametrize("case", CASES)
def test_a_stack_learns_the_same_bits(case, jobs, taped):
    expected = many.fit_together(jobs("without", *[CASES[case]] * 3))
    learned = many.fit_together(jobs("with", *[CASES[case] | {"graph": True}] * 3))
    for ours, theirs in zip(learned.values(), expected.values(), strict=True):
        equal(ours, theirs)
    assert taped


LEARNED = [
    name
    for name in choices("method")
    if target({"_target_": shipped_target("method", name)}).train_options  # composing all takes seconds
]
WAYS = ["tape", *(["gpu"] if torch.cuda.is_available() else [])]


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("method", LEARNED)
def test_every_method_learns_the_same_bits(method, way, tmp_path, cache, request):
    """In two epochs, so that what a method changes between them takes part; and none waits for the device."""
    tapes = request.getfixturevalue("taped") if way == "tape" else None
    accelerator = {} if way == "tape" else {"accelerator": "gpu"}
    config = smaller(configure([f"method={method}"]), 1, tmp_path, cache)
    train = config.train.model_copy(update={"epochs": 2})

    def states(wish, folder):
        paths = config.paths.model_copy(update={"outputs": tmp_path / folder})
        run, left = Experiment(config.model_copy(update={"train": train, "paths": paths})), []
        with ExitStack() as held:
            prepare(run, held, wait=True)
            while jobs := run.jobs:
                here = {"graph": wish} | accelerator
                wishing = [replace(job, train=job.train.model_copy(update=here)) for job in jobs]
                run.stages.take(jobs, [fit(job) for job in wishing])
                left += [state_of(job.stage.module) for job in jobs]
                run.jobs = run.stages.ask()
        return left

    for ours, theirs in zip(states(True, "with"), states(False, "without"), strict=True):
        assert bits(ours) == bits(theirs)
    assert tapes != []
