"""What runs found of every two labels: matrices that a page draws, from the files in a run's folder."""

import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from mlbench.errors import UserError
from mlbench.results.store import EMBEDDINGS

MOST = 40  # labels that are drawn
NO_FINDINGS = ("scores.npz", EMBEDDINGS)
BESIDE = ("ids", "targets", "labels")  # what a file of findings has besides
# By file and array, what an entry means; "": it has labels' size, but its entries are not about two labels.
MEANINGS = {
    (
        "label_correlations",
        "correlations",
    ): "what the label of a row, once predicted, does to that of a column",
    (
        "label_interactions",
        "interactions",
    ): "how the label of a column supports that of a row, or excludes it",
    ("correlations", "correlations"): "how the utilities of the two labels are correlated",
    ("correlations", "root"): "",
    ("label_network", "parents"): "whether the label of a row has that of a column for a parent",
    ("label_mask", "mask"): "whether the label of a row sees that of a column",
}


def matrices(run: Path) -> list[dict[str, Any]]:
    """The matrices in the files of a run's folder, as a page draws them; UserError for a damaged file."""
    files = (path for path in sorted(run.glob("*.npz")) if path.name not in NO_FINDINGS)
    return [matrix for path in files for matrix in of_file(path)]


def of_file(path: Path) -> list[dict[str, Any]]:
    """Every array with a row and a column for each label. Of more labels than MOST those with the most
    training rows are drawn, in the data set's order."""
    try:
        with np.load(path) as archive:
            if not {*BESIDE} <= {*archive.files}:
                return []
            counts, labels = archive["targets"].sum(0, dtype=np.int64), archive["labels"]
            arrays = {name: archive[name] for name in archive.files if name not in BESIDE}
            ambiguous = len(archive["ids"]) == len(labels)  # a row could stand for an instance
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise UserError(
            f"{path}: cannot be read ({type(error).__name__}); force=true makes the run again"
        ) from None
    some = np.sort(np.argsort(-counts, kind="stable")[:MOST])
    names = [str(label) for label in labels[some]]
    entries = []
    for name, array in arrays.items():
        meaning = MEANINGS.get((path.stem, name), "" if ambiguous else "rows and columns are labels")
        if meaning and array.shape == (len(labels), len(labels)) and np.isfinite(array).all():
            values = [[float(f"{value:.4g}") for value in row] for row in array[np.ix_(some, some)]]
            about = {"name": f"{path.stem}: {name}", "said": meaning, "of": len(labels)}
            entries.append(about | {"labels": names, "values": values})
    return entries
