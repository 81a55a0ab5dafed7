"""Multi-label LIBSVM files."""

import gzip
import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.datasets import load_svmlight_file

from mlbench.data.formats import libsvm
from mlbench.errors import UserError


def libsvm_file(folder, text):
    path = folder / "set.txt"
    path.write_text(text)
    return path


def test_rows_of_labels_and_features(tmp_path):
    text = "# by hand\n0,2 1:0.5 4:-1e2\n 2:7 # no label\n\n1\t3:.25\t1:1\r\n2\n3:1\n"
    found = libsvm.read(libsvm_file(tmp_path, text))
    expected = [[0.5, 0, 0, -100], [0, 7, 0, 0], [1, 0, 0.25, 0], [0, 0, 0, 0], [0, 0, 1, 0]]
    np.testing.assert_array_equal(found.features.toarray(), np.float32(expected))
    np.testing.assert_array_equal(found.targets, [[1, 0, 1], [0, 0, 0], [0, 1, 0], [0, 0, 1], [0, 0, 0]])
    assert found.labels == ("0", "1", "2") and found.feature_names == ("1", "2", "3", "4")
    assert found.features.format == "csr" and found.attributes is None


@pytest.mark.parametrize("more", [0, 1, 2])
def test_the_first_line_of_the_xmc_repository(tmp_path, more):
    found = libsvm.read(libsvm_file(tmp_path, "3 5 4\n1,3 1:1 3:2\n 2:1\n\n" + "\n" * more))
    assert found.features.shape == (3, 5) and found.targets.shape == (3, 4)
    np.testing.assert_array_equal(found.features.toarray(), [[0, 1, 0, 2, 0], [0, 0, 1, 0, 0], [0] * 5])
    np.testing.assert_array_equal(found.targets, [[0, 1, 0, 1], [0] * 4, [0] * 4])
    with pytest.raises(UserError, match="has 1 rows, but its first line says 3"):
        libsvm.read(libsvm_file(tmp_path, "3 5 4\n1,3 1:1 3:2\n"))


@pytest.mark.parametrize("zero_based, expected", [("auto", [[5, 6]]), (False, [[5, 6]]), (True, [[0, 5, 6]])])
def test_where_features_are_counted_from(tmp_path, zero_based, expected):
    found = libsvm.read(libsvm_file(tmp_path, "0 1:5 2:6\n"), zero_based=zero_based)
    np.testing.assert_array_equal(found.features.toarray(), expected)


def test_feature_zero_shows_that_they_are_counted_from_it(tmp_path):
    found = libsvm.read(libsvm_file(tmp_path, "0 0:5\n0 2:6\n"), features=4)
    np.testing.assert_array_equal(found.features.toarray(), [[5, 0, 0, 0], [0, 0, 6, 0]])
    assert found.feature_names == ("0", "1", "2", "3")


def test_how_labels_are_counted(tmp_path):
    assert libsvm.read(libsvm_file(tmp_path, "1,3 1:1\n")).labels == ("1", "2", "3")
    assert libsvm.read(libsvm_file(tmp_path, "1,3 1:1\n"), labels=3).labels == ("1", "2", "3")
    assert libsvm.read(libsvm_file(tmp_path, "1,3 1:1\n"), labels=4, first_label=0).labels == tuple("0123")
    assert libsvm.read(libsvm_file(tmp_path, "0,3 1:1\n"), labels=5).labels == tuple("01234")
    with pytest.raises(UserError, match=r"neither label 0 nor label 4.*set dataset\.first_label"):
        libsvm.read(libsvm_file(tmp_path, "1,3 1:1\n"), labels=4)


def test_labels_have_names(tmp_path):
    found = libsvm.read(libsvm_file(tmp_path, "0,2 1:1\n1 1:1\n"), labels=["sea", "sky", "sand"])
    assert found.labels == ("sea", "sky", "sand")
    np.testing.assert_array_equal(found.targets, [[1, 0, 1], [0, 1, 0]])
    found = libsvm.read(libsvm_file(tmp_path, "sand,sea 1:1\n"), labels=["sea", "sky", "sand"])
    np.testing.assert_array_equal(found.targets, [[1, 0, 1]])


