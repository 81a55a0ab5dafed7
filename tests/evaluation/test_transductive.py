"""Cuts that meet the labels' frequencies in what they cut, against a loop over their definition."""

from fractions import Fraction
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from omegaconf import OmegaConf

from mlbench.config import options, target
from mlbench.evaluation.beside import Beside
from mlbench.evaluation.measure import measure
from mlbench.evaluation.suite import METRICS, OF_LABEL_SETS, evaluate, without_rule
from mlbench.evaluation.thresholds import Fixed
from mlbench.evaluation.transductive import LabelCardinality
from scored import scored_parts

CONF = Path(__file__).parents[2] / "conf" / "threshold"


def loop_cardinality_cuts(scores, positives, instances, lambda1, lambda2):
    """Exact fractions; a score is at a cut, or above it, as numbers of its own type are."""
    grid = [(k / 100, torch.tensor(k / 100).item()) for k in range(101)]
    labels, cuts = len(positives), []
    for label in range(labels):
        costs = []
        for _, cut in grid:
            share = [Fraction(sum(s >= cut for s in column), len(column)) for column in scores.T.tolist()]
            true = [Fraction(number, instances) for number in positives]
            overall = abs(sum(share) - sum(true))
            costs.append(lambda1 * overall + lambda2 * abs(share[label] - true[label]))
        cuts.append(grid[costs.index(min(costs))][0])
    return cuts


@settings(max_examples=25, deadline=None)
@given(scored_parts(), st.sampled_from([(0.5, 0.5), (1.0, 0.0), (0.0, 1.0), (0.25, 2.0)]))
def test_label_cardinality_is_a_loop_over_the_grid(case, weights):
    scores, targets, others = case
    rule = LabelCardinality(*weights, fit_on="test")
    rule.fit(scores, targets)
    positives = targets.sum(0).tolist()
    expected = loop_cardinality_cuts(others, positives, len(targets), *map(Fraction, weights))
    assert rule.cuts(others) == expected
    assert torch.equal(rule.label_sets(others), others >= torch.tensor(expected))
    rule = LabelCardinality(*weights, fit_on="training")
    rule.fit(scores, targets)
    expected = loop_cardinality_cuts(scores, positives, len(targets), *map(Fraction, weights))
    assert rule.cuts(others) == expected, "whatever is cut"


@pytest.mark.parametrize(
    ("name", "cuts"),
    [
        ("lcard_per_label", [0.26, 0.26, 0.21]),
        ("lcard_global", [0.26] * 3),
        ("frequency", [0.21, 0.31, 0.11]),
    ],
)
def test_label_cardinality_by_hand(name, cuts):
    """Six training instances, five to predict: Eq. 16, Eq. 13, frequency alone."""
    training = [[1, 0, 1], [0, 1, 0], [1, 1, 1], [0, 0, 1], [1, 0, 0], [1, 0, 1]]
    first, second, third = [0.905, 0.205, 0.405], [0.305, 0.605, 0.105], [0.055, 0.055, 0.055]
    scores = torch.tensor([first, second, third, [0.705, 0.555, 0.805], [0.205, 0.305, 0.255]])
    node = OmegaConf.to_container(OmegaConf.load(CONF / f"{name}.yaml"))
    rule = target(node)(**options(node))
    rule.fit(torch.zeros(6, 3), torch.tensor(training))
    assert rule.cuts(scores) == cuts
    if name == "lcard_per_label":
        found = ["".join(str(int(label)) for label in row) for row in rule.label_sets(scores)]
        assert found == ["101", "110", "000", "111", "011"]


def test_label_cardinality_predicts_at_the_cut():
    rule = LabelCardinality(0.0, 1.0, fit_on="test")
    rule.fit(torch.zeros(2, 1), torch.tensor([[1], [0]]))
    scores = torch.tensor([[0.3], [0.2]])
    assert rule.cuts(scores) == [0.21] and rule.label_sets(torch.tensor([[0.21], [0.2099]])).tolist()[1] == [
        0
    ]
    halves = torch.tensor([[0.5], [0.49]])
    assert rule.cuts(halves) == [0.5] and rule.label_sets(halves).tolist() == [[True], [False]]


def test_label_cardinality_looks_at_all_that_is_cut_and_keeps_nothing():
    rule = LabelCardinality(0.0, 1.0, fit_on="test")
    rule.fit(torch.zeros(4, 1), torch.tensor([[1], [0], [0], [0]]))
    low, high = torch.tensor([[0.1], [0.2], [0.3], [0.405]]), torch.tensor([[0.6], [0.7], [0.8], [0.905]])
    assert rule.cuts(low) == [0.31] and rule.cuts(high) == [0.81] and rule.cuts(low) == [0.31]
    assert rule.label_sets(low).tolist() == rule.label_sets(high).tolist() == [[False]] * 3 + [[True]]
    assert not rule.label_sets(torch.cat([low, high])).tolist()[3][0]


@settings(max_examples=25, deadline=None)
@given(scored_parts())
def test_what_stands_beside_is_measured_as_each_rule_alone_measures_it(case):
    """Cuts of the predicted part, of the training part, and one cut: by the same scores."""
    scores, targets, others = case
    truth = torch.ones_like(others)
    found = measure(Beside(0.5, 0.5, 0.3), others, truth, (scores, targets)).metrics
    alone = {
        "": LabelCardinality(0.5, 0.5, "test"),
        "_clean": LabelCardinality(0.5, 0.5, "training"),
        "_fixed": Fixed(0.3),
    }
    expected = {}
    for called, rule in alone.items():
        metrics = measure(rule, others, truth, (scores, targets)).metrics
        names = OF_LABEL_SETS if called else metrics
        expected |= {f"{name}{called}": metrics[name] for name in names}
    assert found == pytest.approx(expected, nan_ok=True, abs=0)
    assert all(without_rule(name) in METRICS for name in found)
    assert {without_rule(name) for name in found if name not in METRICS} == {*OF_LABEL_SETS}


def test_what_stands_beside_is_in_the_order_of_columns_that_is_asked_for():
    draws = torch.Generator().manual_seed(0)
    scores, targets = torch.rand(20, 3, generator=draws), torch.rand(20, 3, generator=draws).round()
    order = {"_turned": [2, 1, 0]}
    found = measure(Beside(0.5, 0.5, 0.5), scores, targets, (scores, targets), order).metrics
    for called, rule in {"_clean": LabelCardinality(0.5, 0.5, "training"), "_fixed": Fixed(0.5)}.items():
        rule.fit(scores, targets)
        turned = evaluate(None, rule.label_sets(scores).flip(1), targets, ["f1_macro"])["f1_macro"]
        assert found[f"f1_macro{called}_turned"] == turned != found[f"f1_macro{called}"]
