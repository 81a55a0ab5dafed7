"""A stack that is stopped or killed goes on from its checkpoint, and leaves what it leaves undisturbed."""

import functools
import multiprocessing
import signal

import pytest
import torch

from commands import signalled_at_rename, signalled_at_step
from mlbench.engine import fit as engine
from mlbench.engine import loop, many
from replicas import COSINE, RATES, Hooked, equal

forked = multiprocessing.get_context("fork")  # quick: everything is imported already


@pytest.fixture
def three(jobs, monkeypatch):
    """three("folder"): jobs of two chunks an epoch; two learning rates, a warm-up, looks, hooks."""
    monkeypatch.setattr(loop, "STEPS", 10)
    long = {"rows": 14, "batch_size": 1, "epochs": 3, "looks": ["best"], "every": 2}
    long |= {"scheduler": COSINE, "warmup": 20}
    replicas = [{"optimizer": ("Adam", rate)} for rate in RATES[:3]]
    return lambda folder: jobs(folder, *replicas, checkpoint_seconds=0, module={"kind": Hooked}, **long)


@pytest.fixture
def undisturbed(three):
    return trained(three("undisturbed"))


def trained(asked):
    many.fit_together(asked)
    assert all(job.done.exists() for job in asked) and checkpoints(asked) == []
    return [engine.fit(job) for job in asked]


def checkpoints(asked):
    return [path for job in asked for path in job.path.parent.glob("*.ckpt")]


def killed(asked, accident):
    """Trains in a process that comes to an end."""
    process = forked.Process(target=lambda: (accident(), many.fit_together(asked)))
    process.start()
    process.join(60)
    assert process.exitcode == -signal.SIGKILL


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("step, stopped_at", [(1, 10), (12, 14), (31, 38)])
def test_a_signal_stops_it_and_it_goes_on_from_there(
    step, stopped_at, number, three, undisturbed, monkeypatch
):
    """At the end of the chunk: within an epoch, at the end of one, within the last."""
    adam, steps = torch.optim.Adam.step, []

    def counted(self, closure=None):
        adam(self)
        steps.append(len(steps) + 1)
        if steps[-1] == step:
            signal.raise_signal(number)

    asked = three("stopped")
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(torch.optim.Adam, "step", counted)
        many.fit_together(asked)
    assert steps[-1] == stopped_at and len(checkpoints(asked)) == 1
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    for ours, whole in zip(trained(three("stopped")), undisturbed, strict=True):
        equal(ours, whole)


def test_a_signal_in_the_last_chunk_is_heard_once_all_is_done(three, monkeypatch):
    adam, steps = torch.optim.Adam.step, []

    def counted(self, closure=None):
        adam(self)
        steps.append(self)
        if len(steps) == 41:
            signal.raise_signal(signal.SIGTERM)

    asked = three("stopped")
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(torch.optim.Adam, "step", counted)
        many.fit_together(asked)
    assert len(steps) == 42 and all(job.done.exists() for job in asked) and checkpoints(asked) == []


def test_a_signal_while_it_writes_is_heard_once_all_is_written(three, monkeypatch):
    asked, write = three("stopped"), loop.write

    def interrupted(path, content):
        write(path, content)
        if path == asked[0].done:
            signal.raise_signal(signal.SIGTERM)

    monkeypatch.setattr(loop, "write", interrupted)
    with pytest.raises(KeyboardInterrupt):
        many.fit_together(asked)
    assert all(job.done.exists() for job in asked) and checkpoints(asked) == []


MOMENTS = {
    "in a step": functools.partial(signalled_at_step, 26, signal.SIGKILL),
    "in a step before there is a checkpoint": functools.partial(signalled_at_step, 2, signal.SIGKILL),
    "before a checkpoint": functools.partial(signalled_at_rename, 2, ".ckpt", "before"),
    "after a checkpoint": functools.partial(signalled_at_rename, 4, ".ckpt", "after"),
    "before the first result": functools.partial(signalled_at_rename, 1, ".pt", "before"),
    "after the first result": functools.partial(signalled_at_rename, 1, ".pt", "after"),
    "after the second": functools.partial(signalled_at_rename, 2, ".pt", "after"),
    "after the last": functools.partial(signalled_at_rename, 3, ".pt", "after"),
}


@pytest.mark.parametrize("moment", MOMENTS)
def test_killed_it_goes_on_from_its_checkpoint(moment, three, undisturbed):
    killed(three("killed"), MOMENTS[moment])
    asked = three("killed")
    many.fit_together(asked)
    for job, whole in zip(asked, undisturbed, strict=True):
        assert job.done.exists()
        equal(engine.fit(job), whole)
    assert checkpoints(asked) == [] and not list(asked[0].path.parents[1].rglob("*.tmp"))


def test_a_stack_of_others_begins_anew(three, undisturbed):
    """It does not take a checkpoint of three for its own; the three go on from it afterwards."""
    killed(three("killed"), MOMENTS["after a checkpoint"])
    two = three("killed")[1:]
    many.fit_together(two)
    for job, fresh in zip(two, trained(three("fresh")[1:])):
        equal(engine.fit(job), fresh)
    assert len(checkpoints(three("killed"))) == 1
    equal(trained(three("killed"))[0], undisturbed[0])


def test_nothing_is_left_of_a_stack_whose_members_went_other_ways(three):
    killed(three("killed"), MOMENTS["before a checkpoint"])
    first, *others = three("killed")
    many.fit_together(others)
    assert len(checkpoints([first])) == 1
    engine.fit(first)
    assert checkpoints([first]) == [] and not list(first.path.parents[1].rglob("*.tmp"))


def test_one_that_was_begun_alone_joins(three):
    asked = three("begun")
    asked[1].path.parent.mkdir(parents=True)
    asked[1].path.with_suffix(".ckpt").touch()
    trained(asked)
