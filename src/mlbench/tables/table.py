"""A table with its cells filled: a pure function of the records that its plan names."""

import itertools
import sys
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from mlbench.config import options
from mlbench.errors import UserError, did_you_mean
from mlbench.evaluation.metric import Better
from mlbench.evaluation.suite import stem_of
from mlbench.results import store
from mlbench.results.record import Record
from mlbench.results.repeats import Repeat
from mlbench.runs.run import Run
from mlbench.tables.cells import Cell, cell
from mlbench.tables.choice import Choice, choices, counted, why_none
from mlbench.tables.comparison import Comparison, compare, order_agreement
from mlbench.tables.measured import better, values, with_depths
from mlbench.tables.plan import Case, runs_of
from mlbench.tables.published import Published, published
from mlbench.tables.ranks import Name, half_up, mean_ranks, ranks
from mlbench.tables.spec import GRID, Axis, Results, Rule, Variant, command

Where = tuple[str, str, str]  # data set, setting, method


@dataclass(frozen=True)
class Block:
    """A part of a table as it is printed: rows by columns."""

    where: dict[Axis, str]  # the values that all its cells have in common
    rows: list[str]
    columns: list[str]
    cells: dict[tuple[str, str], Cell]
    ranks: dict[str, float | None]  # mean rank of each row; empty where rows are not methods
    printed_ranks: dict[str, float | None]
    tau: float | None  # Kendall's, between our order of the methods and the paper's
    same_first: bool | None

    @property
    def name(self) -> str:
        return ", ".join(self.where.values())

    def row(self, name: str) -> list[Cell]:
        return [self.cells[name, column] for column in self.columns]


@dataclass(frozen=True)
class View:
    """All blocks, by the table's metrics or by a variant of them."""

    title: str
    suffix: str
    blocks: list[Block]
    comparisons: list[Comparison]
    rule: Rule | None = None  # where it is not the table's

    @property
    def ending(self) -> str:
        """What sets the names of its metrics apart from those of other views."""
        return f"{self.suffix}_{self.rule}" if self.rule else self.suffix

    def cells(self) -> Iterable[Cell]:
        return (cell for block in self.blocks for cell in block.cells.values())


@dataclass(frozen=True)
class Table:
    name: str  # as it was asked for: ant/2, mine.yaml
    spec: Results
    header: dict[str, str]
    views: list[View]
    cases: dict[Where, Case]
    records: dict[str, Record]  # by key
    choices: dict[Where, dict[Repeat, Choice]] = field(default_factory=dict)  # where options are chosen

    def runs(self, where: Where) -> tuple[Run, ...]:
        """The runs whose mean a cell shows, finished or not."""
        return counted(self.cases[where], self.choices.get(where, {}))


def fill(name: str, spec: Results, cases: list[Case]) -> Table:
    """The table as far as there are records; UserError where there is none, though there could be."""
    records = _records(cases, [each.ours for each in spec.metrics.values()])
    if not records and any(case.runs for case in cases):
        raise UserError(f"table={name}: none of its runs is here; {command(name)} runs them")
    if records:
        _check_metrics(name, spec, records)
    by_where = {case.where: case for case in cases}
    chosen = {case.where: choices(case, records) for case in cases}
    table = Table(name, spec, _header(spec, cases, records), [], by_where, records, chosen)
    variants = [Variant(title=""), *spec.variants]
    return replace(table, views=[_view(variant, table) for variant in variants])


def _records(cases: list[Case], metrics: list[str]) -> dict[str, Record]:
    """The finished runs by key, with these metrics. A record that cannot be read is named and left out."""
    records = {}
    for case in cases:
        for run in case.runs:
            try:
                record = store.finished(run.folder)
            except UserError as error:
                print(f"mlbench: {error}", file=sys.stderr)
                continue
            if record is not None:
                records[run.key] = with_depths(record, run.folder / "scores.npz", metrics)
    return records


def _check_metrics(name: str, spec: Results, records: dict[str, Record]) -> None:
    for variant in (Variant(title=""), *spec.variants):
        rule = variant.rule or spec.rule
        measured = {name for record in records.values() for name in values(record, rule)}
        if not measured:
            raise UserError(f"table={name}: no run was scored under selection.rule={rule}")
        for metric in spec.metrics.values():
            if (wanted := metric.ours + variant.suffix) not in measured:
                stem = stem_of(wanted)  # without the suffix of a rule under which no run was scored
                near = f"; did you mean {stem}?" if stem in measured else did_you_mean(wanted, measured)
                raise UserError(f"table={name}: no run has the metric {wanted}{near}")


