"""How an epoch is cut into chunks and a batch among ranks, and whose settings a stage is trained with."""

from types import SimpleNamespace

import pytest
import torch

from mlbench.data.vectors import order
from mlbench.engine.lit import STEPS, Plan, Portions, build_optimizer, shard
from mlbench.methods.base import Stage


def portions(problem, rows, chunk=0, epoch=0, **changes):
    plan = Plan.of(Stage("train", None, None), problem.settings(**changes), problem.seed)
    lit = SimpleNamespace(plan=plan, data=range(rows), chunk=chunk, epoch=epoch, device="cpu")
    return Portions(lit)


@pytest.mark.parametrize("accumulate", [1, 3, 7, 50, 51, 200])
@pytest.mark.parametrize("rows", [1, 4, 199, 200, 201, 816])
def test_portions_hold_every_row_of_every_epoch_once_in_order(rows, accumulate, problem):
    made = portions(problem, rows, batch_size=4, accumulate=accumulate, epochs=5, epoch=2)
    yielded = list(made)
    assert len(yielded) == len(made)
    chunks = [chunk for portion in yielded for chunk in portion]
    assert len(chunks) == 3 * made.chunks
    for number, epoch in enumerate(zip(*[iter(chunks)] * made.chunks), start=2):
        batches = [batch for chunk in epoch for batch in chunk]
        assert torch.equal(torch.cat(batches), order(rows, problem.seed, number))
        assert [len(batch) for batch in batches] == [4] * (rows // 4) + [rows % 4] * (rows % 4 > 0)
        assert all(len(chunk) % accumulate == 0 for chunk in epoch[:-1])  # no step is torn apart
    assert all(sum(map(len, portion)) <= max(STEPS, accumulate) for portion in yielded)
    if made.chunks > 1:  # no portion goes on into another epoch
        assert all(len(portion) == 1 for portion in yielded)


@pytest.mark.parametrize("start", [0, 1, 2, 3])
def test_an_epoch_goes_on_at_its_chunk(start, problem):
    whole, rest = (list(portions(problem, 700, chunk=begin, batch_size=4, epochs=2)) for begin in (0, start))
    assert len(whole) == 8 and len(rest) == 8 - start
    for (ours,), (theirs,) in zip(rest, whole[start:]):
        assert all(map(torch.equal, ours, theirs))


@pytest.mark.parametrize("world", [1, 2, 3, 4])
@pytest.mark.parametrize("rows", [1, 2, 3, 5, 8, 9])
def test_the_mean_over_ranks_is_the_mean_over_the_batch(rows, world):
    """Of the loss and of its gradient, whatever the ranks' shares; a rank without rows counts nothing."""
    batch = torch.arange(10, 10 + rows)
    shares = [shard(batch, rank, world) for rank in range(world)]
    counted = torch.cat([own for own, weight in shares if weight])
    assert sorted(counted.tolist()) == batch.tolist()
    assert all(len(own) for own, _ in shares)  # every rank has a loss to go backward from

    inputs = torch.randn(30, 4, dtype=torch.float64)
    parameter = torch.randn(4, dtype=torch.float64, requires_grad=True)

    def loss(index):
        return (inputs[index] @ parameter).square().mean()

    (whole,) = torch.autograd.grad(loss(batch), parameter)
    parts = [torch.autograd.grad(loss(own) * weight, parameter)[0] for own, weight in shares]
    torch.testing.assert_close(torch.stack(parts).mean(0), whole)
    means = torch.stack([loss(own) * weight for own, weight in shares])
    torch.testing.assert_close(means.mean(), loss(batch))


def test_a_stage_has_settings_of_its_own_or_those_of_all(problem):
    settings = problem.settings()
    own = {"optimizer": {"_target_": "torch.optim.SGD", "lr": 1.0}, "scheduler": {"_target_": None}}
    plan = Plan.of(Stage("pretraining", None, None, epochs=7, batch_size=5, **own), settings, 3)
    assert (plan.stage, plan.epochs, plan.batch_size, plan.seed) == ("pretraining", 7, 5, 3)
    assert (plan.optimizer, plan.scheduler) == (own["optimizer"], own["scheduler"])
    plan = Plan.of(Stage("train", None, None), settings, 3)
    assert (plan.epochs, plan.batch_size) == (settings.epochs, settings.batch_size)
    assert (plan.optimizer, plan.scheduler) == (settings.optimizer, settings.scheduler)


def test_only_parameters_that_learn_are_optimised(problem):
    method = problem.erm()
    method.backbone.requires_grad_(False)
    before = {name: value.clone() for name, value in method.state_dict().items()}
    decaying = ("AdamW", {"lr": 0.1, "weight_decay": 0.5})
    after = problem.fit(method, problem.vectors(40), epochs=1, optimizer=decaying).last
    for name, value in before.items():
        assert torch.equal(after[name], value) == name.startswith("backbone")


def test_optimisers_and_schedules_are_built_as_described():
    parameter = torch.nn.Parameter(torch.zeros(1))
    optimizer, scheduler = build_optimizer(
        {"_target_": "torch.optim.SGD", "lr": 0.25, "momentum": 0.5},
        {"_target_": "torch.optim.lr_scheduler.StepLR", "step_size": 3},
        [parameter],
    )
    assert type(optimizer) is torch.optim.SGD and optimizer.param_groups[0]["momentum"] == 0.5
    assert scheduler.optimizer is optimizer and scheduler.get_last_lr() == [0.25]
    _, none = build_optimizer({"_target_": "torch.optim.SGD", "lr": 0.25}, {"_target_": None}, [parameter])
    assert none is None
