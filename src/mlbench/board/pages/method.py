"""A method's page: what it is, what its paper claims beside what was found, cost, labels, settings."""

import json
from html import escape
from typing import Any

import numpy as np

from mlbench.board import by_frequency
from mlbench.board.columns import COST, VARIANTS
from mlbench.board.grid import FAILED, Row
from mlbench.board.pages import figures, markup
from mlbench.board.pages.about import Site
from mlbench.board.pages.markup import ARROW, BEST, cell, link, section, spoken, table, th
from mlbench.board.standing import REFERENCE
from mlbench.tables.render.page import sortable


def page(site: Site, method: str) -> str:
    entry, title = site.board.methods.get(method, {}), site.board.title(method)
    rows = sorted(row for row in site.names if row.method == method)
    body = [
        markup.head(f"method <code>{escape(method)}</code>", title, escape(str(entry.get("what") or ""))),
        _facts(site, method, entry),
        section("The claim and what was found", _found(site, method, entry), name="found"),
        *(
            section(_heading(row, len(rows)), _cells(site, row), CELLS if row is rows[0] else "")
            for row in rows
        ),
        section("Labels by frequency", _labels(site, method), LABELS, "labels"),
        section("Cost", _cost(site, rows), COSTS, "cost"),
        section("Settings", _settings(entry), name="settings"),
    ]
    if lost := _lost(site, method):
        body.append(section("What failed, and what was not run", lost, name="lost"))
    return markup.page(f"{title} on the board", "\n".join(body))


CELLS = (
    "The mean over the splits, and its place among all rows of that data set. The more colour, the nearer to "
    "the best, from the prior on; × counts with the prior’s score."
)
LABELS = (
    "Labels by the number of training rows that carry them, each data set counting once in a bin, over the "
    "labels that this method and BR both have."
)
COSTS = "Of a run, on one core: means over the splits."


def _heading(row: Row, count: int) -> str:
    if count == 1:
        return "Where it wins and loses"
    return "Where it wins and loses, " + ("tuned" if row.variant == VARIANTS[1] else "as its paper sets it")


def _facts(site: Site, method: str, entry: dict[str, Any]) -> str:
    facts = {"family": escape(site.families[method])}
    if paper := entry.get("paper"):
        facts["paper"] = escape(str(paper))
    if year := entry.get("year"):
        facts["year"] = escape(str(year))
    return markup.facts(facts, long="paper")


def _found(site: Site, method: str, entry: dict[str, Any]) -> str:
    claim = str(entry.get("claim") or "")
    parts = [f"<p><b>Its paper:</b> {escape(claim)}</p>" if claim else ""]
    row = Row(method)
    against = row != REFERENCE and REFERENCE in site.names
    heads = [th("by"), sortable("place", "ascending"), sortable("of", "descending")]
    heads += [sortable("rating", "descending"), sortable("95 % interval", "descending")]
    if against:
        heads += [sortable(f"{name} than BR", "descending") for name in ("better", "worse")]
        heads += [
            sortable("significantly better", "descending"),
            sortable("significantly worse", "descending"),
        ]
    rows = []
    for metric, each in site.standings.items():
        if row not in each.grid.rows:
            continue
        at = each.grid.rows.index(row)
        place, elo = each.places[at], each.ratings.elo[at]
        cells = th(link("metric", metric, spoken(metric)), "row") + cell(markup.number(place, 0), place)
        cells += cell(str(int((~np.isnan(each.places)).sum())))
        cells += cell(markup.number(elo, 0), elo)
        interval = f"{each.ratings.low[at]:.0f}–{each.ratings.high[at]:.0f}" if elo == elo else markup.NONE
        cells += cell(interval, each.ratings.low[at])
        if against:
            won = each.won[:, at, each.grid.rows.index(REFERENCE)]
            cells += cell(str(int((won == 1).sum())), float((won == 1).sum()))
            cells += cell(str(int((won == 0).sum())), float((won == 0).sum()))
            told = site.beside_reference.get((metric, method), [])
            cells += "".join(cell(str(count), count) for count in (told.count(True), told.count(False)))
        rows.append(("", cells))
    about = (
        '<p class="about">Data sets on which it is better or worse than BR (logistic regression a label); '
        "significantly: the 95 % interval of the paired bootstrap over test instances leaves 0 out.</p>"
        if against
        else ""
    )
    return "".join(parts) + about + table(heads, rows, "grid", name="found-table")


def _cells(site: Site, row: Row) -> str:
    metrics = list(site.standings)
    heads = [sortable("data set", "place")]
    for name in metrics:
        direction = site.standings[name].grid.better
        heads.append(sortable(f"{spoken(name)} <abbr>{ARROW[direction]}</abbr>", BEST[direction]))
    rows = []
    places = {name: site.standings[name].place_on for name in metrics}
    for dataset in site.datasets:
        cells = [th(link("dataset", dataset, site.titled(dataset)), "row")]
        cells += [_cell(site, name, dataset, row, places[name]) for name in metrics]
        rows.append(("", "".join(cells)))
    return table(heads, rows, "grid heated", caption=site.names[row])


