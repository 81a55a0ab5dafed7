"""The registry and what holds for all metrics: sharing, types, invariances, NaN, blocks."""

import math

import pytest
import torch

from mlbench.errors import UserError
from mlbench.evaluation import curves, label_sets, likelihood, order, ranking, reliability
from mlbench.evaluation.suite import METRICS, definition, evaluate, find, per_label, stem_of

SCORE_METRICS = [name for name, metric in METRICS.items() if metric.needs == "scores"]
MODULES = (label_sets, ranking, curves, likelihood, reliability)
FUNCTIONS = {name: getattr(module, name) for name in METRICS for module in MODULES if hasattr(module, name)}
LOSSES = {
    "bce",
    "brier",
    "ece_micro",
    "ece_macro",
    "subset_loss",
    "hamming_loss",
    "ranking_loss",
    "ranking_loss_defined",
    "coverage",
    "coverage_normalised",
    "coverage_steps",
    "coverage_minus_one_normalised",
    "one_error",
}
# Every name of the published tables that is computed from outputs.
PUBLISHED = {
    "subset_loss",
    "subset_accuracy",
    "hamming_loss",
    "hamming_accuracy",
    "f1_micro",
    "f1_macro",
    "f1_example",
    "f1_weighted",
    "precision",
    "ranking_loss",
    "coverage",
    "ap_macro",
    "precision_at_1",
    "auc_macro",
    "auc_micro",
    "auc_example",
}


def suite_case(seed=0, rows=40, columns=6):
    """Scores in eighths: exact in every float type, full of ties. Degenerate rows and labels."""
    generator = torch.Generator().manual_seed(seed)
    scores = torch.randint(0, 9, (rows, columns), generator=generator) / 8
    targets = torch.rand(rows, columns, generator=generator) < 0.3
    targets[0], targets[1], targets[:, 0] = False, True, False
    return scores, scores > 0.5, targets


def same(found, expected):
    assert found == pytest.approx(expected, rel=1e-12, abs=1e-12, nan_ok=True)


def test_registry():
    assert set(METRICS) >= PUBLISHED
    assert {name for name, metric in METRICS.items() if metric.better == "low"} == LOSSES
    for name, metric in METRICS.items():
        assert metric.name == name
        assert metric.needs == ("label_sets" if metric.family == "label_sets" else "scores")


def test_every_metric_says_what_it_is():
    for name, metric in METRICS.items():
        assert metric.reduce.__doc__, name


def test_metrics_of_the_top_k_are_made_for_any_k_and_say_theirs():
    assert find("ndcg_at_10") is find("ndcg_at_10") and "ndcg_at_10" not in METRICS
    assert "the top 20) / 20; NaN with fewer than 20 labels" in definition("precision_at_20")
    assert definition("recall_at_3") == definition("recall_at_10").replace("10", "3")
    assert stem_of("ndcg_at_10_shared_first") == "ndcg_at_10" == stem_of("ndcg_at_10")
    for name in ("ndcg_at_0", "ndcg_at_03", "ndcg_at_x", "ndgc_at_10", "ndcg_at_-1", "ndcg_at_²"):
        with pytest.raises(UserError, match=f"unknown metric '{name}'; did you mean ndcg_at_"):
            find(name)
    assert stem_of("f1_at_10") is None


def test_each_function_alone_gives_what_the_suite_gives():
    scores, sets, targets = suite_case()
    found = evaluate(scores, sets, targets)
    assert list(found) == list(METRICS)
    for name, metric in METRICS.items():
        alone = FUNCTIONS[name](sets if metric.needs == "label_sets" else scores, targets)
        assert alone.ndim == 0 and alone.dtype == torch.float64
        assert alone.item() == found[name] == evaluate(scores, sets, targets, [name])[name]
        assert type(found[name]) is float


def test_only_what_is_needed_is_asked_for():
    scores, sets, targets = suite_case()
    assert list(evaluate(None, sets, targets, ["f1_micro", "hamming_loss"])) == ["f1_micro", "hamming_loss"]
    assert list(evaluate(scores, None, targets, ["auc_micro", "coverage"])) == ["auc_micro", "coverage"]
    assert evaluate(scores, sets, targets, []) == {}
    with pytest.raises(AssertionError, match="f1_micro needs label_sets"):
        evaluate(scores, None, targets, ["f1_micro"])


def test_unknown_metric():
    with pytest.raises(UserError, match="unknown metric 'f1_mirco'; did you mean f1_micro"):
        find("f1_mirco")
    with pytest.raises(UserError, match=r"known are .*auc_micro"):
        evaluate(*suite_case(), names=["zzzz"])


def test_per_label():
    scores, sets, targets = suite_case()
    found = per_label(scores, sets, targets)
    assert list(found) == ["f1", "ap", "auc", "support"]
    assert found["support"] == targets.sum(0).tolist()
    metrics = evaluate(scores, sets, targets)
    assert math.fsum(found["f1"]) / 6 == pytest.approx(metrics["f1_macro"])
    assert math.fsum(found["ap"]) / 6 == pytest.approx(metrics["ap_macro"])
    assert (found["f1"][0], found["ap"][0]) == (0, 0) and math.isnan(found["auc"][0])
    assert math.fsum(found["auc"][1:]) / 5 == pytest.approx(metrics["auc_macro"])


