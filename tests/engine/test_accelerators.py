"""Wherever there is an accelerator: the same command leaves the same bytes, stopped or not; a step waits for
nothing there and can be captured.
"""

import signal

import pytest
import torch

from mlbench.engine import fit as engine
from mlbench.engine import loop, many, ranks
from mlbench.engine.alone import Alone
from mlbench.engine.native import Native
from mlbench.engine.signals import Stop
from replicas import RATES, Hooked, equal

ACCELERATORS = ["cpu", *(["gpu"] if torch.cuda.is_available() else [])]
LONG = {"rows": 14, "batch_size": 1, "epochs": 3, "looks": ["best"], "checkpoint_seconds": 0}
MODULES = {"dropout": {"dropout": 0.4}, "hooks": {"kind": Hooked}}


@pytest.fixture(params=ACCELERATORS)
def accelerator(request):
    return request.param


def stopped_at(step, monkeypatch, train, asked):
    """Trains until the chunk is over in which the step with this number falls."""
    act, steps = loop.Loop._step, []

    def counted(self, batches):
        act(self, batches)
        steps.append(self)
        if len(steps) == step:
            signal.raise_signal(signal.SIGINT)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(loop.Loop, "_step", counted)
        train(asked)


@pytest.mark.parametrize("module", MODULES)
def test_a_stack_leaves_the_same_bytes_twice_and_stopped(module, accelerator, jobs, monkeypatch):
    monkeypatch.setattr(loop, "STEPS", 5)
    replicas = [{"optimizer": ("Adam", rate), "module": MODULES[module]} for rate in RATES]

    def asked(folder):
        return jobs(folder, *replicas, accelerator=accelerator, **LONG)

    left = []
    stopped_at(22, monkeypatch, many.fit_together, asked("stopped"))
    for folder in ("once", "twice", "stopped"):
        assert len(many.fit_together(asked(folder))) == len(replicas)
        left.append([engine.fit(job) for job in asked(folder)])
    for outcomes in left[1:]:
        for ours, theirs in zip(outcomes, left[0], strict=True):
            equal(ours, theirs)


@pytest.mark.parametrize("module", MODULES)
def test_one_alone_leaves_the_same_bytes_twice_and_stopped(module, accelerator, jobs, monkeypatch):
    monkeypatch.setattr(loop, "STEPS", 5)

    def asked(folder):
        return jobs(folder, {"module": MODULES[module]}, accelerator=accelerator, **LONG)[0]

    stopped_at(22, monkeypatch, engine.fit, asked("stopped"))
    once, twice, stopped = (engine.fit(asked(folder)) for folder in ("once", "twice", "stopped"))
    equal(twice, once)
    equal(stopped, once)


@pytest.fixture
def gpu_loop(jobs, tmp_path):
    """gpu_loop(3): the loop of so many replicas on a GPU; gpu_loop(0): of a module alone."""

    def build(replicas, **changes):
        asked = jobs("loop", *[{}] * max(replicas, 1), accelerator="gpu", rows=64, **changes)
        fabric = ranks.fabric_of(asked[0].train)
        if replicas:
            modules = [[job.stage.module for job in asked]]
            trained = Native(modules, [job.plan for job in asked], fabric.device)
        else:
            trained = Alone(asked[0].stage.module, fabric)
        return loop.Loop(asked, trained, fabric, tmp_path / "loop.ckpt", Stop())

    return build


needs_gpu = pytest.mark.skipif("gpu" not in ACCELERATORS, reason="needs a GPU")


@needs_gpu
@pytest.mark.parametrize("module", MODULES)
@pytest.mark.parametrize("replicas", [0, 3])
def test_a_step_waits_for_nothing(replicas, module, gpu_loop):
    steps = gpu_loop(replicas, module=MODULES[module])
    first, *others = steps._batches(0)
    steps._step([first])
    torch.cuda.set_sync_debug_mode("error")
    try:
        for rows in others:
            steps._step([rows])
    finally:
        torch.cuda.set_sync_debug_mode("default")


@needs_gpu
@pytest.mark.parametrize("module", MODULES)
@pytest.mark.parametrize("replicas", [0, 3])
def test_a_captured_step_learns_what_a_step_learns(replicas, module, gpu_loop):
    """Three steps come first, so that all memory is there; on the stream that captures."""
    captured, stepped = (gpu_loop(replicas, module=MODULES[module]) for _ in range(2))
    batches = captured._batches(0)
    for rows in batches:
        stepped._step([rows])
    stream, graph, given = torch.cuda.Stream(), torch.cuda.CUDAGraph(), batches[0].clone()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for rows in batches[:3]:
            captured._step([rows])
    torch.cuda.current_stream().wait_stream(stream)
    for draws in captured.replicas.draws:
        graph.register_generator_state(draws.on(captured.fabric.device))
    with torch.cuda.graph(graph, stream=stream):
        captured._step([given])
    for rows in batches[3:]:
        given.copy_(rows)
        graph.replay()
    torch.cuda.synchronize()
    for weights, expected in zip(captured.leaves, stepped.leaves, strict=True):
        torch.testing.assert_close(weights, expected, rtol=0, atol=1e-6)
