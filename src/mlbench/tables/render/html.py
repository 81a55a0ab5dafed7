"""A table as one page without a network: every cell, what stands behind it, how the methods compare."""

import itertools
import math
from collections.abc import Iterator
from dataclasses import replace
from html import escape
from pathlib import Path

from mlbench.results.repeats import Average
from mlbench.tables.cells import CLOSE, Cell
from mlbench.tables.comparison import LEVEL, Comparison
from mlbench.tables.measured import better, definition
from mlbench.tables.ranks import half_up
from mlbench.tables.render import text
from mlbench.tables.render.diagram import critical_difference
from mlbench.tables.render.evidence import evidence, printed, shown
from mlbench.tables.render.page import page, sortable
from mlbench.tables.render.text import ARROWS, MARKS, metrics, rank
from mlbench.tables.spec import Axis, Results, command
from mlbench.tables.table import Block, Table, View, best

MINUS = "\N{MINUS SIGN}"
LONG = 36  # letters of a fact that needs a line of its own


def html(table: Table, outputs: Path) -> str:
    """A pure function of the table and the folders of its runs, which are named as seen from `outputs`."""
    numbers = itertools.count()  # of the cells: their places in the evidence
    views = [_view(place, view, table, numbers) for place, view in enumerate(table.views)]
    body = "\n".join([_head(table), _tabs(table), "<main>", *views, LABELS, "</main>", PANEL])
    return page(table.spec.title, body, evidence(table, outputs), "page.js")


LABELS = """<section class="labels" id="labels" hidden>
<h2>Label by label</h2>
<p class="controls"><label>Where <select></select></label></p>
<p class="about"></p>
<div class="scroll"></div>
</section>"""

PANEL = """<dialog class="panel" id="panel" aria-labelledby="panel-title"></dialog>
<noscript><p class="about">Sorting, and what stands behind a cell, need JavaScript.</p></noscript>"""


def _head(table: Table) -> str:
    spec = table.spec
    pairs = [*table.header.items(), ("metrics", metrics(spec))]
    facts = "".join(
        f'<div class="{"long" if len(words) > LONG else "short"}">'
        f"<dt>{escape(name)}</dt><dd>{escape(words)}</dd></div>"
        for name, words in sorted(pairs, key=lambda fact: len(fact[1]) > LONG)
    )
    notes = "".join(f"<li>{escape(note)}</li>" for note in spec.notes)
    return f"""<header>
<p class="kicker"><code>{escape(command(table.name))}</code></p>
<h1>{escape(spec.title)}</h1>
<dl class="facts">{facts}</dl>
{f'<ul class="notes">{notes}</ul>' if notes else ""}
{_chosen(table)}{_legend(spec)}
</header>"""


def _chosen(table: Table) -> str:
    """The options that the validation part has chosen."""
    if not any(table.choices.values()):
        return ""
    head = "".join(f'<th scope="col">{name}</th>' for name in ("", *text.CHOICE))
    rows = "".join(
        f'<tr><th scope="row">{escape(name)}</th>{"".join(f"<td>{escape(said)}</td>" for said in rest)}</tr>'
        for name, *rest in text.chosen(table)
    )
    return f"""<details class="notes"><summary>Chosen on the validation part</summary><p>{text.CHOSEN}</p>
<div class="scroll"><table class="pairs"><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table></div>
</details>"""


def _legend(spec: Results) -> str:
    unit = "" if spec.scale == 1 else f" ({CLOSE * spec.scale:g} in the table's unit)"
    meanings = {
        "agrees": f"= the difference is within two standard errors or .01{unit}",
        "better": "= our mean is better by more than that",
        "worse": "= our mean is worse by more than that",
        "not compared": "= the paper has no number that ours could be compared with",
        "not run": "(reason)",
    }
    items = "".join(
        f"<li>{_mark(verdict)} <span><b>{verdict}</b> {words}</span></li>"
        for verdict, words in meanings.items()
    )
    spread = f"mean ± sample standard deviation {text.deviations(spec)}"
    what = f"{spread}; bold: our best; n: fewer runs than planned"
    click = "Click a column to sort by our mean, a cell to see its runs."
    if not spec.published:
        return f'<div class="legend"><p>{what}. {click}</p></div>'
    ours, spread = (f"{number:.{spec.decimals}f}" for number in (0.6271 * spec.scale, 0.0125 * spec.scale))
    sample = (
        f'<span class="cell" data-verdict="agrees"><span class="ours"><b>{ours}</b> '
        f'<i>±{spread}</i></span>{_mark("agrees")}<span class="theirs">theirs <i>±std</i></span>'
        '<span class="difference">ours − theirs</span></span>'
    )
    return f"""<div class="legend"><div class="sample"><span>how to read a cell</span>{sample}</div>
<ul>{items}</ul>
<p>{what};
<s class="doubtful">±std</s> a printed deviation that cannot be right, which counts in no comparison.
{click}</p></div>"""


