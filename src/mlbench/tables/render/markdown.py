"""A table as GitHub's Markdown: two lines a method, ours and the paper's."""

from collections.abc import Iterable, Iterator

from mlbench.tables.comparison import Comparison
from mlbench.tables.render import text
from mlbench.tables.table import Block, Table, View


def markdown(table: Table) -> str:
    return "\n".join(_lines(table)) + "\n"


def _lines(table: Table) -> Iterator[str]:
    yield f"# {table.spec.title}"
    yield ""
    yield f"`python scripts/reproduce.py table={table.name}`"
    yield ""
    yield from _grid(["", ""], [[key, value] for key, value in table.header.items()])
    yield ""
    yield f"{text.LEGEND}. Deviations are over seeds (n − 1)."
    main, *variants = table.views
    for view in (main, *(view for view in variants if any(cell.ours for cell in view.cells()))):
        yield from _view(view, table)
    yield from _reasons(table)
    if table.spec.notes:
        yield from ["", "## Notes", ""]
        yield from (f"- {note}" for note in table.spec.notes)


def _view(view: View, table: Table) -> Iterator[str]:
    level = "##"
    if view.title:
        yield from ["", f"## {view.title[0].upper()}{view.title[1:]}"]
        yield from ["", f"Metrics whose names end in `{view.suffix}`."]
        level = "###"
    yield from ["", _summary(view)]
    for block in view.blocks:
        if block.name:
            yield from ["", f"{level} {block.name}"]
        yield ""
        yield from _block(block, table)
    for comparison in view.comparisons:
        yield from _comparison(comparison, level)


def _summary(view: View) -> str:
    verdicts = [cell.verdict for cell in view.cells()]
    counts = {verdict: verdicts.count(verdict) for verdict in text.MARKS}
    compared = sum(counts[verdict] for verdict in ("agrees", "better", "worse"))
    return (
        f"{compared} of {len(verdicts)} cells compared: {counts['agrees']} agree, {counts['better']} better, "
        f"{counts['worse']} worse; {counts['not published']} without a published number, "
        f"{counts['not run']} not run."
    )


def _block(block: Block, table: Table) -> Iterator[str]:
    cells = block.cells.values()
    none_ran = all(cell.verdict == "not run" for cell in cells)
    if none_ran:
        yield f"Ours: {'; '.join(dict.fromkeys(map(text.missing, cells)))}."
        if not any(cell.theirs for cell in cells):
            return
        yield ""
    ranked = bool(block.ranks) and len(block.columns) > 1
    head = [
        text.words(table.spec.layout.rows),
        "",
        *map(text.words, block.columns),
        *(["rank"] if ranked else []),
    ]
    rows = []
    for name in block.rows:
        cells = block.row(name)
        mine = [
            f"{text.ours(cell.ours, table.spec.decimals)}{text.seeds_note(cell)} {text.MARKS[cell.verdict]}"
            if cell.ours
            else text.missing(cell)
            for cell in cells
        ]
        paper = [text.theirs(cell.theirs) for cell in cells]
        if not none_ran:
            rows.append([f"**{name}**", "ours", *mine, *([text.rank(block.ranks[name])] if ranked else [])])
        if table.spec.published:
            printed = block.printed_ranks.get(name)
            rows.append(
                [
                    f"**{name}**" if none_ran else "",
                    "paper",
                    *paper,
                    *([text.rank(printed)] if ranked else []),
                ]
            )
    yield from _grid(head, rows)
    if block.tau is not None:
        first = "the same method first" if block.same_first else "another method first"
        yield from ["", f"Order of the methods beside the paper's: Kendall's τ {block.tau:.2f}, {first}."]


def _comparison(comparison: Comparison, level: str) -> Iterator[str]:
    means = sorted(comparison.mean_ranks.items(), key=lambda item: item[1])
    different = [
        f"{a}–{b} ({p:.3f})"
        for (a, b), p in sorted(comparison.nemenyi.items(), key=lambda i: i[1])
        if p < 0.05
    ]
    wilcoxon = [f"{a}–{b}" for (a, b), p in comparison.wilcoxon.items() if p < 0.05]
    yield from ["", f"{level} {text.words(comparison.metric)}: do the methods differ?", ""]
    yield (
        f"Friedman over {len(comparison.datasets)} problems: χ² {comparison.statistic:.2f}, "
        f"p {comparison.p:.4f}. Mean ranks: {', '.join(f'{name} {mean:.2f}' for name, mean in means)}. "
        f"Nemenyi's critical difference at .05: {comparison.critical_difference:.2f}; "
        f"pairs that differ: {', '.join(different) or 'none'}. "
        f"Wilcoxon after Holm: {', '.join(wilcoxon) or 'none'}."
    )


def _reasons(table: Table) -> Iterator[str]:
    """What a cell has no room for: why a run could not be made."""
    long = {cell.reason: None for cell in table.views[0].cells() if text.missing(cell).endswith("see below")}
    if long:
        yield from ["", "## Not run", ""]
        yield from (f"- {reason}" for reason in long)


def _grid(head: list[str], rows: Iterable[list[str]]) -> Iterator[str]:
    yield _line(head)
    yield _line(["---"] * len(head))
    yield from map(_line, rows)


def _line(cells: Iterable[str]) -> str:
    escaped = (cell.replace("|", r"\|") for cell in cells)
    return f"|{'|'.join(f' {cell} ' if cell else ' ' for cell in escaped)}|"
