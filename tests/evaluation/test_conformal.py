"""Conformal cuts: loops over their definitions, values of another program, and whether the promise holds."""

import math
from fractions import Fraction

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binom

from mlbench.evaluation.conformal import Conformal, false_discoveries, hoeffding_bentkus
from mlbench.evaluation.thresholds import NoCut
from scored import scored_parts

LEVELS = st.sampled_from([Fraction(1, 10), Fraction(1, 4), Fraction(1, 2), Fraction(3, 4)])


def loop_miss(scores, targets, cut):
    """The sum over instances with labels of the share of their labels that is not above the cut."""
    return sum(
        Fraction(sum(t and s <= cut for s, t in zip(row, true)), sum(true))
        for row, true in zip(scores.tolist(), targets.tolist())
        if any(true)
    )


@settings(max_examples=120)
@given(scored_parts(), LEVELS)
def test_the_cut_of_fnr_is_the_highest_whose_corrected_risk_is_allowed(case, level):
    scores, targets, _ = case
    rule = Conformal("fnr", float(level), 0.1)
    instances = int(targets.any(1).sum())

    def allowed(cut):
        return (loop_miss(scores, targets, cut) + 1) / (instances + 1) <= level

    lowest = float(torch.nextafter(scores.min(), torch.tensor(-1.0)))
    if not instances or not allowed(lowest):
        with pytest.raises(NoCut):
            rule.fit(scores, targets)
        return
    rule.fit(scores, targets)
    cut = rule.cuts(scores)
    above = float(torch.nextafter(torch.tensor(cut), torch.tensor(2.0)))
    assert allowed(cut) and not allowed(above)


def loop_discoveries(scores, true, cut):
    total = Fraction(0)
    for row, relevant in zip(scores.tolist(), true.tolist()):
        chosen = [r for s, r in zip(row, relevant) if s > cut]
        total += Fraction(chosen.count(False), len(chosen)) if chosen else 0
    return total


@settings(max_examples=60)
@given(scored_parts())
def test_false_discoveries_are_counted_as_in_a_loop(case):
    scores, targets, _ = case
    cuts = torch.tensor([0.0, 0.01, 0.02, 0.5, 0.9])
    found = false_discoveries(scores, targets.bool(), cuts)
    for total, cut in zip(found.tolist(), cuts.tolist()):
        assert total == pytest.approx(float(loop_discoveries(scores, targets.bool(), cut)), abs=1e-12)


def test_the_cut_of_fdr_is_the_last_before_the_first_that_fails():
    draws = torch.Generator().manual_seed(0)
    scores = torch.rand(300, 5, generator=draws)
    targets = torch.rand(300, 5, generator=draws) < scores
    rule = Conformal("fdr", 0.2, 0.1)
    rule.fit(scores, targets.float())
    last = None
    for step in reversed(range(1000)):
        cut = float(torch.tensor(step / 1000))
        mean = float(loop_discoveries(scores, targets, cut)) / 300
        low = min(mean, 0.2)
        kl = (low * math.log(low / 0.2) if low else 0) + (1 - low) * math.log((1 - low) / 0.8)
        p = min(math.exp(-300 * kl), math.e * binom.cdf(math.ceil(300 * mean - 1e-9), 300, 0.2))
        if p > 0.1:
            break
        last = cut
    assert rule.cuts(scores) == last and 0.3 < last < 0.9


def test_mapie_finds_the_same_cuts():
    """MAPIE 1.6.0 on these numbers, cuts 0, .001, ...: MultiLabelClassificationController(risk="recall",
    method="crc").best_predict_param; compute_hoeffding_bentkus_p_value and FWERFixedSequenceTesting(1) from
    the highest cut down. It counts an instance without predicted labels as wrong: here there is none.
    """
    rng = np.random.default_rng(7)
    scores = rng.random((400, 6)).astype(np.float32) ** 2
    targets = (rng.random((400, 6)) < scores).astype(int)
    scores[:, 0], targets[:, 0] = 0.9995, rng.random(400) < 0.95
    labelled = targets.any(1)
    scores, targets = torch.from_numpy(scores[labelled]), torch.from_numpy(targets[labelled])
    for level, theirs in {0.05: 0.184, 0.1: 0.291, 0.3: 0.652}.items():
        rule = Conformal("fnr", level, 0.1)
        rule.fit(scores, targets)
        assert theirs <= rule.cuts(scores) < theirs + 0.001
    for level, theirs in {0.2: 0.481, 0.3: 0.288, 0.4: 0.151}.items():
        rule = Conformal("fdr", level, 0.1)
        rule.fit(scores, targets)
        assert rule.cuts(scores) == pytest.approx(theirs, abs=1e-6)
    total = false_discoveries(scores, targets.bool(), torch.tensor([0.2, 0.5]))
    p = [hoeffding_bentkus(total, 395, level).tolist() for level in (0.2, 0.4)]
    np.testing.assert_allclose([p[0][1], p[1][0]], [0.032704, 0.002072], atol=5e-7)


def test_the_promise_holds_over_many_validation_parts():
    """200 draws from one distribution, with instances without labels and scores that are not calibrated."""
    draws = torch.Generator().manual_seed(0)
    missed, failures = [], 0
    for _ in range(200):
        scores = torch.rand(1100, 5, generator=draws)
        true = torch.rand(1100, 5, generator=draws) < scores**2
        part, new = slice(0, 100), slice(100, None)
        rule = Conformal("fnr", 0.2, 0.1)
        rule.fit(scores[part], true[part].float())
        sets, carried = rule.label_sets(scores[new]), true[new].sum(1)
        share = (true[new] & ~sets).sum(1)[carried > 0] / carried[carried > 0]
        missed.append(float(share.mean()))
        rule = Conformal("fdr", 0.4, 0.1)
        rule.fit(scores[part], true[part].float())
        sets = rule.label_sets(scores[new])
        wrong = (sets & ~true[new]).sum(1) / sets.sum(1).clamp(min=1)
        failures += float(wrong.mean()) > 0.4
    spread = np.std(missed) / math.sqrt(200)
    assert 0.2 - 1 / 50 < np.mean(missed) < 0.2 + 3 * spread  # not much below: the cut is the highest
    assert failures <= 0.1 * 200 + 3 * math.sqrt(200 * 0.1 * 0.9)


@pytest.mark.parametrize(
    "risk, level, rows, sentence",
    [
        ("fnr", 0.05, 18, "level=0.05 needs 19 instances with labels in the validation part, which has 18"),
        ("fnr", 0.5, 0, "needs 1 instances with labels in the validation part, which has 0"),
        ("fdr", 0.1, 21, "level=0.1 needs 22 instances in the validation part, which has 21"),
    ],
)
def test_a_part_that_is_too_small_is_refused_before_there_are_scores(risk, level, rows, sentence):
    rule = Conformal(risk, level, 0.1)
    targets = torch.zeros(30 if risk == "fnr" else rows, 2)
    targets[:rows, 0] = 1
    with pytest.raises(NoCut, match=sentence):
        rule.check(targets)
    rule.check(torch.ones(rows + 1, 2))


def test_no_cut_is_sure_enough():
    with pytest.raises(NoCut, match="no cut has a false discovery rate of at most"):
        Conformal("fdr", 0.1, 0.1).fit(torch.ones(50, 2), torch.zeros(50, 2))
