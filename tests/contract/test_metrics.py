"""Every registered metric: it says what it is, gives a number, and nothing beats perfect predictions."""

import itertools

import pytest
import torch

from mlbench.evaluation.suite import METRICS, evaluate

# Every label and every instance has both kinds of entries: all metrics are defined.
TARGETS = torch.tensor(
    [[1, 0, 0, 1, 1, 1], [0, 1, 0, 1, 1, 1], [0, 0, 1, 0, 1, 1], [1, 1, 0, 0, 0, 1], [1, 1, 1, 1, 1, 0]]
)


@pytest.fixture(params=METRICS)
def metric(request):
    return METRICS[request.param]


def test_it_says_what_it_is(metric):
    assert metric.reduce.__doc__ and metric.reduce.__doc__.strip().endswith((".", ")"))
    assert metric.better in ("low", "high")
    assert metric.needs in ("label_sets", "scores")


@pytest.mark.parametrize("shape", [(1, 1), (1, 6), (5, 1), (5, 6)])
def test_it_is_a_number_on_tiny_inputs(metric, shape):
    some = TARGETS[: shape[0], : shape[1]]
    for targets in (some, torch.zeros_like(some), torch.ones_like(some)):
        scores = torch.rand(shape, generator=torch.Generator().manual_seed(0))
        assert isinstance(evaluate(scores, scores > 0.5, targets, [metric.name])[metric.name], float)


def test_nothing_beats_perfect_predictions(metric):
    best = evaluate(TARGETS.float(), TARGETS.bool(), TARGETS, [metric.name])[metric.name]
    sign = 1 if metric.better == "high" else -1
    generator = torch.Generator().manual_seed(0)
    found = []
    for _ in range(100):
        scores = torch.rand(TARGETS.shape, generator=generator)
        found.append(evaluate(scores, scores > 0.5, TARGETS, [metric.name])[metric.name])
    nearly = TARGETS.float().mul(0.5).add(0.25)  # perfect but for one entry
    for entry in itertools.product(*map(range, TARGETS.shape)):
        scores = nearly.clone()
        scores[entry] = 1 - scores[entry]
        found.append(evaluate(scores, scores > 0.5, TARGETS, [metric.name])[metric.name])
    assert all(sign * value <= sign * best + 1e-12 for value in found)
    assert min(sign * value for value in found) < sign * best


def test_a_constant_output_is_worse_than_a_perfect_one(metric):
    best = evaluate(TARGETS.float(), TARGETS.bool(), TARGETS, [metric.name])[metric.name]
    flat = torch.zeros(TARGETS.shape)
    sign = 1 if metric.better == "high" else -1
    assert sign * evaluate(flat, flat.bool(), TARGETS, [metric.name])[metric.name] < sign * best