def _mark(verdict: str) -> str:
    attributes = f'data-verdict="{verdict}" role="img" aria-label="{verdict}" title="{verdict}"'
    return f'<span class="mark" {attributes}>{MARKS[verdict]}</span>'


def _tabs(table: Table) -> str:
    if len(table.views) < 2:
        return ""
    tabs = "".join(
        f'<button type="button" role="tab" id="tab-{place}" aria-controls="view-{place}">'
        f"{escape(_title(view))}</button>"
        for place, view in enumerate(table.views)
    )
    return f'<nav class="tabs" role="tablist" aria-label="metrics" hidden>{tabs}</nav>'


def _title(view: View) -> str:
    return f"{view.title[0].upper()}{view.title[1:]}" if view.title else "The table"


def _view(place: int, view: View, table: Table, numbers: Iterator[int]) -> str:
    about = f"<p>{escape(text.about(view))}</p>" if view.ending else ""
    blocks = [
        _block(f"{place}-{number}", block, view, table, numbers) for number, block in enumerate(view.blocks)
    ]
    return f"""<section class="view" id="view-{place}" aria-label="{escape(_title(view))}">
<h2>{escape(_title(view))}</h2>{about}
{_overview(place, view, table) if table.spec.published else ""}
{"".join(blocks)}
{_statistics(view, table)}
</section>"""


def _overview(place: int, view: View, table: Table) -> str:
    """How every block stands, in a line."""
    head = "".join(f'<th scope="col">{_mark(verdict)} {verdict}</th>' for verdict in MARKS)
    ranked = any(block.ranks for block in view.blocks)
    if ranked:
        head += '<th scope="col">Kendall’s τ</th><th scope="col">same first</th>'
    rows = []
    for number, block in enumerate(view.blocks):
        verdicts = [cell.verdict for row in block.rows for cell in block.row(row)]
        counts = "".join(f"<td>{verdicts.count(verdict) or ''}</td>" for verdict in MARKS)
        if ranked:
            tau = "–" if block.tau is None else _signed(block.tau, 2).removeprefix("+")
            counts += f"<td>{tau}</td><td>{ {None: '–', True: 'yes', False: 'no'}[block.same_first] }</td>"
        strip = "".join(f'<i data-verdict="{verdict}"></i>' for verdict in verdicts)
        name = escape(_name_of(block, table.spec) or "all cells")
        rows.append(
            f'<tr><th scope="row"><a href="#block-{place}-{number}">{name}</a></th>{counts}'
            f'<td class="strip" aria-hidden="true"><span>{strip}</span></td></tr>'
        )
    return f"""<div class="scroll"><table class="overview"><caption>Ours beside the paper’s</caption>
<thead><tr><td></td>{head}<td></td></tr></thead><tbody>{"".join(rows)}</tbody></table></div>"""


def _block(name: str, block: Block, view: View, table: Table, numbers: Iterator[int]) -> str:
    spec, layout = table.spec, table.spec.layout
    title = _name_of(block, spec)
    top = best(block, spec)
    ranked = bool(block.ranks) and len(block.columns) > 1
    rows = []
    for place, row in enumerate(block.rows):
        cells = "".join(
            _cell(cell, next(numbers), spec, bold=(row, column) in top)
            for column, cell in zip(block.columns, block.row(row))
        )
        ranks = _ranks(block.ranks[row], block.printed_ranks.get(row), spec) if ranked else ""
        rows.append(f'<tr data-place="{place}">{_head_of(layout.rows, row, spec)}{cells}{ranks}</tr>')
    columns = "".join(_column(column, block, spec) for column in block.columns)
    if ranked:
        columns += sortable("mean rank", "ascending")
    corner = sortable(escape(layout.rows), "place")
    heading = ", ".join(
        f'<span title="{escape(_about(axis, value, spec))}">{_arrowed(axis, value, spec)}</span>'
        if axis == "metric"
        else _arrowed(axis, value, spec)
        for axis, value in block.where.items()
    )
    caption = " ".join(filter(None, (spec.title, title, view.title)))
    return f"""<section class="block" id="block-{name}">
{f"<h3>{heading}</h3>" if title else ""}
<div class="scroll" tabindex="0" role="group" aria-label="{escape(caption)}"><table class="grid">
<thead><tr>{corner}{columns}</tr></thead>
<tbody>{"".join(rows)}</tbody></table></div>
{_order(block)}</section>
"""


