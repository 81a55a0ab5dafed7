"""Fits one stage: trains it, here or in a process a device, or takes up what an earlier process left."""

import itertools
import time
from collections.abc import Callable
from dataclasses import MISSING, fields, replace

import torch

from mlbench.data.rows import Rows
from mlbench.engine import products, ranks, threads
from mlbench.engine.alone import Alone
from mlbench.engine.graph import stream_of
from mlbench.engine.job import Job, Outcome
from mlbench.engine.lightning import Fabric
from mlbench.engine.loop import Loop
from mlbench.engine.many import kind_of, why_alone
from mlbench.engine.native import exact_here, numbers_of, same_beside
from mlbench.engine.saved import read, write
from mlbench.engine.score import state_of
from mlbench.engine.signals import Stop, caught
from mlbench.errors import UserError
from mlbench.seeding import derive, seed_everything
from mlbench.team import team

OUTCOME = [field.name for field in fields(Outcome) if field.default is MISSING]  # older files have no others
SHOWN: dict[str, bool] = {}  # what rehearsals have shown in this process, by the kind of the stage


def fit(job: Job, outcome: Outcome | None = None) -> Outcome:
    """Trains the stage's module in place and leaves `<path>.pt`; goes on from `<path>.ckpt` if there is one.

    `outcome` is that of the job if a stack has trained it already.
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
    # What follows draws the same numbers, whether the stage was trained just now or taken up.
    seed_everything(derive(job.seed, "after"))
    job.report(outcome.history)
    return outcome


def finished(job: Job) -> Outcome | None:
    """The outcome that an earlier process left, whose state the module takes."""
    content = read(job.done, OUTCOME)
    if content is None:
        return None
    outcome = Outcome(**content)
    job.take(outcome.last, job.done)
    return outcome


def solve(job: Job, solver: Callable[[Rows], None]) -> Outcome:
    started, worked = time.monotonic(), time.process_time()
    solver(job.stage.data)
    seconds, worked = time.monotonic() - started, time.process_time() - worked
    outcome = Outcome(state_of(job.stage.module), {}, [], seconds, processor_seconds=worked)
    write(job.done, outcome.__dict__)
    return outcome


def train(job: Job) -> Outcome:
    """Trains on one device in this process, on several in a process each."""
    stop = Stop(shared=job.train.devices > 1 and not team())
    if job.train.devices == 1:
        outcome = train_here(job, stop)
    else:
        with caught(stop.hear):
            try:
                ranks.start(train_here, (replace(job, report=silent), stop), job.train)
            except UserError:
                if stop.heard:  # the signal itself ends a rank that has not begun yet
                    raise KeyboardInterrupt from None
                raise
        outcome = finished(job)
    if stop.asked or outcome is None:
        raise KeyboardInterrupt
    return outcome


def train_here(job: Job, stop: Stop) -> Outcome:
    """Trains the stage in this process, which is one of train.devices."""
    fabric = ranks.fabric_of(job.train)
    threads.use(job.train, job.stage.module, job.plan.batch_size)
    products.use(job.train)
    seed_everything(job.seed)
    if fabric.world_size > 1:  # processes share the memory of the tensors that were sent to them
        for tensor in itertools.chain(job.stage.module.parameters(), job.stage.module.buffers()):
            tensor.data = tensor.data.clone()
    exact = fabric.world_size == 1 and exact_here(fabric.device)
    exact = exact and (why_alone(job) is not None or rehearsed(job, fabric.device))
    with stream_of(fabric.device):
        replicas = alone(job, fabric, "" if exact else "alone")
        (outcome,) = Loop([job], replicas, fabric, job.path.with_suffix(".ckpt"), stop).run()
    assert outcome is not None, "the loop raises where the loss of a single job is not finite"
    if job.stage.leaves != "last":
        job.take(outcome.last, job.done)
    return outcome


def alone(job: Job, fabric: Fabric, trained: str) -> Alone:
    if fabric.world_size == 1 or job.train.strategy != "fsdp":
        return Alone(job.stage.module, fabric, trained)
    from mlbench.engine.sharded import Sharded  # takes as long to import as a short run

    return Sharded(job.stage.module, fabric)


def rehearsed(job: Job, device: torch.device) -> bool:
    """What `same_beside` says of the stage; rehearsed once for all stages of its kind."""
    kind = f"{device} {kind_of(job)} {numbers_of(job.stage.module)}"
    if kind not in SHOWN:
        SHOWN[kind] = same_beside(job, device)
    return SHOWN[kind]


def silent(history: list[dict]) -> None:
    """A tracker stays in the process that started it."""
