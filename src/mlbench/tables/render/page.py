"""The frame of a page: one HTML file that holds its style, script and data, and asks for nothing else."""

import json
from html import escape
from pathlib import Path
from string import Template
from typing import Any

FOLDER = Path(__file__).parent
POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src data:; "
    "base-uri 'none'; form-action 'none'"
)


def page(title: str, body: str, data: Any, script: str) -> str:
    """`body` is HTML; `data` is what the script reads; `script` is one of the files beside this one."""
    return framed(title, body, data, asset("page.css"), asset("shared.js") + asset(script))


def framed(title: str, body: str, data: Any, style: str, script: str, policy: str = POLICY) -> str:
    """`policy` says what the page may load."""
    return Template(asset("page.html")).substitute(
        title=escape(title), style=style, body=body, data=embedded(data), script=script, policy=policy
    )


def asset(name: str, folder: Path = FOLDER) -> str:
    return (folder / name).read_text(encoding="utf-8")


def embedded(data: Any) -> str:
    """JSON in which nothing can end the element that it stands in."""
    text = json.dumps(data, separators=(",", ":"), allow_nan=False)
    return text.replace("<", "\\u003c")


def sortable(inside: str, first: str, title: str = "") -> str:
    """The head of a column that sorts: `first` is ascending, descending, or place, the order of old."""
    about = f' title="{escape(title)}"' if title else ""
    return (
        f'<th scope="col" aria-sort="none" data-first="{first}"{about}>'
        f'<button type="button">{inside}</button></th>'
    )
