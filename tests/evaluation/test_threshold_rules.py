"""Threshold rules beyond the plain ones, against loops over their definitions; and what holds for all."""

import math
import re
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import sklearn.metrics as sk
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from omegaconf import OmegaConf

from mlbench.compose import configure
from mlbench.config import options, target
from mlbench.engine.watch import Watch
from mlbench.errors import UserError
from mlbench.evaluation.f1_cuts import F1Averaging, F1PerLabel
from mlbench.evaluation.oracle import Oracle
from mlbench.evaluation.per_metric import ValidationPerMetric
from mlbench.evaluation.suite import METRICS, evaluate
from mlbench.evaluation.thresholds import Fixed, NoCut, evaluate_under, strictly_above
from mlbench.evaluation.top_k import TopK
from mlbench.evaluation.transductive import LabelCardinality
from scored import random_part, scored_parts

CONF = Path(__file__).parents[2] / "conf" / "threshold"
CHOICES = sorted(path.stem for path in CONF.glob("*.yaml"))
OF_SETS = {name for name, metric in METRICS.items() if metric.needs == "label_sets"}


def loop_f1(chosen, relevant):
    hits = sum(c and r for c, r in zip(chosen, relevant))
    return Fraction(2 * hits, max(sum(chosen) + sum(relevant), 1))


def loop_best_score(scores, relevant):
    """The score for which those at least as high have the best F1, the highest if several."""
    f1 = {score: loop_f1([s >= score for s in scores], relevant) for score in scores}
    return max(f1, key=lambda score: (f1[score], score))


@settings(max_examples=150, deadline=None)
@given(scored_parts())
def test_f1_averaging_is_a_loop_over_instances(case):
    scores, targets, others = case
    rule = F1Averaging(fit_on="training")
    rule.fit(scores, targets)
    best = [loop_best_score(s.tolist(), t.tolist()) for s, t in zip(scores, targets) if t.any()]
    if not best:
        assert rule.fitted_cuts == scores.max() and not rule.label_sets(scores).any()
        return
    mean = torch.tensor(best, dtype=torch.float64).mean().float().item()
    assert rule.fitted_cuts < mean and rule.fitted_cuts == pytest.approx(mean, abs=1e-6)
    assert torch.equal(rule.label_sets(others), others >= mean)


def test_f1_averaging_predicts_the_candidate_itself():
    scores = torch.tensor([[0.75, 0.5, 0.25, 0.25]])
    for relevant, predicted in (([1, 0, 0, 0], 1), ([1, 1, 0, 0], 2), ([0, 0, 1, 0], 4), ([1, 0, 1, 1], 4)):
        rule = F1Averaging(fit_on="training")
        rule.fit(scores, torch.tensor([relevant]))
        assert rule.label_sets(scores).sum() == predicted
    # best cuts 0.75 and 0.25, and an instance without labels, which has none
    rule.fit(torch.cat([scores] * 3), torch.tensor([[1, 0, 0, 0], [1, 1, 1, 1], [0, 0, 0, 0]]))
    assert rule.fitted_cuts < 0.5 and rule.fitted_cuts == pytest.approx(0.5)


@settings(max_examples=150, deadline=None)
@given(scored_parts())
def test_f1_per_label_is_a_loop_over_labels(case):
    scores, targets, _ = case
    rule = F1PerLabel(fit_on="validation")
    rule.fit(scores, targets)
    found = rule.label_sets(scores)
    for label in range(scores.shape[1]):
        column, relevant = scores[:, label].tolist(), targets[:, label].tolist()
        if not any(relevant):
            assert rule.fitted_cuts[label] == max(column) and not found[:, label].any()
            continue
        lowest = loop_best_score(column, relevant)
        assert found[:, label].tolist() == [score >= lowest for score in column]
        below = max((score for score in column if score < lowest), default=None)
        middle = lowest if below is None else (lowest + below) / 2
        assert rule.fitted_cuts[label] == pytest.approx(middle, abs=1e-6)


