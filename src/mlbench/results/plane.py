"""Embeddings on a plane: what a page or a tracker draws of the file that a run keeps."""

import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from mlbench.errors import UserError

How = Literal["pca", "tsne"]
ROWS = 2000  # how many rows are drawn at most


@dataclass(frozen=True)
class Plane:
    """Rows at equal distances in the order of their part, each with a place, its number and its labels."""

    places: np.ndarray  # (n, 2)
    ids: np.ndarray  # (n,) row numbers in the data set
    targets: np.ndarray  # (n, L)
    labels: list[str]
    rows: int  # of the part


def plane(path: Path, how: How = "pca") -> Plane:
    """The rows of an embeddings.npz on a plane; UserError where the file is damaged or another."""
    try:
        with np.load(path) as archive:
            vectors, ids, targets = archive["embeddings"], archive["ids"], archive["targets"]
            labels = [str(name) for name in archive["labels"]]
        fits = vectors.ndim == 2 and ids.shape == (len(vectors),) and targets.shape == (len(ids), len(labels))
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise UserError(f"{path} holds no embeddings ({error})") from error
    if not (fits and len(ids) and np.isfinite(vectors).all()):
        raise UserError(f"{path} holds no embeddings (not as many rows, ids and targets)")
    some = np.linspace(0, len(ids) - 1, min(ROWS, len(ids))).round().astype(int)
    places = tsne(vectors[some]) if how == "tsne" else pca(vectors)[some]
    return Plane(places, ids[some], targets[some], labels, len(ids))


def pca(vectors: np.ndarray) -> np.ndarray:
    """The first two principal components of all rows, (N, 2). Of each direction the entry of largest size is
    positive, so that a map is the same wherever it is made."""
    import torch  # a page without maps does without

    rows = torch.from_numpy(vectors).double()
    rows = rows - rows.mean(0)
    _, _, directions = torch.linalg.svd(rows, full_matrices=False)
    directions = directions[:2]
    largest = directions.gather(1, directions.abs().argmax(1, keepdim=True))
    places = rows @ (directions * largest.sign()).T
    return torch.nn.functional.pad(places, (0, 2 - places.shape[1])).numpy()


def tsne(vectors: np.ndarray) -> np.ndarray:
    """scikit-learn's t-SNE from the principal components, (N, 2); these alone for fewer than four rows."""
    from sklearn.manifold import TSNE

    if len(vectors) < 4:
        return pca(vectors)
    start = pca(vectors)
    start = start / max(start[:, 0].std(), 1e-12) * 1e-4  # scikit-learn's own scale of a start
    perplexity = min(30.0, (len(vectors) - 1) / 3)
    return TSNE(init=start.astype(np.float32), perplexity=perplexity, random_state=0).fit_transform(vectors)
