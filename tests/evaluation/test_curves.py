"""Average precision and area under the ROC curve against loops, scikit-learn, torchmetrics, cases by hand."""

import math
import warnings
from statistics import fmean

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as sk
from torchmetrics.functional import classification as tm

from mlbench.evaluation import curves
from mlbench.evaluation.suite import METRICS, evaluate

CURVE_METRICS = [name for name, metric in METRICS.items() if metric.family == "curves"]


@st.composite
def curve_cases(draw):
    """A few rows and labels; scores with many ties; some labels without positives, some without negatives."""
    rows, columns = draw(st.integers(1, 8)), draw(st.integers(1, 4))
    levels = draw(st.sampled_from((1, 2, 3, 8, 64)))
    drawn = draw(st.binary(min_size=2 * rows * columns, max_size=2 * rows * columns))
    cells = [drawn[2 * j * rows : 2 * (j + 1) * rows] for j in range(columns)]
    scores = [[value % levels / 64 for value in column[:rows]] for column in cells]
    targets = []
    for column in cells:
        kind = column[rows] >> 1 & 7  # 0: no positives, 1: no negatives, else as drawn
        targets.append([kind] * rows if kind < 2 else [value & 1 for value in column[rows:]])
    return [list(row) for row in zip(*scores)], [list(row) for row in zip(*targets)]


def loop_average_precision(scores, targets, interpolated=False):
    positives = sum(targets)
    if positives == 0:
        return 0.0
    points = []  # (recall, precision) with a cut at each distinct score, highest first
    for cut in sorted(set(scores), reverse=True):
        taken = [t for s, t in zip(scores, targets) if s >= cut]
        points.append((sum(taken) / positives, sum(taken) / len(taken)))
    area, before = 0.0, 0.0
    for n, (recall, precision) in enumerate(points):
        height = max(p for _, p in points[n:]) if interpolated else precision
        area += (recall - before) * height
        before = recall
    return area


def loop_average_precision_in_array_order(scores, targets):
    order = sorted(range(len(scores)), key=lambda i: (-scores[i], i))
    precisions = [
        sum(targets[i] for i in order[: place + 1]) / (place + 1)
        for place in range(len(order))
        if targets[order[place]]
    ]
    return fmean(precisions) if precisions else 0.0


def loop_area_under_roc(scores, targets):
    positives = [s for s, t in zip(scores, targets) if t]
    negatives = [s for s, t in zip(scores, targets) if not t]
    if not positives or not negatives:
        return math.nan
    return fmean((p > n) + (p == n) / 2 for p in positives for n in negatives)


def loop_curves(scores, targets):
    """Every metric of the family, straight from its definition."""
    labels = list(zip(zip(*scores), zip(*targets)))
    pooled = [s for row in scores for s in row], [t for row in targets for t in row]

    def mean_or_nan(values):
        return fmean(values) if values else math.nan

    aucs = [loop_area_under_roc(*label) for label in labels]
    return {
        "ap_macro": fmean(loop_average_precision(*label) for label in labels),
        "ap_macro_defined": mean_or_nan([loop_average_precision(s, t) for s, t in labels if sum(t)]),
        "ap_macro_array_order": fmean(loop_average_precision_in_array_order(*label) for label in labels),
        "ap_macro_interpolated": fmean(loop_average_precision(*label, interpolated=True) for label in labels),
        "auc_macro": mean_or_nan([auc for auc in aucs if not math.isnan(auc)]),
        "ap_micro": loop_average_precision(*pooled),
        "auc_micro": loop_area_under_roc(*pooled),
    }


@settings(max_examples=300, deadline=None)
@given(curve_cases())
def test_curves_equal_loops(case):
    scores, targets = case
    found = evaluate(torch.tensor(scores), None, torch.tensor(targets), CURVE_METRICS)
    assert found == pytest.approx(loop_curves(scores, targets), rel=1e-12, abs=1e-12, nan_ok=True)


def random_curves(seed, levels):
    generator = torch.Generator().manual_seed(seed)
    rows, columns = 30 + 20 * seed, 3 + seed % 5
    targets = (torch.rand(rows, columns, generator=generator) < 0.3).int()
    scores = torch.rand(rows, columns, generator=generator) * 0.8 + 0.2 * targets
    targets[:, 0], targets[:, 1] = 0, 1
    return (scores * levels).round() / levels, targets


