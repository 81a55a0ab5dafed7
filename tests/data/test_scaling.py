"""Scaling: closed forms, no NaN, and test rows without a say."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from scipy import sparse

from mlbench.data.scaling import fitted, scaler
from mlbench.errors import UserError

# Sixteenths up to a million: a column that hardly varies in training may carry others beyond float32.
FINITE = st.integers(-(2**20), 2**20).map(lambda number: number / 16)
TABLES = arrays.arrays(np.float32, st.tuples(st.integers(4, 12), st.integers(1, 5)), elements=FINITE)


def scale(features, rows, how):
    """All rows, scaled by statistics of some."""
    return fitted(how, features[rows]).apply(features)


def varied_features(rows: int = 50, columns: int = 6) -> np.ndarray:
    rng = np.random.default_rng(0)
    return (rng.normal(size=(rows, columns)) * 10.0 ** np.arange(columns) + 5).astype(np.float32)


@pytest.mark.parametrize("how", ["none", "zscore", "minmax"])
@given(features=TABLES, noise=FINITE)
def test_rows_outside_training_have_no_say(how, features, noise):
    train = np.arange(0, len(features), 2)
    scaled = scale(features, train, how)
    disturbed = features.copy()
    disturbed[1::2] = noise
    assert np.array_equal(scale(disturbed, train, how)[train], scaled[train])
    assert scaled.dtype == np.float32 and scaled.shape == features.shape and np.isfinite(scaled).all()


@pytest.mark.parametrize(
    ("how", "sparsely"),
    [("none", False), ("zscore", False), ("minmax", False), ("none", True), ("minmax", True)],
)
def test_its_state_is_all_that_it_learned(how, sparsely):
    features = sparse.random(20, 5, 0.5, "csr", np.float32, np.random.default_rng(0))
    features = features if sparsely else features.toarray()
    learned, again = fitted(how, features[:9]), scaler(how)
    again.state = json.loads(json.dumps(learned.state))
    one, other = (made.apply(features) for made in (learned, again))
    assert (one != other).sum() == 0 and one.dtype == np.float32
    assert how == "none" or (one != features).sum() > 0


def test_zscore_gives_mean_zero_and_deviation_one():
    features, train = varied_features(), np.arange(30)
    scaled = scale(features, train, "zscore")
    expected = (features - features[train].mean(axis=0, dtype=float)) / features[train].std(
        axis=0, dtype=float
    )
    np.testing.assert_allclose(scaled, expected, rtol=1e-6)
    np.testing.assert_allclose(scaled[train].mean(axis=0), 0, atol=1e-5)
    np.testing.assert_allclose(scaled[train].std(axis=0), 1, atol=1e-5)


def test_minmax_spans_zero_to_one():
    features, train = varied_features(), np.arange(30)
    scaled = scale(features, train, "minmax")
    assert scaled[train].min(axis=0).tolist() == [0] * 6 and scaled[train].max(axis=0).tolist() == [1] * 6
    rows = np.array([[0, 4], [10, 8], [20, 2]], np.float32)
    assert scale(rows, np.array([0, 1]), "minmax").tolist() == [[0, 0], [1, 1], [2, -0.5]]


@pytest.mark.parametrize("how", ["zscore", "minmax"])
def test_constant_columns_are_shifted_not_stretched(how):
    # 0.1 has no exact binary form: a computed deviation of it is tiny, not 0, and would blow the test row up.
    features = np.full((1001, 1), 0.1, np.float32)
    features[-1] = 1.1
    scaled = scale(features, np.arange(1000), how)
    assert not scaled[:1000].any() and scaled[-1] == pytest.approx(1.0)


def test_none_changes_nothing():
    features = varied_features()
    assert scale(features, np.arange(3), "none") is features


def test_the_features_given_stay_as_they_were():
    dense, thin = varied_features(), sparse.csr_matrix(np.eye(5, dtype=np.float32) * 3)
    before = dense.copy()
    for how in ("zscore", "minmax"):
        scale(dense, np.arange(10), how)
    scale(thin, np.arange(4), "minmax")
    assert np.array_equal(dense, before) and thin.data.tolist() == [3] * 5


def test_sparse_minmax_divides_by_the_largest_absolute_value():
    dense = np.array([[0, 2, 0, 0], [0, -4, 1, 0], [5, 8, 0, 0]], np.float32)
    scaled = scale(sparse.csr_matrix(dense), np.array([0, 1]), "minmax")
    assert sparse.issparse(scaled) and scaled.dtype == np.float32 and scaled.nnz == 5
    assert scaled.toarray().tolist() == [[0, 0.5, 0, 0], [0, -1, 1, 0], [5, 2, 0, 0]]


def test_sparse_zscore_says_what_to_use():
    with pytest.raises(UserError, match=r"use dataset\.scaling=minmax"):
        scale(sparse.csr_matrix(np.eye(3, dtype=np.float32)), np.arange(2), "zscore")


def test_an_unknown_scaling_names_the_nearest():
    with pytest.raises(
        UserError, match=r"dataset\.scaling=zscor: choose none, zscore, minmax; did you mean zscore\?"
    ):
        scale(varied_features(), np.arange(3), "zscor")


def test_sparse_rows_of_a_dense_scaler_are_what_dense_ones_are():
    """A method that learned from a table may be given the same rows in a sparse format."""
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(20, 4)).round(1).astype(np.float32)
    rows[rng.random(rows.shape) < 0.5] = 0
    for name in ("zscore", "minmax"):
        made = fitted(name, rows)
        np.testing.assert_array_equal(made.apply(sparse.csr_matrix(rows)), made.apply(rows))