def test_f1_per_label_as_scikit_learn_has_it():
    draws = torch.Generator().manual_seed(0)
    scores = torch.randint(0, 40, (200, 5), generator=draws) / 40
    targets = (torch.rand(200, 5, generator=draws) < 0.2 + 0.5 * scores).int()
    rule = F1PerLabel(fit_on="training")
    rule.fit(scores, targets)
    found = sk.f1_score(targets, rule.label_sets(scores), average=None)
    for label in range(5):
        precision, recall, _ = sk.precision_recall_curve(targets[:, label], scores[:, label])
        best = max(2 * precision * recall / np.maximum(precision + recall, 1e-12))
        assert found[label] == pytest.approx(best)


@settings(max_examples=150, deadline=None)
@given(scored_parts(), st.integers(1, 4))
def test_top_k_is_a_loop_over_instances(case, k):
    scores = case[0]
    if k > scores.shape[1]:
        with pytest.raises(UserError, match=rf"threshold\.k={k}: there are {scores.shape[1]} labels"):
            TopK(k).label_sets(scores)
        return
    for row, found in zip(scores.tolist(), TopK(k).label_sets(scores).tolist()):
        sets = [[False] * len(row), *([s >= score for s in row] for score in sorted(row, reverse=True))]
        nearest = min(sets, key=lambda chosen: (abs(sum(chosen) - k), sum(chosen)))
        assert found == nearest
        if len(set(row)) == len(row):
            assert sum(found) == k


def test_top_k_does_not_depend_on_the_order_of_columns():
    rows = torch.tensor([[0.9, 0.5, 0.5, 0.1], [0.9, 0.9, 0.9, 0.1], [0.3, 0.3, 0.3, 0.3]])
    assert TopK(2).label_sets(rows).tolist() == [[1, 0, 0, 0], [1, 1, 1, 0], [0, 0, 0, 0]]
    assert torch.equal(TopK(2).label_sets(rows.flip(1)), TopK(2).label_sets(rows).flip(1))


@settings(max_examples=15, deadline=None)
@given(scored_parts())
def test_oracle_takes_the_best_of_its_cuts_for_each_metric(case):
    scores, targets, _ = case
    cuts = [0.02, 0.0, 0.5]
    rule = Oracle(cuts)
    rule.fit(scores, targets)
    found = evaluate_under(rule, scores, targets)
    every = [evaluate(scores, Fixed(cut).label_sets(scores), targets) for cut in cuts]
    assert list(found) == list(METRICS) and set(rule.cuts(scores)) == {f"{name}_oracle" for name in OF_SETS}
    for name, value in found.items():
        values = [each[name] for each in every if not math.isnan(each[name])]
        if not values:
            assert math.isnan(value)
        elif name not in OF_SETS:
            assert value == values[0]
        else:
            best = (max if METRICS[name].better == "high" else min)(values)
            first = next(cut for cut, each in zip(cuts, every) if each[name] == best)
            assert value == best and rule.cuts(scores)[f"{name}_oracle"] == first
    f1 = sk.f1_score(targets, rule.label_sets(scores), average="macro", zero_division=0)
    assert f1 == pytest.approx(found["f1_macro"]) if scores.shape[1] > 1 else True


@settings(max_examples=15, deadline=None)
@given(scored_parts())
def test_validation_per_metric_is_a_loop_over_cuts_of_the_part_it_is_fitted_on(case):
    scores, targets, others = case
    cuts = [0.02, 0.0, 0.5]
    rule = ValidationPerMetric(cuts)
    rule.fit(scores, targets)
    truth = (others > 0.3).float()
    found = evaluate_under(rule, others, truth)
    assert list(found) == list(METRICS)
    for name, value in found.items():
        if name not in OF_SETS:
            expected = evaluate(others, None, truth, [name])[name]
        else:
            best, sign, expected = None, 1 if METRICS[name].better == "high" else -1, math.nan
            for cut in cuts:
                seen = sign * evaluate(None, Fixed(cut).label_sets(scores), targets, [name])[name]
                if not math.isnan(seen) and (best is None or seen > best):
                    best = seen
                    expected = evaluate(None, Fixed(cut).label_sets(others), truth, [name])[name]
        assert value == pytest.approx(expected, abs=0, rel=0, nan_ok=True), name


