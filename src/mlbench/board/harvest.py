"""From the records of the board's runs to its files: a pure function, the same bytes whenever it is made."""

import json
import math
from collections.abc import Iterable, Mapping
from io import BytesIO
from pathlib import Path
from typing import Any

from mlbench.board import columns, kept
from mlbench.board.about import Planned, about_datasets, about_methods
from mlbench.board.content import Board
from mlbench.board.pairs import pairs
from mlbench.board.truth import Truth, truth_of
from mlbench.errors import UserError, one_line
from mlbench.files import whole, write
from mlbench.results import store
from mlbench.results.record import Record
from mlbench.runs.run import Run
from mlbench.tables import spec as specs
from mlbench.tables.choice import choices, counted, options, why_none
from mlbench.tables.plan import Case, plan

TABLES = {"board/main": "default", "board/tuned": "tuned"}
LONGEST = 200  # characters of a reason
MEMORY = ("MemoryError", "DefaultCPUAllocator", "out of memory")
WHOLE = {"board", "split", "seed"}
WORDS = {
    *("dataset", "method", "family", "variant", "key", "options", "state", "reason", "code", "revision"),
    *("label", "metric", "first", "second"),
}
Row = dict[str, Any]


def harvest(
    outputs: Path, out: Path, tables: Mapping[str, str] | None = None, keep: bool = False
) -> list[Path]:
    """Writes the files of the board of the runs below `outputs`; `tables` are their variants by name.

    With `keep`, a cell of which no run is there keeps the lines that `out` has.
    """
    before = kept.board_before(out) if keep else None
    planned = {
        variant: planned_cases(name, outputs) for name, variant in (tables or TABLES).items() if known(name)
    }
    return written(out, planned, before)


def written(out: Path, planned: Planned, before: Board | None = None) -> list[Path]:
    """Writes the files of the planned cells, and of those of `before` of which no run is here."""
    methods = about_methods(planned)
    families = {name: entry["family"] for name, entry in methods.items()}
    records: list[Row] = []
    labels: list[Row] = []
    finished: dict[tuple[str, str, str], list[Run]] = {}
    truths: dict[str, Truth] = {}
    for variant, cases in planned.items():
        folds = sorted({run.fold or 0 for case in cases for run in case.runs})
        for case in cases:
            by_key = {run.key: record for run in case.runs if (record := store.finished(run.folder))}
            chosen = [*counted(case, choices(case, by_key))]
            about = case.dataset, case.method, variant
            records += [
                identity(about, families, fold) | outcome
                for fold, outcome in chosen_rows(case, folds, chosen, by_key)
            ]
            done = [run for run in chosen if run.key in by_key]
            if done and case.dataset not in truths:
                truths[case.dataset] = truth_of(done[0].config)
            if done:
                labels += of_labels(about, done, by_key, truths[case.dataset])
                finished[about] = done
    defaults = {
        (dataset, method): done for (dataset, method, kind), done in finished.items() if kind == "default"
    }
    datasets, compared = about_datasets(planned, truths), pairs(defaults)
    if before:
        kept.with_kept(before, records, labels, compared)
        kept.with_kept_truths(before, datasets)
        kept.with_kept_methods(before, methods)
    return [
        write_frame(out / columns.RECORDS_FILE, columns.RECORDS, records, len(columns.IDENTITY)),
        write_frame(out / columns.LABELS_FILE, columns.LABELS, labels, 4),
        write_frame(out / columns.PAIRS_FILE, columns.PAIRS, compared, 4),
        write_json(out / columns.DATASETS_FILE, datasets),
        write_json(out / columns.METHODS_FILE, methods),
    ]


def known(table: str) -> bool:
    return table.endswith(".yaml") or table in specs.names()


def planned_cases(name: str, outputs: Path) -> list[Case]:
    spec = specs.read(name)
    if not isinstance(spec, specs.Results) or spec.folds is None:
        raise UserError(f"table={name}: the board is made of runs over folds; this table has none")
    return plan(spec, outputs, settings_of(outputs))


def settings_of(outputs: Path) -> list[str]:
    return [f"paths.outputs={json.dumps(str(outputs), ensure_ascii=False)}"]


