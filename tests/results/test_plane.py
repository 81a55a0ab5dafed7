"""Embeddings in two dimensions: principal components beside scikit-learn's, t-SNE, files that are none."""

import numpy as np
import pytest
from sklearn.decomposition import PCA

from mlbench.errors import UserError
from mlbench.results import plane as module
from mlbench.results.plane import pca, plane, tsne


def vectors_of(rows, width, seed=0):
    draws = np.random.default_rng(seed)
    return (draws.normal(size=(rows, width)) * np.arange(1, width + 1)).astype(np.float32)


def save(path, vectors, **changed):
    arrays = {"embeddings": vectors, "ids": np.arange(len(vectors)) * 3, "labels": np.array(["a", "b"])}
    targets = np.arange(2 * len(vectors)).reshape(-1, 2) % 3 == 0
    np.savez(path, **(arrays | {"targets": targets.astype(np.uint8)} | changed))
    return path


def test_principal_components_are_scikit_learns_but_for_signs():
    vectors = vectors_of(60, 5) + 7
    found, theirs = pca(vectors), PCA(2).fit_transform(vectors.astype(np.float64))
    for axis in (0, 1):
        sign = np.sign(found[0, axis] * theirs[0, axis])
        assert found[:, axis] == pytest.approx(sign * theirs[:, axis], abs=1e-9)


def test_signs_do_not_depend_on_the_order_of_rows():
    vectors = vectors_of(60, 5)
    assert pca(vectors[::-1].copy()) == pytest.approx(pca(vectors)[::-1], abs=1e-9)


@pytest.mark.parametrize("shape", [(1, 4), (2, 4), (5, 1)])
def test_few_rows_or_columns(shape):
    for places in (pca(vectors_of(*shape)), tsne(vectors_of(*shape))):
        assert places.shape == (shape[0], 2) and np.isfinite(places).all()


def test_t_sne_keeps_clusters_apart_and_is_the_same_each_time():
    vectors = vectors_of(40, 6)
    vectors[:20] += 60
    places = tsne(vectors)
    assert np.array_equal(places, tsne(vectors))
    distances = np.linalg.norm(places[:, None] - places, axis=-1) + np.eye(40) * 1e9
    nearest = distances.argmin(1)
    assert ((nearest < 20) == (np.arange(40) < 20)).all()


def test_rows_at_equal_distances(tmp_path, monkeypatch):
    path = save(tmp_path / "embeddings.npz", vectors := vectors_of(10, 4))
    assert plane(path).ids.tolist() == list(range(0, 30, 3))
    monkeypatch.setattr(module, "ROWS", 4)
    shown = plane(path)
    assert shown.ids.tolist() == [0, 9, 18, 27] and shown.rows == 10 and shown.labels == ["a", "b"]
    assert shown.places == pytest.approx(pca(vectors)[::3])
    assert shown.targets.shape == (4, 2)


def test_files_that_are_none(tmp_path):
    path = tmp_path / "embeddings.npz"
    for wrong in ({"ids": np.arange(3)}, {"labels": np.array(["a"])}, {"embeddings": np.zeros(10)}):
        save(path, vectors_of(10, 4), **wrong)
        with pytest.raises(UserError, match="holds no embeddings"):
            plane(path)
    path.write_bytes(b"half of a file")
    with pytest.raises(UserError, match="holds no embeddings"):
        plane(path)
