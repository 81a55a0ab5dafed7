"""Pieces of HTML that the pages share: addresses, numbers, tables, the frame around a page."""

import hashlib
import math
import re
from collections.abc import Iterable, Sequence
from html import escape
from pathlib import Path
from typing import Any

from mlbench.board.aggregates import LEAST
from mlbench.tables.render.page import asset, framed, sortable

HERE = Path(__file__).parent
MINUS = "\N{MINUS SIGN}"
NONE = "–"
ACRONYMS = {"f1": "F1", "ap": "AP", "auc": "AUC"}
ARROW = {"high": "↑", "low": "↓"}
BEST = {"high": "descending", "low": "ascending"}  # what the first click on a column shows


def page(title: str, body: str, data: Any = None, script: str = "", here: str = "") -> str:
    """A page of the site. `script` is a file beside this one, run after those that all pages have; `here` is
    the page's own address, where the navigation has it.
    """
    navigation = (
        NAVIGATION.replace(f'href="{here}"', f'href="{here}" aria-current="page"') if here else NAVIGATION
    )
    style = asset("page.css") + asset("board.css", HERE)
    scripts = asset("shared.js") + asset("board.js", HERE) + (asset(script, HERE) if script else "")
    return framed(title, f"{navigation}\n<main>\n{body}\n</main>", data, style, scripts)


NAVIGATION = """<nav class="site" aria-label="the board">
<a href="index.html">The board</a> <a href="index.html#methods">Methods</a>
<a href="index.html#datasets">Data sets</a> <a href="compare.html">Compare</a> <a href="runs.html">Runs</a>
<button type="button" id="theme" hidden>Dark</button></nav>"""


def head(kicker: str, title: str, about: str = "") -> str:
    """`kicker` and `about` are HTML."""
    lead = f'<p class="lead">{about}</p>' if about else ""
    return f'<header>\n<p class="kicker">{kicker}</p>\n<h1>{escape(title)}</h1>\n{lead}</header>'


def section(title: str, inside: str, about: str = "", name: str = "") -> str:
    """`inside` and `about` are HTML."""
    named = f' id="{name}"' if name else ""
    intro = f'<p class="about">{about}</p>' if about else ""
    return f"<section{named}>\n<h2>{escape(title)}</h2>\n{intro}\n{inside}\n</section>"


def address(kind: str, name: str) -> str:
    """The file of a page. Two names never have one file; nothing in a name leads out of the folder."""
    safe = re.sub(r"[^\w-]", lambda sign: f"~{ord(sign[0]):x}", name, flags=re.ASCII)
    if len(safe) > 80:
        safe = f"{safe[:60]}~~{hashlib.sha256(name.encode()).hexdigest()[:12]}"
    return f"{kind}-{safe}.html"


def link(kind: str, name: str, shown: str) -> str:
    return f'<a href="{address(kind, name)}">{escape(shown)}</a>'


def spoken(metric: str) -> str:
    """f1_macro → F1 macro."""
    words = metric.split("_")
    text = " ".join(ACRONYMS.get(word, word) for word in words)
    return text[0].upper() + text[1:]


def number(value: float | None, decimals: int = 3) -> str:
    """A number with a true minus sign; a dash where the value is None or NaN."""
    if value is None or math.isnan(value):
        return NONE
    text = f"{value:.{decimals}f}"
    return text[1:] if text.startswith("-") and float(text) == 0 else text.replace("-", MINUS)


def signed(value: float, decimals: int = 3) -> str:
    text = number(value, decimals)
    return text if text == NONE or text.startswith(MINUS) or float(text) == 0 else f"+{text}"


def whole(value: float) -> str:
    return NONE if math.isnan(value) else f"{value:,.0f}".replace("-", MINUS)


def duration(seconds: float) -> str:
    """Two digits at least, in the unit that fits."""
    if math.isnan(seconds):
        return NONE
    if seconds <= LEAST:
        return "≤ 1 ms"
    for below, unit, size in ((0.0995, "ms", 0.001), (600, "s", 1.0), (36000, "min", 60.0)):
        if seconds < below:
            return f"{_short(seconds / size)} {unit}"
    return f"{_short(seconds / 3600)} h"


