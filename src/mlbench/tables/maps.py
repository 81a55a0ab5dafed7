"""Maps of the embeddings that runs keep, for the page of all runs: one for each result, of its first run."""

from pathlib import Path
from typing import Any
from urllib.parse import unquote

from mlbench.errors import UserError, complain
from mlbench.results.plane import How, plane
from mlbench.results.store import EMBEDDINGS

NAMES = {"pca": "principal components", "tsne": "t-SNE"}


def maps(outputs: Path, drawn: dict[str, Any], how: How) -> list[dict[str, Any]]:
    """`drawn` is what the page draws, with the paths of records as seen from `outputs`."""
    first: dict[int, tuple[dict[str, Any], Path]] = {}
    for run in drawn["runs"]:
        path = (outputs / unquote(run["record"])).with_name(EMBEDDINGS)
        if run["group"] not in first and path.is_file():
            first[run["group"]] = run, path
    found = []
    for group, (run, path) in first.items():
        try:
            shown = plane(path, how)
        except UserError as error:
            complain(error)
            continue
        found.append(
            {
                "group": group,
                "how": NAMES[how],
                "seed": run["seed"],
                "fold": run["fold"],
                "rows": shown.rows,
                "labels": shown.labels,
                "places": [[float(f"{value:.4g}") for value in place] for place in shown.places],
                "ids": shown.ids.tolist(),
                "carried": [row.nonzero()[0].tolist() for row in shown.targets],
            }
        )
    return found
