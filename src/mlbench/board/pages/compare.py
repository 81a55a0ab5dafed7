"""Two rows side by side: by every metric, and on every data set with the interval of the paired bootstrap."""

import math
from typing import Any

import numpy as np

from mlbench.board.columns import VARIANTS
from mlbench.board.grid import Row
from mlbench.board.pages import markup
from mlbench.board.pages.about import Site
from mlbench.board.pages.markup import address, section, spoken
from mlbench.board.standing import REFERENCE

UNIT = 10_000  # a page holds values as whole multiples of 1 / UNIT, which takes half the space

CHOICE = """<form class="controls choose" id="choose" hidden>
<label>First <select id="first"></select></label>
<button type="button" id="swap">⇄ <span class="heard">swap</span></button>
<label>Second <select id="second"></select></label>
<label>Metric <select id="metric"></select></label>
</form>
<noscript><p>This page draws its tables with JavaScript.</p></noscript>"""
ABOUT = (
    "Difference: the first minus the second. Between methods as their papers set them it comes with the 95 % "
    "interval of the paired bootstrap over the test instances of all splits, and p; where the interval "
    "leaves 0 out, the difference is coloured. No correction is made for the number of data sets."
)


def page(site: Site) -> str:
    body = [
        markup.head("<code>mlbench board render</code>", "Compare two"),
        CHOICE,
        section("On every data set", '<div id="datasets"></div>', ABOUT),
        section(
            "By every metric",
            '<div id="metrics"></div>',
            "Data sets on which the first is better, and worse.",
        ),
    ]
    return markup.page("Compare two on the board", "\n".join(body), data(site), "compare.js", "compare.html")


def data(site: Site) -> dict[str, Any]:
    rows = site.ordered
    first = rows[0]
    second = REFERENCE if REFERENCE in rows and first != REFERENCE else rows[-1]
    return {
        "metrics": [
            {"name": spoken(name), "id": name, "better": each.grid.better}
            for name, each in site.standings.items()
        ],
        "metric": list(site.standings).index(site.first),
        "datasets": [[site.titled(name), address("dataset", name)] for name in site.datasets],
        "rows": [[site.names[row], row.method, row.variant, address("method", row.method)] for row in rows],
        "chosen": [rows.index(first), rows.index(second)],
        "elo": [_elo(site, name, rows) for name in site.standings],
        "means": [_means(site, name, rows) for name in site.standings],
        "pairs": _pairs(site),
    }


def _elo(site: Site, metric: str, rows: list[Row]) -> list[list[int] | None]:
    each = site.standings[metric]
    ratings = []
    for row in rows:
        at = each.grid.rows.index(row)
        values = [each.ratings.elo[at], each.ratings.low[at], each.ratings.high[at]]
        ratings.append(None if np.isnan(values).any() else [round(value) for value in values])
    return ratings


def _means(site: Site, metric: str, rows: list[Row]) -> list[list[int | None]]:
    """The means by data set, then by row."""
    made = site.standings[metric].grid
    means = made.means[:, [made.rows.index(row) for row in rows]]
    return [[_whole(value) for value in line] for line in means]


def _whole(value: float) -> int | None:
    return None if math.isnan(value) else round(value * UNIT)


def _pairs(site: Site) -> dict[str, list[list[int | None]]]:
    """ "metric data set" → [first, second, difference, low, high, p] by numbers of rows."""
    at = {row.method: number for number, row in enumerate(site.ordered) if row.variant == VARIANTS[0]}
    metrics, datasets = list(site.standings), site.datasets
    lines: dict[str, list[list[int | None]]] = {}
    pairs = site.board.pairs.sort_values(["metric", "dataset", "first", "second"])
    for dataset, metric, first, second, *numbers in pairs.itertuples(index=False):
        if metric in metrics and dataset in datasets and first in at and second in at:
            key = f"{metrics.index(metric)} {datasets.index(dataset)}"
            line = [at[first], at[second], *(_whole(value) for value in numbers)]
            lines.setdefault(key, []).append(line)
    return lines
