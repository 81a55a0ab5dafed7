"""A data set or a method of one's own by the board's protocol: what to use, and where it stands."""

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mlbench.board import columns, content
from mlbench.board.content import Board
from mlbench.board.grid import Row
from mlbench.board.harvest import settings_of, written
from mlbench.board.pages.site import render
from mlbench.board.pairs import DRAWS, Pooled
from mlbench.board.splits import write_splits
from mlbench.board.standing import REFERENCE, standing
from mlbench.config import fingerprint
from mlbench.errors import UserError, complain, did_you_mean
from mlbench.evaluation.intervals import Difference, drawn, paired, quantiles
from mlbench.evaluation.suite import find
from mlbench.results import store
from mlbench.runs.run import Run
from mlbench.spelling import spelled
from mlbench.tables import spec as specs
from mlbench.tables.plan import Case, plan
from mlbench.words import quoted

MAIN = "board/main"
# Data set, mean over folds, place, of how many, the best mean there, that of binary relevance
Place = tuple[str, float, int, int, float, float]


@dataclass(frozen=True)
class Rating:
    """Elo by the results on all data sets, with the interval of a bootstrap over data sets, and the place."""

    value: float
    low: float
    high: float
    place: int
    of: int


@dataclass(frozen=True)
class Standing:
    """A method on the test rows of all folds together, and its difference to the best one."""

    method: str
    case: Case
    value: float
    low: float
    high: float
    to_best: Difference


def on_data(
    words: Sequence[str], outputs: Path, seconds: float, metric: str, methods: Sequence[str] = ()
) -> tuple[list[Standing], list[str]]:
    """The board's methods on the data set that the words choose, the best first; which were not finished.

    They run in the order of the table, the cheap ones first, until so many seconds have passed; a run may
    take as many processor seconds at most. What has finished before is read.
    """
    check_metric(metric)
    index = outputs / "board" / f"{fingerprint({'words': [*words]})}.json"  # an index for each file
    spec = own_table(words, index, methods)
    write_splits(quoted(words), index)
    cases = planned(spec, outputs, [f"launch.seconds={seconds:g}"])
    run_within(cases, seconds)
    done = [case for case in cases if case.runs and all(run.state == "finished" for run in case.runs)]
    if not done:
        raise UserError(f"no method was done on all folds within {seconds:g} seconds; give it more")
    return standings(done, metric), [case.method for case in cases if case not in done]


def own_table(words: Sequence[str], index: Path, methods: Sequence[str]) -> specs.Results:
    stated = specs.stated_by(MAIN)
    known = stated["axes"]["method"]
    for name in methods:
        if name not in known:
            raise UserError(f"methods={name}: the board has no such method{did_you_mean(name, known)}")
    axes = {"dataset": {"own": [*words]}, "method": {name: known[name] for name in methods or known}}
    overrides = [*stated["overrides"], f"split.path={index}"]
    return results(stated | {"axes": axes, "overrides": overrides, "variants": []})


def results(stated: Mapping[str, Any]) -> specs.Results:
    spec = specs.checked(stated, MAIN)
    assert isinstance(spec, specs.Results), "the board counts nothing"
    return spec


def planned(spec: specs.Results, outputs: Path, settings: Sequence[str] = ()) -> list[Case]:
    return plan(spec, outputs, [*settings_of(outputs), *settings, "train.progress=false"])


def run_within(cases: Sequence[Case], seconds: float) -> None:
    from mlbench.runs.execute import run_missing  # imports Lightning

    end = time.monotonic() + seconds
    for case in cases:
        missing = [run for run in case.runs if not run.over]
        if missing and time.monotonic() < end:
            run_missing(missing)


def standings(done: Sequence[Case], metric: str) -> list[Standing]:
    """The methods by the metric on all test rows together, with intervals of the bootstrap over rows."""
    pooled = {case.method: Pooled.of(case.runs) for case in done}
    values = {name: drawn(each.only(metric), each.targets, DRAWS)[metric] for name, each in pooled.items()}
    low = find(metric).better == "low"
    order = sorted(done, key=lambda case: values[case.method][0] * (1 if low else -1))
    best = values[order[0].method]
    return [
        Standing(case.method, case, mine[0], *quantiles(mine[1], 0.95), paired(mine, best))
        for case in order
        for mine in [values[case.method]]
    ]


