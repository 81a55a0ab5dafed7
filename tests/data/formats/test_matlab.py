"""MATLAB files of one matrix or several views."""

import re

import numpy as np
import pytest
import scipy.io
from scipy import sparse

from mlbench.data.formats import matlab
from mlbench.errors import UserError

random = np.random.default_rng(0)
LEFT, RIGHT = random.normal(size=(5, 3)), random.normal(size=(5, 2))
TARGETS = np.array([[1, 0], [0, 1], [1, 1], [0, 0], [1, 0]], dtype=np.uint8)
BOTH = np.hstack([LEFT, RIGHT]).astype(np.float32)


def mat_file(folder, compressed=True, **variables):
    path = folder / "set.mat"
    scipy.io.savemat(path, variables, do_compression=compressed)
    return path


def cell_array(*matrices):
    cells = np.empty((1, len(matrices)), dtype=object)
    cells[0, :] = matrices
    return cells


@pytest.mark.parametrize("compressed", [True, False])
@pytest.mark.parametrize("turned", [False, True])
def test_a_cell_array_of_views(tmp_path, compressed, turned):
    views = cell_array(LEFT.T, RIGHT) if turned else cell_array(LEFT, RIGHT)
    path = mat_file(tmp_path, compressed, view=views, label=TARGETS.T if turned else TARGETS)
    found = matlab.read(path)
    np.testing.assert_array_equal(found.features, BOTH)
    np.testing.assert_array_equal(found.targets, TARGETS)
    assert found.modalities == {"view1": (0, 3), "view2": (3, 5)}
    assert found.labels == ("label1", "label2")
    assert found.feature_names == ("view1.1", "view1.2", "view1.3", "view2.1", "view2.2")


def test_a_column_of_cells(tmp_path):
    found = matlab.read(mat_file(tmp_path, view=cell_array(LEFT, RIGHT).T, label=TARGETS))
    np.testing.assert_array_equal(found.features, BOTH)


def test_one_matrix_is_no_modality(tmp_path):
    path = mat_file(tmp_path, data=BOTH, target=2.0 * TARGETS.T - 1)
    found = matlab.read(path, views="data", targets="target", labels=["sea", "sky"])
    np.testing.assert_array_equal(found.features, BOTH)
    np.testing.assert_array_equal(found.targets, TARGETS)
    assert found.modalities == {} and found.labels == ("sea", "sky")


def test_several_matrices_name_their_modalities(tmp_path):
    path = mat_file(tmp_path, sound=RIGHT, image=LEFT, Y=TARGETS)
    found = matlab.read(path, views=["image", "sound"], targets="Y")
    np.testing.assert_array_equal(found.features, BOTH)
    assert found.modalities == {"image": (0, 3), "sound": (3, 5)}


@pytest.mark.parametrize("other", [RIGHT, sparse.csc_matrix(RIGHT)])
def test_a_sparse_view_makes_the_features_sparse(tmp_path, other):
    path = mat_file(
        tmp_path, view=cell_array(sparse.csc_matrix(LEFT.T), other), label=sparse.csc_matrix(TARGETS)
    )
    found = matlab.read(path)
    assert sparse.issparse(found.features) and found.features.format == "csr"
    np.testing.assert_array_equal(found.features.toarray(), BOTH)
    np.testing.assert_array_equal(found.targets, TARGETS)


@pytest.mark.parametrize(
    "variables, words",
    [
        (
            {"views": LEFT, "label": TARGETS},
            "has no variable 'view'; it has views, label; did you mean views?",
        ),
        ({"view": LEFT, "label": TARGETS[:4]}, "view 5 x 3, label 4 x 2 have no length in common"),
        ({"view": RIGHT.T, "label": TARGETS}, "can be read two ways"),
        (
            {"view": cell_array("abc"), "label": TARGETS},
            "view{1} is a 1 array of <U3, not a matrix of numbers",
        ),
        ({"view": LEFT, "label": TARGETS * 3}, "the targets hold 3"),
    ],
)
def test_variables_that_do_not_fit(tmp_path, variables, words):
    with pytest.raises(UserError, match=re.escape(words)):
        matlab.read(mat_file(tmp_path, **variables))


def test_files_that_cannot_be_read(tmp_path):
    path = mat_file(tmp_path, view=LEFT, label=TARGETS)
    data = path.read_bytes()
    header = b"MATLAB 7.3 MAT-file, Platform: GLNXA64".ljust(124) + b"\x00\x02IM"
    path.write_bytes(header.ljust(1024, b"\0"))
    with pytest.raises(UserError, match=r"v7\.3 file: save it in MATLAB with save\(\.\.\., '-v7'\)"):
        matlab.read(path)
    for damaged in (b"", b"no matlab", data[: len(data) // 2]):
        path.write_bytes(damaged)
        with pytest.raises(UserError, match=r"set\.mat is no whole MATLAB file|has no variable"):
            matlab.read(path)
    with pytest.raises(UserError, match=r"nowhere\.mat is no whole MATLAB file"):
        matlab.read(tmp_path / "nowhere.mat")
