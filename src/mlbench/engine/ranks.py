"""The processes of a fit on several devices: how they agree, how each ends, what is said when one dies."""

import gc
import multiprocessing
import signal
from collections.abc import Sequence
from multiprocessing.process import BaseProcess
from typing import Any

import torch
import torch.distributed
from lightning.pytorch.strategies import DDPStrategy
from torch.multiprocessing import ProcessRaisedException

from mlbench.config import Train
from mlbench.errors import UserError

START = "spawn"  # a process that has used a GPU cannot be forked


class Ranks(DDPStrategy):
    """DDP in processes of its own, each of which ends its part of the group before it ends itself.

    A thread of gloo's may hold the last reference to a tensor that Python knows. If it lets go of it while
    the interpreter ends, the interpreter ends the thread in the midst of a destructor, and C++ then ends the
    process: "terminate called without an active exception". So the threads end first.
    """

    def teardown(self) -> None:
        super().teardown()
        if not torch.distributed.is_initialized() or torch.distributed.get_backend() != "gloo":
            return  # the parent; NCCL's group, which Lightning ends
        if self.lightning_module.trainer.interrupted:
            return  # a thread may wait for another rank, which waits for this one
        gc.collect()  # DDP's wrapper of the module holds the group, too, and stands in a cycle
        torch.distributed.destroy_process_group()


def strategy(train: Train) -> Ranks | str:
    if train.devices == 1:
        return train.strategy
    unused = {"find_unused_parameters": True} if train.strategy.endswith("unused_parameters_true") else {}
    return Ranks(start_method=START, **unused)


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


def explained(error: Exception, processes: Sequence[BaseProcess]) -> Exception:
    """What a person is told when a rank has raised, of which only text is left, or was killed."""
    _, expected, sentence = str(error).rstrip().rpartition(f"{UserError.__module__}.UserError: ")
    if expected:
        return UserError(sentence)
    # The other ranks lose the connection, and those that do not notice it are sent SIGTERM.
    codes = [process.exitcode or 0 for process in processes]
    killed = [code for code in codes if code < 0 and code != -signal.SIGTERM]
    if not killed and isinstance(error, ProcessRaisedException):
        return error
    code = killed[0] if killed else error.exit_code
    how = f"was ended by {signal.Signals(-code).name}" if code < 0 else f"ended with status {code}"
    several = len(codes)
    return UserError(
        f"one of the {several} processes of train.devices={several} {how}; the same command goes on from the "
        "last checkpoint"
    )


def end(processes: Sequence[BaseProcess]) -> None:
    """Those that are still there, at once."""
    for process in processes:
        if process.is_alive():
            process.kill()
        process.join()
