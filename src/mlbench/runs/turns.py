"""Groups of runs one after the other in this process, beside others that may be at work on the same."""

import time

from mlbench import experiment
from mlbench.errors import tell
from mlbench.results import store
from mlbench.runs.groups import apart, beginning, grouped
from mlbench.runs.limit import OutOfTime, limited
from mlbench.runs.run import Run
from mlbench.runs.watch import SECONDS_BETWEEN_LOOKS


def in_turn(todo: list[Run], worker: int = 0) -> None:
    """Runs one group after the other in this process. A group that another process works on comes last, if it
    is still missing then. Each `worker` begins with another group.
    """
    waiting = beginning(grouped(todo), worker)
    while waiting:
        free = [group for group in waiting if not any(store.claimed(run.folder) for run in group)]
        if not free:
            time.sleep(SECONDS_BETWEEN_LOOKS)
            waiting = [[run for run in group if not run.over] for group in waiting]
            waiting = [group for group in waiting if group]
            continue
        group = apart(free, waiting)
        waiting.remove(group)
        missing = [run for run in group if not run.over]
        busy = _run_group(missing) if missing else []
        waiting += [busy] if busy else []


def _run_group(runs: list[Run]) -> list[Run]:
    """Runs a group, and returns the runs that another process holds."""
    budget = runs[0].config.launch.get("seconds")
    try:
        with limited(budget and budget * len(runs)):
            outcomes = experiment.run_all([run.config for run in runs], wait=False)
    except OutOfTime as error:  # in what several runs share
        outcomes = [None if run.state == "finished" else error for run in runs]
        for run in runs:
            if run.state != "finished":
                store.fail(run.folder, error)
    for error in outcomes:
        if isinstance(error, Exception) and not isinstance(error, store.Busy):
            tell(error)
    return [run for run, error in zip(runs, outcomes) if isinstance(error, store.Busy)]
