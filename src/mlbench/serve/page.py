"""The page: one HTML document that holds its style and script, and sends requests to this server alone."""

import base64
import functools
import hashlib
from pathlib import Path
from typing import Any

from mlbench.tables.render.page import asset, framed

FOLDER = Path(__file__).parent


def page(about: dict[str, Any]) -> str:
    runs = about["runs"]
    title = " and ".join(dict.fromkeys(f"{run['method']} on {run['dataset']}" for run in runs))
    return framed(title, asset("body.html", FOLDER), about, style(), script(), policy())


@functools.cache
def style() -> str:
    return asset("page.css") + asset("serve.css", FOLDER)


@functools.cache
def script() -> str:
    return asset("shared.js") + asset("serve.js", FOLDER)


@functools.cache
def policy() -> str:
    """The content security policy: own style and script, images a person dropped, this server, no more."""
    return (
        f"default-src 'none'; style-src {hashed(style())}; script-src {hashed(script())}; "
        "img-src data: blob:; connect-src 'self'; base-uri 'none'; form-action 'none'"
    )


def hashed(text: str) -> str:
    """The policy's hash of an element's content, which begins on a new line."""
    digest = base64.b64encode(hashlib.sha256(f"\n{text}".encode()).digest()).decode()
    return f"'sha256-{digest}'"
