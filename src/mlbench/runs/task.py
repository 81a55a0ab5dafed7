"""What a task of a SLURM array does: the runs of one group. When it is stopped, it saves and queues again."""

import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from types import FrameType

STOPS = (signal.SIGUSR1, signal.SIGUSR2)  # of a time limit or a preemption, beside SIGTERM


class Task:
    """Called by submitit in the task, with the words of each run of the group."""

    def __init__(self, requeues: int):
        self.requeues = requeues

    def __call__(self, group: list[list[str]]) -> None:
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        for number in STOPS:
            signal.signal(number, as_sigterm)
        try:
            from mlbench.runs.composed import runs_of  # imports torch
            from mlbench.runs.turns import in_turn

            in_turn(runs_of(group))
        except KeyboardInterrupt:
            sys.exit(requeue(self.requeues))


def as_sigterm(*_: int | FrameType | None) -> None:
    """Sends SIGTERM to this process, once: a training that is asked twice stops without saving."""
    for number in STOPS:
        signal.signal(number, signal.SIG_IGN)
    signal.raise_signal(signal.SIGTERM)


def requeue(most: int) -> int:
    """Puts this task back into the queue, unless somebody cancelled it; the exit status."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # all is saved, and SLURM sends one when it requeues
    job, times = name(os.environ), int(os.environ.get("SLURM_RESTART_COUNT", "0"))
    asked = ["squeue", "--noheader", "--jobs", job, "--format", "%T"]
    state = subprocess.run(asked, capture_output=True, text=True).stdout.strip() or "nothing"
    if state not in ("RUNNING", "PREEMPTED"):
        say(f"SLURM says {state} of {job}, which is not put back into the queue")
    elif times >= most:
        say(f"{job} is not put back into the queue: it was {times} times, launch.requeues={most}")
    else:
        say(f"back into the queue as {job}")
        return subprocess.run(["scontrol", "requeue", job]).returncode
    return 130


def name(around: Mapping[str, str]) -> str:
    """The task's name in SLURM: the number alone may stand for a whole array."""
    array, task = around.get("SLURM_ARRAY_JOB_ID"), around.get("SLURM_ARRAY_TASK_ID")
    return f"{array}_{task}" if array else around["SLURM_JOB_ID"]


def say(what: str) -> None:
    print(f"mlbench: stopped and saved; {what}", file=sys.stderr, flush=True)
