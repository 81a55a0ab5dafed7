"""MATLAB files of one matrix or several views."""

import re
from pathlib import Path

import numpy as np
import pytest
import scipy.io
from scipy import sparse

from damaged import mat, variables_compressed
from mlbench.data import files
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
            "view{1} is text, not a matrix of numbers",
        ),
        ({"view": LEFT, "label": TARGETS * 3}, "the targets hold 3"),
        (
            {"view": cell_array(cell_array(LEFT)), "label": TARGETS},
            "view{1} is a cell array, not a matrix of numbers",
        ),
        ({"view": {"a": LEFT}, "label": TARGETS}, "view is a structure, not a matrix of numbers"),
        ({"view": LEFT * 1j, "label": TARGETS}, "view is a matrix of complex numbers, not a matrix"),
        ({"view": cell_array(), "label": TARGETS}, "view is a cell array without cells"),
        ({"view": LEFT, "label": cell_array(TARGETS)}, "label is a cell array, not a matrix of numbers"),
        ({"view": LEFT[:, :, None], "label": TARGETS}, "view is a 5 x 3 x 1 array"),
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
    for damaged in (b"no matlab", data[: len(data) // 2], b"\0" * 200, data[:-1]):
        path.write_bytes(damaged)
        with pytest.raises(UserError, match=r"set\.mat is no whole MATLAB file"):
            matlab.read(path)
    with pytest.raises(UserError, match=r"nowhere\.mat cannot be read"):
        matlab.read(tmp_path / "nowhere.mat")


WRITTEN_BY_MATLAB = sorted((Path(scipy.io.__file__).parent / "matlab/tests/data").glob("test*_[67]*.mat"))


def test_there_are_files_that_matlab_wrote():
    assert len(WRITTEN_BY_MATLAB) > 50


@pytest.mark.parametrize("path", WRITTEN_BY_MATLAB, ids=lambda path: path.stem)
def test_variables_are_as_scipy_reads_them(path):
    if "hdf5" in path.stem:
        with pytest.raises(UserError, match="is a v7"):
            matlab.variables(path, [])
        return
    theirs = {name: value for name, value in scipy.io.loadmat(path).items() if not name.startswith("__")}
    ours = matlab.variables(path, theirs)
    assert ours.keys() == theirs.keys()
    for name, value in ours.items():
        cells = theirs[name].ravel(order="F") if isinstance(value, list) else [theirs[name]]
        for one, other in zip(value if isinstance(value, list) else [value], cells, strict=True):
            if isinstance(one, str):
                assert sparse.issparse(other) or other.dtype.kind in "OUcV", (name, one)
            else:
                np.testing.assert_array_equal(dense(one), dense(other))


def dense(matrix):
    return matrix.toarray() if sparse.issparse(matrix) else matrix


def test_a_sparse_matrix_of_truths(tmp_path):
    path = WRITTEN_BY_MATLAB[0].with_name("logical_sparse.mat")
    found = matlab.variables(path, ["sp_log_5_4"])["sp_log_5_4"]
    np.testing.assert_array_equal(found.toarray(), scipy.io.loadmat(path)["sp_log_5_4"].toarray())


@pytest.mark.parametrize(
    "old, new, words",
    [
        ((0, 2, 4), (0, 9, 4), "view has an entry outside of its rows and columns"),
        ((0, 2, 4), (-1, 2, 4), "view has an entry outside of its rows and columns"),
        ((0, 2, 4), (2, 2, 4), "view has an entry twice, or out of order"),
        ((0, 2, 2, 3), (0, 9, 2, 3), "view has rows that begin before the one above them"),
        ((0, 2, 2, 3), (0, 2, 2, 9), "the parts of view have other lengths than its shape says"),
        ((6, 3), (6, 2**31 - 1), "the parts of view have other lengths than its shape says"),
        ((6, 3), (-6, 3), "view is said to be [-6, 3]"),
        ((6, 3), (2**31 - 1, 3), "view 2147483647 x 3, label 6 x 6 have no length in common"),
    ],
)
@pytest.mark.parametrize("compressed", [True, False])
def test_a_sparse_matrix_that_says_too_much(tmp_path, compressed, old, new, words):
    view = sparse.csc_matrix(([1.0, 2, 3], [0, 2, 4], [0, 2, 2, 3]), shape=(6, 3))
    path = mat_file(tmp_path, False, view=view, label=np.eye(6))
    old, new = (np.array(numbers, dtype=np.int32).tobytes() for numbers in (old, new))
    data = path.read_bytes()
    assert data.count(old) == 1
    data = data.replace(old, new)
    path.write_bytes(variables_compressed(data) if compressed else data)
    with pytest.raises(UserError, match=re.escape(words)):
        matlab.read(path)


@pytest.mark.parametrize("form", ["4", "5"])
def test_two_variables_of_one_name(tmp_path, form):
    data = mat(form, view=LEFT, label=TARGETS, liver=LEFT)
    assert data.count(b"liver") == 1
    (tmp_path / "set.mat").write_bytes(data.replace(b"liver", b"label"))
    with pytest.raises(UserError, match=r"set\.mat is no whole MATLAB file: .*label"):
        matlab.read(tmp_path / "set.mat")


def test_what_unpacks_to_far_more_than_there_is(tmp_path, monkeypatch):
    monkeypatch.setattr(files, "ROOM", 1 << 20)
    path = mat_file(tmp_path, view=np.zeros((1 << 18, 1)), label=TARGETS)
    with pytest.raises(UserError, match=r"unpacks to more than .* bytes: save it with save\(\.\.\., '-v6'\)"):
        matlab.read(path)
