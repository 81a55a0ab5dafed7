"""The board by one metric: ratings, tests, time, every data set, who beats whom, what tuning changes."""

from html import escape

import numpy as np

from mlbench.board import sensitivity
from mlbench.board.aggregates import front, geometric, win_rates
from mlbench.board.columns import VARIANTS
from mlbench.board.grid import mean
from mlbench.board.pages import figures, markup
from mlbench.board.pages.about import Site
from mlbench.board.pages.heat import square
from mlbench.board.pages.markup import ARROW, BEST, cell, link, section, spoken, table, th
from mlbench.board.standing import Standing
from mlbench.tables.render.diagram import critical_difference
from mlbench.tables.render.page import sortable
from mlbench.tables.render.text import few

SAID = {"default": "as their papers set them", "tuned": "tuned"}


def page(site: Site, metric: str) -> str:
    from mlbench.evaluation.suite import definition  # imports torch

    each = site.standings[metric]
    title = f"The board by {spoken(metric)}"
    lower = "higher" if each.grid.better == "high" else "lower"
    body = [
        markup.head(_others(site, metric), title, f"{escape(definition(metric))} The {lower} the better."),
        section("Ratings", _ratings(site, metric) + _drawn(site, each), RATINGS, "ratings"),
        section("Do the methods differ?", _tests(site, each), TESTS, "tests"),
        section("Quality and time", _time(site, each), TIME, "time"),
        section("Every data set", _cells(site, each), CELLS, "cells"),
        section("Who beats whom", _wins(site, each), WINS, "wins"),
    ]
    if tuned := sensitivity.tuning(each.grid):
        body.append(section("What tuning changes", _tuning(site, tuned), TUNING, "tuning"))
    return markup.page(title, "\n".join(body))


RATINGS = (
    "Rating: Elo’s scale, by maximum likelihood from who beats whom on each data set, BR as 1000, with "
    "the 95 % interval of the bootstrap over data sets. Wins: share of the data sets on which the row is "
    "better, the mean over all others. Gap: by how many per cent the best method’s error is below this "
    "one’s. Score: 1 for the best method of a data set, 0 for the prior. Range: of the place, when any "
    "one data set is left out. Failed: data sets on which a run failed and counts with the prior’s score."
)
TESTS = (
    "Over the data sets on which all of these methods ran. The diagrams show mean ranks, the best at the "
    "left; a bar joins methods whose ranks differ by less than Nemenyi’s critical difference at .05."
)
TIME = "A line joins the methods that nothing beats in both: nobody is as good in less time."
CELLS = (
    "Means over the splits; bold: the best. × a failure counts with the prior’s score; n: fewer splits "
    "than others. The more colour, the nearer to the best of the data set, from the prior on."
)
WINS = "On which share of the data sets that both have the row is better than the column, ties by half."
TUNING = (
    "The tuned row beside the default one: on how many data sets it is better or worse, by how many per "
    "cent the error falls, and p of Wilcoxon’s signed ranks over data sets."
)


def _others(site: Site, metric: str) -> str:
    """Links to the other metrics."""
    return " · ".join(
        f"<b>{spoken(name)}</b>" if name == metric else link("metric", name, spoken(name))
        for name in site.standings
    )


def _ratings(site: Site, metric: str) -> str:
    each = site.standings[metric]
    half = site.halves.get(metric)
    heads = [
        sortable("method", "place"),
        sortable("rating", "descending"),
        th('<span class="heard">interval</span>'),
        sortable("wins %", "descending"),
        sortable("gap %", "ascending"),
        sortable("score", "descending"),
        sortable("range", "ascending"),
        sortable("mean", BEST[each.grid.better]),
        *([sortable("at .5", BEST[each.grid.better], "the mean with a cut of .5")] if half else []),
        sortable("to train", "ascending", "geometric mean over data sets"),
        sortable("to predict", "ascending", "1,000 rows, geometric mean over data sets"),
        sortable("data sets", "descending"),
        sortable("failed", "descending"),
    ]
    means = mean(each.grid.means, 0)
    beside = mean(half.means, 0) if half else None
    train, predict = geometric(each.train), geometric(each.predict)
    rows = []
    for at in each.order:
        row = each.grid.rows[at]
        cells = [
            th(site.linked(row), "row"),
            _rating(each, at),
            _interval(each, at),
            cell(markup.number(100 * each.win[at], 0), each.win[at]),
            cell(markup.number(each.gap[at], 1), each.gap[at]),
            cell(markup.number(each.score[at], 2), each.score[at]),
            _range(each, at),
            cell(markup.number(means[at]), means[at]),
            *([cell(markup.number(beside[at]), beside[at])] if beside is not None else []),
            cell(markup.duration(train[at]), train[at]),
            cell(markup.duration(predict[at]), predict[at]),
            cell(str(each.covered[at]), each.covered[at]),
            cell(str(each.imputed[at] or ""), each.imputed[at]),
        ]
        rows.append((f'data-variant="{row.variant}"', "".join(cells)))
    tuned = any(row.variant == VARIANTS[1] for row in each.grid.rows)
    return markup.search("ratings-table", "method", tuned) + table(heads, rows, "grid", name="ratings-table")


def _drawn(site: Site, each: Standing) -> str:
    """The ratings as a figure for a paper, folded away because the table shows the same numbers."""
    rated = [at for at in each.order if not np.isnan(each.ratings.elo[at])]
    if len(rated) < 2:
        return ""
    elo, low, high = ([float(array[at]) for at in rated] for array in vars(each.ratings).values())
    metric = each.grid.metric
    title = f"Ratings by {spoken(metric)}"
    names = [site.names[each.grid.rows[at]] for at in rated]
    caption = "Ratings with the 95 % interval of the bootstrap over data sets; BR is 1000."
    drawing = markup.figure(f"{metric}-ratings", caption, figures.intervals(names, elo, low, high, title))
    return f"<details><summary>The ratings as a figure</summary>{drawing}</details>"


