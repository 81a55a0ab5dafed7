"""Runs what is missing: here, or wherever a Hydra launcher takes it, under one bar."""

import time
from collections.abc import Sequence

from mlbench import experiment
from mlbench.errors import tell
from mlbench.results import store
from mlbench.runs.groups import apart, beginning, grouped
from mlbench.runs.launcher import launch
from mlbench.runs.processes import side_by_side
from mlbench.runs.run import Run
from mlbench.runs.watch import SECONDS_BETWEEN_LOOKS, watched


def run_missing(runs: Sequence[Run], launcher: list[str], processes: int = 1) -> None:
    """Runs without a record yet, all of them; one that fails leaves word in its folder, and the rest goes on.

    `launcher` are overrides of Hydra's, `hydra/launcher=joblib`; none: in this process, one after the other,
    or in several of this machine.
    """
    with watched(runs):
        if launcher:
            launch(runs, launcher)
        elif processes > 1:
            side_by_side(_in_turn, runs, processes)
        else:
            _in_turn(list(runs))


def _in_turn(todo: list[Run], worker: int = 0) -> None:
    """Here, those that can be trained as one together. What another process works on is left to it, and
    looked at again at the end. Each `worker` begins with something else."""
    waiting = beginning(grouped(todo), worker)
    while waiting:
        free = [group for group in waiting if not any(store.claimed(run.folder) for run in group)]
        if not free:
            time.sleep(SECONDS_BETWEEN_LOOKS)
            waiting = [[run for run in group if run.state != "finished"] for group in waiting]
            waiting = [group for group in waiting if group]
            continue
        group = apart(free, waiting)
        waiting.remove(group)
        missing = [run for run in group if run.state != "finished"]
        busy = _together(missing)
        waiting += [busy] if busy else []


def _together(runs: list[Run]) -> list[Run]:
    """Those that another process turned out to hold."""
    ended = experiment.run_all([run.config for run in runs], wait=False)
    for error in ended:
        if isinstance(error, Exception) and not isinstance(error, store.Busy):
            tell(error)
    return [run for run, error in zip(runs, ended) if isinstance(error, store.Busy)]