def _cell(site: Site, metric: str, dataset: str, row: Row, places: np.ndarray) -> str:
    each = site.standings[metric]
    d, at = each.grid.datasets.index(dataset), each.grid.rows.index(row)
    value, place = each.grid.means[d, at], places[d, at]
    if np.isnan(value):
        return cell("·")
    shown = f"<b>{markup.number(value)}</b>" if place == 1 else markup.number(value)
    shown += "<em>×</em>" if each.grid.imputed[d, :, at].any() else ""
    return cell(f"{shown} <i>{place:.0f}</i>", value, more=markup.share(each.scores[d, at]))


def _labels(site: Site, method: str) -> str:
    labels = site.board.labels
    rows = sorted(row for row in site.names if row.method == method)
    series: dict[str, dict[int, float]] = {}
    counts: dict[int, tuple[int, int]] = {}
    wanted = [(row, row) for row in rows] + ([(rows[0], REFERENCE)] if rows[0] != REFERENCE else [])
    for row, shown in wanted:
        for line in by_frequency.bins(by_frequency.shared(labels, row, REFERENCE)).itertuples():
            if (line.method, line.variant) == shown:
                series.setdefault(site.names.get(shown, shown.method), {})[int(line.bin)] = float(line.f1)
                counts[int(line.bin)] = int(line.labels), int(line.datasets)
    if not counts:
        return "<p>No labels that both have were recorded.</p>"
    bins = sorted(counts)
    names = [by_frequency.name_of(at) for at in bins]
    title = f"F1 by the frequency of a label: {', '.join(series)}"
    drawn = figures.lines(
        names,
        {name: [values.get(at) for at in bins] for name, values in series.items()},
        title,
        "training rows with the label",
    )
    sizes = "; ".join(
        f"{name}: {counts[at][0]:,} labels of {counts[at][1]} data sets" for name, at in zip(names, bins)
    )
    return markup.figure(f"{method}-labels", f"F1, mean over labels. {escape(sizes)}.", drawn)


def _cost(site: Site, rows: list[Row]) -> str:
    records = site.board.records[site.board.records["state"] == "finished"]
    heads = [sortable("data set", "place"), th("")]
    heads += [
        sortable(name, "ascending") for name in ("to train", "to predict 1,000", "peak memory", "parameters")
    ]
    lines = []
    for row in rows:
        mine = records[(records["method"] == row.method) & (records["variant"] == row.variant)]
        for dataset, values in mine.groupby("dataset")[list(COST)].mean().iterrows():
            name = str(dataset)
            train, predict, memory, parameters = (float(values[column]) for column in COST)
            cells = th(link("dataset", name, site.titled(name)), "row")
            cells += cell("tuned" if row.variant == VARIANTS[1] else "", kind="words")
            cells += cell(markup.duration(train), train) + cell(markup.duration(predict), predict)
            cells += cell(f"{markup.whole(memory)} MB" if memory == memory else markup.NONE, memory)
            lines.append(("", cells + cell(markup.whole(parameters), parameters)))
    return table(heads, lines, "grid", name="cost-table") if lines else "<p>No run has finished.</p>"


def _settings(entry: dict[str, Any]) -> str:
    parts = []
    for key, title in (("settings", "As its paper sets it"), ("space", "Search space of the tuned row")):
        options = entry.get(key)
        if isinstance(options, dict) and options:
            lines = [
                (
                    "",
                    th(f"<code>{escape(str(name))}</code>", "row")
                    + f"<td class='words'>{escape(_said(value))}</td>",
                )
                for name, value in options.items()
            ]
            parts.append(
                f"<h3>{title}</h3>" + table([th("option"), th("value")], lines, "options", caption=title)
            )
    return "".join(parts) or "<p>Those of its configuration.</p>"


def _said(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(_said(each) for each in value)
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _lost(site: Site, method: str) -> str:
    lines = []
    for (dataset, name, variant), (states, reason) in sorted(site.cells.items()):
        lost = {state: count for state, count in sorted(states.items()) if state in (*FAILED, "not_run")}
        if name != method or not lost:
            continue
        summary = ", ".join(f"{state.replace('_', ' ')} ({count})" for state, count in lost.items())
        cells = th(link("dataset", dataset, site.titled(dataset)), "row")
        cells += f"<td class='words'>{escape(variant)}</td><td class='words'>{escape(summary)}</td>"
        lines.append(("", cells + f"<td class='words long'>{escape(reason)}</td>"))
    heads = [th(name) for name in ("data set", "variant", "state, and runs", "reason")]
    return table(heads, lines, "grid", name="lost-table") if lines else ""
