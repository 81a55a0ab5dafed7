"""Intervals and tests: the same draws by a plain loop, a closed form, an enumeration of all swaps."""

import itertools
import math

import pytest
import torch
from scipy.stats import binom

from mlbench.evaluation.intervals import (
    Part,
    bootstrap,
    differences,
    intervals,
    over,
    permutations,
)
from mlbench.evaluation.resampled import left_out, resampled
from mlbench.evaluation.suite import METRICS, evaluate, find

NAMES = [*(name for name in METRICS if name not in left_out(METRICS)), "ndcg_at_2", "recall_at_4"]
OF_SETS = [name for name in NAMES if find(name).needs == "label_sets"]
OF_SCORES = [name for name in NAMES if name not in OF_SETS]


def made(instances, labels, ties=False, seed=0):
    generator = torch.Generator().manual_seed(seed)
    scores = torch.rand(instances, labels, generator=generator)
    scores = (scores * 4).round() / 4 if ties else scores
    targets = torch.rand(instances, labels, generator=generator) < torch.linspace(0, 0.6, labels)
    targets[0] = True
    return scores, scores > 0.5, targets


def parts_of(scores, sets):
    return [Part(sets, OF_SETS), Part(scores, OF_SCORES)]


@pytest.mark.parametrize(("instances", "labels", "ties"), [(30, 7, False), (9, 6, True), (3, 2, True)])
def test_every_metric_of_every_draw_is_that_of_the_rows_drawn(instances, labels, ties):
    scores, sets, targets = made(instances, labels, ties)
    drawn = torch.cat([*bootstrap(instances, 30, seed=1)])
    found = resampled(sets, targets, OF_SETS)(drawn) | resampled(scores, targets, OF_SCORES)(drawn)
    assert found.keys() == set(NAMES)
    for draw, counts in enumerate(drawn):
        rows = torch.arange(instances).repeat_interleave(counts)
        expected = evaluate(scores[rows], sets[rows], targets[rows], NAMES)
        assert {name: float(found[name][draw]) for name in NAMES} == pytest.approx(
            expected, abs=1e-9, rel=1e-9, nan_ok=True
        )


def test_a_long_list_in_pieces_has_the_areas_of_the_whole():
    scores, _, targets = made(400, 5, ties=True)  # several hundred positives
    drawn = torch.cat([*bootstrap(400, 3, seed=2)])
    found = resampled(scores.double() + torch.linspace(0, 0.1, 400).unsqueeze(1), targets, ["ap_micro"])(
        drawn
    )
    for draw, counts in enumerate(drawn):
        rows = torch.arange(400).repeat_interleave(counts)
        expected = evaluate(
            (scores.double() + torch.linspace(0, 0.1, 400).unsqueeze(1))[rows],
            None,
            targets[rows],
            ["ap_micro"],
        )
        assert float(found["ap_micro"][draw]) == pytest.approx(expected["ap_micro"], abs=1e-9)


def test_what_has_no_interval_says_why():
    assert left_out(METRICS).keys() == {"ap_macro_array_order", "ece_micro", "ece_macro"}


def test_counts_are_draws_with_replacement():
    counts = torch.cat([*bootstrap(50, 2000, seed=0)])
    assert counts.shape == (2000, 50) and (counts.sum(1) == 50).all()
    assert torch.equal(counts, torch.cat([*bootstrap(50, 2000, seed=0)]))
    assert counts.double().var() == pytest.approx(1 - 1 / 50, rel=0.05)  # of a binomial count
    assert counts[:, 0].double().mean() == pytest.approx(1, abs=0.1)


def test_subset_accuracy_has_the_quantiles_of_a_binomial():
    sets = torch.zeros(200, 2, dtype=torch.bool)
    targets = sets.clone()
    targets[:60, 0] = True  # 140 of 200 are right
    ((low, high),) = intervals([Part(sets, ["subset_accuracy"])], targets, 20000, level=0.9).values()
    expected = binom.ppf([0.05, 0.95], 200, 0.7) / 200
    assert [low, high] == pytest.approx(expected.tolist(), abs=1.01 / 200)


def test_nine_of_ten_intervals_hold_the_truth():
    generator = torch.Generator().manual_seed(5)
    held = 0
    for trial in range(200):
        targets = torch.rand(80, 1, generator=generator) < 0.4
        sets = torch.zeros_like(targets)
        low, high = intervals([Part(sets, ["subset_accuracy"])], targets, 300, trial, 0.9)["subset_accuracy"]
        held += low <= 0.6 <= high
    assert 0.83 <= held / 200 <= 0.96


def test_a_permutation_test_of_few_instances_is_an_enumeration():
    scores, sets, targets = made(6, 4, seed=3)
    other, other_sets, _ = made(6, 4, seed=4)
    found = differences(parts_of(scores, sets), parts_of(other, other_sets), targets, draws=64)
    for name in ("f1_macro", "hamming_loss", "ap_macro", "ranking_loss", "auc_micro"):
        a, b = (sets, other_sets) if name in OF_SETS else (scores, other)
        metric = METRICS[name]
        observed = float(metric(a, targets) - metric(b, targets))
        large = 0
        for swaps in itertools.product([False, True], repeat=6):
            swap = torch.tensor(swaps).unsqueeze(1)
            difference = metric(torch.where(swap, b, a), targets) - metric(torch.where(swap, a, b), targets)
            large += abs(float(difference)) >= abs(observed) - 1e-9
        assert found[name].value == pytest.approx(observed, abs=1e-9)
        assert found[name].permutation == pytest.approx(large / 64)


def test_equal_predictions_differ_by_nothing():
    scores, sets, targets = made(40, 6)
    found = differences(parts_of(scores, sets), parts_of(scores, sets), targets, draws=100)
    for difference in found.values():
        assert (difference.value, difference.low, difference.high) == (0, 0, 0)
        assert difference.bootstrap == difference.permutation == 1


def test_better_predictions_are_told_from_worse():
    _, _, targets = made(60, 4)
    good, bad = targets.clone(), ~targets
    (found,) = differences([Part(good, ["f1_micro"])], [Part(bad, ["f1_micro"])], targets, 200).values()
    assert found.value == 1 and found.low > 0.9
    assert found.bootstrap == pytest.approx(2 / 201) and found.permutation == pytest.approx(1 / 201)


def test_an_undefined_metric_has_no_interval():
    targets = torch.zeros(5, 2, dtype=torch.bool)
    found = intervals([Part(torch.rand(5, 2), ["auc_macro", "bce"])], targets, 20)
    assert all(map(math.isnan, found["auc_macro"])) and not any(map(math.isnan, found["bce"]))


def test_swaps_are_all_there_are_or_so_many_as_asked():
    assert torch.cat([*permutations(3, 8, 0)]).unique(dim=0).shape == (8, 3)
    assert torch.cat([*permutations(30, 100, 0)]).shape == (100, 30)


def test_endings_part_metrics_of_the_same_name():
    _, sets, targets = made(10, 3)
    parts = [Part(sets, ["f1_micro"]), Part(~sets, ["f1_micro"], "_other")]
    functions = [(part.ending, resampled(part.outputs, targets, part.names)) for part in parts]
    whole = over(functions, [torch.ones(1, 10, dtype=torch.int64)])
    values = {name: value for part in parts for name, value in part.values(targets).items()}
    assert {name: float(value) for name, value in whole.items()} == pytest.approx(values)
