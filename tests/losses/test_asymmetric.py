"""Asymmetric loss against a loop over its entries, and where it is another loss."""

import math

import pytest
import torch

from mlbench.losses.asymmetric import LEAST, asl
from mlbench.losses.bce import bce
from mlbench.losses.focal import focal


def asl_by_hand(logits, targets, gamma_positive, gamma_negative, clip, weighed_at=None):
    """The weights are those of the logits `weighed_at`, where they are given."""
    total = 0.0
    for i, row in enumerate(targets.tolist()):
        for j, y in enumerate(row):
            p = 1 / (1 + math.exp(-logits[i, j].item()))
            at = p if weighed_at is None else 1 / (1 + math.exp(-weighed_at[i, j].item()))
            relevant = (1 - at) ** gamma_positive * math.log(max(p, LEAST))
            irrelevant = max(at - clip, 0) ** gamma_negative * math.log(max(min(1 - p + clip, 1), LEAST))
            total -= y * relevant + (1 - y) * irrelevant
    return total / len(targets)


def drawn_for_asl(rows=6, labels=4):
    generator = torch.Generator().manual_seed(0)
    logits = 3 * torch.randn(rows, labels, generator=generator, dtype=torch.float64)
    return logits.requires_grad_(), (torch.rand(rows, labels, generator=generator) < 0.4).double()


SETTINGS = [(0.0, 4.0, 0.05), (1.0, 4.0, 0.05), (2.0, 2.0, 0.0), (0.5, 0.5, 0.2), (0.0, 0.0, 0.0)]


@pytest.mark.parametrize("how", SETTINGS, ids=str)
@pytest.mark.parametrize("detach", [True, False])
def test_it_is_its_formula(how, detach):
    logits, targets = drawn_for_asl()
    expected = asl_by_hand(logits, targets, *how)
    assert asl(logits, targets, *how, detach).item() == pytest.approx(expected, abs=1e-7)


@pytest.mark.parametrize("how", SETTINGS, ids=str)
@pytest.mark.parametrize("detach", [True, False])
def test_detached_weights_have_no_gradient(how, detach):
    logits, targets = drawn_for_asl(2, 3)
    asl(logits, targets, *how, detach).backward()
    for i, j in torch.cartesian_prod(torch.arange(2), torch.arange(3)).tolist():
        step = torch.zeros_like(targets)
        step[i, j] = 1e-6
        at = logits if detach else None
        above, below = (asl_by_hand(logits + s * step, targets, *how, weighed_at=at) for s in (1, -1))
        assert logits.grad[i, j].item() == pytest.approx((above - below) / 2e-6, abs=1e-6)


@pytest.mark.parametrize("detach", [True, False])
def test_without_focus_and_shift_it_is_cross_entropy(detach):
    logits, targets = drawn_for_asl()
    torch.testing.assert_close(asl(logits, targets, 0, 0, 0, detach), 4 * bce(logits, targets, None))


def test_with_equal_focus_and_no_shift_it_is_focal_loss():
    logits, targets = drawn_for_asl()
    torch.testing.assert_close(asl(logits, targets, 2, 2, 0, False), 4 * 2 * focal(logits, targets, 0.5, 2))


def test_an_easy_irrelevant_label_costs_nothing():
    logits = torch.tensor([[0.04, 0.05]]).logit().requires_grad_()
    value = asl(logits, torch.zeros(1, 2), 0.0, 0.5, 0.05, detach_focal_weight=False)
    value.backward()
    assert value.item() == pytest.approx(0, abs=1e-7) and logits.grad[0, 0] == 0


def test_its_logarithms_are_clamped_as_in_the_authors_code():
    assert asl(torch.tensor([[-30.0]]), torch.ones(1, 1), 0.0, 4.0, 0.05, True).item() == pytest.approx(
        -math.log(1e-8)
    )


@pytest.mark.parametrize("gamma", [0.0, 0.1, 0.5, 4.0])
@pytest.mark.parametrize("clip", [0.0, 0.05])
def test_a_gradient_through_the_weights_is_finite(gamma, clip):
    sizes = torch.tensor([0.0, 17.0, 30.0, 90.0, 104.0, 1e4])
    logits = torch.stack([sizes, -sizes]).requires_grad_()
    for filling in (torch.zeros(2, 6), torch.ones(2, 6)):
        (gradient,) = torch.autograd.grad(asl(logits, filling, gamma, gamma, clip, False), logits)
        assert gradient.isfinite().all() and gradient.abs().max() < 10