def _rating(each: Standing, at: int) -> str:
    elo, low, high = each.ratings.elo[at], each.ratings.low[at], each.ratings.high[at]
    if np.isnan(elo):
        return cell(markup.NONE)
    interval = "" if low == high else f" <i>{low:.0f}–{high:.0f}</i>"  # the row at 1000 has no interval
    return cell(f"<b>{elo:.0f}</b>{interval}", elo)


def _interval(each: Standing, at: int) -> str:
    """The interval of a rating, drawn on the scale of all ratings."""
    rated = each.ratings
    if np.isnan(rated.elo[at]):
        return "<td></td>"
    low, high = np.nanmin(rated.low), np.nanmax(rated.high)
    span = max(high - low, 1)
    places = zip(("low", "at", "high"), (rated.low[at], rated.elo[at], rated.high[at]))
    style = ";".join(f"--{name}:{(value - low) / span:.3f}" for name, value in places)
    return f'<td class="interval" style="{style};--zero:{(1000 - low) / span:.3f}"><i></i></td>'


def _range(each: Standing, at: int) -> str:
    best, worst = each.best_place[at], each.worst_place[at]
    if np.isnan(best):
        return cell(markup.NONE)
    return cell(f"{best:.0f}" if best == worst else f"{best:.0f}–{worst:.0f}", best)


def _tests(site: Site, each: Standing) -> str:
    parts = []
    for variant in VARIANTS:
        compared, part = each.compared(variant, site.names)
        if compared is None:
            if variant == VARIANTS[0]:
                parts.append("<p>It takes two data sets on which at least three methods have run.</p>")
            continue
        datasets = escape(", ".join(site.titled(name) for name in part.datasets))
        p = "p undefined" if np.isnan(compared.p) else f"p {_p_is(compared.p)}"
        warning = few(compared)
        caption = (
            f"{len(part.rows)} methods {SAID[variant]} on {len(part.datasets)} data sets ({datasets}): "
            f"Friedman’s χ² = {markup.number(compared.statistic, 1)}, {p}. {escape(warning)}"
        )
        name = f"{each.grid.metric}-ranks-{variant}"
        parts.append(markup.figure(name, caption, critical_difference(compared)))
    return "\n".join(parts)


def _p_is(p: float) -> str:
    text = markup.p_value(p)
    return text.replace("&lt;", "&lt; ") if text.startswith("&lt;") else f"= {text}"


def _time(site: Site, each: Standing) -> str:
    rows, seconds, scores, datasets = each.time_and_score()
    if not rows:
        return "<p>No data set has both a prior and times yet.</p>"
    names = [site.names[each.grid.rows[at]] for at in rows]
    unbeaten = front(list(seconds), list(scores))
    title = f"Normalised {spoken(each.grid.metric)} against seconds to train"
    drawn = figures.pareto(names, list(seconds), list(scores), unbeaten, title)
    caption = f"Means over {datasets} data sets. Unbeaten: {escape(', '.join(names[at] for at in unbeaten))}."
    return markup.figure(f"{each.grid.metric}-time", caption, drawn)


def _cells(site: Site, each: Standing) -> str:
    made, means, splits = each.grid, each.grid.means, each.grid.splits
    best = each.place_on == 1
    most = splits.max(1)
    heads = [sortable("method", "place")]
    for name in made.datasets:
        shown = f"{escape(site.titled(name))} <abbr>{ARROW[made.better]}</abbr>"
        heads.append(sortable(shown, BEST[made.better]))
    rows = []
    for at in each.order:
        cells = [th(site.linked(made.rows[at]), "row")]
        for d, name in enumerate(made.datasets):
            _, reason = site.cells.get((name, made.rows[at].method, made.rows[at].variant), ({}, ""))
            if np.isnan(means[d, at]):
                title = f' title="{escape(reason)}"' if reason else ""
                cells.append(cell("·", more=title))
                continue
            text = markup.number(means[d, at])
            text = f"<b>{text}</b>" if best[d, at] else text
            text += "<em>×</em>" if made.imputed[d, :, at].any() else ""
            text += f"<em>n={splits[d, at]}</em>" if splits[d, at] < most[d] else ""
            more = markup.share(each.scores[d, at]) + (f' title="{escape(reason)}"' if reason else "")
            cells.append(cell(text, means[d, at], more=more))
        rows.append((f'data-variant="{made.rows[at].variant}"', "".join(cells)))
    return markup.search("cells-table", "method", False) + table(
        heads, rows, "grid heated", name="cells-table"
    )


def _wins(site: Site, each: Standing) -> str:
    order = [at for at in each.order if not np.isnan(each.ratings.elo[at])]
    rates = 100 * win_rates(each.won)[np.ix_(order, order)]
    names = [site.names[each.grid.rows[at]] for at in order]
    return square(names, rates, (rates - 50) / 50, 0, "wins of the row over the column, per cent")


def _tuning(site: Site, tuned: list[sensitivity.Tuned]) -> str:
    heads = [sortable("method", "place"), sortable("error falls by %", "descending")]
    heads += [sortable(name, "descending") for name in ("better", "worse", "data sets")]
    heads.append(sortable("p", "ascending"))
    rows = []
    for each in tuned:
        title = site.board.title(each.method)
        cells = th(link("method", each.method, title), "row") + cell(markup.signed(each.gain, 1), each.gain)
        cells += "".join(cell(str(value), value) for value in (each.better, each.worse, each.datasets))
        rows.append(("", cells + cell(markup.p_value(each.p), each.p)))
    return table(heads, rows, "grid", name="tuning-table")
