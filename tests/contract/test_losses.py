"""Every loss of conf/loss, as it is configured there; and what is special to one of them."""

import math
from functools import cache
from pathlib import Path

import pytest
import torch
from torch.autograd import gradcheck

from mlbench.compose import choices, configure
from mlbench.data.task import Task
from mlbench.errors import UserError
from mlbench.experiment import run
from mlbench.losses.bce import bce
from mlbench.methods.build import build_loss
from mlbench.seeding import seed_everything

SHAPES = [(1, 1), (1, 5), (6, 1), (6, 5)]
INSTANCES, POSITIVES = 40, (0, 3, 12, 20, 40)  # of the training part: labels from never to always relevant


@pytest.fixture(params=choices("loss"))
def name(request):
    return request.param


@cache
def configured(name):
    return configure([f"loss={name}"]).loss


def for_labels(node, positives=POSITIVES):
    """The loss for a task with labels so often relevant."""
    names = tuple(f"label{number}" for number in range(len(positives)))
    return build_loss(node, Task("small", names, (), INSTANCES, tuple(positives)))


@pytest.fixture
def loss(name):
    """loss(logits, targets), whatever the number of labels up to five."""
    return lambda logits, targets: for_labels(configured(name), POSITIVES[: logits.shape[1]])(logits, targets)


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


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
@pytest.mark.parametrize("size", [1e4, -1e4])
def test_it_is_finite_where_the_method_is_all_too_sure(loss, size, dtype):
    _, targets = logits_and_targets()
    logits = torch.full(targets.shape, size, dtype=dtype).requires_grad_()
    value = loss(logits, targets)
    value.backward()
    assert value.isfinite() and logits.grad.isfinite().all()


def test_it_is_finite_where_one_side_is_all_too_sure(loss):
    _, targets = logits_and_targets()
    for right in (1e4, -1e4):
        logits = (right * (2 * targets - 1)).requires_grad_()
        loss(logits, targets).backward()
        assert loss(logits, targets).isfinite() and logits.grad.isfinite().all()


def test_half_precision_costs_nothing_but_that_of_the_logits(name, loss):
    logits, targets = logits_and_targets()
    logits = logits.detach().bfloat16()
    found, expected = loss(logits, targets), loss(logits.float(), targets)
    if name == "bce":  # torch's own
        torch.testing.assert_close(found.float(), expected, rtol=1e-2, atol=0)
    else:
        assert found.dtype == torch.float32 and torch.equal(found, expected)


@pytest.mark.parametrize("shape", SHAPES)
def test_its_gradient_is_that_of_its_value(name, shape):
    logits, targets = logits_and_targets(shape, dtype=torch.float64)
    node = configured(name)
    if node.get("detach_focal_weight"):  # then it is not, on purpose
        node = node | {"detach_focal_weight": False}
    loss = for_labels(node, POSITIVES[: shape[1]])
    assert gradcheck(lambda logits: loss(logits, targets), (logits,))


def test_targets_may_be_soft(loss):
    """Between none and all there is no jump: hard targets are a limit of soft ones."""
    logits, targets = logits_and_targets(dtype=torch.float64)
    soft = torch.lerp(targets, torch.full_like(targets, 0.4), 0.25)
    assert gradcheck(lambda soft: loss(logits.detach(), soft), (soft.requires_grad_(),))
    nearly = torch.lerp(targets, torch.full_like(targets, 0.4), 1e-7)
    torch.testing.assert_close(loss(logits, nearly), loss(logits, targets), rtol=1e-4, atol=1e-6)


def test_the_order_of_instances_and_of_labels_is_without_influence(name):
    logits, targets = logits_and_targets(dtype=torch.float64)
    expected = for_labels(configured(name))(logits, targets)
    rows, labels = torch.tensor([3, 0, 5, 1, 4, 2]), torch.tensor([4, 2, 0, 3, 1])
    torch.testing.assert_close(for_labels(configured(name))(logits[rows], targets[rows]), expected)
    moved = for_labels(configured(name), [POSITIVES[label] for label in labels])
    torch.testing.assert_close(moved(logits[:, labels], targets[:, labels]), expected)


def test_it_leaves_its_arguments_as_they_were(loss):
    logits, targets = logits_and_targets()
    before = logits.detach().clone(), targets.clone()
    loss(logits, targets).backward()
    assert torch.equal(logits.detach(), before[0]) and torch.equal(targets, before[1])


def test_right_scores_cost_less_than_wrong_ones(name, loss):
    _, targets = logits_and_targets()
    if name == "unbounded_f1":  # takes a logit for the prediction itself: 1 is right, not 4
        right, unsure, wrong = targets, torch.full_like(targets, 0.5), 1 - targets
    else:
        right, unsure, wrong = 8 * targets - 4, torch.zeros_like(targets), 4 - 8 * targets
    assert loss(right, targets) < loss(unsure, targets) < loss(wrong, targets)


def test_erm_learns_with_it(name, problem, pieces, learn, everything):
    if name == "unbounded_f1":
        pytest.skip("it may diverge")
    task, data = problem()
    chosen = pieces("method=erm", f"loss={name}")
    seed_everything(0)
    method = chosen.method(task)
    (losses,) = learn(method, data, chosen, steps=200)
    assert losses[-1] < losses[0]
    if name == "sigmoid_f1_text":  # content when every label is predicted
        return
    scores, positive = method.scores(everything(data)), data.targets.bool()
    assert scores[positive].mean() > scores[~positive].mean() + 0.5


def test_the_page_of_losses_lists_every_one():
    page = (Path(__file__).parents[2] / "docs" / "losses.md").read_text()
    table, *_ = page.split("\n## ")
    listed = [line.split("`")[1] for line in table.splitlines() if line.startswith("| `")]
    assert sorted(listed) == choices("loss")


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
