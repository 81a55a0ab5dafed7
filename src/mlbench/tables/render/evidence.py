"""What stands behind the cells of a table, for its page to show: runs, configurations, curves, labels."""

import json
import math
import os
import shlex
from bisect import bisect_right
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mlbench.config import taken
from mlbench.results.record import Record
from mlbench.tables.cells import Cell
from mlbench.tables.matrices import matrices
from mlbench.tables.measured import better
from mlbench.tables.plan import Case, Run
from mlbench.tables.published import Published
from mlbench.tables.spec import Axis, Results
from mlbench.tables.table import Table, View, Where

POINTS = 60  # of a learning curve
NOT_SHOWN = (
    "seed",
    "force",
    "trust",
    "paths",
    "outputs",
    "choices",
)  # of a configuration: said elsewhere, or of one machine


def evidence(table: Table, outputs: Path) -> dict[str, Any]:
    """What the page shows: cells in the order of `in_order`; `pool` holds once what many runs share."""
    places = {where: index for index, where in enumerate(table.cases)}
    pool = Pool()
    labels, differing = per_label(table)
    return {
        "decimals": table.spec.decimals,
        "published": bool(table.spec.published),
        "rule": table.spec.rule,
        "cells": [_cell(view, cell, table, places) for view, cell in in_order(table)],
        "cases": [_case(case, table, outputs, pool) for case in table.cases.values()],
        "pool": pool.values,
        "labels": labels,
        "labels_differ": differing,
    }


def in_order(table: Table) -> Iterator[tuple[View, Cell]]:
    """View by view, block by block, row by row."""
    for view in table.views:
        for block in view.blocks:
            for row in block.rows:
                yield from ((view, cell) for cell in block.row(row))


def shown(axis: Axis, name: str, spec: Results) -> str:
    """The name of an axis's value, for people."""
    if axis == "metric":
        return name.replace("_", " ")
    value = spec.axes[axis].get(name) if axis in spec.axes else None
    return value.shown if value and value.shown else spec.called(axis, name)


def problem(dataset: str, setting: str, spec: Results) -> str:
    return " ".join(filter(None, (shown("dataset", dataset, spec), shown("setting", setting, spec))))


class Pool:
    """Distinct values, to which runs refer by index."""

    def __init__(self):
        self.values: list[Any] = []
        self.places: dict[str, int] = {}

    def index(self, value: Any) -> int:
        text = json.dumps(value, default=str)
        if text not in self.places:
            self.places[text] = len(self.values)
            self.values.append(json.loads(text))
        return self.places[text]


def _cell(view: View, cell: Cell, table: Table, places: dict[Where, int]) -> dict[str, Any]:
    where = cell.dataset, cell.setting, cell.method
    values = cell.ours.values if cell.ours else {}
    measured = table.spec.metrics[cell.metric]
    precision = table.spec.decimals + 4
    return {
        "case": places[where],
        "metric": shown("metric", cell.metric, table.spec),
        "measured": measured.ours + view.ending,
        "better": better(measured.ours),
        "note": measured.note,
        "mean": _rounded(cell.ours.mean, precision) if cell.ours else None,
        "std": _rounded(cell.ours.std, precision) if cell.ours else None,
        "theirs": _printed(cell.theirs),
        "difference": _rounded(cell.difference, precision),
        "verdict": cell.verdict,
        "reason": cell.reason,
        "planned": cell.planned * (cell.folds or 1),
        "over": cell.ours.over if cell.ours else None,
        "values": [_rounded(values.get(run.repeat), precision) for run in table.runs(where)],
    }


def _printed(theirs: Published | None) -> dict[str, Any] | None:
    if theirs is None:
        return None
    mean, std = printed(theirs)
    return {"mean": mean, "std": std, "doubtful": theirs.doubtful_std, "note": theirs.note}


def printed(theirs: Published) -> tuple[str | None, str | None]:
    """Mean and deviation with the paper's digits."""
    mean = None if theirs.mean is None else f"{theirs.mean:.{theirs.decimals}f}"
    std = None if theirs.std is None else f"{theirs.std:.{theirs.std_decimals}f}"
    return mean, std


def _case(case: Case, table: Table, outputs: Path, pool: Pool) -> dict[str, Any]:
    spec = table.spec
    runs = table.runs(case.where)
    first = next((run for run in runs if run.key in table.records), None)
    return {
        "problem": problem(case.dataset, case.setting, spec),
        "method": shown("method", case.method, spec),
        "not_run": case.not_run,
        "runs": [_run(run, table.records.get(run.key), outputs, pool) for run in runs],
        "curves": curves(first.folder / "history.jsonl") if first else {},
        "curves_seed": first.seed if first else None,
        "curves_fold": first.fold if first else None,
        "matrices": matrices(first.folder) if first else [],
    }


