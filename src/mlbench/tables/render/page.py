"""The frame of a page: one HTML file that holds its style, script and data, and asks for nothing else."""

import json
from html import escape
from pathlib import Path
from string import Template
from typing import Any

FOLDER = Path(__file__).parent


def page(title: str, body: str, data: Any, script: str) -> str:
    """`body` is HTML; `data` is what the script reads; `script` is one of the files beside this one."""
    return Template(asset("page.html")).substitute(
        title=escape(title),
        style=asset("page.css"),
        body=body,
        data=embedded(data),
        script=asset("shared.js") + asset(script),
    )


def asset(name: str) -> str:
    return (FOLDER / name).read_text(encoding="utf-8")


def embedded(data: Any) -> str:
    """JSON in which nothing can end the element that it stands in."""
    text = json.dumps(data, separators=(",", ":"), allow_nan=False)
    return text.replace("<", "\\u003c")
