"""Runs that differ only in seed and in numbers, and stages of a run that do not wait for one another, trained
as one stacked model.

A step of a small model is all overhead: for eight models side by side it costs little more than for one. Each
replica has its own first weights, rows, order of batches, optimiser state and hyper-parameters, and leaves
the files that `fit` would leave. Jobs that cannot be stacked are left to `fit`.
"""

import functools
import hashlib
import json
import sys
from collections import Counter
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import torch
from filelock import Timeout
from torch import Tensor, nn

from mlbench.config import MACHINE, Train, options
from mlbench.engine import products, ranks, threads
from mlbench.engine.flat import ELEMENTWISE
from mlbench.engine.graph import stream_of
from mlbench.engine.job import Job, Outcome
from mlbench.engine.loop import Loop
from mlbench.engine.native import Native, NotNative
from mlbench.engine.score import device_of
from mlbench.engine.signals import Stop
from mlbench.engine.stack import BrokenAlone, CannotStack, Stack
from mlbench.layers import Dropout
from mlbench.methods.base import STAGE_OPTIONS

# Replicas that are trained at once, by the device: more make a step longer, not cheaper.
REPLICAS = {"cpu": 32, "cuda": 512}
HELD = 2**29  # bytes that the replicas of a stack hold, at most: it makes copies of some of them
SHARE = 16  # of a GPU's memory they hold this part, for the same reason

PLATEAU = "torch.optim.lr_scheduler.ReduceLROnPlateau"


def fit_together(jobs: Sequence[Job]) -> dict[Path, Outcome]:
    """Trains the jobs that can be stacked; returns their outcomes by path. All other jobs, and those that
    break, are left to `fit`.
    """
    outcomes: dict[Path, Outcome] = {}
    by_path = {job.path: job for job in jobs}  # a shared stage is asked for by several runs
    kinds: dict[str, list[Job]] = {}
    remarks: list[str] = []
    for path in sorted(by_path):
        job = by_path[path]
        if job.stage.solve:
            continue
        if reason := why_alone(job):
            remarks += [] if job.done.exists() else [f"{job.label} is trained one by one: {reason}"]
        else:
            kinds.setdefault(kind_of(job), []).append(job)
    for line, times in Counter(remarks).items():
        if times > 1:
            print(f"mlbench: {line}", file=sys.stderr)
    for group in (stack for like in kinds.values() for stack in within_memory(like)):
        with ExitStack() as locks:
            free = [job for job in group if _acquired(locks, job)]
            missing = [job for job in free if not job.done.exists()]
            if missing and checkpoint_of(free).exists():
                missing = free  # a process died while it wrote the outcomes
            elif free and not missing:
                checkpoint_of(free).unlink(missing_ok=True)  # a process died before it removed the checkpoint
            if len(missing) > 1:
                try:
                    outcomes |= _train(missing)
                except BrokenAlone:
                    pass
                except Exception as error:  # of any kind: alone a job works, or says what is wrong
                    print(f"mlbench: {missing[0].label} is trained one by one: {error}", file=sys.stderr)
    return outcomes


def most_at_once(train: Train) -> int:
    """How many runs train as one, as far as memory allows."""
    return REPLICAS[device_of(train).type] if train.replicas == "auto" else train.replicas


