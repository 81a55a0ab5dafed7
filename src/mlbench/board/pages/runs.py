"""Every run of the board, to filter, search and sort; also those that failed or were not made."""

import math
from typing import Any

from mlbench.board.pages import markup
from mlbench.board.pages.about import Site
from mlbench.board.pages.markup import address, section, spoken

CHOICE = """<form class="controls choose" id="choose" hidden></form>
<p class="about" id="count" role="status"></p>
<div id="runs"></div>
<noscript><p>This page draws its table with JavaScript; records.parquet has the same.</p></noscript>"""
ABOUT = (
    "A line a run. Its key is the folder that the run has left; options are those that tuning chose by the "
    "validation part."
)


def page(site: Site) -> str:
    body = [
        markup.head("<code>records.parquet</code>", "All runs of the board"),
        section("Runs", CHOICE, ABOUT),
    ]
    return markup.page("All runs of the board", "\n".join(body), data(site), "runs.js", "runs.html")


def data(site: Site) -> dict[str, Any]:
    records = site.board.records.sort_values(["dataset", "method", "variant", "split", "seed"], kind="stable")
    metrics = list(site.standings)
    texts: dict[str, int] = {}  # options and reasons recur

    def text(value: object) -> int:
        return texts.setdefault(str(value or ""), len(texts))

    lines = []
    columns = ["dataset", "method", "variant", "split", "seed", "state", "key", "options", "reason"]
    numbers = [*metrics, "train_seconds", "predict_seconds", "peak_memory_mb"]
    for values in records[[*columns, *numbers]].itertuples(index=False):
        dataset, method, variant, split, seed, state, key, options, reason, *rest = values
        lines.append(
            [
                site.datasets.index(dataset),
                site.methods.index(method),
                int(variant == "tuned"),
                int(split),
                int(seed),
                state,
                str(key or ""),
                text(options),
                text(reason),
                *(_rounded(value) for value in rest),
            ]
        )
    return {
        "datasets": [[site.titled(name), address("dataset", name)] for name in site.datasets],
        "methods": [[site.board.title(name), address("method", name)] for name in site.methods],
        "metrics": [{"name": spoken(name), "better": site.standings[name].grid.better} for name in metrics],
        "metric": metrics.index(site.first),
        "texts": list(texts),
        "runs": lines,
    }


def _rounded(value: float) -> float | None:
    return None if value is None or math.isnan(value) else float(f"{value:.4g}")
