"""Modalities that instances lack, simulated: who lacks what, zeros in its place, scales of what is there."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

from mlbench.data.instances import Instances
from mlbench.data.missing import fitted_on_present, scaled, simulated
from mlbench.errors import UserError


class Dataset:
    name = "made"

    def __init__(self, share):
        self.missing_modalities = share


def instances(rows=400, thin=False, widths=(3, 1, 4)):
    stops = np.cumsum(widths).tolist()
    ranges = zip([0, *stops], stops)
    features = np.random.default_rng(0).normal(5, 2, (rows, stops[-1])).astype(np.float32)
    return Instances(
        features=sparse.csr_matrix(features) if thin else features,
        targets=np.ones((rows, 2), np.uint8),
        labels=("a", "b"),
        feature_names=tuple(f"f{column}" for column in range(stops[-1])),
        modalities={f"m{place}": columns for place, columns in enumerate(ranges)},
    )


@pytest.mark.parametrize("thin", [False, True])
@settings(max_examples=20, deadline=None)
@given(share=st.floats(0.05, 0.95), seed=st.integers(0, 1000))
def test_zeros_stand_for_what_is_missing_and_all_else_stays(thin, share, seed):
    whole = instances(60, thin)
    found = simulated(whole, Dataset(share), seed)
    assert found.present.any(axis=1).all() and sparse.issparse(found.features) == thin
    before, after = (each.toarray() if thin else each for each in (whole.features, found.features))
    for row in range(60):
        for place, (start, stop) in enumerate(whole.modalities.values()):
            expected = before[row, start:stop] if found.present[row, place] else 0
            assert (after[row, start:stop] == expected).all()
    again = simulated(whole, Dataset(share), seed)
    assert np.array_equal(found.present, again.present)


def test_each_modality_is_missing_as_often_as_asked_and_a_last_one_is_any():
    found = simulated(instances(40_000), Dataset(0.3), seed=1).present
    lone = 0.3**3 / 3  # who would lack all keeps one of three
    assert found.mean(axis=0) == pytest.approx([0.7 + lone] * 3, abs=0.01)
    rare = simulated(instances(40_000), Dataset(0.99), seed=1).present
    assert rare.mean(axis=0) == pytest.approx([0.01 + 0.99**3 / 3] * 3, abs=0.01)
    assert not np.array_equal(found, simulated(instances(40_000), Dataset(0.3), seed=2).present)


@pytest.mark.parametrize("scaling", ["zscore", "minmax"])
def test_scales_are_those_of_the_rows_that_have_a_modality(scaling):
    lacking = simulated(instances(), Dataset(0.5), seed=3)
    rows = np.arange(0, 400, 2)
    found = scaled(lacking, fitted_on_present(scaling, lacking, rows))
    for place, (start, stop) in enumerate(lacking.modalities.values()):
        having = lacking.present[:, place] == 1
        fitting = found.features[rows][having[rows], start:stop]
        if scaling == "zscore":
            assert np.allclose(fitting.mean(0), 0, atol=1e-5) and np.allclose(fitting.std(0), 1, atol=1e-5)
        else:
            assert np.allclose(fitting.min(0), 0) and np.allclose(fitting.max(0), 1)
        assert (found.features[~having, start:stop] == 0).all()


def test_without_a_share_nothing_changes_and_one_modality_is_refused():
    whole = instances()
    assert simulated(whole, Dataset(None), 0) is whole and simulated(whole, Dataset(0.0), 0) is whole
    with pytest.raises(UserError, match=r"missing_modalities=0.2: dataset=made has one modality"):
        simulated(instances(widths=(8,)), Dataset(0.2), 0)
