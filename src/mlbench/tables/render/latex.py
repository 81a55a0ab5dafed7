"""A table as LaTeX to paste into a paper: booktabs and nothing else; a block a midrule."""

import re
from collections.abc import Iterator

from mlbench.tables.cells import Cell
from mlbench.tables.render import text
from mlbench.tables.table import Block, Table, View

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
    r"""Needs \usepackage{booktabs,amssymb}. Every view is a table of its own."""
    return "\n\n".join("\n".join(_lines(view, table)) for view in table.views) + "\n"


def escape(said: str) -> str:
    """Every sign that LaTeX takes for its own, or that an 8-bit font lacks, as itself."""
    known = "".join(SPECIAL.get(sign, sign) for sign in said)
    return re.sub(r"[^\x00-\xff]", "?", known)


def _lines(view: View, table: Table) -> Iterator[str]:
    spec = table.spec
    columns, ranked = view.blocks[0].columns, bool(view.blocks[0].ranks) and len(view.blocks[0].columns) > 1
    width = 2 + len(columns) + ranked
    caption = spec.title + (f": {view.title}" if view.title else "")
    said = ("split", "selection", "threshold", "seeds", "folds")
    about = "; ".join(f"{key}: {table.header[key]}" for key in said if key in table.header) or "Not run"
    if "metric" not in spec.layout.placed:
        caption += f": {text.words(spec.names('metric')[0])}"
    yield "% \\usepackage{booktabs,amssymb}"
    yield f"% python scripts/reproduce.py table={table.name}"
    yield r"\begin{table}"
    yield r"\centering\small"
    yield rf"\caption{{{escape(caption)}. {escape(about)}.}}"
    yield rf"\begin{{tabular}}{{ll{'r' * (width - 2)}}}"
    yield r"\toprule"
    head = [spec.layout.rows, "", *columns, *(["rank"] if ranked else [])]
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
    for name in block.rows:
        cells = block.row(name)
        mine = [_ours(cell, table.spec.decimals) for cell in cells]
        yield _line([escape(name), "ours", *mine, *([text.rank(block.ranks[name])] if ranked else [])])
        if table.spec.published:
            paper = [text.theirs(cell.theirs) for cell in cells]
            printed = [text.rank(block.printed_ranks.get(name))] if ranked else []
            yield _line(["", "paper", *map(escape, [*paper, *printed])])


def _ours(cell: Cell, decimals: int) -> str:
    if not cell.ours:
        return escape(text.missing(cell))
    return f"{escape(text.ours(cell.ours, decimals) + text.missing_note(cell))} {MARKS[cell.verdict]}".strip()


def _line(cells: list[str]) -> str:
    return f"{' & '.join(cell.replace('–', '--') for cell in cells)} \\\\"
