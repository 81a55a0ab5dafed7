"""Metrics of label sets against loops, scikit-learn, torchmetrics, cases by hand."""

import math
from statistics import fmean

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as sk
from torchmetrics.functional import classification as tm

from mlbench.evaluation import label_sets
from mlbench.evaluation.suite import METRICS, evaluate

LABEL_SET_METRICS = [name for name, metric in METRICS.items() if metric.family == "label_sets"]


@st.composite
def label_set_cases(draw):
    """A few rows and labels; some rows and columns emptied or filled in either matrix."""
    rows, columns = draw(st.integers(1, 6)), draw(st.integers(1, 5))
    bits = draw(st.binary(min_size=rows * columns, max_size=rows * columns))
    matrices = []
    for bit in (0, 1):
        matrix = [[bits[i * columns + j] >> bit & 1 for j in range(columns)] for i in range(rows)]
        for i in range(rows):
            kind = bits[i * columns] >> (2 + 2 * bit) & 3  # 0: emptied, 1: filled, else left as drawn
            matrix[i] = [kind] * columns if kind < 2 else matrix[i]
        matrices.append(matrix)
    return matrices


def loop_label_sets(predictions, targets):
    """Every metric of the family, straight from its definition."""

    def share(above, below):
        return above / below if below else 0.0

    def tallies(pairs):
        hits = sum(1 for p, t in pairs if p and t)
        return hits, sum(p for p, _ in pairs), sum(t for _, t in pairs)

    rows = [tallies(list(zip(p, t))) for p, t in zip(predictions, targets)]
    columns = [tallies(list(zip(p, t))) for p, t in zip(zip(*predictions), zip(*targets))]
    everything = tallies([pair for p, t in zip(predictions, targets) for pair in zip(p, t)])
    entries = len(rows) * len(columns)
    wrong = sum(p != t for row in zip(predictions, targets) for p, t in zip(*row))
    exact = fmean(p == t for p, t in zip(predictions, targets))

    def precision(tally):
        return share(tally[0], tally[1])

    def recall(tally):
        return share(tally[0], tally[2])

    def f1(tally):
        return share(2 * tally[0], tally[1] + tally[2])

    some = [f1(tally) for tally in rows if tally[1] + tally[2] > 0]
    return {
        "subset_accuracy": exact,
        "subset_loss": 1 - exact,
        "hamming_loss": wrong / entries,
        "hamming_accuracy": 1 - wrong / entries,
        "precision_micro": precision(everything),
        "recall_micro": recall(everything),
        "f1_micro": f1(everything),
        "precision_macro": fmean(map(precision, columns)),
        "precision": fmean(map(precision, columns)),
        "recall_macro": fmean(map(recall, columns)),
        "f1_macro": fmean(map(f1, columns)),
        "f1_weighted": share(sum(f1(tally) * tally[2] for tally in columns), everything[2]),
        "precision_example": fmean(map(precision, rows)),
        "recall_example": fmean(map(recall, rows)),
        "f1_example": fmean(map(f1, rows)),
        "f1_example_defined": fmean(some) if some else math.nan,
    }, [f1(tally) for tally in columns]


@settings(max_examples=1000, deadline=None)
@given(label_set_cases())
def test_label_sets_equal_loops(case):
    predictions, targets = case
    expected, per_label = loop_label_sets(predictions, targets)
    predictions, targets = torch.tensor(predictions, dtype=torch.bool), torch.tensor(targets)
    found = evaluate(None, predictions, targets, LABEL_SET_METRICS)
    assert found == pytest.approx(expected, rel=1e-12, abs=1e-12, nan_ok=True)
    assert label_sets.f1_per_label(predictions, targets).tolist() == pytest.approx(per_label, rel=1e-12)


def random_label_sets(seed):
    generator = torch.Generator().manual_seed(seed)
    rows, columns = 5 + 9 * seed, 2 + seed % 7
    predictions, targets = (torch.rand(2, rows, columns, generator=generator) < 0.3).int()
    targets[:, 0] = 0  # a label without positives, and for odd seeds never predicted either
    predictions[:, 0] *= 1 - seed % 2
    targets[0], predictions[1] = 1, 0
    targets[2], predictions[2] = 0, 0
    return predictions, targets


