"""Embeddings and findings for the page of all runs, from the folder of the first run of each result."""

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
    embeddings = []
    for group, (run, path) in first.items():
        try:
            shown = plane(path, how)
        except UserError as error:
            complain(error)
            continue
        embeddings.append(
            {
                "group": group,
                "how": NAMES[how],
                "seed": run["seed"],
                "fold": run["fold"],
                "rows": shown.rows,
                "labels": shown.labels,
                "places": [[float(f"{value:.4g}") for value in point] for point in shown.places],
                "ids": shown.ids.tolist(),
                "carried": [row.nonzero()[0].tolist() for row in shown.targets],
            }
        )
    return embeddings


def label_matrices(outputs: Path, drawn: dict[str, Any]) -> list[dict[str, Any]]:
    """The findings that are matrices of labels by labels, of the first run of each result that has some."""
    by_group: dict[int, list[dict[str, Any]]] = {}
    for run in drawn["runs"]:
        if not by_group.get(run["group"]):
            about = {"group": run["group"], "seed": run["seed"], "fold": run["fold"]}
            try:
                by_group[run["group"]] = [about | each for each in matrices(folder_of(run, outputs))]
            except UserError as error:
                complain(error)
    return [each for of_group in by_group.values() for each in of_group]


def folder_of(run: dict[str, Any], outputs: Path) -> Path:
    return (outputs / unquote(run["record"])).parent
