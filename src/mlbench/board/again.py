"""Cells of a board run once more: whether the numbers that it shows come out again."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mlbench.board.columns import METRICS
from mlbench.board.content import Board
from mlbench.board.harvest import of_record
from mlbench.board.own import MAIN, planned, results
from mlbench.errors import UserError
from mlbench.results import store
from mlbench.tables import spec as specs


@dataclass(frozen=True)
class Again:
    """A run of the board, and the metric in which it and the run made here differ most."""

    dataset: str
    method: str
    split: int
    metric: str
    shown: float
    here: float

    @property
    def apart(self) -> float:
        return abs(self.here - self.shown)


def again(board: Board, count: int, seed: int, outputs: Path) -> Iterator[Again]:
    """Draws `count` finished runs of the board's default rows, makes each here and compares its metrics."""
    from mlbench.runs.execute import run_missing  # imports Lightning

    records, stated = board.records, specs.stated_by(MAIN)
    known = records[(records["state"] == "finished") & (records["variant"] == "default")]
    for axis in ("dataset", "method"):  # a person's own method, on a board of theirs, is not the table's
        known = known[known[axis].isin(stated["axes"][axis])]
    if not 0 < count <= len(known):
        raise UserError(f"count={count}: the board has {len(known)} finished runs to draw from")
    drawn = np.random.default_rng(seed).choice(len(known), count, replace=False)
    for line in known.iloc[np.sort(drawn)].to_dict("records"):
        dataset, method, split = line["dataset"], line["method"], int(line["split"])
        axes = {axis: {line[axis]: stated["axes"][axis][line[axis]]} for axis in ("dataset", "method")}
        (case,) = planned(results(stated | {"axes": axes, "variants": []}), outputs)
        where = f"{dataset}, {method}, split {split}"
        run = next((run for run in case.runs if run.fold == split), None)
        if run is None or run.key != line["key"]:
            raise UserError(f"{where}: what the board shows was another experiment than this one is today")
        if not run.over:
            run_missing([run])
        record = store.finished(run.folder)
        if record is None:
            raise UserError(f"{where}: {store.failure(run.folder).get('reason')}")
        here = of_record(record, line["options"])
        pairs = {name: (line[name], here[name]) for name in METRICS if line[name] == line[name]}
        most = max(pairs, key=lambda name: abs(pairs[name][0] - pairs[name][1]))
        yield Again(dataset, method, split, most, *pairs[most])
