"""Binary cross-entropy of scores against a loop, scikit-learn, torch, and at the ends of [0, 1]."""

import math
from statistics import fmean

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import log_loss

from mlbench.evaluation import likelihood
from mlbench.evaluation.likelihood import bce

LIMIT = 23 * math.log(2)  # what a score of 0 or 1 costs that is wrong


def loop_bce(scores, targets):
    costs = []
    for row, truth in zip(scores, targets):
        for score, relevant in zip(row, truth):
            score = min(max(score, 2**-23), 1 - 2**-23)
            costs.append(-math.log(score if relevant else 1 - score))
    return fmean(costs)


@st.composite
def probabilities(draw):
    """Single-precision scores, 0 and 1 among them."""
    rows, columns = draw(st.integers(1, 6)), draw(st.integers(1, 4))
    score = st.sampled_from((0.0, 1.0, 2**-30, 1 - 2**-24)) | st.floats(0, 1, width=32)
    scores = draw(st.lists(score, min_size=rows * columns, max_size=rows * columns))
    targets = draw(st.lists(st.integers(0, 1), min_size=rows * columns, max_size=rows * columns))
    return torch.tensor(scores).view(rows, columns), torch.tensor(targets).view(rows, columns)


@given(probabilities())
def test_loop(case):
    scores, targets = case
    found = bce(scores, targets).item()
    assert found == pytest.approx(loop_bce(scores.tolist(), targets.tolist()), rel=1e-12)


@given(probabilities())
def test_scikit_learn(case):
    scores, targets = case
    theirs = [log_loss(y, p, labels=[0, 1]) for y, p in zip(targets.T.numpy(), scores.T.numpy())]
    assert bce(scores, targets).item() == pytest.approx(fmean(theirs), rel=1e-5, abs=1e-6)


def test_the_loss_of_logits_that_are_not_large():
    generator = torch.Generator().manual_seed(0)
    logits = 3 * torch.randn(200, 7, generator=generator)
    targets = (torch.rand(200, 7, generator=generator) < 0.3).float()
    expected = F.binary_cross_entropy_with_logits(logits.double(), targets.double())
    assert bce(logits.sigmoid(), targets).item() == pytest.approx(expected.item(), rel=1e-6)


@pytest.mark.parametrize(
    ("score", "target", "cost"), [(0, 1, LIMIT), (1, 0, LIMIT), (0, 0, 0), (1, 1, 0), (0.25, 1, math.log(4))]
)
def test_by_hand(score, target, cost):
    for kind in (torch.float32, torch.float64):
        found = bce(torch.tensor([[score]], dtype=kind), torch.tensor([[target]]))
        assert found.item() == pytest.approx(cost, abs=2e-7)


@pytest.mark.parametrize("block", [1, 7, 20])
def test_blocks(block, monkeypatch):
    generator = torch.Generator().manual_seed(0)
    scores, targets = torch.rand(30, 6, generator=generator), torch.rand(30, 6, generator=generator) < 0.3
    expected = bce(scores, targets).item()
    monkeypatch.setattr(likelihood, "BLOCK", block)
    assert bce(scores, targets).item() == pytest.approx(expected, rel=1e-13)
