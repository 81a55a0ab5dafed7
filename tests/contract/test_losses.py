"""Every loss of conf/loss, as it is configured there; and what is special to one of them."""

import math
from functools import partial

import pytest
import torch
from torch.autograd import gradcheck

from mlbench.compose import choices, configure
from mlbench.config import options, target
from mlbench.errors import UserError
from mlbench.experiment import run
from mlbench.losses.bce import bce
from mlbench.seeding import seed_everything

SHAPES = [(1, 1), (1, 5), (6, 1), (6, 5)]


@pytest.fixture(params=choices("loss"))
def name(request):
    return request.param


@pytest.fixture
def loss(name):
    node = configure([f"loss={name}"]).loss
    return partial(target(node), **options(node))


def logits_and_targets(shape=(6, 5), seed=0, dtype=torch.float32):
    generator = torch.Generator().manual_seed(seed)
    logits = 2 * torch.randn(shape, generator=generator, dtype=dtype)
    return logits.requires_grad_(), (torch.rand(shape, generator=generator) < 0.4).to(dtype)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("filling", [None, 0.0, 1.0])
def test_it_is_one_finite_number_with_a_finite_gradient(loss, shape, filling):
    logits, targets = logits_and_targets(shape)
    if filling is not None:
        targets = torch.full_like(targets, filling)
    value = loss(logits, targets)
    assert value.ndim == 0 and value.dtype == torch.float32 and value.isfinite()
    value.backward()
    assert logits.grad.isfinite().all()


@pytest.mark.parametrize("size", [1e4, -1e4])
def test_it_is_finite_where_the_method_is_all_too_sure(loss, size):
    _, targets = logits_and_targets()
    logits = torch.full_like(targets, size).requires_grad_()
    value = loss(logits, targets)
    value.backward()
    assert value.isfinite() and logits.grad.isfinite().all()


@pytest.mark.parametrize("shape", SHAPES)
def test_its_gradient_is_that_of_its_value(loss, shape):
    logits, targets = logits_and_targets(shape, dtype=torch.float64)
    assert gradcheck(lambda logits: loss(logits, targets), (logits,))


def test_it_leaves_its_arguments_as_they_were(loss):
    logits, targets = logits_and_targets()
    before = logits.detach().clone(), targets.clone()
    loss(logits, targets).backward()
    assert torch.equal(logits.detach(), before[0]) and torch.equal(targets, before[1])


def test_right_scores_cost_less_than_wrong_ones(loss):
    _, targets = logits_and_targets()
    right = 8 * targets - 4
    assert loss(right, targets) < loss(torch.zeros_like(right), targets) < loss(-right, targets)


def test_erm_learns_with_it(name, problem, pieces, learn, everything):
    task, data = problem()
    chosen = pieces("method=erm", f"loss={name}")
    seed_everything(0)
    method = chosen.method(task)
    (losses,) = learn(method, data, chosen, steps=200)
    assert losses[-1] < losses[0]
    scores, positive = method.scores(everything(data)), data.targets.bool()
    assert scores[positive].mean() > scores[~positive].mean() + 0.5


# Binary cross-entropy


@pytest.mark.parametrize("pos_weight", [None, 2.5, [0.5, 1.0, 2.0, 4.0, 8.0]])
def test_bce_is_its_formula(pos_weight):
    logits, targets = logits_and_targets(dtype=torch.float64)
    weights = pos_weight if isinstance(pos_weight, list) else [pos_weight or 1.0] * 5
    total = 0.0
    for row_logits, row_targets in zip(logits.tolist(), targets.tolist()):
        for z, y, w in zip(row_logits, row_targets, weights):
            score = 1 / (1 + math.exp(-z))
            total -= w * y * math.log(score) + (1 - y) * math.log(1 - score)
    assert bce(logits, targets, pos_weight).item() == pytest.approx(total / 30, abs=1e-12)


def test_bce_of_an_undecided_method_is_the_log_of_two():
    _, targets = logits_and_targets()
    assert bce(torch.zeros(6, 5), targets, pos_weight=None).item() == pytest.approx(math.log(2))


@pytest.mark.parametrize("weights", ["[1.0,2.0]", "[3.0]", "[]"])
def test_weights_for_other_labels_are_refused_before_training(weights, tmp_path, capsys):
    count = len(weights.strip("[]").split(",")) if weights != "[]" else 0
    config = configure([f"loss.pos_weight={weights}", "train.epochs=1", f"paths.outputs={tmp_path}"])
    with pytest.raises(UserError, match=rf"^loss=bce: pos_weight has {count} values for 10 labels$"):
        run(config)
    assert not list(tmp_path.rglob("stages"))