@pytest.mark.parametrize("seed", range(12))
def test_label_sets_equal_scikit_learn(seed):
    predictions, targets = random_label_sets(seed)
    p, t = predictions.numpy(), targets.numpy()
    expected = {
        "subset_accuracy": sk.accuracy_score(t, p),
        "subset_loss": sk.zero_one_loss(t, p),
        "hamming_loss": sk.hamming_loss(t, p),
    }
    averages = {"micro": "micro", "macro": "macro", "example": "samples"}
    for name, average in averages.items():
        expected[f"precision_{name}"] = sk.precision_score(t, p, average=average, zero_division=0)
        expected[f"recall_{name}"] = sk.recall_score(t, p, average=average, zero_division=0)
        expected[f"f1_{name}"] = sk.f1_score(t, p, average=average, zero_division=0)
    expected["f1_weighted"] = sk.f1_score(t, p, average="weighted", zero_division=0)
    assert evaluate(None, predictions, targets, expected) == pytest.approx(expected, rel=1e-12)
    per_label = sk.f1_score(t, p, average=None, zero_division=0).tolist()
    assert label_sets.f1_per_label(predictions, targets).tolist() == pytest.approx(per_label, rel=1e-12)


@pytest.mark.parametrize("seed", range(4))
def test_label_sets_equal_torchmetrics(seed):
    # Given 0/1 predictions; torchmetrics counts in float32.
    predictions, targets = random_label_sets(seed)
    labels = targets.shape[1]
    expected = {
        "subset_accuracy": tm.multilabel_exact_match(predictions, targets, labels),
        "hamming_loss": tm.multilabel_hamming_distance(predictions, targets, labels, average="micro"),
        "f1_weighted": tm.multilabel_f1_score(predictions, targets, labels, average="weighted"),
    }
    for name in ("micro", "macro"):
        expected[f"precision_{name}"] = tm.multilabel_precision(predictions, targets, labels, average=name)
        expected[f"recall_{name}"] = tm.multilabel_recall(predictions, targets, labels, average=name)
        expected[f"f1_{name}"] = tm.multilabel_f1_score(predictions, targets, labels, average=name)
    expected = {name: value.item() for name, value in expected.items()}
    assert evaluate(None, predictions, targets, expected) == pytest.approx(expected, rel=1e-6)


def test_label_sets_worked_by_hand():
    targets = torch.tensor([[1, 1, 0], [0, 0, 0], [0, 1, 0], [0, 0, 0]])
    predictions = torch.tensor([[1, 0, 0], [0, 0, 0], [1, 1, 0], [0, 1, 0]])
    # (hits, predicted, relevant) of the labels: (1, 2, 1), (1, 2, 2), (0, 0, 0);
    # of the rows: (1, 1, 2), (0, 0, 0), (1, 2, 1), (0, 1, 0).
    expected = {
        "subset_accuracy": 1 / 4,
        "hamming_loss": 3 / 12,
        "precision_micro": 2 / 4,
        "recall_micro": 2 / 3,
        "f1_micro": 4 / 7,
        "precision_macro": (1 / 2 + 1 / 2 + 0) / 3,
        "recall_macro": (1 + 1 / 2 + 0) / 3,
        "f1_macro": (2 / 3 + 1 / 2 + 0) / 3,
        "f1_weighted": (1 * 2 / 3 + 2 * 1 / 2) / 3,
        "precision_example": (1 + 0 + 1 / 2 + 0) / 4,
        "recall_example": (1 / 2 + 0 + 1 + 0) / 4,
        "f1_example": (2 / 3 + 0 + 2 / 3 + 0) / 4,
        "f1_example_defined": (2 / 3 + 2 / 3 + 0) / 3,
    }
    assert evaluate(None, predictions, targets, expected) == pytest.approx(expected, rel=1e-12)


def test_nothing_true_and_nothing_predicted():
    empty = torch.zeros(3, 2)
    found = evaluate(None, empty, empty, LABEL_SET_METRICS)
    assert found["subset_accuracy"] == found["hamming_accuracy"] == 1
    assert math.isnan(found.pop("f1_example_defined"))
    undefined = [name for name in found if name.startswith(("precision", "recall", "f1"))]
    assert {found[name] for name in undefined} == {0.0}


def test_counts_are_exact_beyond_float32():
    # An odd number of entries above 2^24, one of them wrong: float32 cannot hold the count.
    entries = 4097 * 4099
    targets = torch.ones(4097, 4099, dtype=torch.bool)
    predictions = targets.clone()
    predictions[0, 0] = False
    assert label_sets.hamming_loss(predictions, targets).item() == 1 / entries
    assert label_sets.recall_micro(predictions, targets).item() == (entries - 1) / entries