def _short(value: float) -> str:
    """Two digits, or all before the point."""
    return f"{value:.0f}" if value >= 9.95 else f"{value:.2g}"


def p_value(p: float) -> str:
    return NONE if math.isnan(p) else "&lt;.001" if p < 0.001 else f"{p:.3f}".removeprefix("0")


def cell(inside: str, value: float | str | None = None, kind: str = "", more: str = "") -> str:
    """`inside` is HTML; `value` is what the column sorts by."""
    named = f' class="{kind}"' if kind else ""
    sorts = isinstance(value, str) or (value is not None and not math.isnan(value))
    sort_key = escape(value) if isinstance(value, str) else f"{value:.6g}" if sorts else ""
    return f'<td{named} data-value="{sort_key}"{more}>{inside}</td>'


def table(
    heads: Sequence[str],
    rows: Iterable[tuple[str, str]],
    kind: str = "",
    caption: str = "",
    name: str = "",
) -> str:
    """`heads` are th elements; a row is its attributes and its cells, both HTML."""
    body = "".join(
        f'<tr data-place="{place}"{" " if more else ""}{more}>{cells}</tr>'
        for place, (more, cells) in enumerate(rows)
    )
    named = f' id="{name}"' if name else ""
    title = f"<caption>{escape(caption)}</caption>" if caption else ""
    return (
        f'<div class="scroll" tabindex="0" role="group" aria-label="{escape(caption or name or "table")}">'
        f'<table class="{kind}"{named}>{title}<thead><tr>{"".join(heads)}</tr></thead>'
        f"<tbody>{body}</tbody></table></div>"
    )


def worded(inside: str, first: str = "ascending") -> str:
    """The head of a column of words that sorts."""
    return sortable(inside, first).replace("<th ", '<th class="words" ', 1)


def th(inside: str, scope: str = "col", more: str = "") -> str:
    return f'<th scope="{scope}"{" " if more else ""}{more}>{inside}</th>'


def search(table_name: str, what: str, variants: bool) -> str:
    """The form that narrows a table to some of its rows, hidden until the page's script runs."""
    chips = (
        "".join(
            f'<label class="chip"><input type="radio" name="{table_name}-variant" value="{value}"'
            f"{' checked' if not value else ''}><span>{label}</span></label>"
            for value, label in (("", "all"), ("default", "as published"), ("tuned", "tuned"))
        )
        if variants
        else ""
    )
    choice = f'<fieldset><legend class="heard">variant</legend>{chips}</fieldset>' if variants else ""
    return (
        f'<form class="controls narrow" data-table="{table_name}" hidden>'
        f'<label>Search <input type="search" placeholder="{escape(what)}"></label>{choice}'
        f'<output class="about"></output></form>'
    )


def figure(name: str, caption: str, drawing: str) -> str:
    """A drawing with its caption, HTML, and a button that saves it."""
    return (
        f'<figure class="plot"><div class="scroll" tabindex="0" role="group" aria-label="{escape(name)}">'
        f"{drawing}</div><figcaption>{caption} "
        f'<button type="button" class="download" data-name="{escape(name)}.svg" hidden>Save as SVG</button>'
        "</figcaption></figure>"
    )


def facts(values: dict[str, str], long: str = "") -> str:
    """`values` is HTML by name; `long` is the name of one that takes a whole line."""
    inside = "".join(
        f"<div{' class=long' if name == long else ''}><dt>{escape(name)}</dt><dd>{words}</dd></div>"
        for name, words in values.items()
    )
    return f'<dl class="facts">{inside}</dl>'


def share(value: float) -> str:
    """How much colour a cell has, from 0 to 1, below 0 of the other colour; as attributes."""
    if math.isnan(value):
        return ""
    return f' class="{"below" if value < 0 else "above"}" style="--share:{abs(value):.2f}"'