def _name_of(block: Block, spec: Results) -> str:
    return ", ".join(shown(axis, value, spec) for axis, value in block.where.items())


def _column(name: str, block: Block, spec: Results) -> str:
    """The best comes first at the first click."""
    directions = {better(spec.metrics[block.cells[row, name].metric].ours) for row in block.rows}
    axis = spec.layout.columns
    first = "descending" if directions == {"high"} else "ascending"
    return sortable(_arrowed(axis, name, spec), first, _about(axis, name, spec))


def _head_of(axis: Axis, name: str, spec: Results) -> str:
    title = escape(_about(axis, name, spec) or name)
    return f'<th scope="row" title="{title}">{_arrowed(axis, name, spec)}</th>'


def _about(axis: Axis, name: str, spec: Results) -> str:
    """What a metric is; nothing for the value of another axis."""
    if axis != "metric":
        return ""
    measured = spec.metrics[name].ours
    return f"{measured}: {definition(measured)}"


def _arrowed(axis: Axis, name: str, spec: Results) -> str:
    """A name; that of a metric with its direction."""
    said = escape(shown(axis, name, spec))
    if axis != "metric":
        return said
    arrow, words = ARROWS[better(spec.metrics[name].ours)]
    return f'{said} <abbr title="{words}">{arrow}</abbr>'


def _cell(cell: Cell, number: int, spec: Results, *, bold: bool) -> str:
    decimals, value = spec.decimals, ""
    if cell.ours:
        value = f"{cell.ours.mean:.{decimals + 4}f}"
        mean, std = f"{cell.ours.mean:.{decimals}f}", cell.ours.std
        spread = "" if std is None else f" <i>±{std:.{decimals}f}</i>"
        few = _few(cell, cell.ours) if cell.missing else ""
        ours = f'<span class="ours">{f"<b>{mean}</b>" if bold else mean}{spread}{few}</span>'
    else:
        ours = (
            f'<span class="ours reason" title="{escape(cell.reason)}">not run: {escape(cell.reason)}</span>'
        )
    difference = "" if cell.difference is None else _signed(cell.difference, decimals)
    paper = f'{_mark(cell.verdict)}{_theirs(cell)}<span class="difference">{difference}</span>'
    return (
        f'<td data-verdict="{cell.verdict}" data-value="{value}">'
        f'<button type="button" class="cell" data-cell="{number}">{ours}'
        f"{paper if spec.published else ''}</button></td>"
    )


def _few(cell: Cell, ours: Average) -> str:
    """How many runs there are, where some are missing."""
    count, planned = len(ours.values), cell.planned * (cell.folds or 1)
    over = f", the deviation is over {ours.over}" if cell.folds else ""
    words = f"{count} of {planned} {'runs' if cell.folds else 'seeds'}{over}"
    return f' <em title="{words}">n={count}</em>'


def _theirs(cell: Cell) -> str:
    if cell.theirs is None or cell.theirs.mean is None:
        why = cell.theirs.note if cell.theirs else "not in the paper"
        return f'<span class="theirs" title="{escape(why)}">–</span>'
    mean, std = printed(cell.theirs)
    if std is None:
        spread = ""
    elif cell.theirs.doubtful_std:
        spread = f' <s class="doubtful" title="{escape(cell.theirs.note)}">±{std}</s>'
    else:
        spread = f" <i>±{std}</i>"
    return f'<span class="theirs">{mean}{spread}</span>'


