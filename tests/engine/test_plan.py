"""How an epoch is cut into batches and a batch among ranks, and whose settings a stage is trained with."""

import math

import pytest
import torch

from mlbench.data.rows import order
from mlbench.engine.loop import shard
from mlbench.engine.plan import Plan, Schedule, build_optimizer
from mlbench.errors import UserError
from mlbench.methods.base import Stage
from mlbench.methods.erm import ERM


class Visits(ERM):
    """Notes the rows of every batch, and after how many of them each step came."""

    def __init__(self, *given):
        super().__init__(*given)
        self.batches, self.steps = [], []

    def loss(self, batch):
        self.batches.append(batch.ids)
        return super().loss(batch)

    def after_step(self):
        self.steps.append(len(self.batches))


@pytest.mark.parametrize("accumulate", [1, 3, 50, 51, 200])
@pytest.mark.parametrize("rows", [1, 4, 199, 200, 201, 816])
def test_an_epoch_visits_every_row_once_in_order(rows, accumulate, problem):
    method = problem.erm(kind=Visits)
    problem.fit(method, problem.vectors(rows), batch_size=4, accumulate=accumulate, epochs=2)
    number = math.ceil(rows / 4)
    assert [len(batch) for batch in method.batches] == ([4] * (rows // 4) + [rows % 4] * (rows % 4 > 0)) * 2
    for epoch in range(2):
        visited = torch.cat(method.batches[epoch * number : (epoch + 1) * number])
        assert torch.equal(visited, order(rows, problem.seed, epoch))
    ends = [*range(accumulate, number, accumulate), number]  # no step takes batches of two epochs
    assert method.steps == ends + [number + end for end in ends]


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


def test_optimisers_and_schedules_are_built_as_described(problem):
    parameter = torch.nn.Parameter(torch.zeros(1))
    given = {"optimizer": ("SGD", {"lr": 0.25, "momentum": 0.5}), "scheduler": ("StepLR", {"step_size": 3})}
    plan = Plan.of(Stage("train", None, None), problem.settings(**given), 3)
    optimizer = build_optimizer(plan.optimizer, [parameter])
    assert type(optimizer) is torch.optim.SGD and optimizer.param_groups[0]["momentum"] == 0.5
    scheduler = Schedule(optimizer, plan, 1).scheduler
    assert scheduler.optimizer is optimizer and scheduler.get_last_lr() == [0.25]


@pytest.mark.parametrize("scheduler", ["OneCycleLR", "CosineAnnealingLR"])
@pytest.mark.parametrize(("each", "length"), [("epoch", 7), ("step", 7 * 5)])
def test_a_schedule_of_a_length_lasts_as_long_as_the_training(scheduler, each, length, problem):
    given = {"max_lr": 0.1} if scheduler == "OneCycleLR" else {}
    settings = problem.settings(scheduler=(scheduler, given), schedule_every=each, epochs=7)
    plan = Plan.of(Stage("train", None, None), settings, 3)
    optimizer = build_optimizer(plan.optimizer, [torch.nn.Parameter(torch.zeros(1))])
    schedule = Schedule(optimizer, plan, 5).scheduler
    assert vars(schedule)["total_steps" if scheduler == "OneCycleLR" else "T_max"] == length


class Told(ERM):
    """Scores that are as good as they are told, epoch by epoch."""

    RIGHT = (3, 2, 2, 2, 2, 2)  # of so many labels, after each epoch

    def begin_epoch(self, epoch, of):
        self.epoch = epoch

    def scores(self, batch):
        right = torch.arange(batch.targets.shape[1]) < self.RIGHT[self.epoch]
        return torch.where(right, batch.targets, 1 - batch.targets).float()


@pytest.mark.parametrize(
    ("metric", "every", "expected"),
    [
        # The first epoch is the best: the rate falls after every later one that is looked at.
        ("f1_micro", 1, [1, 1, 0.5, 0.25, 0.125, 0.0625]),
        ("hamming_loss", 1, [1, 1, 0.5, 0.25, 0.125, 0.0625]),
        ("f1_micro", 2, [1, 1, 1, 1, 0.5, 0.5]),  # epochs 2, 4 and 6 are looked at, and are equal
    ],
)
def test_a_plateau_is_one_of_the_metric_looked_at_in_its_own_direction(metric, every, expected, problem):
    plateau = ("ReduceLROnPlateau", {"factor": 0.5, "patience": 0, "threshold": 0.0})
    watch = problem.watch("best", problem.vectors(40), metric)
    method = problem.erm(kind=Told)
    how = {"optimizer": ("SGD", {"lr": 1.0}), "scheduler": plateau, "epochs": 6, "every": every}
    history = problem.fit(method, problem.vectors(40), [watch], **how).history
    assert [row["learning_rate"] for row in history] == expected


def test_a_plateau_goes_on_with_epochs_only(problem):
    settings = problem.settings(scheduler=("ReduceLROnPlateau", {}), schedule_every="step")
    plan = Plan.of(Stage("train", None, None), settings, 3)
    with pytest.raises(UserError, match=r"write train\.schedule_every=epoch"):
        Schedule(build_optimizer(plan.optimizer, [torch.nn.Parameter(torch.zeros(1))]), plan, 5)
