"""Training in processes that torchrun or srun has started.

The first process alone carries out the command and writes files. The others wait until the first begins to
train on several devices, train with it as one process group, and wait again. All meet at a TCPStore.
"""

import contextlib
import functools
import gc
import itertools
import os
import sys
import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as distributed
from torch.distributed import PrefixStore, TCPStore  # pyright: ignore[reportPrivateImportUsage]

from mlbench.errors import UserError, sentence
from mlbench.team import Team, team

BEGIN, END = "begin", "end"
LOOK = 0.05  # seconds between two looks at what the first process says
FAREWELL = 10  # seconds for the others to notice the end
LONGEST = timedelta(days=1)  # that a process waits for another, as at the end of an epoch
LOST = "one of the {} processes was lost; the same command goes on from the last checkpoint"

trainings = itertools.count(1)
lost: list[Exception] = []  # the error after which the team can train no more


def joined_team() -> Team:
    joined = team()
    assert joined is not None, "called in a team"
    return joined


@functools.cache
def store() -> TCPStore:
    """The TCPStore at which the processes of the team meet."""
    joined = joined_team()
    keeps = joined.rank == 0 and not joined.kept
    return TCPStore(joined.host, joined.port, is_master=keeps, wait_for_workers=False)


def led(command: Callable[[], Any]) -> int | None:
    """Carries out a command in the first process, while the others train with it; the exit status."""
    store()  # the others look for it
    if joined_team().rank:
        return serve()
    try:
        return command()
    finally:
        dismiss()


def start(function: Callable, arguments: tuple) -> None:
    """Calls a function in all processes of the team, as one process group; in the first one of them."""
    if lost:
        raise UserError(LOST.format(joined_team().size))
    number = next(trainings)
    store().set(f"training {number}", BEGIN)
    try:
        grouped(number, (function, arguments))
    except KeyboardInterrupt:
        return  # all have agreed to stop
    except RuntimeError as error:
        if not broken_off(error):
            raise
        lost.append(error)
        raise UserError(LOST.format(joined_team().size)) from error


def serve() -> int:
    """Trains with the first process until it ends; run by all other processes. Returns the exit status."""
    for number in trainings:
        try:
            word = heard(f"training {number}")
        except RuntimeError:  # the first process is gone, and has printed why
            return 2
        except KeyboardInterrupt:
            return 130
        if word == END:
            store().set(f"end of {joined_team().rank}", END)
            return 0
        try:
            grouped(number)
        except (UserError, KeyboardInterrupt):
            pass  # the first process has the same error and prints it
        except Exception as error:
            if not broken_off(error):
                message = f"mlbench: process {joined_team().rank} of {joined_team().size}: {sentence(error)}"
                print(message, file=sys.stderr, flush=True)
            return 2
    raise AssertionError("numbers do not end")


def dismiss() -> None:
    """Ends the other processes; called once, by the first."""
    with contextlib.suppress(RuntimeError):  # some may be lost
        store().set(f"training {next(trainings)}", END)
        others = [f"end of {rank}" for rank in range(1, joined_team().size)]
        until = time.monotonic() + FAREWELL
        while not lost and not store().check(others) and time.monotonic() < until:
            time.sleep(LOOK)


def heard(key: str) -> str:
    """Waits for a word of the first process; a signal is noticed between two looks."""
    while not store().check([key]):
        time.sleep(LOOK)
    return store().get(key).decode()


def grouped(number: int, task: Any = None) -> None:
    """Carries out the task of the first process in a process group that lasts as long as the task."""
    joined = joined_team()
    os.environ |= {"LOCAL_RANK": str(joined.local), "NODE_RANK": str(joined.node)}
    backend = "cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo"
    meeting = PrefixStore(f"group {number}", store())
    distributed.init_process_group(
        backend, store=meeting, rank=joined.rank, world_size=joined.size, timeout=LONGEST
    )
    try:
        cargo = [task]
        distributed.broadcast_object_list(cargo, src=0)
        function, arguments = cargo[0]
        function(*arguments)
        gc.collect()  # DDP's wrapper of the module holds the group, too, and stands in a cycle
        distributed.barrier()
    finally:
        distributed.destroy_process_group()


def broken_off(error: Exception) -> bool:
    """Whether an error says that another process has gone."""
    message = str(error).lower()
    return isinstance(error, distributed.DistError) or "gloo" in message or "connection" in message