def test_oracle_where_a_metric_is_undefined_or_the_columns_are_put_in_another_order():
    scores, targets = torch.tensor([[0.1, 0.8], [0.2, 0.7]]), torch.zeros(2, 2)
    rule = Oracle([0.9, 0.75])
    rule.fit(scores, targets)
    assert rule.cuts(scores)["f1_example_defined_oracle"] == 0.75  # 0; above all scores it is undefined
    assert evaluate_under(Oracle([0.9]), scores, targets, ["f1_example_defined"]) == {
        "f1_example_defined": pytest.approx(math.nan, nan_ok=True)
    }
    targets = torch.tensor([[1, 0], [1, 0]])
    rule = Oracle([0.15, 0.5])
    assert evaluate_under(rule, scores, targets, ["recall_micro", "one_error"]) == {
        "recall_micro": 0.5,
        "one_error": 1.0,
    }
    assert evaluate_under(rule, scores, targets, ["f1_micro"], columns=[1, 0]) == {"f1_micro": 1.0}


@pytest.fixture(params=CHOICES)
def threshold_choice(request):
    """A rule as its YAML has it; of `conformal`, a bound that few instances suffice for."""
    node = OmegaConf.to_container(OmegaConf.load(CONF / f"{request.param}.yaml"))
    node |= {"level": 0.6} if request.param == "conformal" else {}
    return lambda: target(node)(**options(node))


PARTS = {
    "some": (random_part(9, 4), random_part(7, 4, seed=1)[0]),
    "one row": (random_part(1, 4), random_part(1, 4, seed=1)[0]),
    "one label": (random_part(9, 1), random_part(7, 1, seed=1)[0]),
    "all equal": ((torch.full((3, 2), 0.5), random_part(3, 2)[1]), torch.full((4, 2), 0.5)),
    "no labels": ((random_part(9, 4)[0], torch.zeros(9, 4)), random_part(7, 4, seed=1)[0]),
}