@pytest.mark.parametrize("targets_type", [torch.bool, torch.uint8, torch.int64, torch.float32])
@pytest.mark.parametrize("scores_type", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_types(scores_type, targets_type):
    scores, sets, targets = suite_case()
    expected = evaluate(scores, sets, targets)
    found = evaluate(scores.to(scores_type), sets.to(targets_type), targets.to(targets_type))
    same(found, expected)


def test_hard_outputs_as_scores():
    _, sets, targets = suite_case()
    expected = evaluate(sets.float(), sets, targets)
    same(evaluate(sets, sets, targets), expected)
    same(evaluate(sets.long(), sets, targets), expected)


@pytest.mark.parametrize("seed", range(5))
def test_order_of_instances_and_labels_is_without_influence(seed):
    scores, sets, targets = suite_case(seed)
    expected = evaluate(scores, sets, targets)
    generator = torch.Generator().manual_seed(seed)
    columns = torch.randperm(6, generator=generator)
    same(evaluate(scores[:, columns], sets[:, columns], targets[:, columns]), expected)
    rows = torch.randperm(40, generator=generator)
    found = evaluate(scores[rows], sets[rows], targets[rows])
    (
        expected.pop("ap_macro_array_order"),
        found.pop("ap_macro_array_order"),
    )  # the one that says so in its name
    same(found, expected)


@pytest.mark.parametrize("transform", [lambda s: 3 * s - 7, torch.exp, lambda s: s.pow(3), torch.logit])
def test_only_the_order_of_scores_matters(transform):
    scores, _, targets = suite_case()
    by_order = [name for name in SCORE_METRICS if METRICS[name].family != "likelihood"]
    same(
        evaluate(transform(scores.double()), None, targets, by_order),
        evaluate(scores, None, targets, by_order),
    )


def test_each_list_has_its_own_scale():
    scores, _, targets = suite_case()
    by_label = ["ap_macro", "ap_macro_array_order", "ap_macro_interpolated", "auc_macro"]
    moved = scores * torch.arange(1, 7) + torch.arange(6)
    same(evaluate(moved, None, targets, by_label), evaluate(scores, None, targets, by_label))
    by_row = [name for name, metric in METRICS.items() if metric.family == "ranking"]
    moved = scores * torch.arange(1, 41).unsqueeze(1) - 5
    same(evaluate(moved, None, targets, by_row), evaluate(scores, None, targets, by_row))


def test_negative_zero_is_zero():
    scores = torch.tensor([[0.0, -0.0]])
    assert evaluate(scores, None, torch.tensor([[1, 0]]), ["auc_example"])["auc_example"] == 0.5


@pytest.mark.parametrize("block", [1, 7, 45, 10**6])
def test_blocks_are_without_influence(block, monkeypatch):
    scores, sets, targets = suite_case()
    expected = evaluate(scores, sets, targets)
    monkeypatch.setattr(order, "BLOCK", block)
    assert evaluate(scores, sets, targets) == pytest.approx(expected, rel=0, abs=0, nan_ok=True)


def test_views_are_welcome():
    scores, sets, targets = suite_case()
    expected = evaluate(scores[::2, 1:], sets[::2, 1:], targets[::2, 1:])
    contiguous = [part[::2, 1:].clone() for part in (scores, sets, targets)]
    assert evaluate(*contiguous) == expected
    kept = scores.clone(), sets.clone(), targets.clone()
    evaluate(scores, sets, targets)
    assert all(torch.equal(a, b) for a, b in zip(kept, (scores, sets, targets)))


def test_scores_that_are_not_numbers():
    scores, _, targets = suite_case()
    scores[5, 2] = math.nan
    assert targets[5].any() and not targets[5].all()
    found = evaluate(scores, None, targets, SCORE_METRICS)
    assert all(math.isnan(value) for value in found.values())
    assert [math.isnan(ap) for ap in per_label(scores, targets, targets)["ap"]] == [j == 2 for j in range(6)]


def test_one_entry():
    for target in (0, 1):
        found = evaluate(torch.tensor([[0.7]]), torch.tensor([[True]]), torch.tensor([[target]]))
        assert found["f1_macro"] == found["precision_at_1"] == found["subset_accuracy"] == target
        assert math.isnan(found["auc_macro"]) and math.isnan(found["auc_example"])


def test_shapes_are_checked():
    with pytest.raises(AssertionError):
        evaluate(torch.rand(3, 2), torch.rand(3, 2) > 0.5, torch.ones(3, 3))
    with pytest.raises(AssertionError, match="nothing to evaluate"):
        evaluate(None, torch.zeros(0, 3), torch.zeros(0, 3), ["f1_micro"])


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_gpu_gives_what_the_cpu_gives():
    scores, sets, targets = suite_case(rows=500)
    same(evaluate(scores.cuda(), sets.cuda(), targets.cuda()), evaluate(scores, sets, targets))
