"""What a plan would do, for a person to read before it does it."""

import statistics
from collections.abc import Iterator
from datetime import datetime, timedelta

from mlbench.errors import UserError
from mlbench.results import store
from mlbench.runs.run import Run
from mlbench.tables.plan import Case, runs_of

SIGNS = {"finished": "✓", "finished (other code)": "≠", "running": "▸", "failed": "✗", "missing": "·"}
SELDOM = ("finished (other code)", "running")  # told of where there are such


def described(cases: list[Case]) -> Iterator[str]:
    """A line a case: a sign a seed, in their order; then what is left to do and about how long it takes."""
    width = max(len(name(case)) for case in cases)
    states = {run.key: state(run) for run in runs_of(cases)}
    for case in cases:
        signs = "".join(SIGNS[states[run.key]] for run in case.runs) or f"not run: {case.not_run}"
        yield f"{name(case):{width}}  {signs}"
        yield from (f"{'':{width}}  {reason}" for reason in unreadable(case))
        reasons = dict.fromkeys(run.reason for run in case.runs if run.state == "failed")
        yield from (f"{'':{width}}  failed: {reason}" for reason in reasons)
    counts = {each: [*states.values()].count(each) for each in SIGNS}
    told = [f"{number} {each}" for each, number in counts.items() if number or each not in SELDOM]
    yield f"{len(states)} runs: {', '.join(told)}"
    if left := counts["failed"] + counts["missing"]:
        yield f"{left} to do, one after the other: {remaining(cases)}"


def state(run: Run) -> str:
    """The run's state on disk, as SIGNS names it."""
    if run.state == "finished":
        record = store.brief(run.folder)
        return "finished (other code)" if record and run.outdated(record) else "finished"
    return "running" if store.claimed(run.folder) else run.state


def unreadable(case: Case) -> Iterator[str]:
    """The error of each record of the case's runs that cannot be read."""
    for run in case.runs:
        try:
            store.brief(run.folder)
        except UserError as error:
            yield str(error)


def name(case: Case) -> str:
    return " ".join(filter(None, case.where))


def remaining(cases: list[Case]) -> str:
    """The time that the missing runs will take: each counts the mean of the finished runs of its case, else
    of its method, else of the table.
    """
    took = {case.where: [s for run in case.runs if (s := seconds(run)) is not None] for case in cases}
    by_method: dict[str, list[float]] = {}
    for case in cases:
        by_method.setdefault(case.method, []).extend(took[case.where])
    everything = [second for each in took.values() for second in each]
    if not everything:
        return "unknown before the first run is done"
    total, seen = 0.0, set()
    for case in cases:
        left = sum(run.state != "finished" and run.key not in seen for run in case.runs)
        seen |= {run.key for run in case.runs}
        like = took[case.where] or by_method[case.method] or everything
        total += left * statistics.fmean(like)
    return f"about {timedelta(seconds=round(total))} (h:mm:ss), by the runs that are done"


def seconds(run: Run) -> float | None:
    """How long a finished run took, from its beginning to its end."""
    try:
        record = store.brief(run.folder)
    except UserError:
        return None
    if record is None or record.imported:
        return None
    return (datetime.fromisoformat(record.finished) - datetime.fromisoformat(record.started)).total_seconds()
