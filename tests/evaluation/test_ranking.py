"""Metrics of the order of labels against loops, scikit-learn, torchmetrics, cases by hand."""

import math
from itertools import combinations, pairwise, permutations
from statistics import fmean

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as sk
from torchmetrics.functional import classification as tm

from mlbench.evaluation import ranking
from mlbench.evaluation.suite import METRICS, evaluate

LOG3 = 1 / math.log2(3)
RANKING_METRICS = [name for name, metric in METRICS.items() if metric.family == "ranking"]


@st.composite
def ranking_cases(draw):
    """A few rows and labels; scores with many ties; some rows empty, some full."""
    rows, columns = draw(st.integers(1, 5)), draw(st.integers(1, 6))
    levels = draw(st.sampled_from((1, 2, 3, 8, 64)))
    drawn = draw(st.binary(min_size=2 * rows * columns, max_size=2 * rows * columns))
    cells = [drawn[2 * i * columns : 2 * (i + 1) * columns] for i in range(rows)]
    scores = [[value % levels / 64 for value in row[:columns]] for row in cells]
    targets = []
    for row in cells:
        kind = row[columns] >> 1 & 7  # 0: empty, 1: full, else as drawn
        targets.append([kind] * columns if kind < 2 else [value & 1 for value in row[columns:]])
    return scores, targets


def expected_in_top(scores, targets, k):
    """Mean number of relevant labels among the top k, over every way to break the tie at its border."""
    border = sorted(scores, reverse=True)[k - 1]
    sure = [t for s, t in zip(scores, targets) if s > border]
    tied = [t for s, t in zip(scores, targets) if s == border]
    return fmean(sum(sure) + sum(choice) for choice in combinations(tied, k - len(sure)))


def expected_gain(scores, targets, k):
    """The mean of DCG over all orders of tied labels, over the best DCG; 0 without relevant labels."""
    orders = [
        order
        for order in permutations(range(len(scores)))
        if all(scores[a] >= scores[b] for a, b in pairwise(order))
    ]
    found = fmean(sum(targets[j] / math.log2(r + 2) for r, j in enumerate(o[:k])) for o in orders)
    best = sum(1 / math.log2(r + 2) for r in range(min(k, sum(targets))))
    return found / best if best else 0


def loop_one_row(scores, targets):
    labels = range(len(scores))
    relevant = [j for j in labels if targets[j]]
    irrelevant = [j for j in labels if not targets[j]]
    pairs = [(scores[j], scores[k]) for j in relevant for k in irrelevant]

    def at_least(j, among):
        return sum(scores[k] >= scores[j] for k in among)

    row = {"depth": max((at_least(j, labels) for j in relevant), default=0)}
    if pairs:
        row["loss"] = fmean(better <= worse for better, worse in pairs)
        row["auc"] = fmean((better > worse) + (better == worse) / 2 for better, worse in pairs)
    if relevant:
        row["ap"] = fmean(at_least(j, relevant) / at_least(j, labels) for j in relevant)
    row["relevant"] = len(relevant)
    row["gain"] = {k: expected_gain(scores, targets, k) for k in (3, 5) if k <= len(scores)}
    row["top"] = {k: expected_in_top(scores, targets, k) for k in (1, 3, 5) if k <= len(scores)}
    return row


