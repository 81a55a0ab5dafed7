"""One stage, one fit, one file: trains a stage, alone or in a process a device, or picks up what is there."""

import itertools
import time
from collections.abc import Callable
from dataclasses import replace

import torch

from mlbench.data.rows import Rows
from mlbench.engine import ranks, threads
from mlbench.engine.alone import Alone
from mlbench.engine.job import Job, Outcome
from mlbench.engine.loop import Loop
from mlbench.engine.many import kind_of, why_alone
from mlbench.engine.native import exact_here, numbers_of, settled
from mlbench.engine.saved import read, write
from mlbench.engine.score import state_of
from mlbench.engine.signals import Stop, caught
from mlbench.errors import UserError
from mlbench.seeding import derive, seed_everything

SETTLED: dict[str, bool] = {}  # what this process's rehearsals have shown, by the kind of what was rehearsed


def fit(job: Job, outcome: Outcome | None = None) -> Outcome:
    """Trains the stage's module in place, leaves `<path>.pt`; goes on from `<path>.ckpt` if there is one.

    `outcome` is what the job left when it was trained beside others.
    """
    with job.lock:
        job.clear()
        if outcome:
            job.take(outcome.last, job.done)
        else:
            outcome = finished(job)
        if outcome is None:
            seed_everything(job.seed)
            outcome = solve(job, job.stage.solve) if job.stage.solve else train(job)
    seed_everything(derive(job.seed, "after"))  # what follows draws the same, trained just now or not
    job.report(outcome.history)
    return outcome


def finished(job: Job) -> Outcome | None:
    """What an earlier process left of the stage; its module takes the state."""
    left = read(job.done)
    if left is None:
        return None
    outcome = Outcome(**left)
    job.take(outcome.last, job.done)
    return outcome


def solve(job: Job, by: Callable[[Rows], None]) -> Outcome:
    started = time.monotonic()
    by(job.stage.data)
    outcome = Outcome(state_of(job.stage.module), {}, [], time.monotonic() - started)
    write(job.done, outcome.__dict__)
    return outcome


def train(job: Job) -> Outcome:
    """On one device here; on several in a process each, which this one outlives."""
    stop = Stop(shared=job.train.devices > 1)
    if job.train.devices == 1:
        outcome = descend(job, stop)
    else:
        with caught(stop.hear):
            try:
                ranks.start(descend, (replace(job, report=silent), stop), job.train)
            except UserError:
                if stop.heard:  # a rank that had not begun yet ends by the signal itself
                    raise KeyboardInterrupt from None
                raise
        outcome = finished(job)
    if stop.asked or outcome is None:
        raise KeyboardInterrupt
    return outcome


def descend(job: Job, stop: Stop) -> Outcome:
    """The stage's training in this process, as one of train.devices."""
    fabric = ranks.fabric_of(job.train)
    threads.use(job.train, job.stage.module, job.plan.batch_size)
    seed_everything(job.seed)
    if fabric.world_size > 1:  # processes share the memory of tensors that they are sent
        for tensor in itertools.chain(job.stage.module.parameters(), job.stage.module.buffers()):
            tensor.data = tensor.data.clone()
    exact = fabric.world_size == 1 and exact_here(fabric.device)
    exact = exact and (why_alone(job) is not None or rehearsed(job, fabric.device))
    replicas = Alone(job.stage.module, fabric, "" if exact else "alone")
    (outcome,) = Loop([job], replicas, fabric, job.path.with_suffix(".ckpt"), stop).run()
    assert outcome is not None, "where the loss of one alone gives out, the loop raises"
    return outcome


def rehearsed(job: Job, device: torch.device) -> bool:
    """Whether the stage is settled, rehearsed once for all of its kind."""
    kind = f"{device} {kind_of(job)} {numbers_of(job.stage.module)}"
    if kind not in SETTLED:
        SETTLED[kind] = settled(job, device)
    return SETTLED[kind]


def silent(history: list[dict]) -> None:
    """A tracker stays in the process that started it."""
