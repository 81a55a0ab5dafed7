"""A data set's page: its statistics, who leads by every metric, its labels, where it is from."""

from html import escape
from typing import Any

import numpy as np

from mlbench.board.content import Frame
from mlbench.board.grid import Row
from mlbench.board.pages import figures, markup
from mlbench.board.pages.about import Site
from mlbench.board.pages.heat import square
from mlbench.board.pages.markup import ARROW, BEST, cell, section, spoken, table, th, worded
from mlbench.board.standing import REFERENCE
from mlbench.tables.render.page import sortable

MOST = 200  # labels that are listed


def page(site: Site, dataset: str) -> str:
    entry, title = site.board.datasets.get(dataset, {}), site.titled(dataset)
    about = escape(str(entry.get("domain") or ""))
    body = [
        markup.head(f"data set <code>{escape(dataset)}</code>", title, about),
        _facts(entry),
        section("Who leads", _leaders(site, dataset), LEADERS, "leaders"),
    ]
    if frequencies := entry.get("frequencies"):
        body.append(
            section("How often labels occur", _frequencies(dataset, entry, frequencies), name="frequency")
        )
    together = entry.get("cooccurrence") or {}
    if len(together.get("labels") or []) > 1:
        body.append(section("Which labels occur together", _together(together), TOGETHER, "together"))
    if labels := _labels(site, dataset):
        body.append(section("Label by label", labels, BY_LABEL, "labels"))
    body.append(section("Where it is from", _source(entry), name="source"))
    return markup.page(f"{title} on the board", "\n".join(body))


LEADERS = (
    "Means over the splits, with their deviation behind each; bold: the best. ≈ the 95 % interval of the "
    "paired bootstrap over test instances does not tell the row from the best one (of rows as published). "
    "× counts with the prior’s score."
)
TOGETHER = "Of the rows with the label of the line, the share that has the label of the column, too."
BY_LABEL = "F1 of the best row and of BR, means over the splits; training rows that carry the label."


def _facts(entry: dict[str, Any]) -> str:
    facts = {}
    for name, value in (entry.get("statistics") or {}).items():
        if isinstance(value, int | float):
            shown = f"{value:,}" if isinstance(value, int) else markup.number(value, 3)
        else:
            shown = escape(str(value))
        facts[name.replace("_", " ")] = shown
    return markup.facts(facts) if facts else ""


def _leaders(site: Site, dataset: str) -> str:
    metrics = list(site.standings)
    heads = [sortable("method", "place")]
    for name in metrics:
        direction = site.standings[name].grid.better
        heads.append(sortable(f"{spoken(name)} <abbr>{ARROW[direction]}</abbr>", BEST[direction]))
    heads.append(sortable("to train", "ascending"))
    tied = {name: _tied(site, name, dataset) for name in metrics}
    places = {name: site.standings[name].place_on for name in metrics}
    rows = []
    for row in _ordered(site, dataset):
        cells = [th(site.linked(row), "row")]
        cells += [_cell(site, name, dataset, row, places[name], tied[name]) for name in metrics]
        first = site.standings[metrics[0]]
        seconds = first.train[first.grid.datasets.index(dataset), first.grid.rows.index(row)]
        cells.append(cell(markup.duration(seconds), seconds))
        rows.append((f'data-variant="{row.variant}"', "".join(cells)))
    if not rows:
        return "<p>Nothing has been run on it yet.</p>"
    tuned = any(row.variant == "tuned" for row in site.names)
    return markup.search("leaders-table", "method", tuned) + table(
        heads, rows, "grid heated", name="leaders-table"
    )


def _ordered(site: Site, dataset: str) -> list[Row]:
    """The rows by their mean place on this data set over the metrics; without rows that have none."""
    mean_places: dict[Row, float] = {}
    for row in site.names:
        places = []
        for each in site.standings.values():
            place = each.place_on[each.grid.datasets.index(dataset), each.grid.rows.index(row)]
            places.append(place)
        known = [place for place in places if not np.isnan(place)]
        if known:
            mean_places[row] = sum(known) / len(known)
    return sorted(mean_places, key=lambda row: (mean_places[row], row))


def _tied(site: Site, metric: str, dataset: str) -> set[str]:
    """The methods that the bootstrap does not tell from the best one."""
    each = site.standings[metric]
    made = each.grid.variant("default")
    errors = made.errors[made.datasets.index(dataset)]
    if np.isnan(errors).all():
        return set()
    best = made.rows[int(np.nanargmin(errors))].method
    return {
        second if first == best else first
        for first, second, low, high in site.tested.get((metric, dataset), [])
        if best in (first, second) and low <= 0 <= high
    }


