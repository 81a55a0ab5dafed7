"""Losses with a softmax or a log-sum-exp against loops over their entries."""

import math

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from mlbench.losses.softmax import balanced_softmax, softmax_pal


def drawn_for_softmax(soft=False):
    generator = torch.Generator().manual_seed(0)
    logits = 3 * torch.randn(7, 5, generator=generator, dtype=torch.float64)
    targets = (torch.rand(7, 5, generator=generator) < 0.4).double()
    targets[0], targets[1] = 0, 1
    return logits, targets if not soft else torch.lerp(targets, torch.full_like(targets, 0.3), 0.2)


@pytest.mark.parametrize("soft", [False, True])
def test_balanced_softmax_is_its_formula(soft):
    logits, targets = drawn_for_softmax(soft)
    total = 0.0
    for zs, ys in zip(logits.tolist(), targets.tolist()):
        total += math.log(1 + sum((1 - y) * math.exp(z) for z, y in zip(zs, ys)))
        total += math.log(1 + sum(y * math.exp(-z) for z, y in zip(zs, ys)))
    assert balanced_softmax(logits, targets).item() == pytest.approx(total / 7, rel=1e-12)


def test_balanced_softmax_of_one_label_is_cross_entropy():
    logits, targets = (part[:, :1] for part in drawn_for_softmax())
    expected = F.binary_cross_entropy_with_logits(logits, targets)
    torch.testing.assert_close(balanced_softmax(logits, targets), expected)


def test_balanced_softmax_survives_a_target_rounded_beyond_one():
    logits = torch.zeros(2, 3, requires_grad=True)
    balanced_softmax(logits, torch.tensor([[1 + 1e-7, -1e-7, 1.0]]).expand(2, 3)).backward()
    assert logits.grad.isfinite().all()


@pytest.mark.parametrize("soft", [False, True])
@pytest.mark.parametrize("normalised", [False, True])
def test_pick_all_labels_is_its_formula(soft, normalised):
    logits, targets = drawn_for_softmax(soft)
    total = 0.0
    for zs, ys in zip(logits.tolist(), targets.tolist()):
        whole = math.log(sum(math.exp(z) for z in zs))
        cost = sum(y * (whole - z) for z, y in zip(zs, ys))
        total += cost / max(sum(ys), 1) if normalised else cost
    assert softmax_pal(logits, targets, normalised).item() == pytest.approx(total / 7, rel=1e-12)


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**31), labels=st.integers(1, 6), normalised=st.booleans())
def test_pick_all_labels_of_one_positive_is_softmax_cross_entropy(seed, labels, normalised):
    generator = torch.Generator().manual_seed(seed)
    logits = 100 * torch.randn(4, labels, generator=generator)
    classes = torch.randint(labels, (4,), generator=generator)
    found = softmax_pal(logits, F.one_hot(classes, labels).float(), normalised)
    torch.testing.assert_close(found, F.cross_entropy(logits, classes))
