"""NumPy archives."""

import re

import numpy as np
import pytest
from scipy import sparse

from mlbench.data.formats import npz
from mlbench.errors import UserError

FEATURES = np.array([[1.5, 0, 2], [0, 0, -3]])
TARGETS = np.array([[1, 0], [0, 1]])


def npz_file(folder, **arrays):
    path = folder / "set.npz"
    np.savez(path, **arrays)
    return path


def csr_parts(name, matrix):
    matrix = sparse.csr_matrix(matrix)
    parts = {"data": matrix.data, "indices": matrix.indices, "indptr": matrix.indptr, "shape": matrix.shape}
    return {f"{name}_{part}": value for part, value in parts.items()}


def test_dense_arrays(tmp_path):
    found = npz.read(npz_file(tmp_path, features=FEATURES, targets=TARGETS.astype(bool)))
    np.testing.assert_array_equal(found.features, FEATURES.astype(np.float32))
    np.testing.assert_array_equal(found.targets, TARGETS)
    assert found.labels == ("label1", "label2") and found.feature_names == (
        "feature1",
        "feature2",
        "feature3",
    )
    assert found.features.dtype == np.float32 and found.targets.dtype == np.uint8


def test_sparse_parts_stay_sparse(tmp_path):
    path = npz_file(tmp_path, **csr_parts("X", FEATURES), **csr_parts("Y", TARGETS))
    found = npz.read(path, features="X", targets="Y")
    assert found.features.format == "csr"
    np.testing.assert_array_equal(found.features.toarray(), FEATURES.astype(np.float32))
    np.testing.assert_array_equal(found.targets, TARGETS)


def test_names_and_modalities(tmp_path):
    path = npz_file(
        tmp_path,
        features=FEATURES,
        targets=2 * TARGETS - 1,
        labels=["sea", "sky"],
        feature_names=["a", "b", "c"],
        modalities=[["left", "0", "2"], ["right", "2", "3"]],
    )
    found = npz.read(path)
    assert found.labels == ("sea", "sky") and found.feature_names == ("a", "b", "c")
    assert found.modalities == {"left": (0, 2), "right": (2, 3)}
    np.testing.assert_array_equal(found.targets, TARGETS)
    assert npz.read(path, labels=["x", "y"]).labels == ("x", "y")


def test_targets_may_be_called_labels(tmp_path):
    found = npz.read(npz_file(tmp_path, features=FEATURES, labels=TARGETS), targets="labels")
    assert found.labels == ("label1", "label2")


@pytest.mark.parametrize(
    "arrays, words",
    [
        ({"feature": FEATURES, "targets": TARGETS}, "has no array 'features', nor features_data"),
        ({"feature": FEATURES, "targets": TARGETS}, "did you mean feature?"),
        ({"features": FEATURES, "targets": TARGETS[:1]}, "2 rows of features, 1 of targets"),
        ({"features": FEATURES, "targets": TARGETS[:, 0]}, "targets is a 2 array of int64, not a matrix"),
        ({"features": FEATURES.astype(str), "targets": TARGETS}, "not a matrix of numbers"),
        ({"features": FEATURES, "targets": TARGETS * 2}, "the targets hold 2; a label is 0 or 1"),
        ({"features": FEATURES, "targets": np.diag([1, -1])}, "both -1 and 0"),
        ({"features": FEATURES * np.nan, "targets": TARGETS}, "a feature is missing or not finite"),
        ({"features": FEATURES, "targets": TARGETS, "labels": ["a"]}, "has 2 labels, but 1 different names"),
        ({"features": FEATURES, "targets": TARGETS, "labels": ["a", "a"]}, "has 2 labels, but 1 different"),
        ({"features": FEATURES, "targets": TARGETS, "modalities": [["a", "0"]]}, "a row of modalities is"),
        ({"features": FEATURES, "targets": TARGETS, "modalities": [["a", "0", "4"]]}, "of 3 columns"),
        (
            {**csr_parts("features", FEATURES), "features_indices": [0, 9, 2], "targets": TARGETS},
            "no CSR matrix",
        ),
        ({"features": np.array([{}]), "targets": TARGETS}, "is no whole .npz archive of plain arrays"),
    ],
)
def test_an_archive_that_does_not_fit(tmp_path, arrays, words):
    with pytest.raises(UserError, match=re.escape(words)):
        npz.read(npz_file(tmp_path, **arrays))


def test_damaged_archives(tmp_path):
    path = npz_file(tmp_path, features=FEATURES, targets=TARGETS)
    data = path.read_bytes()
    for damaged in (data[:-40], data[:100], b"", b"not an archive"):
        path.write_bytes(damaged)
        with pytest.raises(UserError, match=r"set\.npz is no whole \.npz archive"):
            npz.read(path)
    with pytest.raises(UserError, match="No such file"):
        npz.read(tmp_path / "nowhere.npz")
