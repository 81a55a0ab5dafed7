"""A table as LaTeX to paste into a paper: booktabs and nothing else; a block a midrule."""

import re
from collections.abc import Iterator

from mlbench.tables.cells import Cell
from mlbench.tables.render import text
from mlbench.tables.spec import Results, command
from mlbench.tables.table import Block, Table, View, best

MARKS = {
    "agrees": "$=$", "better": r"$\blacktriangle$", "worse": r"$\blacktriangledown$",
    "not compared": r"$\cdot$", "not run": "",
}  # fmt: skip
SPECIAL = {
    "\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "<": r"\textless{}",
    ">": r"\textgreater{}", "|": r"\textbar{}", "–": "--", "±": r"$\pm$", "−": "$-$",
}  # fmt: skip
SPECIAL |= {sign: f"\\{sign}" for sign in "&%$#_{}"}


def latex(table: Table) -> str:
    r"""Needs \usepackage{booktabs,amssymb}. Every view is a table of its own; our best is bold, and what has
    no number is empty: a comment says why."""
    return "\n\n".join("\n".join(_lines(view, table)) for view in table.views) + "\n"


def escape(words: str) -> str:
    """Every sign that LaTeX takes for its own, or that an 8-bit font lacks, as itself."""
    known = "".join(SPECIAL.get(sign, sign) for sign in words)
    return re.sub(r"[^\x00-\xff]", "?", known)


def _lines(view: View, table: Table) -> Iterator[str]:
    spec = table.spec
    columns, ranked = view.blocks[0].columns, bool(view.blocks[0].ranks) and len(view.blocks[0].columns) > 1
    columns = [spec.called(spec.layout.columns, name) for name in columns]
    paper = bool(spec.published)
    width = 1 + paper + len(columns) + ranked
    caption = spec.title + (f": {view.title}" if view.title else "")
    keys = ("split", "selection", "threshold", "seeds", "folds")
    about = "; ".join(f"{key}: {table.header[key]}" for key in keys if key in table.header) or "Not run"
    if "metric" not in spec.layout.placed:
        caption += f": {text.words(spec.names('metric')[0])}"
    yield "% \\usepackage{booktabs,amssymb}"
    yield f"% {command(table.name)}"
    for cell in view.cells():
        if not cell.ours:
            where = ", ".join(filter(None, (cell.dataset, cell.setting, cell.method, cell.metric)))
            yield f"% {escape(f'{where}: not run: {cell.reason}')}"
    yield r"\begin{table}"
    yield r"\centering\small"
    yield rf"\caption{{{escape(caption)}. {escape(about)}.}}"
    yield r"\smallskip"  # classes for articles leave no room below a caption
    yield rf"\begin{{tabular}}{{{'ll' if paper else 'l'}{'r' * (len(columns) + ranked)}}}"
    yield r"\toprule"
    head = [spec.layout.rows, *([""] if paper else []), *columns, *(["rank"] if ranked else [])]
    yield f"{' & '.join(escape(text.words(name)) for name in head)} \\\\"
    for block in view.blocks:
        yield r"\midrule"
        if block.name:
            yield rf"\multicolumn{{{width}}}{{l}}{{\emph{{{escape(block.name)}}}}} \\"
        yield from _rows(block, table, ranked)
    yield r"\bottomrule"
    yield r"\end{tabular}"
    yield r"\end{table}"


def _rows(block: Block, table: Table, ranked: bool) -> Iterator[str]:
    spec, top = table.spec, best(block, table.spec)
    for name in block.rows:
        mine = [_ours(block.cells[name, column], (name, column) in top, spec) for column in block.columns]
        ranks = [_rank(block.ranks[name])] if ranked else []
        yield _line(
            [
                escape(spec.called(spec.layout.rows, name)),
                *(["ours"] if spec.published else []),
                *mine,
                *ranks,
            ]
        )
        if spec.published:
            paper = [escape(text.theirs(cell.theirs, unknown="")) for cell in block.row(name)]
            yield _line(["", "paper", *paper, *([_rank(block.printed_ranks.get(name))] if ranked else [])])


def _ours(cell: Cell, top: bool, spec: Results) -> str:
    if not cell.ours:
        return ""
    number = escape(text.ours(cell.ours, spec.decimals))
    number = rf"\textbf{{{number}}}" if top else number
    mark = f" {MARKS[cell.verdict]}" if spec.published else ""
    return f"{number}{escape(text.missing_note(cell))}{mark}"


def _rank(value: float | None) -> str:
    return "" if value is None else text.rank(value)


def _line(cells: list[str]) -> str:
    return f"{' & '.join(cell.replace('–', '--') for cell in cells)} \\\\"