def _ranks(ours: float | None, theirs: float | None, spec: Results) -> str:
    value = "" if ours is None else ours
    paper = f'<span class="theirs">{rank(theirs)}</span>' if spec.published else ""
    return f'<td class="ranks" data-value="{value}"><span class="ours">{rank(ours)}</span>{paper}</td>'


def _order(block: Block) -> str:
    """How our order of the methods stands to the paper's."""
    facts = [] if block.tau is None else ["Kendall’s τ = " + _signed(block.tau, 2).removeprefix("+")]
    if block.same_first is not None:
        facts.append("the same method comes first" if block.same_first else "another method comes first")
    return (
        f'<p class="about">Order of the methods beside the paper’s: {"; ".join(facts)}.</p>' if facts else ""
    )


def _signed(value: float, decimals: int) -> str:
    text = f"{half_up(value, decimals):+.{decimals}f}"
    return text[1:] if float(text) == 0 else text.replace("-", MINUS)


def _statistics(view: View, table: Table) -> str:
    if not view.comparisons:
        sentence = (
            "Too few data sets are complete to compare the methods over them: "
            "it takes two on which every one of at least three methods has run."
        )
        return f'<section class="statistics"><h3>Do the methods differ?</h3><p>{sentence}</p></section>'
    parts = "".join(_comparison(comparison, table) for comparison in view.comparisons)
    return f"""<section class="statistics"><h3>Do the methods differ?</h3>
<p class="about">Over the data sets on which every method has run, by the mean over its runs. The diagrams
show mean ranks, the best at the left; a bar joins methods whose ranks differ by less than Nemenyi’s critical
difference at {LEVEL:g}. p of every pair: Nemenyi above the diagonal, Wilcoxon after Holm below it; * below
{LEVEL:g}.</p>
{parts}</section>"""


def _comparison(comparison: Comparison, table: Table) -> str:
    about: list[tuple[Axis, str]] = [("metric", comparison.metric), ("setting", comparison.setting)]
    named = ", ".join(_arrowed(axis, name, table.spec) for axis, name in about if name)
    ranks = {shown("method", name, table.spec): rank for name, rank in comparison.mean_ranks.items()}
    diagram = critical_difference(replace(comparison, mean_ranks=ranks))
    datasets = escape(", ".join(comparison.datasets))
    return f"""<section class="comparison"><h4>{named}</h4>
<p>Friedman’s χ² = {_number(comparison.statistic, 2)}, {_p_is(comparison.p)};
{len(comparison.mean_ranks)} methods on {len(comparison.datasets)} data sets <small>({datasets})</small></p>
{f'<p class="warning">{escape(warning)}</p>' if (warning := text.few(comparison)) else ""}
<div class="sides"><figure>{diagram}</figure>
{_pairs(comparison, table)}</div></section>"""


def _pairs(comparison: Comparison, table: Table) -> str:
    """Nemenyi above the diagonal, Wilcoxon below it."""
    names = list(comparison.mean_ranks)
    head = "".join(f'<th scope="col">{escape(shown("method", name, table.spec))}</th>' for name in names)
    rows = []
    for row, first in enumerate(names):
        cells = []
        for column, second in enumerate(names):
            tested = comparison.nemenyi if column > row else comparison.wilcoxon
            p = tested.get((first, second), tested.get((second, first)))
            if row == column:
                cells.append("<td></td>")
            else:
                differs = p is not None and p < LEVEL
                cells.append(f"<td>{f'<b>{_p(p)}*</b>' if differs else _p(p)}</td>")
        name = escape(shown("method", first, table.spec))
        rows.append(f'<tr><th scope="row">{name}</th>{"".join(cells)}</tr>')
    return f"""<div class="scroll"><table class="pairs">
<thead><tr><td></td>{head}</tr></thead><tbody>{"".join(rows)}</tbody></table></div>"""


def _p(p: float | None) -> str:
    if p is None or math.isnan(p):
        return "–"
    return "&lt;.001" if p < 0.001 else f"{p:.3f}".removeprefix("0")


def _p_is(p: float) -> str:
    return "p undefined" if math.isnan(p) else f"p {'&lt; .001' if p < 0.001 else f'= {_p(p)}'}"


def _number(value: float, decimals: int) -> str:
    return "undefined" if math.isnan(value) else f"{value:.{decimals}f}"
