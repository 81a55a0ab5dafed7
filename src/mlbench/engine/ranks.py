"""The processes of a fit on several devices: how they start, agree and end, and the error when one dies."""

import contextlib
import functools
import gc
import multiprocessing
import os
import signal
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
import torch.distributed
from lightning.fabric.plugins.environments.lightning import LightningEnvironment
from lightning.fabric.strategies.ddp import DDPStrategy
from torch.multiprocessing.spawn import (
    ProcessContext,
    ProcessException,
    ProcessExitedException,
    start_processes,
)

from mlbench.config import Train
from mlbench.engine import joined
from mlbench.engine.lightning import Fabric
from mlbench.errors import UserError
from mlbench.team import team

START = "spawn"  # a process that has used a GPU cannot be forked


def fabric_of(train: Train) -> Fabric:
    """A Fabric with the devices, the precision and, for several devices, the strategy of conf/train."""
    # To Fabric tf32 is full precision; `products.use` makes the products short.
    precision = "32-true" if train.precision == "tf32" else train.precision
    if train.devices == 1 and precision == "32-true":
        return plain(train.accelerator)
    return launched(train.accelerator, train.devices, strategy_of(train), precision)


def strategy_of(train: Train) -> Any:
    if train.devices == 1:
        return "auto"
    if train.strategy == "fsdp":
        from mlbench.engine.sharded import strategy

        return strategy(train.devices)
    return DDPStrategy(find_unused_parameters=train.strategy.endswith("unused_parameters_true"))


@functools.cache
def plain(accelerator: str) -> Fabric:
    """One device in full precision: all fits share such a Fabric, since it keeps nothing of a fit."""
    return launched(accelerator, 1, "auto", "32-true")


def launched(accelerator: str, devices: int, strategy: Any, precision: Any) -> Fabric:
    """A Fabric that takes this process for what the engine says it is.

    By itself it would take any process within a SLURM job for one of a team.
    """
    shared = team() if devices > 1 else None
    devices, nodes = (shared.here, shared.size // shared.here) if shared else (devices, 1)
    fabric = Fabric(
        accelerator=accelerator,
        devices=devices,
        num_nodes=nodes,
        strategy=strategy,
        precision=precision,
        plugins=[LightningEnvironment()],
    )
    fabric.launch()
    return fabric


def start(function: Callable, arguments: tuple, train: Train) -> None:
    """Calls a function in a process a device, as one process group."""
    if team():
        return joined.start(function, arguments)
    with tempfile.TemporaryDirectory() as folder:
        meeting = Path(folder, "meeting").as_uri()  # a file: a port that is free now may be taken then
        process_arguments = (function, arguments, train, meeting)
        running = start_processes(_rank, process_arguments, train.devices, join=False, start_method=START)
        assert running is not None, "it returns at once, with what it has started"
        try:
            while not running.join():
                pass
        except ProcessException as error:
            raise explained(error, running) from error
        finally:
            end(running)


def _rank(rank: int, function: Callable, arguments: tuple, train: Train, meeting: str) -> None:
    """One of the processes; it leaves the process group before it ends.

    A thread of gloo's may hold the last reference to a tensor that Python knows. If it lets go of it while
    the interpreter ends, the interpreter ends the thread in the midst of a destructor, and C++ then ends the
    process: "terminate called without an active exception". So the threads end first.
    """
    os.environ["LOCAL_RANK"] = str(rank)
    backend = "gloo" if train.accelerator == "cpu" or not torch.cuda.is_available() else "nccl"
    torch.distributed.init_process_group(backend, init_method=meeting, rank=rank, world_size=train.devices)
    with contextlib.suppress(KeyboardInterrupt):  # all ranks agreed to stop
        function(*arguments)
    gc.collect()  # DDP's wrapper of the module holds the group, too, and stands in a cycle
    torch.distributed.barrier()
    torch.distributed.destroy_process_group()


def any_of(wishes: Sequence[bool], device: torch.device) -> list[bool]:
    """For each wish, whether any rank has it; the same answer on all ranks."""
    counted = torch.tensor([float(wish) for wish in wishes], device=device)
    torch.distributed.all_reduce(counted)
    return [count > 0 for count in counted.tolist()]


def of_all(value: Any, world: int) -> list[Any]:
    """The value of each rank, in the order of ranks, on all ranks."""
    if world == 1:
        return [value]
    values = [None] * world
    torch.distributed.all_gather_object(values, value)
    return values


def orphaned() -> bool:
    """Whether the process that started this rank has died: another may be at work on the run already."""
    parent = multiprocessing.parent_process()
    return parent is not None and not parent.is_alive()


def explained(error: ProcessException, started: ProcessContext) -> Exception:
    """The error for a person when a rank has raised, of which only the text arrives, or was killed."""
    _, expected, sentence = str(error).rstrip().rpartition(f"{UserError.__module__}.UserError: ")
    if expected:
        return UserError(sentence)
    # The other ranks lose the connection; those that do not notice get SIGTERM.
    codes = [process.exitcode or 0 for process in started.processes]
    killed = [code for code in codes if code < 0 and code != -signal.SIGTERM]
    if killed:
        code = killed[0]
    elif isinstance(error, ProcessExitedException):
        code = error.exit_code
    else:
        return error
    ending = f"was ended by {signal.Signals(-code).name}" if code < 0 else f"ended with status {code}"
    several = len(codes)
    return UserError(
        f"one of the {several} processes of train.devices={several} {ending}; the same command goes on from "
        "the last checkpoint"
    )


def end(started: ProcessContext) -> None:
    """Kills the processes that are still there."""
    for process in started.processes:
        if process.is_alive():
            process.kill()
        process.join()