def _cell(site: Site, metric: str, dataset: str, row: Row, places: np.ndarray, tied: set[str]) -> str:
    each = site.standings[metric]
    d, at = each.grid.datasets.index(dataset), each.grid.rows.index(row)
    value = each.grid.means[d, at]
    if np.isnan(value):
        return cell(markup.NONE)
    shown = f"<b>{markup.number(value)}</b>" if places[d, at] == 1 else markup.number(value)
    shown += "<em>×</em>" if each.grid.imputed[d, :, at].any() else ""
    shown += "<em>≈</em>" if row.variant == "default" and row.method in tied else ""
    splits = each.grid.values[d, :, at]
    known = splits[~np.isnan(splits)]
    spread = f' title="± {np.std(known, ddof=1):.3f} over {len(known)} splits"' if len(known) > 1 else ""
    return cell(shown, value, more=markup.share(each.scores[d, at]) + spread)


def _frequencies(dataset: str, entry: dict[str, Any], frequencies: dict[str, int]) -> str:
    counts = [int(each) for each in frequencies.values()]
    instances = (entry.get("statistics") or {}).get("instances")
    ordered = sorted(counts, reverse=True)
    of = f" of {instances:,}" if isinstance(instances, int) else ""
    caption = (
        f"Rows that carry each label: from {ordered[0]:,}{of} down to {ordered[-1]:,}, "
        f"half of the labels in fewer than {ordered[len(ordered) // 2] + 1:,}."
    )
    return markup.figure(
        f"{dataset}-labels", caption, figures.frequencies(counts, f"Label frequencies of {dataset}")
    )


def _together(together: dict[str, Any]) -> str:
    counts = np.array(together["counts"], float)
    diagonal = np.diag(counts)[:, None]
    share = np.divide(counts, diagonal, out=np.full_like(counts, np.nan), where=diagonal > 0)
    return square(
        [str(name) for name in together["labels"]], 100 * share, share, 0, "per cent of the line’s label"
    )


def _labels(site: Site, dataset: str) -> str:
    labels = site.board.labels
    labels = labels[labels["dataset"] == dataset]
    if labels.empty:
        return ""
    heads = [
        sortable("label", "place"),
        sortable("training rows", "descending"),
        sortable("best F1", "descending"),
    ]
    heads += [worded("by"), sortable("F1 of BR", "descending")]
    by_f1 = whole_rows(site, dataset, labels).sort_values(
        ["f1", "method", "variant"], ascending=[False, True, True]
    )
    best = by_f1.drop_duplicates("label").sort_values(["support", "label"], ascending=[False, True])
    of_reference = (labels["method"] == REFERENCE.method) & (labels["variant"] == REFERENCE.variant)
    beside = labels[of_reference].set_index("label")["f1"].to_dict()
    rows = []
    for line in best.head(MOST).itertuples():
        row, other = Row(line.method, line.variant), beside.get(line.label, float("nan"))
        cells = th(escape(str(line.label)), "row") + cell(markup.whole(line.support), line.support)
        cells += cell(markup.number(line.f1), line.f1) + cell(site.linked(row), site.names[row], "words")
        rows.append(("", cells + cell(markup.number(other), other)))
    more = len(best) - MOST
    note = f'<p class="about">{more:,} rarer labels are in labels.parquet.</p>' if more > 0 else ""
    return (
        markup.search("labels-table", "label", False) + table(heads, rows, "grid", name="labels-table") + note
    )


def whole_rows(site: Site, dataset: str, labels: Frame) -> Frame:
    """The lines of rows that have finished the most splits: a mean over fewer may be over easy ones."""
    records = site.board.records
    done = records[(records["dataset"] == dataset) & (records["state"] == "finished")]
    splits = done.groupby(["method", "variant"])["split"].nunique()
    most = {*splits[splits == splits.max()].index}
    return labels[[row in most for row in zip(labels["method"], labels["variant"])]]


def _source(entry: dict[str, Any]) -> str:
    facts = {}
    for key, name in (("citation", "cite"), ("licence", "licence"), ("address", "address")):
        if value := entry.get(key):
            facts[name] = escape(str(value))
    return (
        markup.facts(facts).replace("<div>", '<div class="long">') if facts else "<p>Nothing is recorded.</p>"
    )