def loop_ranking(scores, targets):
    """Every metric of the family, straight from its definition."""
    rows = [loop_one_row(s, t) for s, t in zip(scores, targets)]
    labels = len(scores[0])

    def defined(key):
        values = [row[key] for row in rows if key in row]
        return fmean(values) if values else math.nan

    def in_top(k):
        return fmean(row["top"][k] / k for row in rows) if k <= labels else math.nan

    def recall(k):
        shares = (row["top"][k] / max(row["relevant"], 1) for row in rows)
        return fmean(shares) if k <= labels else math.nan

    def gain(k):
        return fmean(row["gain"][k] for row in rows) if k <= labels else math.nan

    depth = fmean(row["depth"] for row in rows)
    return {
        "ranking_loss": fmean(row.get("loss", 0) for row in rows),
        "ranking_loss_defined": defined("loss"),
        "coverage": depth,
        "coverage_normalised": depth / labels,
        "coverage_steps": fmean(max(row["depth"] - 1, 0) for row in rows),
        "coverage_minus_one_normalised": (depth - 1) / labels,
        "one_error": 1 - in_top(1),
        "precision_at_1": in_top(1),
        "precision_at_3": in_top(3),
        "precision_at_5": in_top(5),
        "recall_at_1": recall(1),
        "recall_at_3": recall(3),
        "recall_at_5": recall(5),
        "ndcg_at_3": gain(3),
        "ndcg_at_5": gain(5),
        "ap_example": fmean(row.get("ap", 1) for row in rows),
        "ap_example_defined": defined("ap"),
        "auc_example": defined("auc"),
    }


@settings(max_examples=300, deadline=None)
@given(ranking_cases())
def test_ranking_equals_loops(case):
    scores, targets = case
    found = evaluate(torch.tensor(scores), None, torch.tensor(targets), RANKING_METRICS)
    assert found == pytest.approx(loop_ranking(scores, targets), rel=1e-12, abs=1e-12, nan_ok=True)


@settings(max_examples=100, deadline=None)
@given(ranking_cases(), st.integers(1, 8))
def test_the_top_k_may_be_of_any_k(case, k):
    scores, targets = case
    names = [f"{family}_at_{k}" for family in ("precision", "recall", "ndcg")]
    found = evaluate(torch.tensor(scores), None, torch.tensor(targets), ["precision_at_3", *names])
    there = loop_ranking(scores, targets)["precision_at_3"]
    expected = dict.fromkeys(names, math.nan)
    if k <= len(scores[0]):
        held = [expected_in_top(*row, k) for row in zip(scores, targets)]
        shares = [top / max(sum(map(bool, row)), 1) for top, row in zip(held, targets)]
        gains = [expected_gain(*row, k) for row in zip(scores, targets)]
        expected = dict(zip(names, (fmean(held) / k, fmean(shares), fmean(gains))))
    assert found == pytest.approx({"precision_at_3": there} | expected, rel=1e-12, abs=1e-12, nan_ok=True)


def random_rankings(seed, levels):
    generator = torch.Generator().manual_seed(seed)
    rows, columns = 20 + 5 * seed, 5 + seed % 6
    scores = (torch.rand(rows, columns, generator=generator) * levels).round() / levels
    targets = (torch.rand(rows, columns, generator=generator) < 0.4).int()
    targets[0], targets[1] = 0, 1
    return scores, targets


@pytest.mark.parametrize("levels", [3, 20, 10**6])
@pytest.mark.parametrize("seed", range(6))
def test_ranking_equals_scikit_learn(seed, levels):
    scores, targets = random_rankings(seed, levels)
    s, t = scores.numpy(), targets.numpy()
    mixed = (t.sum(1) > 0) & (t.sum(1) < t.shape[1])
    expected = {
        "ranking_loss": sk.label_ranking_loss(t, s),
        "ranking_loss_defined": sk.label_ranking_loss(t[mixed], s[mixed]),
        "coverage": sk.coverage_error(t, s),
        "ap_example": sk.label_ranking_average_precision_score(t, s),
        "ndcg_at_3": sk.ndcg_score(t, s, k=3),
        "ndcg_at_5": sk.ndcg_score(t, s, k=5),
        "ap_example_defined": sk.label_ranking_average_precision_score(t[t.sum(1) > 0], s[t.sum(1) > 0]),
        "auc_example": sk.roc_auc_score(t[mixed], s[mixed], average="samples"),
    }
    assert evaluate(scores, None, targets, expected) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("seed", range(4))