def _run(run: Run, record: Record | None, outputs: Path, pool: Pool) -> dict[str, Any]:
    config = record.config if record else taken(run.config.model_dump(mode="json", by_alias=True))
    if "fold" in (config.get("split") or {}):  # one configuration for all folds
        split = {name: value for name, value in config["split"].items() if name != "fold"}
        config = config | {"split": split}
    state = run.state
    return {
        "seed": run.seed,
        "fold": run.fold,
        "key": run.key,
        "state": state,
        "reason": run.reason if state == "failed" else None,
        "folder": relative(run.folder, outputs),
        "command": "imported" if run.imported else shlex.join(["python", "run.py", *run.words]),
        "config": {name: pool.index(value) for name, value in config.items() if name not in NOT_SHOWN},
        "seconds": round(sum(record.seconds.values()), 3) if record and not run.imported else None,
        "memory": record.peak_memory_bytes if record and not run.imported else None,
        "parts": record.parts if record else None,
    }


def relative(folder: Path, outputs: Path) -> str:
    """The folder as seen from `outputs`."""
    try:
        return folder.relative_to(outputs).as_posix()
    except ValueError:
        return Path(os.path.relpath(folder.resolve(), outputs.resolve())).as_posix()


def curves(path: Path) -> dict[str, dict[str, list[float | None]]]:
    """Stage → column → at most POINTS values; empty where there is no whole history.

    Only the lines that are shown are looked at: histories are by far the largest part of a table.
    """
    try:
        lines, chosen, start = path.read_bytes().splitlines(), [], 0
        while start < len(lines):  # stage by stage, as they were written
            begins = b"".join(lines[start].partition(b'", "')[:2])  # {"stage": "train", "
            end = bisect_right(lines, False, lo=start, key=lambda line, it=begins: not line.startswith(it))
            chosen += thinned(lines[start:end])
            start = end
        stages: dict[str, list[dict[str, Any]]] = {}
        for row in json.loads(b"[%b]" % b",".join(chosen)):
            stages.setdefault(str(row.pop("stage")), []).append(row)
        return {stage: _columns(rows) for stage, rows in stages.items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return {}


def thinned(rows: list[Any], most: int = POINTS) -> list[Any]:
    """At most `most` of the rows, evenly spread, the first and the last among them."""
    if len(rows) <= most:
        return rows
    return [rows[round(number * (len(rows) - 1) / (most - 1))] for number in range(most)]


def _columns(rows: list[dict[str, Any]]) -> dict[str, list[float | None]]:
    names = dict.fromkeys(name for row in rows for name, value in row.items() if isinstance(value, float))
    columns: dict[str, list[float | None]] = {"epoch": [int(row["epoch"]) for row in rows]}
    return columns | {
        name: [_significant(row.get(name)) for row in rows] for name in names if name != "epoch"
    }


def per_label(table: Table) -> tuple[list[dict[str, Any]], list[str]]:
    """F1 of each label by method, mean over the runs; and where the records do not agree on the labels."""
    entries, differing = [], []
    problems: dict[tuple[str, str], dict[str, list[Record]]] = {}
    for dataset, setting, method in table.cases:
        runs = table.runs((dataset, setting, method))
        records = [table.records[run.key] for run in runs if run.key in table.records]
        if records := [record for record in records if record.per_label.get("f1")]:
            problems.setdefault((dataset, setting), {})[method] = records
    for where, methods in problems.items():
        records = [record for each in methods.values() for record in each]
        labels = records[0].per_label["label"]
        if any(record.per_label["label"] != labels for record in records):
            differing.append(problem(*where, table.spec))
            continue
        entries.append(
            {
                "problem": problem(*where, table.spec),
                "labels": [str(label) for label in labels],
                "support": _means([record.per_label["support"] for record in records]),
                "rule": ", ".join(sorted({record.rule for record in records})),
                "methods": [
                    {
                        "name": shown("method", method, table.spec),
                        "runs": len(each),
                        "f1": _means([record.per_label["f1"] for record in each]),
                    }
                    for method, each in methods.items()
                ],
            }
        )
    return entries, differing


def _means(columns: list[list[float]]) -> list[float | None]:
    return [_significant(sum(values) / len(values)) for values in zip(*columns)]


def _significant(value: float | None) -> float | None:
    """Five digits, enough to draw."""
    return None if value is None or not math.isfinite(value) else float(f"{value:.5g}")


def _rounded(value: float | None, digits: int) -> float | None:
    return None if value is None or not math.isfinite(value) else round(value, digits)