def chosen_rows(
    case: Case, folds: Iterable[int], chosen: Iterable[Run], by_key: Mapping[str, Record]
) -> Iterable[tuple[int, Row]]:
    """A line a fold of the table: what was measured, or why nothing was."""
    by_fold = {run.fold or 0: run for run in chosen}
    for fold in folds:
        run = by_fold.get(fold)
        if run and run.key in by_key:
            yield fold, of_record(by_key[run.key], options(case, run))
        else:
            yield fold, lost(case, run, by_key)


def identity(about: tuple[str, str, str], families: Mapping[str, str], fold: int) -> Row:
    dataset, method, variant = about
    family = families.get(method, "own")
    return dict(zip(columns.IDENTITY, (columns.BOARD, dataset, method, family, variant, fold, 0, "", "")))


def of_record(record: Record, chosen: str) -> Row:
    measured, cost = record.metrics[record.rule], record.cost
    halves = {f"{name}{columns.HALF}": measured.get(f"{name}_fixed") for name in columns.CUT_METRICS}
    costs = (
        cost.get("train_seconds"),
        cost.get("seconds_per_1000_rows"),
        record.peak_memory_bytes / 2**20,
        cost.get("parameters"),
    )
    return {
        "key": record.key,
        "options": chosen,
        "seed": record.seed,
        "state": "finished",
        "reason": "",
        **{name: measured.get(name) for name in columns.METRICS},
        **halves,
        **dict(zip(columns.COST, costs)),
        "code": record.code or "",
        "revision": record.revision or "",
    }


def lost(case: Case, run: Run | None, by_key: Mapping[str, Record]) -> Row:
    """The line of a run without numbers: its state and the reason."""
    failure = store.failure(run.folder) if run else {}
    state, reason = state_of(failure), failure.get("reason") or why_none(case, by_key)
    return {
        "key": run.key if run else "",
        "state": state,
        "reason": one_line(reason)[:LONGEST],
        "code": "",
        "revision": "",
    }


def state_of(failure: Mapping[str, str]) -> str:
    """The state of a run without a record, from the failure that its folder notes; without one, not_run."""
    kind, reason = failure.get("type", ""), failure.get("reason", "")
    if not failure or kind in ("DoesNotFit", "DataMissing"):
        return "not_run"
    if kind == "OutOfTime":
        return "timeout"
    return "memory" if any(word in f"{kind} {reason}" for word in MEMORY) else "failed"


def of_labels(
    about: tuple[str, str, str], runs: Iterable[Run], by_key: Mapping[str, Record], truth: Truth
) -> list[Row]:
    """A line a label: the means over the folds that have finished."""
    sums: dict[str, list[tuple[float, float, float]]] = {}
    for run in runs:
        known, support = by_key[run.key].per_label, truth.support(run.fold or 0)
        for label, f1, ap in zip(known["label"], known["f1"], known["ap"]):
            sums.setdefault(label, []).append((support[label], f1, ap))
    names = ("dataset", "method", "variant", "label", "support", "f1", "ap")
    return [dict(zip(names, (*about, label, *map(mean, zip(*values))))) for label, values in sums.items()]


def mean(values: Iterable[float]) -> float:
    defined = [value for value in values if not math.isnan(value)]
    return math.fsum(defined) / len(defined) if defined else math.nan


def write_frame(path: Path, names: tuple[str, ...], rows: list[Row], by: int) -> Path:
    """A Parquet file of these columns, its lines in the order of the first of them."""
    import pandas

    try:
        import pyarrow  # noqa: F401
    except ModuleNotFoundError:
        raise UserError("the board's files need pyarrow: pip install 'multilabel-bench[parquet]'") from None
    frame = pandas.DataFrame(rows, columns=list(names))
    for name in names:
        kind = "object" if name in WORDS else "int64" if name in WHOLE else "float64"
        frame[name] = frame[name].astype(kind)
    frame = frame.sort_values(list(names[:by]), kind="stable", ignore_index=True)
    buffer = BytesIO()
    frame.to_parquet(buffer, index=False, compression="zstd")
    with whole(path) as file:
        file.write(buffer.getvalue())
    return path


def write_json(path: Path, content: Any) -> Path:
    write(path, json.dumps(content, indent=1, ensure_ascii=False) + "\n")
    return path
