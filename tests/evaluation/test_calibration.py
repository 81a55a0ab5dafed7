"""Maps of scores that a part has fitted, against scikit-learn's and scipy's."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize
from sklearn.isotonic import IsotonicRegression

from mlbench.errors import UserError
from mlbench.evaluation import calibration
from mlbench.evaluation.calibration import SLOPES, Isotonic, Temperature, of_plain, told


def part(rows=300, seed=0, types=torch.float32):
    """Scores whose logits are too wide, too narrow, shifted, nearly right and turned round."""
    draws = torch.Generator().manual_seed(seed)
    z = torch.randn(rows, 5, generator=draws, dtype=torch.float64) * torch.tensor([4, 0.3, 3, 1, 2])
    true = z * torch.tensor([0.4, 3, 0.7, 1, -0.5]) - torch.tensor([0, 0, 1.5, 0.1, 0])
    targets = (torch.rand(rows, 5, generator=draws) < true.sigmoid()).float()
    return z.sigmoid().to(types), targets


def bce(slope, shift, scores, targets):
    z = np.log(scores) - np.log1p(-scores)
    logit = slope * z + shift
    return np.mean(np.logaddexp(0, logit) - targets * logit)


@pytest.mark.parametrize("shared", [False, True])
@pytest.mark.parametrize("bias", [False, True])
def test_temperature_and_bias_have_the_least_cross_entropy(shared, bias):
    scores, targets = part()
    found = Temperature(shared, bias).fit(scores, targets)
    columns = [slice(None)] if shared else range(5)
    for column in columns:
        s, y = (array.double().numpy()[:, column] for array in (scores, targets))
        bounds = [SLOPES, (None, None) if bias else (0, 0)]
        best = minimize(lambda at, s=s, y=y: bce(*at, s, y), [1, 0], bounds=bounds, tol=1e-13)
        label = 0 if shared else column
        ours = float(found.slope[label]), float(found.shift[label])
        assert bce(*ours, s, y) <= best.fun + 1e-12
        np.testing.assert_allclose(ours, best.x, atol=1e-4)
    expected = torch.special.expit(found.slope * torch.special.logit(scores.double()) + found.shift)
    torch.testing.assert_close(found(scores), expected.float(), rtol=0, atol=1e-7)
    assert shared or found.slope[4] == SLOPES[0]  # turned round it would be below 0
    summary = found.summary()
    assert summary["temperature"] == (1 / found.slope).tolist() and ("bias" in summary) == bias


def test_labels_are_fitted_in_blocks_as_they_are_at_once(monkeypatch):
    scores, targets = part()
    at_once = Temperature(False, True).fit(scores, targets)
    monkeypatch.setattr(calibration, "BLOCK", 2 * len(scores))
    in_blocks = Temperature(False, True).fit(scores, targets)
    torch.testing.assert_close(at_once.slope, in_blocks.slope, rtol=1e-9, atol=0)
    assert not torch.equal(at_once.slope[:2], torch.ones(2))


WITHIN = st.lists(st.floats(0, 1, width=32), min_size=2, max_size=8)


@settings(max_examples=80)
@given(
    WITHIN,
    st.sampled_from([Temperature(False, False), Temperature(True, True), Isotonic()]),
    st.integers(0, 9),
)
def test_no_map_turns_the_order_of_a_labels_scores_round(column, calibrator, seed):
    found = calibrator.fit(*part(40, seed))
    scores = torch.tensor(column).sort().values.unsqueeze(1).expand(-1, 5)
    mapped = found(scores)
    assert ((mapped >= 0) & (mapped <= 1)).all() and mapped.dtype == scores.dtype
    assert (mapped[1:] >= mapped[:-1]).all()


def test_isotonic_is_scikit_learns():
    scores, targets = part(80)
    scores = (scores * 20).round() / 20  # ties
    found, others = Isotonic().fit(scores, targets), torch.cat([scores, part(200, seed=1)[0]])
    for label in range(5):
        theirs = IsotonicRegression(y_min=0, y_max=1, out_of_bounds="clip")
        theirs.fit(scores[:, label].double().numpy(), targets[:, label].numpy())
        expected = theirs.predict(others[:, label].double().numpy())
        np.testing.assert_allclose(found.double()(others.double())[:, label], expected, rtol=0, atol=1e-12)
        assert len(np.unique(expected)) > 1 or label == 4


@pytest.mark.parametrize("calibrator", [Temperature(False, False), Temperature(False, True), Isotonic()])
def test_a_label_without_positives_or_negatives_keeps_its_scores_and_the_record_says_so(calibrator):
    scores, targets = part(60)
    targets[:, 1], targets[:, 3] = 0, 1
    found, others = calibrator.fit(scores, targets), torch.rand(9, 5)
    others[0], others[1] = 0, 1
    mapped = found(others)
    assert torch.equal(mapped[:, [1, 3]], others[:, [1, 3]]) and (mapped != others)[:, [0, 2, 4]].any(0).all()
    said = told({"last": found, "best": None}, ["a", "b", "c", "d", "e"])
    assert said.keys() == {"last"} and said["last"]["left"] == ["b", "d"]
    nothing = calibrator.fit(scores, torch.zeros(60, 5))
    assert torch.equal(nothing(others), others)


def test_scores_that_part_a_label_without_error_have_a_finite_temperature():
    scores = torch.tensor([[0.9, 0.4, 1.0], [0.8, 0.3, 1.0], [0.2, 0.1, 0.0], [0.1, 0.05, 0.0]])
    targets = torch.tensor([[1.0] * 3, [1.0] * 3, [0.0] * 3, [0.0] * 3])
    for bias in (False, True):
        found = Temperature(False, bias).fit(scores, targets)
        assert ((found.slope >= SLOPES[0]) & (found.slope <= SLOPES[1])).all()
        assert torch.isfinite(found(scores)).all() and found.shift.isfinite().all()


@pytest.mark.parametrize("calibrator", [Temperature(False, True), Isotonic()])
def test_what_a_file_keeps_is_all_of_a_map(calibrator):
    found, others = calibrator.fit(*part(60)), torch.rand(7, 5)
    plain = found.plain
    assert all(isinstance(value, str | torch.Tensor) for value in plain.values())
    again = of_plain(plain, 5)
    assert torch.equal(again(others), found(others)) and of_plain(None, 5) is None
    broken = [
        plain | {"kind": "other"},
        plain | {"fitted": torch.ones(4, dtype=torch.bool)},
        {"kind": "steps"},
    ]
    number = "slope" if plain["kind"] == "logits" else "y"
    broken.append(plain | {number: torch.full_like(plain[number], torch.nan)})
    for wrong in broken:
        with pytest.raises((ValueError, KeyError, TypeError, RuntimeError)):
            of_plain(wrong, 5)


@pytest.mark.parametrize("calibrator", [Temperature(True, False), Isotonic()])
def test_what_nothing_can_be_fitted_on(calibrator):
    with pytest.raises(
        UserError, match="the calibration is to be fitted on the validation part, which has no"
    ):
        calibrator.fit(torch.rand(0, 2), torch.ones(0, 2))
    with pytest.raises(
        UserError, match="the calibration cannot be fitted: scores of the validation part are NaN"
    ):
        calibrator.fit(torch.full((3, 2), torch.nan), torch.ones(3, 2))
