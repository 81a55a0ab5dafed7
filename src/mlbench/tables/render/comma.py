"""A table as CSV in full precision: a line for each cell, for each printed row, or for each run."""

from typing import Any

from mlbench.results.validation import on_validation
from mlbench.tables.cells import Cell
from mlbench.tables.choice import options
from mlbench.tables.formats import comma_separated
from mlbench.tables.measured import values
from mlbench.tables.table import Table


def cells(table: Table) -> str:
    """Every cell of every view with all that is known of it."""
    rows = [_known(cell, view.ending) for view in table.views for cell in view.cells()]
    names = list(_known(next(iter(table.views[0].cells())), ""))
    if not table.spec.published:
        names = [name for name in names if name not in ("difference", "verdict")]
        names = [name for name in names if not name.startswith("published")]
    return comma_separated([names, *([row[name] for name in names] for row in rows)])


def _known(cell: Cell, view: str) -> dict[str, Any]:
    ours, theirs = cell.ours, cell.theirs
    return {
        "view": view,
        "dataset": cell.dataset,
        "setting": cell.setting,
        "method": cell.method,
        "metric": cell.metric,
        "ours_mean": ours and ours.mean,
        "ours_std": ours and ours.std,
        "ours_std_over": ours and ours.over,
        "ours_seeds": len(ours.by_seed) if ours else 0,
        "ours_runs": len(ours.values) if ours else 0,
        "published_mean": theirs and theirs.mean,
        "published_std": theirs and theirs.std,
        "published_std_doubtful": theirs and theirs.doubtful_std,
        "difference": cell.difference,
        "verdict": cell.verdict,
        "reason": cell.reason,
    }


def wide(table: Table) -> str:
    """The main view as it is printed, ours and the paper's numbers side by side."""
    view, layout = table.views[0], table.spec.layout
    columns = view.blocks[0].columns
    head = [" ".join(layout.blocks) or "block", layout.rows]
    paper = ["published", "verdict"] if table.spec.published else []
    head += [f"{column}_{what}" for column in columns for what in ("ours", "ours_std", *paper)]
    rows = []
    for block in view.blocks:
        for name in block.rows:
            row: list[Any] = [block.name, name]
            for cell in block.row(name):
                row += [cell.ours and cell.ours.mean, cell.ours and cell.ours.std]
                row += [cell.theirs and cell.theirs.mean, cell.verdict] if paper else []
            rows.append(row)
    return comma_separated([head, *rows])


def runs(table: Table) -> str:
    """Every planned run: its state, its key, and every metric of every view; where options are chosen, those
    of the run, what it had on the validation part, and whether it was chosen."""
    spec, any_choice = table.spec, any(case.choose for case in table.cases.values())
    metrics = [(view, metric.ours) for view in table.views for metric in spec.metrics.values()]
    rows = []
    for where, case in table.cases.items():
        counted = table.runs(where)
        for run in case.runs:
            record = table.records.get(run.key)
            known = [
                values(record, view.rule or spec.rule).get(name + view.suffix) if record else None
                for view, name in metrics
            ]
            about = [*where, *run.repeat, run.key, run.state]
            if any_choice:
                about += [options(case, run), record and on_validation(record), run in counted]
            rows.append([*about, *known])
    head = ["dataset", "setting", "method", "seed", "fold", "key", "state"]
    head += ["options", "validation", "chosen"] if any_choice else []
    return comma_separated([[*head, *(name + view.ending for view, name in metrics)], *rows])
