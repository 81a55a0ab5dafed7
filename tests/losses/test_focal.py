"""Focal loss against a loop over its entries, and where it is another loss."""

import math

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from mlbench.losses.focal import focal


def focal_by_hand(logits, targets, alpha, gamma):
    total = 0.0
    for row_logits, row_targets in zip(logits.tolist(), targets.tolist()):
        for z, y in zip(row_logits, row_targets):
            p = 1 / (1 + math.exp(-z))
            total -= y * alpha * (1 - p) ** gamma * math.log(p)
            total -= (1 - y) * (1 - alpha) * p**gamma * math.log(1 - p)
    return total / targets.numel()


def drawn_for_focal(seed=0):
    generator = torch.Generator().manual_seed(seed)
    logits = 3 * torch.randn(6, 4, generator=generator, dtype=torch.float64)
    return logits, (torch.rand(6, 4, generator=generator) < 0.4).double()


@pytest.mark.parametrize("alpha", [0.0, 0.25, 0.5, 1.0])
@pytest.mark.parametrize("gamma", [0.0, 0.5, 1.0, 2.0, 5.0])
def test_it_is_its_formula(alpha, gamma):
    logits, targets = drawn_for_focal()
    assert focal(logits, targets, alpha, gamma).item() == pytest.approx(
        focal_by_hand(logits, targets, alpha, gamma), rel=1e-12
    )
    soft = torch.lerp(targets, torch.full_like(targets, 0.3), 0.5)
    assert focal(logits, soft, alpha, gamma).item() == pytest.approx(
        focal_by_hand(logits, soft, alpha, gamma), rel=1e-12
    )


@settings(max_examples=30, deadline=None)
@given(
    alpha=st.floats(0, 1),
    logits=st.lists(st.floats(-1e4, 1e4, width=32), min_size=1, max_size=6),
    seed=st.integers(0, 9),
)
def test_without_focus_it_is_weighted_cross_entropy(alpha, logits, seed):
    logits = torch.tensor([logits], dtype=torch.float64)
    targets = torch.rand(logits.shape, generator=torch.Generator().manual_seed(seed)).double().round()
    weights = alpha * targets + (1 - alpha) * (1 - targets)
    expected = F.binary_cross_entropy_with_logits(logits, targets, weight=weights)
    torch.testing.assert_close(focal(logits, targets, alpha, gamma=0.0), expected)


@pytest.mark.parametrize("gamma", [0.0, 0.3, 1.0, 2.0])
@pytest.mark.parametrize("size", [20.0, 90.0, 1e4])
def test_a_gradient_is_never_nothing_times_infinity(gamma, size):
    """(1 − p)^γ has an infinite slope at p = 1 where γ < 1."""
    logits = torch.tensor([[size, -size, size, -size]], requires_grad=True)
    focal(logits, torch.tensor([[1.0, 0.0, 0.0, 1.0]]), 0.25, gamma).backward()
    assert logits.grad.isfinite().all()
    assert logits.grad[0, 2] > 0 > logits.grad[0, 3]
    torch.testing.assert_close(logits.grad[0, :2], torch.zeros(2), rtol=0, atol=1e-8)
