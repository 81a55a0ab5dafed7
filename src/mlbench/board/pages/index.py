"""The front page: where every row stands by every metric, what has been run, who and what there is."""

from html import escape

import numpy as np

from mlbench.board import sensitivity
from mlbench.board.grid import FAILED, Row
from mlbench.board.pages import markup
from mlbench.board.pages.about import Site
from mlbench.board.pages.heat import square
from mlbench.board.pages.markup import cell, link, section, spoken, table, th, worded
from mlbench.tables.render.page import sortable

TITLE = "The board of multi-label methods"


def page(site: Site) -> str:
    body = [
        markup.head(
            "<code>mlbench board render</code>",
            TITLE,
            "Every method on every data set under one protocol; how to read it, and what it does not say, is "
            "in <code>docs/board.md</code>. A row is a method as its paper sets it, or tuned by validation.",
        ),
        _facts(site),
        section("Where each method stands", _places(site), PLACES, "places"),
        section("Do the metrics agree?", _agreement(site), AGREEMENT, "agreement"),
        section("What has been run", _coverage(site), COVERAGE, "coverage"),
        section("Data sets", _datasets(site), name="datasets"),
        section("Methods", _methods(site), name="methods"),
    ]
    return markup.page(TITLE, "\n".join(body), here="index.html")


PLACES = (
    "Place by rating, 1 is best; the more colour the better. Below a column’s name a link leads to its page. "
    "Rows that ran on fewer than three data sets have no rating."
)
AGREEMENT = (
    "Kendall’s τ between the orders that two metrics give to the rows: 1 is the same order, −1 the reverse."
)
COVERAGE = (
    "Finished splits of each method as its paper sets it. × a run failed, ran out of time or of memory, and "
    "counts with the score of the prior; · not run. Reasons stand on the page of the method."
)


def _facts(site: Site) -> str:
    states = site.board.records["state"].value_counts().to_dict()
    failed = sum(states.get(state, 0) for state in FAILED)
    revisions = sorted({str(each)[:12] for each in site.board.records["revision"] if each})
    run = set(site.board.records.loc[site.board.records["state"] != "not_run", "dataset"])
    boards = sorted({str(each) for each in site.board.records["board"]})
    return markup.facts(
        {
            "protocol": f"board {escape(', '.join(boards))}",
            "methods": str(len(site.methods)),
            "data sets": _of(len(run), len(site.datasets)),
            "runs": f"{states.get('finished', 0):,} finished, {failed:,} failed, "
            f"{states.get('not_run', 0):,} not run",
            "code": escape(_few(revisions)),
        }
    )


def _of(some: int, every: int) -> str:
    return str(every) if some == every else f"{some} of {every} so far"


def _few(revisions: list[str]) -> str:
    return ", ".join(revisions[:2]) + (f" and {len(revisions) - 2} more" if len(revisions) > 2 else "")


def _places(site: Site) -> str:
    metrics = list(site.standings)
    heads = [
        sortable("method", "place"),
        sortable("mean", "ascending", "the mean of the places"),
        *(
            sortable(spoken(name), "ascending").replace(
                "</button>", f'</button><a class="to" href="{markup.address("metric", name)}">page</a>'
            )
            for name in metrics
        ),
        sortable("data sets", "descending"),
    ]
    rows = []
    for row in site.ordered:
        cells = [th(site.linked(row), "row")]
        overall = site.overall.get(row, np.nan)
        cells.append(cell(markup.number(overall, 1), overall))
        cells += [_place(site, name, row) for name in metrics]
        each = site.standings[site.first]
        covered = each.covered[each.grid.rows.index(row)]
        cells.append(cell(str(covered), covered))
        rows.append((f'data-variant="{row.variant}"', "".join(cells)))
    tuned = any(row.variant == "tuned" for row in site.names)
    return markup.search("places-table", "method", tuned) + table(
        heads, rows, "grid places", name="places-table"
    )


def _place(site: Site, metric: str, row: Row) -> str:
    each = site.standings[metric]
    value = each.places[each.grid.rows.index(row)]
    if np.isnan(value):
        return cell(markup.NONE)
    count = max(2, int((~np.isnan(each.places)).sum()))
    return cell(f"{value:.0f}", value, more=markup.share((count - value) / (count - 1)))


def _agreement(site: Site) -> str:
    names = list(site.standings)
    taus = sensitivity.agreement([each.places for each in site.standings.values()])
    return square([spoken(name) for name in names], taus, taus, 2, "τ between two metrics")


def _coverage(site: Site) -> str:
    heads = [
        th("method"),
        *(th(f"<span>{link('dataset', name, site.titled(name))}</span>") for name in site.datasets),
    ]
    rows = []
    for method in dict.fromkeys(row.method for row in site.ordered):
        cells = "".join(_covered(site, name, method) for name in site.datasets)
        rows.append(("", th(site.linked(Row(method)), "row") + cells))
    return table(heads, rows, "matrix coverage", name="coverage-table")


def _covered(site: Site, dataset: str, method: str) -> str:
    states, reason = site.cells.get((dataset, method, "default"), ({}, ""))
    finished = states.get("finished", 0)
    failed = sum(states.get(state, 0) for state in FAILED)
    shown = (str(finished) if finished else "") + ("×" if failed else "") or "·"
    kind = "lost" if failed else "done" if finished else "open"
    title = f' title="{escape(reason)}"' if reason else ""
    return f'<td class="{kind}"{title}>{shown}</td>'


STATISTICS = ("instances", "features", "labels", "cardinality", "density", "label_sets", "imbalance")


def _datasets(site: Site) -> str:
    heads = [sortable("data set", "place"), worded("domain")]
    heads += [sortable(name.replace("_", " "), "descending") for name in STATISTICS]
    heads.append(worded(f"best by {spoken(site.first)}"))
    rows = []
    for name in site.datasets:
        entry = site.board.datasets.get(name, {})
        domain = str(entry.get("domain") or "")
        cells = [th(link("dataset", name, site.titled(name)), "row"), cell(escape(domain), domain, "words")]
        cells += [_statistic(entry.get("statistics", {}).get(key)) for key in STATISTICS]
        cells.append(_leader(site, name))
        rows.append(("", "".join(cells)))
    return table(heads, rows, "grid", name="datasets-table")


def _statistic(value: float | None) -> str:
    if not isinstance(value, int | float):
        return cell(markup.NONE)
    return cell(f"{value:,}" if isinstance(value, int) else markup.number(value, 3), value)


def _leader(site: Site, dataset: str) -> str:
    made = site.standings[site.first].grid
    errors = made.errors[made.datasets.index(dataset)]
    if np.isnan(errors).all():
        return cell(markup.NONE)
    row = made.rows[int(np.nanargmin(errors))]
    return cell(site.linked(row), site.names[row], "words")


def _methods(site: Site) -> str:
    heads = [sortable("method", "place"), worded("family"), sortable("year", "descending")]
    heads.append(th("what it is", more='class="words"'))
    rows = []
    for name in site.methods:
        entry = site.board.methods.get(name, {})
        family, year = site.families[name], entry.get("year")
        cells = th(site.linked(Row(name)), "row") + cell(escape(family), family, "words")
        cells += cell(escape(str(year or markup.NONE)), year if isinstance(year, int) else None)
        cells += f'<td class="words long">{escape(str(entry.get("what") or ""))}</td>'
        rows.append(("", cells))
    return markup.search("methods-table", "method, family, words", False) + table(
        heads, rows, "grid methods", name="methods-table"
    )