@pytest.mark.parametrize("levels", [3, 20, 10**6])
@pytest.mark.parametrize("seed", range(6))
def test_curves_equal_scikit_learn(seed, levels):
    scores, targets = random_curves(seed, levels)
    s, t = scores.numpy(), targets.numpy()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of a label without positives
        expected = {
            "ap_macro": sk.average_precision_score(t, s, average="macro"),
            "ap_macro_defined": sk.average_precision_score(t[:, 1:], s[:, 1:], average="macro"),
            "ap_micro": sk.average_precision_score(t, s, average="micro"),
            "auc_macro": sk.roc_auc_score(t[:, 2:], s[:, 2:], average="macro"),
            "auc_micro": sk.roc_auc_score(t, s, average="micro"),
        }
        per_label = sk.average_precision_score(t, s, average=None).tolist()
    assert evaluate(scores, None, targets, expected) == pytest.approx(expected, rel=1e-12)
    by_label = curves.rank_instances(scores, targets)
    assert by_label.average_precision.tolist() == pytest.approx(per_label, rel=1e-12)
    auc = by_label.area_under_roc.tolist()
    assert math.isnan(auc[0]) and math.isnan(auc[1])
    assert auc[2:] == pytest.approx(
        [sk.roc_auc_score(t[:, j], s[:, j]) for j in range(2, t.shape[1])], rel=1e-12
    )


@pytest.mark.parametrize("seed", range(1, 5))
def test_curves_equal_torchmetrics(seed):
    scores, targets = random_curves(seed, 20)
    labels = targets.shape[1]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of a label without positives
        expected = {
            "ap_macro": tm.multilabel_average_precision(scores, targets, labels, average="macro"),
            "ap_micro": tm.multilabel_average_precision(scores, targets, labels, average="micro"),
            "auc_micro": tm.multilabel_auroc(scores, targets, labels, average="micro"),
        }
        area = tm.multilabel_auroc(scores, targets, labels, average="macro").item()
    expected = {name: value.item() for name, value in expected.items()}
    assert evaluate(scores, None, targets, expected) == pytest.approx(expected, rel=1e-5)
    # Its mean takes the area of a label with one class for 0; over labels with both it agrees.
    assert area == pytest.approx(curves.auc_macro(scores, targets).item() * (labels - 2) / labels, rel=1e-5)
    both = scores[:, 2:], targets[:, 2:]
    expected = {"auc_macro": tm.multilabel_auroc(*both, labels - 2, average="macro").item()}
    assert evaluate(both[0], None, both[1], expected) == pytest.approx(expected, rel=1e-5)


def test_curves_worked_by_hand():
    # Label a: no ties. Label b: the two best tied, one of them positive. Label c: no positives.
    scores = torch.tensor([[0.9, 0.8, 0.5], [0.7, 0.8, 0.4], [0.6, 0.3, 0.3], [0.2, 0.1, 0.2]])
    targets = torch.tensor([[0, 0, 0], [1, 1, 0], [1, 0, 0], [0, 1, 0]])
    expected = {
        "ap_macro": ((1 / 2 + 2 / 3) / 2 + (1 / 2 + 2 / 4) / 2 + 0) / 3,
        "ap_macro_defined": ((1 / 2 + 2 / 3) / 2 + (1 / 2 + 2 / 4) / 2) / 2,
        "ap_macro_array_order": ((1 / 2 + 2 / 3) / 2 + (1 / 2 + 2 / 4) / 2 + 0) / 3,
        "ap_macro_interpolated": ((2 / 3 + 2 / 3) / 2 + (1 / 2 + 2 / 4) / 2 + 0) / 3,
        "auc_macro": (2 / 4 + (1 / 2 + 1) / 4) / 2,
    }
    assert evaluate(scores, None, targets, expected) == pytest.approx(expected, rel=1e-6)
    swapped = scores[[1, 0, 2, 3]], targets[[1, 0, 2, 3]]  # now the positive of the tied pair stands first
    changed = curves.ap_macro_array_order(*swapped).item()
    assert changed == pytest.approx(((1 / 2 + 2 / 3) / 2 + (1 + 2 / 4) / 2 + 0) / 3)
    assert curves.ap_macro(*swapped).item() == pytest.approx(expected["ap_macro"])


def test_curves_undefined():
    scores = torch.rand(5, 3)
    nothing, everything = torch.zeros(5, 3), torch.ones(5, 3)
    found = evaluate(scores, None, nothing, CURVE_METRICS)
    assert found["ap_macro"] == found["ap_macro_array_order"] == found["ap_macro_interpolated"] == 0
    assert found["ap_micro"] == 0
    assert all(math.isnan(found[name]) for name in ("ap_macro_defined", "auc_macro", "auc_micro"))
    found = evaluate(scores, None, everything, CURVE_METRICS)
    assert found["ap_macro"] == found["ap_macro_defined"] == found["ap_micro"] == 1
    assert math.isnan(found["auc_macro"]) and math.isnan(found["auc_micro"])


def test_array_order_holds_in_long_lists():
    generator = torch.Generator().manual_seed(0)
    scores = torch.randint(0, 3, (3000, 2), generator=generator) / 4
    targets = (torch.rand(3000, 2, generator=generator) < 0.5).int()
    order = [sorted(range(3000), key=lambda i: -scores[i, j].item()) for j in range(2)]  # sorted() keeps ties
    hits = [targets[order[j], j].cumsum(0) / torch.arange(1, 3001).double() for j in range(2)]
    expected = fmean(hits[j][targets[order[j], j] == 1].mean().item() for j in range(2))
    assert curves.ap_macro_array_order(scores, targets).item() == pytest.approx(expected, rel=1e-12)
