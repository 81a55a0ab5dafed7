"""Losses that know label statistics against loops over their entries."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mlbench.losses.balanced import by_effective_number, cb_focal, cb_ntr, db, r_focal
from mlbench.losses.focal import focal

INSTANCES, COUNTS = 50, [0, 1, 7, 25, 50]
FOCUS = {"alpha": 0.3, "gamma": 1.5}
MAP = {"map_offset": 0.1, "map_slope": 10.0, "map_centre": 0.9}
NUMBER = {"beta": 0.97, "scale": 10.0}
TOLERANCE = {"kappa": 0.05, "tolerance": 2.0}
STATISTICS = {"positives": torch.tensor(COUNTS, dtype=torch.float64), "instances": INSTANCES}


def drawn_for_counts(soft=False):
    generator = torch.Generator().manual_seed(0)
    logits = 3 * torch.randn(7, 5, generator=generator, dtype=torch.float64)
    targets = (torch.rand(7, 5, generator=generator) < 0.4).double()
    targets[0], targets[1] = 0, 1
    return logits, targets if not soft else torch.lerp(targets, torch.full_like(targets, 0.3), 0.2)


def averaged(logits, targets, weight, shift=None, tolerance=1.0):
    """weight(j, row of targets) × focal loss of the shifted logits, by hand."""
    total = 0.0
    for row_logits, row in zip(logits.tolist(), targets.tolist()):
        for j, (z, y) in enumerate(zip(row_logits, row)):
            z += shift(j) if shift else 0
            p, q = 1 / (1 + math.exp(-z)), 1 / (1 + math.exp(-tolerance * z))
            relevant = 0.3 * (1 - p) ** 1.5 * -math.log(p)
            irrelevant = 0.7 * q**1.5 * -math.log(1 - q) / tolerance
            total += weight(j, row) * (y * relevant + (1 - y) * irrelevant)
    return total / targets.numel()


def class_weight(j, row):
    return 10 * (1 - 0.97) / (1 - 0.97 ** max(COUNTS[j], 1))


def rebalancing_weight(j, row):
    in_row = sum(y / max(n, 1) for y, n in zip(row, COUNTS))
    if not in_row:
        return 0.1 + 1
    rarity = 1 / max(COUNTS[j], 1) / in_row
    return 0.1 + 1 / (1 + math.exp(-10 * (rarity - 0.9)))


def shift_of(j):
    """−κ·log(N/n − 1), a count of 0 or N moved by one."""
    return -0.05 * math.log(INSTANCES / min(max(COUNTS[j], 1), INSTANCES - 1) - 1)


@pytest.mark.parametrize("soft", [False, True])
def test_they_are_their_formulas(soft):
    logits, targets = drawn_for_counts(soft)
    positives = STATISTICS["positives"]
    found = {
        "cb_focal": cb_focal(logits, targets, **FOCUS, **NUMBER, positives=positives),
        "r_focal": r_focal(logits, targets, **FOCUS, **MAP, positives=positives),
        "cb_ntr": cb_ntr(logits, targets, **FOCUS, **NUMBER, **TOLERANCE, **STATISTICS),
        "db": db(logits, targets, **FOCUS, **MAP, **TOLERANCE, **STATISTICS),
    }
    expected = {
        "cb_focal": averaged(logits, targets, class_weight),
        "r_focal": averaged(logits, targets, rebalancing_weight),
        "cb_ntr": averaged(logits, targets, class_weight, shift_of, 2.0),
        "db": averaged(logits, targets, rebalancing_weight, shift_of, 2.0),
    }
    assert {name: value.item() for name, value in found.items()} == pytest.approx(expected, rel=1e-10)


def test_without_tolerance_they_are_those_they_are_made_from():
    logits, targets = drawn_for_counts()
    none = {"kappa": 0.0, "tolerance": 1.0}
    positives = STATISTICS["positives"]
    torch.testing.assert_close(
        db(logits, targets, **FOCUS, **MAP, **none, **STATISTICS),
        r_focal(logits, targets, **FOCUS, **MAP, positives=positives),
    )
    torch.testing.assert_close(
        cb_ntr(logits, targets, **FOCUS, **NUMBER, **none, **STATISTICS),
        cb_focal(logits, targets, **FOCUS, **NUMBER, positives=positives),
    )
    torch.testing.assert_close(
        cb_focal(logits, targets, **FOCUS, beta=0.0, scale=1.0, positives=positives),
        focal(logits, targets, **FOCUS),
    )


@pytest.mark.parametrize("beta", [0.0, 0.5, 0.9, 0.999, 0.9999, 0.999999])
def test_class_weights_are_exact_in_single_precision(beta):
    counts = [0, 1, 2, 10, 1000, 1_000_000]
    found = by_effective_number(torch.tensor(counts, dtype=torch.float32), beta)
    expected = [1 / sum(beta**k for k in range(max(n, 1))) if n < 2000 else None for n in counts]
    expected[-1] = (1 - beta) / (1 - beta ** counts[-1])
    assert found.tolist() == pytest.approx(expected, rel=2e-6)


@settings(max_examples=40, deadline=None)
@given(data=st.data(), instances=st.integers(0, 10**6), beta=st.floats(0, 0.999999))
def test_no_statistics_make_a_weight_infinite(data, instances, beta):
    counts = data.draw(st.lists(st.integers(0, instances), min_size=4, max_size=4))
    positives = torch.tensor(counts, dtype=torch.float32)
    known = {"positives": positives, "instances": instances}
    targets = torch.tensor([[0.0, 0, 0, 0], [1, 1, 1, 1], [1, 0, 1, 0]])
    logits = torch.tensor([[3.0, -3, 0, 1e4]]).expand(3, 4).clone().requires_grad_()
    value = db(logits, targets, **FOCUS, **MAP, **TOLERANCE, **known)
    value = value + cb_ntr(logits, targets, **FOCUS, beta=beta, scale=1.0, **TOLERANCE, **known)
    value.backward()
    assert value.isfinite() and value >= 0 and logits.grad.isfinite().all()
    weights = by_effective_number(positives, beta)
    assert (weights > 0).all() and (weights <= 1 + 1e-6).all()
