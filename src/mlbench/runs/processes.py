"""Runs in several processes of this machine, each of which stacks the runs that can be."""

import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Callable, Sequence
from typing import Any

import torch

from mlbench.config import Train
from mlbench.engine import threads
from mlbench.errors import UserError
from mlbench.interrupt import hear_sigterm
from mlbench.runs.placing import THREADS, placed, visible_gpus
from mlbench.runs.run import Run

Work = Callable[[list[Run], int], None]  # does the runs, as the worker of that number


def side_by_side(work: Work, runs: Sequence[Run], processes: int, per_gpu: int = 1) -> None:
    """Begins with the largest data set, since all wait for the run that is begun last.

    If this process is interrupted, or ends in any other way, the workers save what they have and stop.
    """
    todo = sorted(runs, key=lambda run: -size(run.config.dataset))
    places = placed(processes, threads.ALL, *gpus_for(runs[0].config.train, per_gpu))
    os.environ.update({name: places[0][name] for name in THREADS})  # torch reads them when it is imported
    context = multiprocessing.get_context("forkserver")  # torch and Lightning are imported once for all
    context.set_forkserver_preload([work.__module__])
    workers = [
        context.Process(target=_worker, args=(work, todo, os.environ | environment, number))
        for number, environment in enumerate(places)
    ]
    for worker in workers:
        worker.start()
    try:
        for worker in workers:
            worker.join()
    finally:
        for worker in workers:
            worker.terminate()
        for worker in workers:
            worker.join()
    if broken := [str(worker.exitcode) for worker in workers if worker.exitcode]:
        raise UserError(
            f"{len(broken)} of {processes} processes broke off (exit status {', '.join(broken)}); the same "
            "command goes on where they stopped"
        )


def gpus_for(train: Train, per_gpu: int) -> tuple[list[str] | None, int, int]:
    """What `placed` is told of GPUs: those that this process sees, if the runs train on such."""
    wanted = train.accelerator == "gpu" or (train.accelerator == "auto" and torch.cuda.device_count())
    gpus = visible_gpus(os.environ, torch.cuda.device_count()) if wanted else None
    return gpus, per_gpu, train.devices


def size(dataset: dict[str, Any]) -> int:
    """How many numbers the features of a data set are, as far as its YAML says."""
    statistics = dataset.get("statistics") or {}
    return (statistics.get("instances") or 0) * (statistics.get("features") or 0)


def _worker(work: Work, runs: list[Run], environment: dict[str, str], number: int) -> None:
    os.environ.update(environment)  # the fork server may be older than what was set since
    threads.ALL = int(environment[THREADS[0]])
    os.setsid()  # Ctrl-C reaches the parent alone, which passes it on: a second one would stop without saving
    hear_sigterm()
    threading.Thread(target=_end_with_parent, daemon=True).start()
    try:
        work(runs, number)
    except KeyboardInterrupt:
        sys.exit(130)


def _end_with_parent() -> None:
    if parent := multiprocessing.parent_process():
        parent.join()
    os.kill(os.getpid(), signal.SIGTERM)
