"""NumPy archives."""

import io
import re
import zipfile

import numpy as np
import pytest
from scipy import sparse

from mlbench.data import files
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
            "features has an entry outside of its rows and columns",
        ),
        (
            {**csr_parts("features", FEATURES), "features_indptr": [0, 9, 3], "targets": TARGETS},
            "features has rows that begin before the one above them",
        ),
        (
            {**csr_parts("features", FEATURES), "features_shape": [3, 3], "targets": TARGETS},
            "the parts of features have other lengths than its shape says",
        ),
        (
            {**csr_parts("features", FEATURES), "features_indices": [0.0, 2, 2], "targets": TARGETS},
            "the parts of features are no CSR matrix",
        ),
        (
            {**csr_parts("features", FEATURES), "features_shape": [2, 2**40], "targets": TARGETS},
            "says that it has 1,099,511,627,776 features",
        ),
        (
            {
                **csr_parts("features", sparse.csr_matrix((20_000, 1))),
                **csr_parts("targets", sparse.csr_matrix((20_000, 2**24))),
            },
            "says that it has 20,000 rows of 16,777,216 labels",
        ),
        ({"features": FEATURES[:0], "targets": TARGETS[:0]}, "has 0 rows and 2 labels: nothing to learn"),
        ({"features": FEATURES, "targets": TARGETS[:, :0]}, "has 2 rows and 0 labels: nothing to learn"),
        ({"features": FEATURES * 1j, "targets": TARGETS}, "features is a 2 x 3 array of complex128"),
        ({"features": np.array([["a"]], "S"), "targets": TARGETS}, "'features.npy' holds |S1, neither"),
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


def header(shape, kind="<f8"):
    file = io.BytesIO()
    np.lib.format.write_array_header_1_0(file, {"descr": kind, "fortran_order": False, "shape": shape})
    return file.getvalue()


@pytest.mark.parametrize(
    "member, words",
    [
        (b"nothing at all", "the magic string is not correct"),
        (header((10**9, 10**9)), "is said to be (1000000000, 1000000000) of float64, but has 0 bytes"),
        (header((2, 3)) + bytes(47), "is said to be (2, 3) of float64, but has 47 bytes"),
        (header((-1, -1)) + bytes(8), "is said to be (-1, -1)"),
        (header((1,), "<U1") + b"\xff\xff\xff\xff", "holds what is no text"),
        (header((2, 3)).replace(b"descr", b"de\0cr"), "is no whole .npz archive of plain arrays"),
        (b"\x93NUMPY\x01\x00\x04\x00(((\n", "is no whole .npz archive of plain arrays"),
    ],
)
def test_a_member_is_what_its_header_says(tmp_path, member, words):
    path = npz_file(tmp_path, targets=TARGETS)
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("features.npy", member)
    with pytest.raises(UserError, match=re.escape(words)):
        npz.read(path)


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_two_arrays_of_one_name(tmp_path):
    path = npz_file(tmp_path, features=FEATURES, targets=TARGETS)
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("features.npy", header((2, 3)) + bytes(48))
    with pytest.raises(UserError, match="it has two arrays of one name"):
        npz.read(path)


def test_what_unpacks_to_far_more_than_there_is(tmp_path, monkeypatch):
    monkeypatch.setattr(files, "ROOM", 1 << 20)
    path = tmp_path / "set.npz"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("features.npy", header((1 << 18, 1)) + bytes(1 << 21))
    with pytest.raises(UserError, match=r"1 arrays, which would take 2 MB, far more than is in it"):
        npz.read(path)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_BZIP2) as archive:
        archive.writestr("features.npy", header((2, 3)))
    with pytest.raises(UserError, match="is compressed in a way that NumPy does not use"):
        npz.read(path)


@pytest.mark.parametrize("order", "CF")
@pytest.mark.parametrize("kind", [">f4", "<f2", "<i8", "|b1"])
def test_arrays_as_numpy_reads_them(tmp_path, order, kind):
    features = np.asarray(FEATURES, dtype=kind, order=order)
    path = npz_file(tmp_path, features=features, targets=np.asfortranarray(TARGETS))
    with np.load(path) as archive:
        np.testing.assert_array_equal(npz.read(path).features, archive["features"].astype(np.float32))
    np.testing.assert_array_equal(npz.read(path).targets, TARGETS)
