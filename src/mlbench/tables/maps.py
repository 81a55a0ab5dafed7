"""What runs keep besides their records, for the page of all runs: of each result that of its first run."""

from pathlib import Path
from typing import Any
from urllib.parse import unquote

from mlbench.errors import UserError, complain
from mlbench.results.plane import How, plane
from mlbench.results.store import EMBEDDINGS
from mlbench.tables.matrices import matrices

NAMES = {"pca": "principal components", "tsne": "t-SNE"}


def maps(outputs: Path, drawn: dict[str, Any], how: How) -> list[dict[str, Any]]:
    """Embeddings on a plane. `drawn` is what the page draws, its records' paths as seen from `outputs`."""
    first: dict[int, tuple[dict[str, Any], Path]] = {}
    for run in drawn["runs"]:
        path = folder_of(run, outputs) / EMBEDDINGS
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


def found_of_labels(outputs: Path, drawn: dict[str, Any]) -> list[dict[str, Any]]:
    """Matrices of labels by labels."""
    found: dict[int, list[dict[str, Any]]] = {}
    for run in drawn["runs"]:
        if not found.get(run["group"]):
            about = {"group": run["group"], "seed": run["seed"], "fold": run["fold"]}
            try:
                found[run["group"]] = [about | each for each in matrices(folder_of(run, outputs))]
            except UserError as error:
                complain(error)
    return [each for of_group in found.values() for each in of_group]


def folder_of(run: dict[str, Any], outputs: Path) -> Path:
    return (outputs / unquote(run["record"])).parent
