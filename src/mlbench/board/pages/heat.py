"""Tables in which colour says how large a number is."""

from collections.abc import Sequence
from html import escape

import numpy as np

from mlbench.board.pages import markup
from mlbench.board.pages.markup import share, table, th

NUMBERED = 14  # names; with more the numbers are left to the titles


def square(names: Sequence[str], values: np.ndarray, colour: np.ndarray, decimals: int, caption: str) -> str:
    """Names by names. `colour` is from −1 to 1; every number is in its cell's title."""
    numbered = len(names) <= NUMBERED
    heads = [th(""), *(th(f"<span>{escape(name)}</span>", more=f'title="{escape(name)}"') for name in names)]
    rows = []
    for down, name in enumerate(names):
        cells = "".join(
            _cell(name, other, values[down, across], colour[down, across], decimals, numbered)
            for across, other in enumerate(names)
        )
        rows.append(("", th(escape(name), "row", f'title="{escape(name)}"') + cells))
    return table(heads, rows, "matrix" if numbered else "matrix small", caption)


def _cell(name: str, other: str, value: float, colour: float, decimals: int, numbered: bool) -> str:
    if np.isnan(value):
        return "<td></td>"
    shown = markup.number(float(value), decimals)
    title = escape(f"{name}, {other}: {shown}")
    return f'<td{share(float(colour))} title="{title}">{shown if numbered else ""}</td>'