def held(train: Train) -> int:
    """Bytes; of a device as a whole, whatever is in use: after a crash the same jobs are to be one stack."""
    if device_of(train).type == "cpu":
        return HELD
    return max(HELD, torch.cuda.get_device_properties(0).total_memory // SHARE)


def within_memory(jobs: list[Job]) -> list[list[Job]]:
    """Stacks whose jobs hold at most `held` bytes: modules, some of which remember all rows, and each job's
    targets and extra tensors; features are not counted."""
    module, data = jobs[0].stage.module, jobs[0].stage.data
    tensors = [*module.parameters(), *module.buffers(), data.targets, *data.extra.values()]
    most = max(1, held(jobs[0].train) // sum(tensor.nbytes for tensor in tensors))
    return [jobs[start : start + most] for start in range(0, len(jobs), most)]


def checkpoint_of(jobs: Sequence[Job]) -> Path:
    """The path of the checkpoint of exactly this set of jobs."""
    paths = sorted(job.path for job in jobs)
    digest = hashlib.sha256(json.dumps([str(path) for path in paths]).encode()).hexdigest()[:16]
    return paths[0].with_name(f"{paths[0].name}-together-{digest}.ckpt")


def _acquired(locks: ExitStack, job: Job) -> bool:
    try:
        locks.enter_context(job.lock.acquire(timeout=0))
    except Timeout:
        return False
    job.clear()
    return True


def why_alone(job: Job) -> str | None:
    """Why a job cannot be stacked with any other job; None if nothing prevents it."""
    train, optimizer, plateau = job.train, job.plan.optimizer["_target_"], PLATEAU
    parts = [*job.stage.module.modules()]
    reasons = {
        f"train.devices={train.devices}": train.devices > 1,
        f"train.precision={train.precision}": train.precision not in ("32-true", "tf32"),
        f"{optimizer} mixes the entries of a parameter": optimizer not in ELEMENTWISE,
        f"its rate waits for a plateau of its own ({plateau})": job.plan.scheduler["_target_"] == plateau,
        "its convolutions take all of a machine": any(
            isinstance(part, nn.modules.conv._ConvNd) for part in parts
        ),
        "it has batch norm with running statistics": any(
            isinstance(part, nn.modules.batchnorm._NormBase) and part.track_running_stats for part in parts
        ),
        "it has dropout that draws from everybody's generator": any(
            isinstance(part, nn.modules.dropout._DropoutNd) and part.p and not isinstance(part, Dropout)
            for part in parts
        ),
    }
    return next((reason for reason, holds in reasons.items() if holds), None)


def kind_of(job: Job) -> str:
    """Equal for jobs that may be stacked."""
    stage, plan, train = job.stage, job.plan, job.train
    module = stage.module
    entries = module.state_dict().items()  # other things than tensors come from get_extra_state
    state = {
        name: [*value.shape] if isinstance(value, Tensor) else type(value).__name__ for name, value in entries
    }
    described = {
        "module": f"{type(module).__module__}.{type(module).__qualname__}",
        "state": state,
        "functions": functions_of(module),
        "data": stage.data.described,
        "plan": [plan.epochs, plan.batch_size, plan.walk, plan.optimizer["_target_"], plan.scheduler],
        "optimizer": {key: value for key, value in options(plan.optimizer).items() if not _number(value)},
        "train": train.model_dump(exclude={*MACHINE, *STAGE_OPTIONS}),
        "device": train.accelerator,
        "leaves": stage.leaves,
        "selection": job.selection.model_dump() if job.watches else None,
        "watches": [[watch.rule, watch.part] for watch in job.watches],
    }
    return json.dumps(described, sort_keys=True, default=str)


def functions_of(module: nn.Module) -> dict[str, list]:
    """The partials that a module holds, such as its loss, with their arguments; numbers are masked."""
    return {
        f"{path}.{name}": [
            f"{value.func.__module__}.{value.func.__qualname__}",
            {key: "number" if _number(argument) else argument for key, argument in value.keywords.items()},
        ]
        for path, part in module.named_modules()
        for name, value in vars(part).items()
        if isinstance(value, functools.partial)
    }


def _number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _train(jobs: list[Job]) -> dict[Path, Outcome]:
    """Trains one stack to its last epoch, from its checkpoint if there is one."""
    groups: dict[str, list[Job]] = {}
    for job in sorted(jobs, key=lambda job: (_optimizer(job), str(job.path))):
        groups.setdefault(_optimizer(job), []).append(job)
    first, stop, fabric = jobs[0], Stop(), ranks.fabric_of(jobs[0].train)
    threads.use(first.train, first.stage.module, first.plan.batch_size, len(jobs))
    products.use(first.train)
    ordered = [job for group in groups.values() for job in group]
    modules = [[job.stage.module for job in group] for group in groups.values()]
    with stream_of(fabric.device):
        try:
            native = Native(modules, [job.plan for job in ordered], fabric.device)
            loop = Loop(ordered, native, fabric, checkpoint_of(jobs), stop)
        except NotNative as error:
            native_not = f"as one module {error}"
            try:
                loop = Loop(ordered, Stack(modules, fabric.device), fabric, checkpoint_of(jobs), stop)
            except CannotStack as reason:
                raise CannotStack(f"{reason}; {native_not}") from None
            label = f"{first.label} is trained as one by vmap, which changes last digits"
            print(f"mlbench: {label}: {native_not}", file=sys.stderr)
        outcomes = loop.run()
    if stop.asked:
        raise KeyboardInterrupt
    return {job.path: outcome for job, outcome in zip(ordered, outcomes) if outcome}


def _optimizer(job: Job) -> str:
    return json.dumps(job.plan.optimizer, sort_keys=True)
