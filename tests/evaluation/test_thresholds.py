"""Threshold rules: what they match, how they cut ties, where the cut lies."""

from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from omegaconf import OmegaConf

from mlbench.errors import UserError
from mlbench.evaluation.thresholds import (
    Cardinality,
    Fixed,
    FrequencyPerLabel,
    cut_for_count,
    cuts_for_counts,
)

CONF = Path(__file__).parents[2] / "conf" / "threshold"


@st.composite
def threshold_cases(draw):
    rows, columns = draw(st.integers(1, 7)), draw(st.integers(1, 4))
    levels = draw(st.sampled_from((1, 2, 4, 64)))
    drawn = draw(st.binary(min_size=2 * rows * columns, max_size=2 * rows * columns))
    scores = torch.tensor([value % levels / 64 for value in drawn[: rows * columns]]).reshape(rows, columns)
    targets = torch.tensor([value & 1 for value in drawn[rows * columns :]]).reshape(rows, columns)
    return scores, targets


def loop_best_count(scores, wanted):
    """Of the numbers of scores that a cut leaves above it, the nearest to the one wanted, or the smaller."""
    possible = {sum(s > cut for s in scores) for cut in [-1.0, *scores]}
    return min(possible, key=lambda count: (abs(count - wanted), count))


@settings(max_examples=300, deadline=None)
@given(threshold_cases())
def test_rules_match_as_nearly_as_a_cut_can(case):
    scores, targets = case
    rule = Cardinality(fit_on="training")
    rule.fit(scores, targets)
    assert rule.label_sets(scores).sum() == loop_best_count(scores.flatten().tolist(), targets.sum().item())
    rule = FrequencyPerLabel(fit_on="validation")
    rule.fit(scores, targets)
    expected = [loop_best_count(s.tolist(), t.sum().item()) for s, t in zip(scores.T, targets.T)]
    assert rule.label_sets(scores).sum(0).tolist() == expected


def cut_for(scores, count):
    by_sorting = cuts_for_counts(torch.tensor([scores]), torch.tensor([count])).item()
    assert cut_for_count(torch.tensor(scores), count).item() == by_sorting
    return by_sorting


def test_the_cut_is_the_middle():
    assert cut_for([0.25, 1.0, 0.5, 0.75], 2) == 0.625
    assert cut_for([0.25, 1.0, 0.5, 0.75], 1) == 0.875


def test_none_and_all():
    scores = torch.tensor([0.25, 1.0, 0.5])
    none, every = cut_for([0.25, 1.0, 0.5], 0), cut_for([0.25, 1.0, 0.5], 3)
    assert none == 1.0 and not (scores > none).any()
    assert every < 0.25 and every == pytest.approx(0.25) and (scores > every).all()
    assert (torch.zeros(1, 3) > cut_for([0.0, 0.0, 0.0], 3)).all()


def test_a_tied_group_stays_whole():
    # 1 of 3 tied wanted: none is nearer. 2 of 3: all are. 1 of 2: equally near, so left out.
    assert cut_for([0.5, 0.5, 0.5, 0.25], 1) == 0.5
    assert cut_for([0.5, 0.5, 0.5, 0.25], 2) == 0.375
    assert cut_for([0.5, 0.5, 0.25, 0.25], 1) == 0.5


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_neighbouring_numbers_are_told_apart(dtype):
    low = torch.tensor([0.3, 0.7, 0.1], dtype=dtype)
    high = torch.nextafter(low, torch.ones_like(low))
    scores, targets = torch.stack([low, high]), torch.tensor([[0, 0, 0], [1, 1, 1]])
    rule = FrequencyPerLabel(fit_on="training")
    rule.fit(scores, targets)
    assert torch.equal(rule.label_sets(scores), targets.bool())


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_strictly_above(dtype):
    scores = torch.tensor([[0.5, 0.5078125, 0.4921875, 1.0]], dtype=dtype)
    assert Fixed(0.5).label_sets(scores).tolist() == [[False, True, False, True]]
    assert Fixed(0.5).label_sets(scores).dtype == torch.bool
    assert not Fixed(0.1).label_sets(torch.tensor([[0.1]])).any()  # though float32(0.1) > 0.1


def test_cuts_for_the_record():
    scores, targets = torch.tensor([[0.75, 0.5], [0.25, 0.0]]), torch.tensor([[1, 1], [0, 1]])
    assert Fixed(0.05).cuts(scores) == 0.05
    rule = Cardinality(fit_on="training")
    rule.fit(scores, targets)
    assert rule.cuts(scores) == 0.125
    assert rule.label_sets(torch.tensor([[0.125, 0.2]])).tolist() == [[False, True]]
    rule = FrequencyPerLabel(fit_on="training")
    rule.fit(scores, targets)
    assert rule.cuts(scores)[0] == 0.5 and rule.cuts(scores)[1] < 0


def test_what_cannot_be_fitted():
    scores, targets = torch.rand(3, 2), torch.ones(3, 2)
    with pytest.raises(UserError, match="'train'; did you mean training"):
        Cardinality(fit_on="train")
    with pytest.raises(UserError, match="fit_on is 'test'"):
        FrequencyPerLabel(fit_on="test")
    with pytest.raises(UserError, match="validation part, which has no instances"):
        Cardinality(fit_on="validation").fit(scores[:0], targets[:0])
    with pytest.raises(UserError, match="NaN"):
        FrequencyPerLabel(fit_on="training").fit(scores.fill_(torch.nan), targets)
    with pytest.raises(AssertionError, match="fit the threshold first"):
        Cardinality(fit_on="training").label_sets(scores)


@pytest.mark.parametrize(
    ("choice", "rule"), [("fixed", Fixed), ("cardinality", Cardinality), ("per_label", FrequencyPerLabel)]
)
def test_choices_in_conf(choice, rule):
    conf = OmegaConf.to_container(OmegaConf.load(CONF / f"{choice}.yaml"))
    assert conf.pop("_target_") == f"{rule.__module__}.{rule.__qualname__}"
    built = rule(**conf)
    assert built.fitted == ("fit_on" in conf) and built.suffix == ""
    built.fit(torch.rand(4, 3), torch.ones(4, 3))
    assert built.label_sets(torch.rand(2, 3)).shape == (2, 3)