def check_metric(metric: str) -> None:
    if metric not in columns.METRICS:
        known = ", ".join(columns.METRICS)
        raise UserError(f"metric={metric}: the board has {known}{did_you_mean(metric, columns.METRICS)}")


def training(case: Case) -> list[str]:
    """The words that train this method on all rows but those that place its cut."""
    without = ("split", "seed", "train.progress", "threshold", "train.threads")
    words = [word for word in case.runs[0].words if not word.startswith(without)]
    return [*words, "split=holdout", "split.validation=0.2", "threshold=cardinality_beside"]


def placed(board: Board, name: str, metric: str) -> list[Place]:
    """By data set: the method's mean over folds, its place among so many, the best one's mean and BR's.

    Only default rows that have finished every fold count. A message names a data set on which `name` has not.
    """
    low, defaults = find(metric).better == "low", board.records[board.records["variant"] == "default"]
    lines = []
    for dataset, rows in defaults.groupby("dataset"):
        mine = rows[rows["method"] == name]
        if (lost := mine[mine["state"] != "finished"]).size:
            complain(f"{dataset}: {lost['reason'].iloc[0] or lost['state'].iloc[0]}")
        elif mine.size:
            finished = rows[rows["state"] == "finished"].groupby("method")[metric].agg(["mean", "count"])
            means = finished.loc[finished["count"] == len(mine), "mean"].sort_values(ascending=low)
            place = int(((means < means[name]) if low else (means > means[name])).sum()) + 1
            best, reference = float(means.iloc[0]), float(means.get(REFERENCE.method, math.nan))
            lines.append((str(dataset), float(means[name]), place, len(means), best, reference))
    return lines


def rated(board: Board, name: str, metric: str) -> Rating | None:
    """The method's rating; None where it has run on fewer than the three data sets that a rating takes."""
    standings = standing(board.records, metric)
    at, ratings = standings.grid.rows.index(Row(name)), standings.ratings
    if math.isnan(ratings.elo[at]):
        return None
    of = int(sum(not math.isnan(place) for place in standings.places))
    return Rating(ratings.elo[at], ratings.low[at], ratings.high[at], int(standings.places[at]), of)


def why_nothing(runs: Sequence[Run], datasets: Sequence[str], imported: str) -> str:
    """Why a method has no record of any data set."""
    if not imported:
        return next(
            filter(None, (store.failure(run.folder).get("reason") for run in runs)), "nothing was run"
        )
    fold = f"dataset={datasets[0]} split=published split.fold=0 threshold=cardinality_beside as={imported}"
    return (
        f"no predictions are kept as {imported}; `{spelled('score')} SCORES fit=VALIDATION_SCORES {fold}` "
        "keeps those of a fold, of which there are five"
    )


def added(
    name: str, words: Sequence[str], datasets: Sequence[str], outputs: Path, board: Path, imported: str = ""
) -> tuple[Board, Path]:
    """The board with a method of one's own, and the folder of its files and pages.

    The method is run on the board's data sets where that is missing, and binary relevance with it: whether
    one is better is told from their scores on the same rows.
    """
    stated = specs.stated_by(MAIN)
    if not datasets:
        raise UserError("datasets= names no data set")
    known = stated["axes"]["dataset"]
    for dataset in datasets:
        if dataset not in known:
            near = did_you_mean(dataset, known)
            raise UserError(f"datasets={dataset}: the board has no such data set{near}")
    before = content.read(board)
    if name in before.methods:
        raise UserError(f"add={name}: {board} has a method of this name; call yours otherwise")
    value: dict[str, Any] = {"imported": imported} if imported else {"overrides": [*words]}
    methods = {name: value, REFERENCE.method: stated["axes"]["method"][REFERENCE.method]}
    axes = {"dataset": {dataset: known[dataset] for dataset in datasets}, "method": methods}
    cases = planned(results(stated | {"axes": axes}), outputs)
    from mlbench.runs.execute import run_missing  # imports Lightning

    if missing := [run for case in cases for run in case.runs if not run.over and not run.imported]:
        run_missing(missing)
    runs = [run for case in cases if case.method == name for run in case.runs]
    if not any(store.finished(run.folder) for run in runs):
        raise UserError(f"add={name}: " + why_nothing(runs, datasets, imported))
    folder = outputs / "board" / name
    written(folder, {"default": cases}, before)
    render(folder)
    return content.read(folder), folder