def _view(variant: Variant, table: Table) -> View:
    spec, records, suffix, rule = table.spec, table.records, variant.suffix, variant.rule or table.spec.rule
    printed = _printed(spec)
    cells = {}
    for where, case in table.cases.items():
        by_repeat = {
            run.repeat: values(records[run.key], rule) for run in table.runs(where) if run.key in records
        }
        for metric, measured in spec.metrics.items():
            cells[*where, metric] = cell(
                where,
                metric,
                {
                    repeat: known[measured.ours + suffix]
                    for repeat, known in by_repeat.items()
                    if measured.ours + suffix in known
                },
                printed.get((*where, metric)),
                better(measured.ours),
                planned=case.seeds,
                folds=spec.folds,
                published_seeds=spec.published_seeds,
                scale=spec.scale,
                not_run=why_none(case, records),
                unpublished=not spec.published,
            )
    by = spec.layout.blocks
    blocks = [_block(dict(zip(by, names)), spec, cells) for names in itertools.product(*map(spec.names, by))]
    return View(variant.title, suffix, blocks, [*_comparisons(spec, cells)], variant.rule)


def _printed(spec: Results) -> dict[tuple[str, str, str, str], Published]:
    """The paper's cells by ours. Where the table has no axis `setting`, the paper's says nothing new."""
    if spec.published is None:
        return {}
    keep_setting = "setting" in spec.axes
    return {
        (cell.dataset, cell.setting if keep_setting else "", cell.method, cell.metric): cell
        for cell in published(spec.published)
        if cell.metric != "all" and cell.dataset != "all"
    }


def _block(where: dict[Axis, str], spec: Results, cells: dict[tuple, Cell]) -> Block:
    layout = spec.layout
    rows, columns = spec.names(layout.rows), spec.names(layout.columns)

    def at(row: str, column: str) -> Cell:
        on_axes = where | {layout.rows: row, layout.columns: column}
        return cells[
            tuple(
                on_axes.get(axis, spec.names(axis)[0]) for axis in ("dataset", "setting", "method", "metric")
            )
        ]

    placed = {(row, column): at(row, column) for row in rows for column in columns}
    block = Block(where, rows, columns, placed, {}, {}, None, None)
    return _with_ranks(block, spec) if layout.rows == "method" else block


def _with_ranks(block: Block, spec: Results) -> Block:
    """Our mean ranks where all methods have run; the order of the methods beside the paper's."""
    directions: dict[str, Better] = {
        column: better(spec.metrics[block.cells[block.rows[0], column].metric].ours)
        for column in block.columns
    }
    columns = {
        column: _means((row, block.cells[row, column]) for row in block.rows) for column in block.columns
    }
    whole = all(len(means) == len(block.rows) for means in columns.values())
    means = mean_ranks(columns, directions) if whole else {}
    both = _compared(block)
    tau, same_first = order_agreement(
        {column: {row: ours for row, (ours, _) in rows.items()} for column, rows in both.items()},
        {column: {row: theirs for row, (_, theirs) in rows.items()} for column, rows in both.items()},
        directions,
    )
    return replace(
        block,
        ranks={row: half_up(means[row]) if row in means else None for row in block.rows},
        printed_ranks=_printed_ranks(block, spec),
        tau=tau,
        same_first=same_first,
    )


def _means(cells: Iterable[tuple[Name, Cell]]) -> dict[Name, float]:
    """Our means by name, of the cells that have one."""
    return {name: cell.ours.mean for name, cell in cells if cell.ours}


def _compared(block: Block) -> dict[str, dict[str, tuple[float, float]]]:
    """Our mean and theirs by column and row: rows in which nothing is compared are left out, then columns
    that lack one of the other rows."""
    columns = {
        column: {row: pair for row in block.rows if (pair := block.cells[row, column].compared)}
        for column in block.columns
    }
    rows = {row for pairs in columns.values() for row in pairs}
    return {column: pairs for column, pairs in columns.items() if len(pairs) == len(rows)} if rows else {}


def _printed_ranks(block: Block, spec: Results) -> dict[str, float | None]:
    """The mean rank that the paper itself prints beside a row."""
    if spec.printed_ranks is None or spec.published is None:
        return {}
    axis = "metric" if spec.layout.columns == "metric" else "dataset"
    means = [cell for cell in published(spec.published) if getattr(cell, axis) == "all"]
    first = {row: block.cells[row, block.columns[0]] for row in block.rows}

    def rank(cell: Cell) -> float | None:
        axes = {"dataset", "metric", "method"} - {axis} | ({"setting"} if "setting" in spec.axes else set())
        return next(
            (mean.rank for mean in means if all(getattr(mean, a) == getattr(cell, a) for a in axes)), None
        )

    return {row: rank(cell) for row, cell in first.items()}


