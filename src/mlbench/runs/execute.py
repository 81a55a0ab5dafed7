"""Runs what is missing, in this process, in several, or through a launcher of Hydra's, under one bar."""

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
    """Runs all that have no record yet; if one fails, its folder says why, and the others go on.

    `launcher` holds overrides of Hydra's, such as `hydra/launcher=joblib`; without any, the runs go in this
    process, or in `processes` of this machine.
    """
    with watched(runs):
        if launcher:
            launch(runs, launcher)
        elif processes > 1:
            side_by_side(_in_turn, runs, processes)
        else:
            _in_turn(list(runs))


def _in_turn(todo: list[Run], worker: int = 0) -> None:
    """Runs one group after the other in this process. A group that another process works on comes last, if it
    is still missing then. Each `worker` begins with another group.
    """
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
        busy = _run_group(missing)
        waiting += [busy] if busy else []


def _run_group(runs: list[Run]) -> list[Run]:
    """Runs a group, and returns the runs that another process holds."""
    outcomes = experiment.run_all([run.config for run in runs], wait=False)
    for error in outcomes:
        if isinstance(error, Exception) and not isinstance(error, store.Busy):
            tell(error)
    return [run for run, error in zip(runs, outcomes) if isinstance(error, store.Busy)]
