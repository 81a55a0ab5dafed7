"""The processes of a fit on several devices: how they start, agree and end, what is said when one dies."""

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
from lightning.fabric import Fabric
from lightning.fabric.strategies.ddp import DDPStrategy
from torch.multiprocessing.spawn import (
    ProcessContext,
    ProcessException,
    ProcessExitedException,
    start_processes,
)

from mlbench.config import Train
from mlbench.errors import UserError

START = "spawn"  # a process that has used a GPU cannot be forked


def fabric_of(train: Train) -> Fabric:
    """Devices, precision and, where several devices share a model, how they do."""
    if train.devices == 1 and train.precision == "32-true":
        return plain(train.accelerator)
    unused = train.strategy.endswith("unused_parameters_true")
    strategy = DDPStrategy(find_unused_parameters=unused) if train.devices > 1 else "auto"
    return launched(train.accelerator, train.devices, strategy, train.precision)


@functools.cache
def plain(accelerator: str) -> Fabric:
    """One device in full precision: such a Fabric keeps nothing of what it drives, so fits share it."""
    return launched(accelerator, 1, "auto", "32-true")


def launched(accelerator: str, devices: int, strategy: Any, precision: Any) -> Fabric:
    fabric = Fabric(accelerator=accelerator, devices=devices, strategy=strategy, precision=precision)
    fabric.launch()
    return fabric


def start(function: Callable, arguments: tuple, train: Train) -> None:
    """Calls a function in a process a device, each of which finds the others."""
    with tempfile.TemporaryDirectory() as folder:
        meeting = Path(folder, "meeting").as_uri()  # a file: a port that is free now may be taken then
        given = (function, arguments, train, meeting)
        running = start_processes(_rank, given, train.devices, join=False, start_method=START)
        assert running is not None, "it returns at once, with what it has started"
        try:
            while not running.join():
                pass
        except ProcessException as error:
            raise explained(error, running) from error
        finally:
            end(running)


def _rank(rank: int, function: Callable, arguments: tuple, train: Train, meeting: str) -> None:
    """One of the processes; it ends its part of the group before it ends itself.

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
    """Which of them any rank has, the same on all ranks."""
    counted = torch.tensor([float(wish) for wish in wishes], device=device)
    torch.distributed.all_reduce(counted)
    return [count > 0 for count in counted.tolist()]


def of_all(own: Any, world: int) -> list[Any]:
    """What each rank holds, in their order, on all ranks."""
    if world == 1:
        return [own]
    held = [None] * world
    torch.distributed.all_gather_object(held, own)
    return held


def orphaned() -> bool:
    """Whether the process that started this rank has died: another may be at work on the run already."""
    parent = multiprocessing.parent_process()
    return parent is not None and not parent.is_alive()


def explained(error: ProcessException, started: ProcessContext) -> Exception:
    """What a person is told when a rank has raised, of which only text is left, or was killed."""
    _, expected, sentence = str(error).rstrip().rpartition(f"{UserError.__module__}.UserError: ")
    if expected:
        return UserError(sentence)
    # The other ranks lose the connection, and those that do not notice it are sent SIGTERM.
    codes = [process.exitcode or 0 for process in started.processes]
    killed = [code for code in codes if code < 0 and code != -signal.SIGTERM]
    if killed:
        code = killed[0]
    elif isinstance(error, ProcessExitedException):
        code = error.exit_code
    else:
        return error
    how = f"was ended by {signal.Signals(-code).name}" if code < 0 else f"ended with status {code}"
    several = len(codes)
    return UserError(
        f"one of the {several} processes of train.devices={several} {how}; the same command goes on from the "
        "last checkpoint"
    )


def end(started: ProcessContext) -> None:
    """Those that are still there, at once."""
    for process in started.processes:
        if process.is_alive():
            process.kill()
        process.join()
