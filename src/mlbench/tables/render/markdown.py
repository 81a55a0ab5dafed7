"""A table in GitHub's Markdown: two lines for each method, ours and the paper's."""

import statistics
from collections.abc import Iterator, Sequence

from mlbench.tables.cells import Cell
from mlbench.tables.comparison import Comparison
from mlbench.tables.degrees import Degree
from mlbench.tables.formats import markdown_table
from mlbench.tables.render import degrees, diagram, text
from mlbench.tables.spec import command
from mlbench.tables.table import Block, Table, View, best


def markdown(table: Table, recovered: Sequence[Degree] = ()) -> str:
    """`recovered`: of the label distributions that its runs left."""
    return "\n".join(_lines(table, recovered)) + "\n"


def _lines(table: Table, recovered: Sequence[Degree]) -> Iterator[str]:
    yield from [f"# {table.spec.title}", "", f"`{command(table.name)}`", ""]
    yield from markdown_table(["", ""], [*table.header.items(), ("metrics", text.metrics(table.spec))])
    yield ""
    legend = f"{text.LEGEND}. " if table.spec.published else ""
    yield f"{legend}Deviations are {text.deviations(table.spec)} (n − 1)."
    main, *variants = table.views
    for view in (main, *(view for view in variants if any(cell.ours for cell in view.cells()))):
        yield from _view(view, table)
    yield from degrees.markdown(table.name, recovered)
    yield from _reasons(table)
    if any(table.choices.values()):
        yield from ["", "## Chosen on the validation part", "", text.CHOSEN, ""]
        yield from markdown_table(["", *text.CHOICE], text.chosen(table))
    if table.spec.notes:
        yield from ["", "## Notes", ""]
        yield from (f"- {note}" for note in table.spec.notes)


def _view(view: View, table: Table) -> Iterator[str]:
    level = "##"
    if view.title:
        yield from ["", f"## {view.title[0].upper()}{view.title[1:]}"]
        yield from ["", text.about(view, "`")]
        level = "###"
    if table.spec.published:
        yield from ["", _summary([*view.cells()])]
    for block in view.blocks:
        if block.name:
            yield from ["", f"{level} {block.name}"]
        yield ""
        yield from _block(block, table)
        if len(view.blocks) > 1 and any(cell.difference is not None for cell in block.cells.values()):
            yield from ["", _summary([*block.cells.values()])]
    for comparison in view.comparisons:
        yield from _comparison(comparison, view, table, level)


def _summary(cells: Sequence[Cell]) -> str:
    """The counts of verdicts, and the mean distance |ours − theirs|."""
    counts = {verdict: [cell.verdict for cell in cells].count(verdict) for verdict in text.MARKS}
    apart = [abs(cell.difference) for cell in cells if cell.difference is not None]
    distance = f", {statistics.fmean(apart):.3f} apart on average" if apart else ""
    return (
        f"{len(apart)} of {len(cells)} cells compared: {counts['agrees']} agree, {counts['better']} better, "
        f"{counts['worse']} worse{distance}; {counts['not compared']} not compared, "
        f"{counts['not run']} not run."
    )


def _block(block: Block, table: Table) -> Iterator[str]:
    cells = block.cells.values()
    none_ran = all(cell.verdict == "not run" for cell in cells)  # the paper's lines then stand alone
    if none_ran:
        yield f"Ours: {'; '.join(dict.fromkeys(map(text.missing, cells)))}."
        if not any(cell.theirs for cell in cells):
            return
        yield ""
    ranked = bool(block.ranks) and len(block.columns) > 1
    ranked &= not none_ran or any(block.printed_ranks.values())
    paper, top = bool(table.spec.published), best(block, table.spec)
    layout = table.spec.layout
    columns = [text.words(table.spec.called(layout.columns, name)) for name in block.columns]
    head = [text.words(layout.rows), *([""] if paper else []), *columns]
    rows = []
    for name in block.rows:
        called = table.spec.called(layout.rows, name)
        ours = [_ours(block.cells[name, column], (name, column) in top, table) for column in block.columns]
        printed = [text.theirs(cell.theirs) for cell in block.row(name)]
        ranks = [text.rank(block.ranks[name])] if ranked else []
        printed_ranks = [text.rank(block.printed_ranks.get(name))] if ranked else []
        if not none_ran:
            rows.append([f"**{called}**", *(["ours"] if paper else []), *ours, *ranks])
        if paper:
            rows.append([f"**{called}**" if none_ran else "", "paper", *printed, *printed_ranks])
    head += ["rank"] if ranked else []
    yield from markdown_table(head, rows)
    if block.tau is not None:
        first = "the same method first" if block.same_first else "another method first"
        yield from ["", f"Order of the methods beside the paper's: Kendall's τ {block.tau:.2f}, {first}."]


def _ours(cell: Cell, top: bool, table: Table) -> str:
    """Our number with its verdict; in a table without a paper's numbers, the best of a column is bold."""
    if not cell.ours:
        return text.missing(cell)
    number = f"{text.ours(cell.ours, table.spec.decimals)}{text.missing_note(cell)}"
    if table.spec.published:
        return f"{number} {text.MARKS[cell.verdict]}"
    return f"**{number}**" if top else number


def _comparison(comparison: Comparison, view: View, table: Table, level: str) -> Iterator[str]:
    means = sorted(comparison.mean_ranks.items(), key=lambda item: item[1])
    different = [
        f"{a}–{b} ({text.below(p, 3)})"
        for (a, b), p in sorted(comparison.nemenyi.items(), key=lambda i: i[1])
        if p < 0.05
    ]
    wilcoxon = [f"{a}–{b}" for (a, b), p in comparison.wilcoxon.items() if p < 0.05]
    title = ", ".join(filter(None, (text.words(comparison.metric), comparison.setting)))
    yield from ["", f"{level} {title}: do the methods differ?", ""]
    yield (
        f"Friedman over {len(comparison.datasets)} problems: χ² {comparison.statistic:.2f}, "
        f"p {text.below(comparison.p, 4)}. "
        f"Mean ranks: {', '.join(f'{name} {mean:.2f}' for name, mean in means)}. "
        f"Nemenyi's critical difference at .05: {comparison.critical_difference:.2f}; "
        f"pairs that differ: {', '.join(different) or 'none'}. "
        f"Wilcoxon after Holm: {', '.join(wilcoxon) or 'none'}."
    )
    if warning := text.few(comparison):
        yield from ["", f"**{warning}**"]
    file = diagram.file_name(table, view, comparison)
    yield from ["", f"![Mean ranks; a bar joins methods that Nemenyi's test does not tell apart]({file})"]


def _reasons(table: Table) -> Iterator[str]:
    """The reasons why runs could not be made that are too long for a cell."""
    missing = [cell for cell in table.views[0].cells() if not cell.ours]
    long = {cell.reason: None for cell in missing if text.missing(cell).endswith("see below")}
    if long:
        yield from ["", "## Not run", ""]
        yield from (f"- {reason}" for reason in long)