def best(block: Block, spec: Results) -> set[tuple[str, str]]:
    """Where ours is best among the methods."""
    lines: Iterable[Iterable[tuple[str, str]]]
    if spec.layout.rows == "method":
        lines = [[(row, column) for row in block.rows] for column in block.columns]
    elif spec.layout.columns == "method":
        lines = [[(row, column) for column in block.columns] for row in block.rows]
    else:
        return set()
    first = set()
    for line in lines:
        means = _means((key, block.cells[key]) for key in line)
        if len(means) > 1:
            direction = better(spec.metrics[block.cells[next(iter(means))].metric].ours)
            first |= {key for key, rank in ranks(means, direction).items() if rank == 1}
    return first


def _comparisons(spec: Results, cells: dict[tuple, Cell]) -> Iterable[Comparison]:
    """Tests over the data sets on which all methods have run, a test a setting; of one data set, a test over
    its settings.
    """
    datasets, settings, methods = map(spec.names, GRID)
    apart = len(datasets) > 1 and len(settings) > 1  # settings of a data set are no problems of their own
    for metric, setting in itertools.product(spec.metrics, settings if apart else [""]):
        problems = itertools.product(datasets, [setting] if apart else settings)
        rows = {problem: [cells[*problem, method, metric] for method in methods] for problem in problems}
        values = {
            " ".join(problem if not apart else problem[:1]).strip(): means
            for problem, row in rows.items()
            if len(means := _means((cell.method, cell) for cell in row)) == len(methods)
        }
        if compared := compare(metric, better(spec.metrics[metric].ours), values, setting):
            yield compared


def _header(spec: Results, cases: list[Case], records: dict[str, Record]) -> dict[str, str]:
    """What a reader must know before any number. Taken from the records alone."""
    finished = list(records.values())
    runs = [run for run in runs_of(cases) if run.key in records]
    outdated = sum(run.outdated(records[run.key]) for run in runs)
    never = sum(not case.runs for case in cases) * spec.seeds * (spec.folds or 1)
    planned = len(runs_of(cases)) + never
    if not finished:
        return {"runs": f"0 of {planned}"}

    def all_of(values: Iterable[Any]) -> str:
        return ", ".join(sorted({str(value) for value in values}))

    days = sorted(record.finished[:10] for record in finished)

    def chosen(group: str) -> str:
        return all_of(
            " ".join([record.choices[group], *(f"{key} {value}" for key, value in given.items())])
            for record in finished
            if group in record.choices
            for given in [options(record.config[group])]
        )

    named = {run.key: case.dataset for case in cases for run in case.runs}  # files of one's own may have none
    seeds = sorted({record.seed for record in finished})
    machines = (
        f"{known.get('processor')}, {known.get('cores')} cores, {known.get('gpu') or 'no GPU'}"
        for known in (record.machine for record in finished)
    )
    return {
        "split": all_of(record.choices["split"] for record in finished),
        "selection": spec.rule,
        **_chosen(cases),
        **({"calibration": calibrations} if (calibrations := chosen("calibration")) else {}),
        "threshold": chosen("threshold"),
        "seeds": ", ".join(map(str, seeds)),
        **({"folds": str(spec.folds)} if spec.folds else {}),
        "runs": f"{len(finished)} of {planned}",
        **({"other code": f"{outdated} of these runs, whose code has changed since"} if outdated else {}),
        **({"imported": theirs} if (theirs := _imported(cases)) else {}),
        **({"last digits": ways} if (ways := ways_of(finished)) else {}),
        "data": ", ".join(dict.fromkeys(f"{r.data['name'] or named[r.key]} {checksum(r)}" for r in finished)),
        "versions": all_of(
            ", ".join(f"{name} {record.versions.get(name, 'unknown')}" for name in ("mlbench", "torch"))
            for record in finished
        ),
        "code": all_of((record.revision or "unknown")[:12] for record in finished),
        "dates": " to ".join(dict.fromkeys((days[0], days[-1]))),
        "machine": all_of(machines),
    }


def _chosen(cases: list[Case]) -> dict[str, str]:
    """Which options the validation part chooses, and by what."""
    options = dict.fromkeys(option for case in cases for option in case.choose)
    metrics = dict.fromkeys(case.runs[0].config.selection.metric for case in cases if case.choose)
    return {"chosen": f"{', '.join(options)}, by validation {', '.join(metrics)}"} if options else {}


def _imported(cases: list[Case]) -> str:
    """Which rows are no runs of ours."""
    names = dict.fromkeys(case.method for case in cases if any(run.imported for run in case.runs))
    return f"{', '.join(names)}: predictions of other programs" if names else ""


def ways_of(records: Sequence[Record]) -> str:
    """How many runs were trained in a way on which their last digits depend."""
    counts = Counter(record.trained for record in records if record.trained)
    return ", ".join(f"those of {count} runs by being trained {way}" for way, count in sorted(counts.items()))


def checksum(record: Record) -> str:
    """The first file's SHA-256, short."""
    return next(iter(record.data.get("files", {}).values()), "")[:12] or "made on the spot"
