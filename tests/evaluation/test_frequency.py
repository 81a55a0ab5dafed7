"""Metrics by label frequency: groups by a plain rule, and every metric as that of the group's columns."""

import math
from itertools import pairwise, permutations
from math import nan

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from mlbench.evaluation.frequency import Frequencies, group_of
from mlbench.evaluation.groups import GROUPS
from mlbench.evaluation.suite import ALL, COUNTED, METRICS, definition, evaluate, stem_of, without_rule

PER_LABEL = {name: name.rpartition("_") for name in COUNTED if not name.startswith("psp")}


def case(seed=0, rows=30, labels=7):
    generator = torch.Generator().manual_seed(seed)
    scores = torch.randint(0, 9, (rows, labels), generator=generator) / 8
    targets = torch.rand(rows, labels, generator=generator) < 0.4
    targets[0], targets[1], targets[:, 3] = False, True, False
    return scores, scores > 0.5, targets


def places(counts):
    """The groups by the mean place of a label in all orders from the most to the least frequent."""
    labels = len(counts)
    names = []
    for count in counts:
        above = sum(other > count for other in counts)
        alike = sum(other == count for other in counts)
        share = (above + alike / 2) / labels
        border = 1e-9
        names.append("head" if share < 1 / 3 - border else "tail" if share > 2 / 3 + border else "middle")
    return names


def grouped(counts, **options):
    frequencies = Frequencies(torch.tensor(counts), **options)
    found = {group: group_of(frequencies, group).tolist() for group in GROUPS}
    assert all(sum(each) == 1 for each in zip(*found.values()))
    return [next(group for group in GROUPS if found[group][label]) for label in range(len(counts))]


@given(st.lists(st.integers(0, 9), min_size=1, max_size=20))
def test_thirds_of_the_labels(counts):
    assert grouped(counts) == places(counts)


def test_thirds_worked_by_hand():
    assert grouped([9, 8, 7, 6, 5, 4]) == ["head", "head", "middle", "middle", "tail", "tail"]
    assert grouped([9, 8, 6, 5, 4]) == ["head", "head", "middle", "tail", "tail"]
    assert grouped([5]) == ["middle"] and grouped([5, 5, 5]) == ["middle"] * 3
    assert grouped([9, 1]) == ["head", "tail"]
    for order in permutations([3, 2, 1]):
        assert grouped(order) == [{3: "head", 2: "middle", 1: "tail"}[count] for count in order]


def test_borders_that_are_given():
    assert grouped([101, 100, 20, 19, 0], borders=(20, 100)) == ["head", "middle", "middle", "tail", "tail"]


@pytest.mark.parametrize("name", PER_LABEL)
def test_a_group_s_metric_is_the_metric_of_its_columns(name):
    scores, sets, targets = case()
    counts = [50, 3, 20, 20, 9, 1, 30]
    stem, _, group = PER_LABEL[name]
    columns = [place for place, each in enumerate(grouped(counts)) if each == group]
    assert columns
    found = evaluate(scores, sets, targets, [name], Frequencies(torch.tensor(counts)))[name]
    alone = evaluate(scores[:, columns], sets[:, columns], targets[:, columns], [stem])[stem]
    assert found == pytest.approx(alone, rel=1e-12, nan_ok=True)
    assert ALL[name].better == METRICS[stem].better and stem in definition(name)


def test_every_metric_that_is_a_mean_over_labels_has_groups():
    macro = {name for name in METRICS if "macro" in name}
    assert {stem for stem, _, _ in PER_LABEL.values()} == macro | {"brier"}
    assert len(PER_LABEL) == 3 * len(macro | {"brier"})


def test_a_group_without_labels_is_undefined():
    scores, sets, targets = case()
    found = evaluate(scores, sets, targets, PER_LABEL, Frequencies(torch.full((7,), 4)))
    assert all(math.isnan(value) != name.endswith("middle") for name, value in found.items())


