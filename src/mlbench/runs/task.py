"""What a task of a SLURM array does: the runs of one group. If it is stopped, it saves and goes back into the queue."""

import os
import signal
import subprocess
import sys
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
    """To the handler that SIGTERM has at this moment, once: asked twice, a training stops without saving."""
    for number in STOPS:
        signal.signal(number, signal.SIG_IGN)
    signal.raise_signal(signal.SIGTERM)


def requeue(most: int) -> int:
    """Puts this task back into the queue, unless somebody cancelled it; the exit status."""
    job, times = os.environ["SLURM_JOB_ID"], int(os.environ.get("SLURM_RESTART_COUNT", "0"))
    asked = ["squeue", "--noheader", "--jobs", job, "--format", "%T"]
    state = subprocess.run(asked, capture_output=True, text=True).stdout.strip()
    if state not in ("RUNNING", "PREEMPTED"):
        print(
            f"mlbench: stopped while SLURM says {state or 'nothing'}: not put back into the queue",
            file=sys.stderr,
        )
    elif times >= most:
        print(f"mlbench: stopped after {times} times in the queue: launch.requeues={most}", file=sys.stderr)
    else:
        print("mlbench: stopped and saved; back into the queue", file=sys.stderr, flush=True)
        return subprocess.run(["scontrol", "requeue", job]).returncode
    return 130
