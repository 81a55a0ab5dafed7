"""The runs of a case that count: where options are chosen, those that the validation part chooses."""

from collections.abc import Mapping
from dataclasses import dataclass

from mlbench.evaluation.suite import find
from mlbench.results.record import Record
from mlbench.results.repeats import Repeat
from mlbench.results.validation import best_first, on_validation
from mlbench.runs.run import Run
from mlbench.tables.plan import Case


@dataclass(frozen=True)
class Choice:
    """The run of one seed and fold whose options are best on the validation part, of equals the first."""

    run: Run
    options: str  # method.w_ld=0.1 method.w_le=0.001
    metric: str
    value: float  # of `metric` on the validation part
    points: int  # of the grid
    equal: int  # points as good as the chosen one, which counts
    without: int  # points without a value: their runs failed, or the metric was undefined in every epoch


def choices(case: Case, records: Mapping[str, Record]) -> dict[Repeat, Choice]:
    """The choices by seed and fold, where every run of the seed and fold has finished or failed."""
    by_repeat: dict[Repeat, list[Run]] = {}
    for run in case.runs if case.choose else ():
        by_repeat.setdefault(run.repeat, []).append(run)
    chosen = {repeat: _choice(case, runs, records) for repeat, runs in by_repeat.items()}
    return {repeat: choice for repeat, choice in chosen.items() if choice}


def options(case: Case, run: Run) -> str:
    """The chosen options of a run, as overrides."""
    return " ".join(word for word in run.overrides if word.partition("=")[0] in case.choose)


def counted(case: Case, choices: Mapping[Repeat, Choice]) -> tuple[Run, ...]:
    """The runs whose mean a cell shows, finished or not."""
    return tuple(choice.run for choice in choices.values()) if case.choose else case.runs


def why_none(case: Case, records: Mapping[str, Record]) -> str:
    """Why no run of a case counts."""
    if case.not_run:
        return case.not_run
    if any(run.imported for run in case.runs):
        return "not in what is imported"
    over = all(run.key in records or run.state == "failed" for run in case.runs)
    if case.choose and over and any(run.key in records for run in case.runs):
        metric = case.runs[0].config.selection.metric
        return f"no epoch of any run has {metric} on the validation part, which is to choose"
    reasons = dict.fromkeys(run.reason if run.state == "failed" else "" for run in case.runs)
    return "; ".join(reason for reason in reasons if reason) or "not yet"


def _choice(case: Case, runs: list[Run], records: Mapping[str, Record]) -> Choice | None:
    if any(run.key not in records and run.state != "failed" for run in runs):
        return None
    metric = case.runs[0].config.selection.metric
    values = [on_validation(records[run.key]) if run.key in records else None for run in runs]
    order = best_first(values, low=find(metric).better == "low")
    if not order:
        return None
    ranked = [value for index in order if (value := values[index]) is not None]
    return Choice(
        run=(run := runs[order[0]]),
        options=options(case, run),
        metric=metric,
        value=ranked[0],
        points=len(runs),
        equal=sum(round(value - ranked[0], 9) == 0 for value in ranked),
        without=len(runs) - len(ranked),
    )