@pytest.mark.parametrize(
    "text, options, words",
    [
        ("1 1:1\n2 1:x\n", {}, "line 2: the value of '1:x' is no finite number"),
        ("1 1:1e39\n", {}, "line 1: the value of '1:1e39' is no finite number"),
        ("1 1:nan\n", {}, "is no finite number"),
        ("1 1:2:3\n", {}, "line 1: '1:2:3' is not of the form 2:0.5 7:1"),
        ("1 1: 2\n", {}, "is not of the form"),
        ("1 qid:3 1:2\n", {}, "is not of the form"),
        ("# x\n1 1:1 2:1 1:3\n", {}, "line 2: a feature is given twice"),
        ("1 9:1\n", {"features": 8}, "line 1: feature 9 is out of range, of 8 counted from 1"),
        ("1 0:1\n", {"zero_based": False}, "line 1: feature 0 is out of range"),
        ("1 1:1\n7 1:1\n", {"labels": 3}, "line 2: label 7 is out of range"),
        ("1 1:1\n0 1:1\n", {"first_label": 1}, "line 2: label 0 is out of range"),
        ("-1 1:1\n", {}, "line 1: '-1' is no label"),
        ("sae 1:1\n", {"labels": ["sea", "sky"]}, "line 1: 'sae' is no label; did you mean sea?"),
        ("sea 1:1\n1 1:1\n", {"labels": ["sea", "sky"]}, "line 2: '1' is no label"),
        ("sky 1:1\nsae 1:1\n", {"labels": ["sea", "sky"]}, "line 2: 'sae' is no label; did you mean sea?"),
        ("1 1:1\nsae 1:1\n", {"labels": ["sea", "sky"]}, "line 2: 'sae' is no label; did you mean sea?"),
        ("sea 1:1\n", {}, "give the names of all labels as dataset.labels"),
        ("# nothing\n", {}, "has no rows"),
        ("1 2000000000:1\n", {}, "says that it has 2,000,000,000 features, which would take 122,070 MB"),
        ("1 9999999999:1\n1 1:1\n", {}, "if that is right, say so with dataset.labels and dataset.features"),
        ("1 5 1000000000\n1 1:1\n", {}, "says that it has 1,000,000,000 labels"),
        ("1 1000000000000 1\n0 1:1\n", {}, "says that it has 1,000,000,000,000 features"),
        ("999999999 1:1\n", {}, "says that it has 999,999,999 labels"),
        ("1 1:1\xa02:1\n", {}, "line 1: '1:1\\xa02:1' is not of the form"),
        ("1 1:1\n1 2:1\x1c3:1\n", {}, "line 2: '2:1\\x1c3:1' is not of the form"),
        ("1 1:1\0 2:1\n", {}, "line 1: the value of '1:1\\x00' is no finite number"),
        ("1 99999999999999999999:1\n", {}, "line 1: feature 1e+20 is out of range"),
        ("1 1:1\n++1 1:1\n", {}, "line 2: '++1' is no label"),
        ("9" * 5000 + " 1:1\n", {}, f"line 1: '{'9' * 40}' is no label"),
        (f"{'9' * 5000} 5 3\n1 1:1\n", {}, f"line 1: '{'9' * 40}' is no label"),
        ("1 " + "1:222" * 40 + "\n", {}, "is not of the form"),  # tried every way, it would take years
    ],
)
def test_a_wrong_row_or_option(tmp_path, text, options, words):
    with pytest.raises(UserError, match=re.escape(words)):
        libsvm.read(libsvm_file(tmp_path, text), **options)


def test_what_a_person_says_of_the_sizes_is_believed(tmp_path):
    found = libsvm.read(libsvm_file(tmp_path, "1100000 1:1\n"), features=1_100_000, labels=1_100_000)
    assert found.features.shape == found.targets.shape == (1, 1_100_000)
    with pytest.raises(UserError, match="says that it has 1,100,000 labels"):
        libsvm.read(tmp_path / "set.txt")


def test_hashed_features_of_a_small_file(tmp_path):
    found = libsvm.read(libsvm_file(tmp_path, f"1 0:1 {2**20 - 1}:1\n"))
    assert found.features.shape == (1, 2**20)


def test_compressed(tmp_path):
    path = tmp_path / "set.txt.gz"
    path.write_bytes(gzip.compress(b"0,1 1:5\n"))
    np.testing.assert_array_equal(libsvm.read(path).features.toarray(), [[5]])
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(UserError, match="truncated or damaged"):
        libsvm.read(path)


VALUES = st.floats(width=32, allow_nan=False, allow_infinity=False).filter(bool)


@settings(max_examples=50, deadline=None)
@given(
    rows=st.lists(
        st.tuples(st.sets(st.integers(0, 9)), st.dictionaries(st.integers(1, 20), VALUES, min_size=1)),
        min_size=1,
    )
)
def test_random_rows_come_back_and_as_scikit_learn_reads_them(tmp_path_factory, rows):
    text = ""
    for labels, features in rows:
        pairs = " ".join(f"{number}:{features[number]!r}" for number in sorted(features))
        text += f"{','.join(map(str, labels))} {pairs}\n"
    path = libsvm_file(tmp_path_factory.mktemp("random"), text)
    found = libsvm.read(path, labels=10, features=20, zero_based=False, first_label=0)
    theirs, their_labels = load_svmlight_file(
        str(path), n_features=20, dtype=np.float32, multilabel=True, zero_based=False
    )
    np.testing.assert_array_equal(found.features.toarray(), theirs.toarray())
    assert [set(np.flatnonzero(row)) for row in found.targets] == [set(map(int, row)) for row in their_labels]
    assert [set(np.flatnonzero(row)) for row in found.targets] == [labels for labels, _ in rows]