@pytest.mark.parametrize("which", PARTS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_every_rule_gives_label_sets_and_cuts_for_the_record(which, dtype, threshold_choice):
    (scores, targets), others = PARTS[which]
    rule = threshold_choice()
    assert (rule.suffix == "_oracle") == (getattr(rule, "part", None) == "test")
    if rule.promises and not targets.any():
        with pytest.raises(NoCut):
            rule.fit(scores.to(dtype), targets)
        return
    rule.fit(scores.to(dtype), targets)
    others = others.to(dtype)
    before = others.clone()
    sets, cuts = rule.label_sets(others), rule.cuts(others)
    assert sets.shape == others.shape and sets.dtype == torch.bool and torch.equal(others, before)
    if isinstance(cuts, dict):
        assert set(cuts) == {f"{name}{rule.suffix}" for name in OF_SETS}
        cuts = cuts[f"f1_macro{rule.suffix}"]
    assert isinstance(cuts, float) or len(cuts) in (0, others.shape[1])
    if cuts != []:
        assert torch.equal(sets, strictly_above(others, cuts))
    for row in (0, slice(0, 0)):
        assert rule.label_sets(others[row].reshape(-1, others.shape[1])).ndim == 2
    assert all(
        isinstance(value, float)
        for value in evaluate_under(rule, others, random_part(*others.shape)[1]).values()
    )


def test_no_rule_but_oracle_looks_at_the_targets_of_what_it_cuts(threshold_choice):
    (scores, targets), others = PARTS["some"]
    rule = threshold_choice()
    rule.fit(scores, targets)
    truth = random_part(*others.shape, seed=5)[1]
    sets, cuts = rule.label_sets(others), rule.cuts(others)
    own = dict.fromkeys(OF_SETS, sets)
    if isinstance(cuts, dict):
        own = {name: others > cuts[f"{name}{rule.suffix}"] for name in OF_SETS}
    for seen in (truth, 1 - truth):
        found = evaluate_under(rule, others, seen, OF_SETS)
        as_fitted = {name: evaluate(None, own[name], seen, [name])[name] for name in OF_SETS}
        assert (found == as_fitted) == (rule.suffix == "")


def test_every_rule_selects_by_what_it_gives(threshold_choice, monkeypatch):
    """An epoch is looked at with the rule fitted on those scores; a cut a metric is then the best for it."""
    scores, targets = PARTS["some"][0]
    monkeypatch.setattr("mlbench.engine.watch.score_part", lambda *_: scores)
    module, data = torch.nn.Linear(1, 1), type("Data", (), {"targets": targets})
    for metric in ("hamming_loss", "f1_example", "ap_macro"):
        found = Watch("best", "validation", data, metric, threshold_choice()).look(module, 1)
        rule = threshold_choice()
        rule.fit(scores, targets)
        if isinstance(rule.cuts(scores), dict) and metric in OF_SETS:
            sign = 1 if METRICS[metric].better == "high" else -1
            every = [evaluate(None, scores > cut, targets, [metric])[metric] for cut in rule.cuts_to_try]
            assert found == sign * max(sign * value for value in every)
        else:
            assert found == evaluate(scores, rule.label_sets(scores), targets, [metric])[metric]


REFUSED = {
    "threshold.lambda1 is -1; it is a weight, 0 or more": (LabelCardinality, -1, 0.5, "test"),
    "threshold.lambda2 is inf": (LabelCardinality, 0.5, math.inf, "test"),
    "lambda1 and threshold.lambda2 are both 0": (LabelCardinality, 0, 0.0, "test"),
    "threshold.fit_on is 'test'": (F1PerLabel, "test"),
    "threshold.fit_on is 'train'; did you mean training?": (F1Averaging, "train"),
}


@pytest.mark.parametrize("words", REFUSED)
def test_options_that_cannot_be(words):
    rule, *given = REFUSED[words]
    with pytest.raises(UserError, match=re.escape(words)) as caught:
        rule(*given)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "given, said",
    [
        ("fixed value=7", "threshold.value=7: should be less than or equal to 1"),
        ("fixed value=-0.1", "threshold.value=-0.1: should be greater than or equal to 0"),
        ("fixed value=nan", "threshold.value=NaN: should be"),
        ("top_k k=0", "threshold.k=0: should be greater than or equal to 1"),
        ("top_k k=1.5", "threshold.k=1.5: should be a valid integer"),
        ("oracle cuts=[]", "threshold.cuts=[]: List should have at least 1 item"),
        ("oracle cuts=[0.5,a]", "threshold.cuts.1=a: should be a valid number"),
        ("oracle cuts=[0.5,1.5]", "threshold.cuts.1=1.5: should be less than or equal to 1"),
        ("oracle cuts=[nan]", "threshold.cuts.0=NaN: should be"),
    ],
)
def test_options_that_cannot_be_are_refused_before_any_data_is_read(given, said):
    choice, option = given.split()
    with pytest.raises(UserError, match=re.escape(said)):
        configure([f"threshold={choice}", f"threshold.{option}"])


def test_what_no_rule_can_be_fitted_on(threshold_choice):
    rule = threshold_choice()
    if rule.fitted:
        with pytest.raises(UserError, match="no instances"):
            rule.fit(torch.rand(0, 2), torch.ones(0, 2))
        with pytest.raises(UserError, match="NaN"):
            rule.fit(torch.full((3, 2), torch.nan), torch.ones(3, 2))
        with pytest.raises(AssertionError, match="fit the threshold first"):
            rule.label_sets(torch.rand(2, 2))
