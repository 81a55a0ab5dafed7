"""The first stage of contrastive methods under the engine: what its queue holds, stopped, on two devices."""

import functools
import itertools
import multiprocessing
import os
import signal
from types import SimpleNamespace

import numpy as np
import pytest
import torch

import commands
from commands import records, result
from mlbench.bench.many import job_of
from mlbench.compose import configure
from mlbench.engine import loop, ranks
from mlbench.engine.fit import fit
from mlbench.engine.many import fit_together
from mlbench.engine.saved import read
from mlbench.experiment import run
from mlbench.methods.build import build_method
from mlbench.methods.contrastive import pretraining
from mlbench.methods.contrastive.queue import Queue
from mlbench.seeding import seed_everything
from replicas import bits
from small import small_data, small_task

METHODS = ("mulsupcon", "mulsupcon_rld", "mulsupcon_cld")
BATCH, HELD, ROWS = 8, 24, 44  # an epoch has six batches, the last of which goes on over the end of a pass
SMALL = ["backbone.widths=[8]", "method.pretrain.epochs=2"]
SMALL += [f"method.pretrain.batch_size={BATCH}", f"method.pretrain.queue={HELD}"]
STEPS = 12


@functools.cache
def configured(method, *changes):
    everywhere = ["dataset=npz", "dataset.path=x", "train.checkpoint_seconds=0", "train.progress=false"]
    return configure([f"method={method}", *everywhere, *SMALL, *changes])


def job(method, folder, seed=0, *changes):
    """That of the first stage."""
    config = configured(method, *changes)
    seed_everything(seed)
    data = small_data(3, ROWS)
    built = build_method(config.method, config.backbone, config.loss, small_task(3))
    folder.mkdir(exist_ok=True)
    return job_of(next(built.stages({"train": data})), config, seed, folder)


@pytest.fixture
def watched(monkeypatch):
    """watched(module) lists the steps it is trained by: what each brought, and what its anchors met."""

    def watch(module):
        seen, meet = [], Queue.meet

        def met(queue, *brought):
            found = meet(queue, *brought)
            if queue is module.queue:  # and not that of a copy which rehearses
                kept = [part.clone()[found.open] for part in found[:3]]
                seen.append(SimpleNamespace(brought=[part.clone() for part in brought], met=kept))
            return found

        monkeypatch.setattr(Queue, "meet", met)
        return seen

    return watch


def rows_in(parts):
    """Keys, labels and, where a method has them, distributions, as rows to compare."""
    return sorted(map(tuple, torch.cat([*parts], -1).tolist()))


