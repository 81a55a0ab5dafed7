"""Brier score, calibration errors and the bins behind them, against scikit-learn, torchmetrics and a loop."""

import math
from fractions import Fraction
from statistics import fmean

import pytest
import torch
import torchmetrics.functional.classification as tm
from sklearn.calibration import calibration_curve
from sklearn.metrics import brier_score_loss

from mlbench.evaluation import reliability as module
from mlbench.evaluation.reliability import brier, ece_macro, ece_micro, reliability


def case(seed=0, rows=200, columns=4):
    generator = torch.Generator().manual_seed(seed)
    scores = torch.rand(rows, columns, generator=generator)
    return scores, (torch.rand(rows, columns, generator=generator) < scores**2).long()


def loop_ece(scores, targets, bins=15):
    """In fractions, of one list; a bin has those above its lower border, up to the upper one."""
    total = Fraction(0)
    for number in range(bins):
        inside = [
            (Fraction(s), y)
            for s, y in zip(scores, targets)
            if Fraction(number, bins) < Fraction(s) <= Fraction(number + 1, bins) or (s == 0 and number == 0)
        ]
        total += abs(sum(s for s, _ in inside) - sum(y for _, y in inside))
    return float(total / len(scores))


@pytest.mark.parametrize("seed", range(3))
def test_a_loop_in_fractions(seed):
    scores, targets = case(seed)
    if seed == 2:
        scores = (scores * 8).round() / 8  # with 0 and 1 among them
    assert ece_micro(scores, targets).item() == pytest.approx(
        loop_ece(scores.flatten().tolist(), targets.flatten().tolist()), rel=1e-12
    )
    each = [loop_ece(s, y) for s, y in zip(scores.T.tolist(), targets.T.tolist())]
    assert ece_macro(scores, targets).item() == pytest.approx(fmean(each), rel=1e-12)
    squares = [(Fraction(s) - y) ** 2 for s, y in zip(scores.flatten().tolist(), targets.flatten().tolist())]
    assert brier(scores, targets).item() == pytest.approx(float(sum(squares) / len(squares)), rel=1e-12)


def test_the_border_of_two_bins_is_in_the_lower_one():
    edges = torch.arange(16, dtype=torch.float64).unsqueeze(1) / 15
    assert reliability(edges, torch.zeros(16, 1)).count.squeeze(1).tolist() == [2, *[1] * 14]


def test_scikit_learn():
    scores, targets = case()
    bins = reliability(scores, targets)
    for label in range(4):
        share, mean = calibration_curve(
            targets[:, label].numpy(), scores[:, label].double().numpy(), n_bins=15
        )
        filled = bins.count[:, label] > 0
        assert bins.share_relevant[filled, label].tolist() == pytest.approx(share.tolist(), rel=1e-12)
        assert bins.mean_score[filled, label].tolist() == pytest.approx(mean.tolist(), rel=1e-12)
    each = [brier_score_loss(targets[:, j].numpy(), scores[:, j].double().numpy()) for j in range(4)]
    assert brier(scores, targets).item() == pytest.approx(fmean(each), rel=1e-12)


def test_torchmetrics():
    scores, targets = case()
    theirs = tm.binary_calibration_error(scores.flatten(), targets.flatten(), n_bins=15, norm="l1")
    assert ece_micro(scores, targets).item() == pytest.approx(theirs.item(), abs=1e-6)
    each = [
        tm.binary_calibration_error(scores[:, j].contiguous(), targets[:, j].contiguous(), n_bins=15).item()
        for j in range(4)
    ]
    assert ece_macro(scores, targets).item() == pytest.approx(fmean(each), abs=1e-6)


def test_errors_of_labels_cancel_in_the_micro_mean_alone():
    scores = torch.full((4, 2), 0.5)
    targets = torch.tensor([[1, 0]] * 4)
    assert ece_micro(scores, targets) == 0 and ece_macro(scores, targets) == 0.5
    assert brier(scores, targets) == 0.25


def test_an_empty_bin_has_no_mean_and_blocks_are_without_influence(monkeypatch):
    scores, targets = case()
    whole = reliability(scores, targets, bins=1000)
    empty = whole.count == 0
    assert empty.any() and whole.mean_score[empty].isnan().all() and whole.share_relevant[empty].isnan().all()
    monkeypatch.setattr(module, "BLOCK", 9)
    cut = reliability(scores, targets, bins=1000)
    assert torch.equal(cut.count, whole.count) and torch.equal(cut.relevant, whole.relevant)
    assert cut.scores.sum().item() == pytest.approx(whole.scores.sum().item(), rel=1e-12)


def test_a_score_that_is_no_number():
    scores, targets = case()
    scores[3, 1] = math.nan
    assert all(math.isnan(metric(scores, targets)) for metric in (brier, ece_micro, ece_macro))
