"""A table as CSV, full precision: a line a cell, a line a row, a line a run."""

import csv
import io
from collections.abc import Iterable
from typing import Any

from mlbench.tables.measured import values
from mlbench.tables.table import Table


def cells(table: Table) -> str:
    """Long: every cell of every view with all that is known of it."""
    head = ["view", "dataset", "setting", "method", "metric", "ours_mean", "ours_std"]
    head += ["ours_std_over", "ours_seeds", "ours_runs"]
    paper = ["published_mean", "published_std", "published_std_doubtful", "difference", "verdict"]
    head += [*(paper if table.spec.published else []), "reason"]
    rows = []
    for view in table.views:
        for cell in view.cells():
            ours, theirs = cell.ours, cell.theirs
            rows.append(
                [view.suffix, cell.dataset, cell.setting, cell.method, cell.metric]
                + (
                    [ours.mean, ours.std, ours.over, len(ours.by_seed), len(ours.values)]
                    if ours
                    else [None, None, None, 0, 0]
                )
                + (
                    [
                        *([theirs.mean, theirs.std, theirs.doubtful_std] if theirs else [None, None, None]),
                        *(cell.difference, cell.verdict),
                    ]
                    if table.spec.published
                    else []
                )
                + [cell.reason]
            )
    return _written(head, rows)


def wide(table: Table) -> str:
    """Wide: the main view as it is printed, ours and, where there are, theirs side by side."""
    view, layout = table.views[0], table.spec.layout
    columns = view.blocks[0].columns
    head = [" ".join(layout.blocks) or "block", layout.rows]
    paper = ["published", "verdict"] if table.spec.published else []
    head += [f"{column}_{what}" for column in columns for what in ("ours", "ours_std", *paper)]
    rows = []
    for block in view.blocks:
        for name in block.rows:
            numbers: list[Any] = []
            for cell in block.row(name):
                ours = cell.ours
                numbers += [ours.mean, ours.std] if ours else [None, None]
                numbers += [cell.theirs.mean if cell.theirs else None, cell.verdict] if paper else []
            rows.append([block.name, name, *numbers])
    return _written(head, rows)


def runs(table: Table) -> str:
    """Every planned run: its state, its key, and every metric of every view."""
    spec = table.spec
    names = [metric.ours + view.suffix for view in table.views for metric in spec.metrics.values()]
    rows = []
    for where, case in table.cases.items():
        for run in case.runs:
            record = table.records.get(run.key)
            known = values(record, spec.rule) if record else {}
            rows.append([*where, *run.place, run.key, run.state, *(known.get(name) for name in names)])
    return _written(["dataset", "setting", "method", "seed", "fold", "key", "state", *names], rows)


def _written(head: list[str], rows: Iterable[list[Any]]) -> str:
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(head)
    writer.writerows(rows)
    return buffer.getvalue()