@pytest.mark.parametrize("method", METHODS)
def test_what_the_anchors_of_every_step_meet(method, tmp_path, watched):
    """The step's own keys and, once the queue is full, those of the steps before: all of them, each once."""
    given = job(method, tmp_path)
    seen = watched(given.stage.module)
    fit(given)
    assert len(seen) == STEPS
    orders = torch.cat([given.plan.visits(ROWS, epoch) for epoch in range(2)]).split(BATCH)
    for number, (step, rows) in enumerate(zip(seen, orders, strict=True)):
        assert torch.equal(step.brought[1], given.stage.data.targets[rows])
        assert all(map(torch.equal, [part[:BATCH] for part in step.met], step.brought))
        before = seen[number - HELD // BATCH : number] if number >= HELD // BATCH else []
        assert len(step.met[0]) == BATCH * (1 + len(before)) == len(step.met[0].unique(dim=0))
        others = [row for earlier in before for row in rows_in(earlier.brought)]
        assert rows_in(part[BATCH:] for part in step.met) == sorted(others)
    queue = given.stage.module.queue
    left = [part[BATCH:] for part in (queue.keys, queue.labels, queue.distributions)]
    last = [row for step in seen[-HELD // BATCH :] for row in rows_in(step.brought)]
    assert queue.entered == STEPS * BATCH and rows_in(left) == sorted(last)


class Killed(BaseException):
    """Nothing is saved, nothing is put in order."""


def killed_in(step, module, monkeypatch):
    """Its process ends in the n-th step, after the loss."""
    count, meet = itertools.count(1), Queue.meet

    def met(queue, *brought):
        found = meet(queue, *brought)
        if queue is module.queue and next(count) == step:
            raise Killed
        return found

    monkeypatch.setattr(Queue, "meet", met)


@pytest.mark.parametrize("method", ["mulsupcon", "mulsupcon_cld"])
def test_stopped_after_every_step_it_ends_as_undisturbed(method, tmp_path, monkeypatch):
    """Queue, momentum encoder and draws included, to the last byte."""
    monkeypatch.setattr(loop, "STEPS", 1)  # a checkpoint before each step
    whole = fit(job(method, tmp_path / "whole"))
    assert {name.partition(".")[0] for name in whole.last} >= {"queue", "key_backbone", "key_projection"}
    for _ in range(STEPS - 1):  # one step each time, and the loss of the next
        given = job(method, tmp_path / "stopped")
        with monkeypatch.context() as patch, pytest.raises(Killed):
            killed_in(2, given.stage.module, patch)
            fit(given)
        assert given.path.with_suffix(".ckpt").exists() and not given.done.exists()
    outcome = fit(job(method, tmp_path / "stopped"))
    assert (bits(outcome.last), outcome.history) == (bits(whole.last), whole.history)


@pytest.mark.parametrize("method", ["mulsupcon", "mulsupcon_cld"])
def test_beside_others_it_ends_as_alone(method, tmp_path):
    """Queues and momentum encoders of replicas that are trained as one."""
    together = [job(method, tmp_path / "together", seed) for seed in range(3)]
    outcomes = fit_together(together)
    for seed, given in enumerate(together):
        alone = fit(job(method, tmp_path / "alone", seed))
        assert alone.trained == outcomes[given.path].trained == ""
        assert bits(alone.last) == bits(outcomes[given.path].last)


@pytest.fixture
def forked(monkeypatch):
    """Commands and ranks fork from this process; no GPU is used here, so nothing of one is inherited."""
    monkeypatch.setattr(torch.cuda, "_is_in_bad_fork", lambda: False)
    monkeypatch.setattr(commands, "forks", multiprocessing.get_context("fork"))
    monkeypatch.setattr(ranks, "START", "fork")


def killed_at_step(number):
    """By SIGKILL, with a checkpoint before each step."""
    loop.STEPS = 1
    step, count = loop.Loop._step, itertools.count(1)

    def counted(self, batches):
        step(self, batches)
        if next(count) == number:
            os.kill(os.getpid(), signal.SIGKILL)

    loop.Loop._step = counted


@pytest.fixture
def data(folder):
    files = {}
    torch.manual_seed(0)
    for part, rows in (("train", ROWS), ("test", 9)):
        held = small_data(3, rows)
        files[part] = folder / f"{part}.npz"
        np.savez(files[part], features=held.x.numpy(), targets=held.targets.numpy().astype(np.uint8))
    cache = f"paths.cache={folder}/cache"
    return ["dataset=npz", cache, f"dataset.path={files['train']}", f"dataset.test={files['test']}"]


@pytest.mark.usefixtures("forked")
def test_a_command_that_is_killed_twice_ends_as_undisturbed(data, command, folder):
    """In the first stage, once its queue is full, and in the second, which goes on with its label layer."""
    words = [*data, "split=official", "method=mulsupcon_cld", *SMALL]
    words += ["train.epochs=2", "train.batch_size=8", "train.checkpoint_seconds=0", "train.progress=false"]
    run(configure([*words, f"paths.outputs={folder}/whole"]))
    for step in (5, 10):
        killed = command(*words, first=functools.partial(killed_at_step, step))
        assert (killed.status, killed.err) == (-signal.SIGKILL, "")
    (checkpoint,) = folder.glob("outputs/*/*/*/stages/*.ckpt")
    assert checkpoint.name == "1-train.ckpt" and not records(folder / "outputs")
    run(configure([*words, f"paths.outputs={folder}/outputs"]))
    (ours,), (theirs,) = records(folder / "outputs"), records(folder / "whole")
    assert result(ours) == result(theirs)
    for stage in ("0-pretrain", "1-train"):
        left = [read(path.parent / "stages" / f"{stage}.pt")["last"] for path in (ours, theirs)]
        assert bits(left[0]) == bits(left[1])


ALIKE = ["backbone.dropout=0", "method.pretrain.dropout=0", "method.pretrain.mask=0"]  # nothing is drawn


@pytest.mark.usefixtures("forked")
def test_two_devices_fill_one_queue_in_the_order_of_instances(tmp_path, monkeypatch):
    """Without batch norm, whose statistics are of a device's own rows, they learn what one learns."""
    monkeypatch.setattr(pretraining, "BatchNorm1d", torch.nn.Identity)
    alone = fit(job("mulsupcon_cld", tmp_path / "alone", 0, *ALIKE))
    given = job("mulsupcon_cld", tmp_path / "together", 0, *ALIKE, "train.devices=2")
    together = fit(given)
    rows = torch.cat([given.plan.visits(ROWS, epoch) for epoch in range(2)])[-HELD:]
    held = together.last["queue.labels"][BATCH:]
    assert together.last["queue.entered"] == STEPS * BATCH and STEPS * BATCH % HELD == 0
    assert torch.equal(held, given.stage.data.targets[rows])
    for ours, theirs in zip(together.history, alone.history, strict=True):
        assert ours == pytest.approx(theirs, rel=1e-6)
    for name, expected in alone.last.items():
        torch.testing.assert_close(together.last[name], expected, rtol=1e-5, atol=1e-5)