def test_ranking_equals_torchmetrics(seed):
    scores, targets = random_rankings(seed, 4)
    labels = targets.shape[1]
    expected = {
        "coverage": tm.multilabel_coverage_error(scores, targets, labels).item(),
        "ap_example": tm.multilabel_ranking_average_precision(scores, targets, labels).item(),
    }
    assert evaluate(scores, None, targets, expected) == pytest.approx(expected, rel=1e-6)
    # Its ranking loss orders ties by position; without ties it agrees.
    distinct = scores + torch.linspace(0, 0.01, labels)
    expected = {"ranking_loss": tm.multilabel_ranking_loss(distinct, targets, labels).item()}
    assert evaluate(distinct, None, targets, expected) == pytest.approx(expected, rel=1e-6)


def test_ranking_worked_by_hand():
    scores = torch.tensor(
        [[0.9, 0.5, 0.5, 0.1], [0.2, 0.8, 0.6, 0.4], [0.3, 0.3, 0.3, 0.3], [0.1, 0.2, 0.3, 0.4]]
    )
    targets = torch.tensor([[1, 1, 0, 0], [1, 0, 1, 0], [0, 0, 0, 0], [1, 1, 1, 1]])
    # Row 0: pairs (a, c), (a, d), (b, d) right, (b, c) tied. Row 1: a below b and d, c below b and above d.
    expected = {
        "ranking_loss": (1 / 4 + 3 / 4 + 0 + 0) / 4,
        "ranking_loss_defined": (1 / 4 + 3 / 4) / 2,
        "coverage": (3 + 4 + 0 + 4) / 4,
        "coverage_normalised": (3 + 4 + 0 + 4) / 16,
        "coverage_steps": (2 + 3 + 0 + 3) / 4,
        "coverage_minus_one_normalised": ((3 + 4 + 0 + 4) / 4 - 1) / 4,
        "precision_at_1": (1 + 0 + 0 + 1) / 4,
        "one_error": 2 / 4,
        "precision_at_3": (2 + 1 + 0 + 3) / 12,
        "recall_at_1": (1 / 2 + 0 + 0 + 1 / 4) / 4,
        "recall_at_3": (2 / 2 + 1 / 2 + 0 + 3 / 4) / 4,
        "ndcg_at_3": ((1 + (LOG3 + 1 / 2) / 2) / (1 + LOG3) + LOG3 / (1 + LOG3) + 0 + 1) / 4,
        "ap_example": ((1 + 2 / 3) / 2 + (1 / 2 + 2 / 4) / 2 + 1 + 1) / 4,
        "ap_example_defined": ((1 + 2 / 3) / 2 + (1 / 2 + 2 / 4) / 2 + 1) / 3,
        "auc_example": (3.5 / 4 + 1 / 4) / 2,
    }
    assert evaluate(scores, None, targets, expected) == pytest.approx(expected, rel=1e-12)


def test_ties_at_the_top_count_in_expectation():
    scores, targets = torch.full((1, 4), 0.5), torch.tensor([[1, 0, 0, 1]])
    assert ranking.precision_at_1(scores, targets).item() == 1 / 2
    assert ranking.one_error(scores, targets).item() == 1 / 2
    assert ranking.precision_at_3(scores, targets).item() == pytest.approx(2 * (3 / 4) / 3)
    assert math.isnan(ranking.precision_at_5(scores, targets))


def test_without_a_mixed_row():
    scores, targets = torch.rand(2, 3), torch.tensor([[0, 0, 0], [1, 1, 1]])
    found = evaluate(scores, None, targets, RANKING_METRICS)
    assert found["ranking_loss"] == 0
    assert math.isnan(found["ranking_loss_defined"]) and math.isnan(found["auc_example"])
    assert found["ap_example"] == found["ap_example_defined"] == 1
    empty = torch.zeros(2, 3)
    assert math.isnan(ranking.ap_example_defined(scores, empty))
    assert ranking.coverage(scores, empty) == 0 and ranking.coverage_steps(scores, empty) == 0
    assert ranking.coverage_minus_one_normalised(scores, empty).item() == pytest.approx(-1 / 3)
