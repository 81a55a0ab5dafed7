"""What a plan would do, for a person to read before it does it."""

import statistics
from collections.abc import Iterator
from datetime import datetime, timedelta

from mlbench.errors import UserError
from mlbench.results import store
from mlbench.runs.run import Run
from mlbench.tables.plan import Case, runs_of

SIGNS = {"finished": "✓", "failed": "✗", "missing": "·"}


def described(cases: list[Case]) -> Iterator[str]:
    """A line a case: a sign a seed, in their order; then what is left to do and about how long it takes."""
    width = max(len(name(case)) for case in cases)
    for case in cases:
        state = "".join(SIGNS[run.state] for run in case.runs) or f"not run: {case.not_run}"
        yield f"{name(case):{width}}  {state}"
        yield from (f"{'':{width}}  {reason}" for reason in unreadable(case))
        reasons = dict.fromkeys(run.reason for run in case.runs if run.state == "failed")
        yield from (f"{'':{width}}  failed: {reason}" for reason in reasons)
    runs = runs_of(cases)
    counts = {state: sum(run.state == state for run in runs) for state in SIGNS}
    yield f"{len(runs)} runs: " + ", ".join(f"{number} {state}" for state, number in counts.items())
    if left := counts["failed"] + counts["missing"]:
        yield f"{left} to do, one after the other: {remaining(cases)}"


def unreadable(case: Case) -> Iterator[str]:
    """Why what looks like a record of a run is none."""
    for run in case.runs:
        try:
            store.finished(run.folder)
        except UserError as error:
            yield str(error)


def name(case: Case) -> str:
    return " ".join(filter(None, case.where))


def remaining(cases: list[Case]) -> str:
    """By what its like took: the same case, else the same method, else any run of the table."""
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
        record = store.finished(run.folder)
    except UserError:
        return None
    if record is None:
        return None
    return (datetime.fromisoformat(record.finished) - datetime.fromisoformat(record.started)).total_seconds()