def test_who_gives_no_counts_gets_the_other_metrics():
    scores, sets, targets = case()
    assert list(evaluate(scores, sets, targets)) == list(METRICS)
    known = Frequencies(torch.tensor([50, 3, 20, 20, 9, 1, 30]), 60)
    found = evaluate(scores, sets, targets, None, known)
    assert list(found) == list(ALL)
    for name in ALL:
        assert evaluate(scores, sets, targets, [name], known)[name] == pytest.approx(found[name], nan_ok=True)
    with pytest.raises(AssertionError, match="f1_macro_head needs the labels' frequencies"):
        evaluate(scores, sets, targets, ["f1_macro_head"])


def test_names_with_ends():
    assert without_rule("f1_macro_tail_oracle") == "f1_macro_tail" == stem_of("f1_macro_tail_oracle")
    assert without_rule("ap_macro_tail_oracle") == "ap_macro_tail_oracle"


# Propensities


def inverse(count, n, a=0.55, b=1.5):
    return 1 + (math.log(n) - 1) * (b + 1) ** a * (count + b) ** -a


def loop_psp(scores, targets, counts, n, k, **options):
    """By all orders of each row: ties in the mean over them."""
    found = best = 0.0
    for row, truth in zip(scores, targets):
        worth = [y * inverse(count, n, **options) for y, count in zip(truth, counts)]
        orders = [
            order
            for order in permutations(range(len(row)))
            if all(row[a] >= row[b] for a, b in pairwise(order))
        ]
        found += sum(sum(worth[j] for j in order[:k]) for order in orders) / len(orders)
        best += sum(sorted(worth)[-k:])
    return found / best if best else nan


@pytest.mark.parametrize("levels", [2, 4, 1000])
@pytest.mark.parametrize("options", [{}, {"a": 0.5, "b": 0.4}])
def test_propensity_scored_precision_is_a_loop(levels, options):
    generator = torch.Generator().manual_seed(levels)
    scores = (torch.rand(12, 5, generator=generator) * levels).round() / levels
    targets = (torch.rand(12, 5, generator=generator) < 0.4).int()
    targets[0], targets[1] = 0, 1
    counts, n = [40, 3, 0, 17, 17], 60
    names = {f"psp_at_{k}": k for k in (1, 2, 3, 4, 5)}
    found = evaluate(scores, None, targets, names, Frequencies(torch.tensor(counts), n, **options))
    for name, k in names.items():
        loop = loop_psp(scores.tolist(), targets.tolist(), counts, n, k, **options)
        assert found[name] == pytest.approx(loop, rel=1e-12)


def test_propensities_worked_by_hand():
    known = Frequencies(torch.tensor([7, 1, 0]), 10, a=1, b=1)  # C = (ln 10 − 1) · 2
    c = (math.log(10) - 1) * 2
    worth = [1 + c / 8, 1 + c / 2, 1 + c]
    scores = torch.tensor([[0.9, 0.1, 0.2], [0.1, 0.9, 0.2], [0.3, 0.2, 0.1]])
    targets = torch.tensor([[1, 0, 1], [1, 0, 0], [0, 0, 0]])
    found = evaluate(scores, None, targets, ["psp_at_1", "psp_at_3", "psp_at_5"], known)
    assert found["psp_at_1"] == pytest.approx(worth[0] / (worth[2] + worth[0]))
    assert found["psp_at_3"] == pytest.approx(1) and math.isnan(found["psp_at_5"])
    nothing = evaluate(scores, None, torch.zeros(3, 3), ["psp_at_1"], known)
    assert math.isnan(nothing["psp_at_1"])
    # Two instances: the logarithm is below 1, and every label counts the same, as in precision_at_1.
    few = evaluate(scores, None, targets, ["psp_at_1"], Frequencies(torch.tensor([2, 1, 0]), 2))
    assert few["psp_at_1"] == 1 / 2
