"""Pairwise ranking against a loop over all pairs."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mlbench.losses.ranking import ranking


def ranking_by_hand(logits, targets):
    total = 0.0
    for zs, ys in zip(logits.tolist(), targets.tolist()):
        relevant = [math.tanh(z) for z, y in zip(zs, ys) if y]
        irrelevant = [math.tanh(z) for z, y in zip(zs, ys) if not y]
        pairs = [math.exp(low - high) for high in relevant for low in irrelevant]
        total += sum(pairs) / len(pairs) if pairs else 0.0
    return total / len(targets)


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**31), rows=st.integers(1, 5), labels=st.integers(1, 6))
def test_it_is_the_mean_over_all_pairs(seed, rows, labels):
    generator = torch.Generator().manual_seed(seed)
    logits = 2 * torch.randn(rows, labels, generator=generator, dtype=torch.float64)
    targets = (torch.rand(rows, labels, generator=generator) < 0.4).double()
    assert ranking(logits, targets).item() == pytest.approx(ranking_by_hand(logits, targets), rel=1e-12)


@pytest.mark.parametrize("filling", [0.0, 1.0])
def test_an_instance_without_a_pair_costs_nothing_and_counts(filling):
    logits = torch.tensor([[1.0, -1.0], [0.5, 2.0]], requires_grad=True)
    targets = torch.tensor([[1.0, 0.0], [filling, filling]])
    value = ranking(logits, targets)
    value.backward()
    assert value.item() == pytest.approx(math.exp(-2 * math.tanh(1)) / 2)
    assert not logits.grad[1].any() and logits.grad[0].all()


def test_a_soft_target_weighs_as_relevant_and_as_irrelevant():
    logits, targets = torch.tensor([[0.3, -0.8, 1.2]]).double(), torch.tensor([[0.9, 0.2, 0.6]]).double()
    outputs, pairs, weights = logits[0].tanh().tolist(), 0.0, 0.0
    for k, high in enumerate(targets[0].tolist()):
        for j, low in enumerate(targets[0].tolist()):
            pairs += high * (1 - low) * math.exp(outputs[j] - outputs[k])
            weights += high * (1 - low)
    assert ranking(logits, targets).item() == pytest.approx(pairs / weights)


def test_the_worst_and_the_best_order_are_bounded():
    logits, targets = torch.tensor([[1e4, -1e4]]), torch.tensor([[1.0, 0.0]])
    assert ranking(logits, targets).item() == pytest.approx(math.exp(-2))
    assert ranking(-logits, targets).item() == pytest.approx(math.exp(2))
