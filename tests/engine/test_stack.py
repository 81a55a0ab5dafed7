"""Stacked modules: each has the loss and the gradient it has alone, or they are not stacked."""

import copy
import functools
from operator import itemgetter
from types import SimpleNamespace

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from mlbench.backbones.chain import Chain
from mlbench.data.rows import Batch
from mlbench.data.task import Modality, Task
from mlbench.engine.stack import BrokenAlone, CannotStack, Stack, replaced
from mlbench.losses.bce import bce
from mlbench.methods.erm import ERM
from mlbench.methods.ofcc import OFCC
from mlbench.seeding import seed_everything


def weighted(logits, targets, slope, kind="mean"):
    """A loss with a number and a word to choose."""
    entries = F.softplus(slope * (1 - 2 * targets) * logits)
    return entries.mean() if kind == "mean" else entries.sum()


def chained(seed=1, features=6, labels=3, **options):
    task = Task("small", tuple("abcdefg")[:labels], (Modality("features", 0, features),), 9, (3,) * labels)
    seed_everything(seed)
    given = {"hidden": 4, "selection": "confident", "loss_on": "steps"} | options
    return OFCC(task, lambda task: Chain(task, **given))


def batches_of(problem, replicas, *sizes, labels=3):
    """Stacked batches, (R, B, ...) each, every replica with rows of its own."""
    data = [problem.vectors(max(sizes), seed=number) for number in range(replicas)]
    x, targets, ids = map(torch.stack, zip(*[(d.x, d.targets, d.ids) for d in data]))
    stacked = Batch(x, targets[..., :labels], ids, {"noise": torch.randn(*ids.shape, labels)})
    return [stacked.map(lambda part, size=size: part[:, :size]) for size in sizes]


def assert_each_is_alone(modules, stack, batch):
    """Losses and gradients; a module's own are had from a copy."""
    losses = stack.losses(batch)
    losses.sum().backward()
    for number, module in enumerate(copy.deepcopy(modules)):
        loss = module.loss(batch.map(itemgetter(number)))
        loss.backward()
        torch.testing.assert_close(losses[number], loss)
        for name, parameter in module.named_parameters():
            together = torch.cat([leaves[name].grad for leaves in stack.leaves])
            torch.testing.assert_close(together[number], parameter.grad, atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize("groups", [[1], [3], [1, 2], [1, 1, 1]], ids=str)
@pytest.mark.parametrize("kind", ["chain", "perceptron"])
def test_each_replica_has_its_own_loss_and_gradient(kind, groups, problem):
    make = chained if kind == "chain" else functools.partial(problem.erm)
    modules = iter([make(seed=seed) for seed in range(sum(groups))])
    groups = [[next(modules) for _ in range(size)] for size in groups]
    stack, given = Stack(groups), [module for group in groups for module in group]
    batches = batches_of(problem, len(given), 7, 5)
    stack.choose(batches)
    assert_each_is_alone(given, stack, batches[1])


class Told(ERM):
    """Learns from what its stage brings along, too."""

    def loss(self, batch):
        return super().loss(batch) + F.mse_loss(self.logits(batch), batch.extra["noise"])


def test_each_replica_learns_from_what_was_brought_along_for_it(problem):
    modules = [problem.erm(kind=Told, seed=seed) for seed in range(3)]
    stack, batches = Stack([modules]), batches_of(problem, 3, 7, 5)
    stack.choose(batches)
    assert_each_is_alone(modules, stack, batches[1])
    other = batches[1]._replace(extra={"noise": batches[1].extra["noise"].flip(0)})
    assert not torch.allclose(stack.losses(other), stack.losses(batches[1]))


@pytest.mark.parametrize("make", [chained, None], ids=["chain", "perceptron"])
def test_as_many_replicas_as_rows_and_labels(make, problem):
    """Nothing that has three of one thing is taken for three of another; nor a single row for a number."""
    modules = [(make or problem.erm)(seed=seed) for seed in range(3)]
    stack = Stack([modules])
    batches = batches_of(problem, 3, 3, 1)
    stack.choose(batches)
    for batch in batches:
        assert_each_is_alone(modules, stack, batch)
        for leaf in stack.leaves[0].values():
            leaf.grad = None


def test_modules_stay_as_they_are_until_asked(problem):
    """Those given do so always; `modules` get what was learned from `hand_back`."""
    given = [problem.erm(seed=seed) for seed in range(2)]
    before = [copy.deepcopy(module.state_dict()) for module in given]
    stack = Stack([given])
    stack.choose(batches_of(problem, 2, 4))
    with torch.no_grad():
        stack.leaves[0]["head.bias"] += 1.0
    stack.hand_back()
    for module, own, state in zip(given, stack.modules, before):
        assert all(torch.equal(tensor, state[name]) for name, tensor in module.state_dict().items())
        assert torch.equal(own.head.bias, state["head.bias"] + 1)
        assert torch.equal(own.head.weight, state["head.weight"])


def test_frozen_parameters_and_buffers_are_each_ones_own(problem):
    class Half(ERM):
        def __init__(self, *given):
            super().__init__(*given)
            self.backbone.requires_grad_(False)
            self.register_buffer("shift", torch.randn(3), persistent=False)

        def logits(self, batch):
            return super().logits(batch) + self.shift

    modules = [problem.erm(kind=Half, seed=seed) for seed in range(2)]
    stack = Stack([modules])
    batches = batches_of(problem, 2, 4)
    stack.choose(batches)
    assert set(stack.leaves[0]) == {"head.weight", "head.bias"}
    losses = [module.loss(batches[0].map(itemgetter(n))) for n, module in enumerate(modules)]
    torch.testing.assert_close(stack.losses(batches[0]), torch.stack(losses))


class Penalised(ERM):
    """A number of its own, `strength`, beside those of its loss."""

    def __init__(self, *given, strength):
        super().__init__(*given)
        self.strength = strength

    def loss(self, batch):
        return super().loss(batch) + self.strength * self.head.weight.square().sum()


def test_numbers_of_methods_and_losses_are_each_ones_own(problem):
    """Floats and whole numbers, in attributes and in keywords; one that is alike in all stays a number."""
    strengths, slopes, weights = [0.5, 2, 0.0], [1.0, 0.25, 3.0], [1, 2.5, 4.0]
    for name, function, given in (("slope", weighted, slopes), ("pos_weight", bce, weights)):
        modules = [
            problem.erm(kind=Penalised, loss=functools.partial(function, **{name: number}), strength=strength)
            for number, strength in zip(given, strengths)
        ]
        stack = Stack([modules[:2], modules[2:]])
        assert set(stack.hyper) == {("", "objective", name), ("", "strength", "")}
        batches = batches_of(problem, 3, 6)
        stack.choose(batches)
        assert_each_is_alone(modules, stack, batches[0])


def test_nothing_is_left_in_the_modules(problem):
    """What is replaced while a loss is worked out is put back, after an error, too."""
    loss = functools.partial(weighted, slope=2.0, kind="mean")
    module = problem.erm(kind=Penalised, loss=loss, strength=0.5)
    hyper = {("", "objective", "slope"): torch.tensor(3.0), ("", "objective", "kind"): "sum"}
    with pytest.raises(KeyError), replaced(module, hyper | {("", "strength", ""): torch.tensor(7.0)}):
        assert module.objective.keywords == {"slope": 3.0, "kind": "sum"} and module.strength == 7.0
        raise KeyError
    assert module.objective is loss and module.strength == 0.5
    modules = [problem.erm(kind=Penalised, loss=loss, strength=strength) for strength in (0.5, 0.75)]
    stack = Stack([modules])
    stack.choose(batches_of(problem, 2, 4))
    assert [own.strength for own in stack.modules] == [0.5, 0.75]


# What is refused


class Branches(ERM):
    def loss(self, batch):
        loss = super().loss(batch)
        return loss if loss.item() > 0 else -loss


class Draws(ERM):
    def loss(self, batch):
        return super().loss(batch._replace(x=batch.x + 1e-9 * torch.randn_like(batch.x)))


class DrawsOutside(ERM):
    def loss(self, batch):
        return super().loss(batch) * torch.rand(())


class Counts(ERM):
    steps = 0

    def loss(self, batch):
        self.steps += 1
        return super().loss(batch) / (1 + self.steps // 100)


class Collects(ERM):
    def __init__(self, *given):
        super().__init__(*given)
        self._seen = []

    def loss(self, batch):
        self._seen.append(len(batch.x))
        return super().loss(batch)


class Averages(ERM):
    """Keeps a mean of its logits in a buffer."""

    def __init__(self, *given):
        super().__init__(*given)
        self.register_buffer("mean", torch.zeros(3))

    def loss(self, batch):
        self.mean.lerp_(self.logits(batch).detach().mean(0), 0.1)
        return super().loss(batch)


class Scaled(ERM):
    """Has its numbers where nobody looks for them."""

    def __init__(self, *given, scale):
        super().__init__(*given)
        self.settings = SimpleNamespace(scale=scale)

    def loss(self, batch):
        return self.settings.scale * super().loss(batch)


class Aside(ERM):
    """Takes a parameter, 0 at first, from a list: right in value for all, its gradient goes nowhere."""

    def __init__(self, *given):
        super().__init__(*given)
        nn.init.zeros_(self.head.bias)
        self.aside = [self.head.bias]

    def logits(self, batch):
        return F.linear(self.backbone(batch.x), self.head.weight, self.aside[0])


class Recurrent(ERM):
    """An LSTM of PyTorch's has its weights in a list, too."""

    def __init__(self, *given):
        super().__init__(*given)
        self.recurrent = nn.LSTM(8, 8)

    def logits(self, batch):
        return self.head(self.recurrent(self.backbone(batch.x))[0])


class Worded(ERM):
    def __init__(self, *given, word):
        super().__init__(*given)
        self.word = word

    def loss(self, batch):
        return super().loss(batch)  # what the word is good for may show in a later batch


class Ignores(ERM):
    """Some of them have a parameter that their loss does not look at."""

    def __init__(self, *given, whole):
        super().__init__(*given)
        self.settings = SimpleNamespace(whole=whole)
        nn.init.zeros_(self.head.bias)

    def logits(self, batch):
        bias = self.head.bias if self.settings.whole else None
        return F.linear(self.backbone(batch.x), self.head.weight, bias)


@pytest.mark.parametrize("kind", [Branches, Draws, DrawsOutside, Counts, Collects, Averages])
def test_what_a_loss_may_not_do(kind, problem):
    keeps = kind in (Counts, Collects, Averages)
    reason = "changes what it holds" if keeps else "cannot be had for several at once"
    stack = Stack([[problem.erm(kind=kind, seed=seed) for seed in range(2)]])
    with pytest.raises(CannotStack, match=reason):
        stack.choose(batches_of(problem, 2, 4))


def losses_of(function, *keywords):
    return [{"loss": functools.partial(function, **own)} for own in keywords]


@pytest.mark.parametrize(
    "reason, options",
    [
        ("differ in word", [{"kind": Worded, "word": word} for word in ("this", "that")]),
        ("differ in word", [{"kind": Worded, "word": word} for word in (True, False)]),
        ("differ in word", [{"kind": Worded, "word": word} for word in (None, 1.0)]),
        ("differ in word", [{"kind": Worded, "word": word} for word in ([1.0, 2.0], [1.0, 3.0])]),
        (
            "differ in kind",
            losses_of(weighted, {"slope": 1.0, "kind": "mean"}, {"slope": 1.0, "kind": "sum"}),
        ),
        ("differ in kind", losses_of(weighted, {"slope": 1.0}, {"slope": 1.0, "kind": "sum"})),
        ("differ in pos_weight", losses_of(bce, {"pos_weight": None}, {"pos_weight": 2.0})),
        ("differ in objective", losses_of(bce, {}) + losses_of(weighted, {})),
        ("of different classes", [{"loss": nn.BCEWithLogitsLoss()}, {}]),
        ("of different classes", [{}, {"kind": Counts}]),
        ("cannot be had", [{"kind": Scaled, "scale": scale} for scale in (1.0, 2.0)]),
        ("cannot be had", [{"kind": Aside}, {"kind": Aside, "seed": 2}]),
        ("cannot be had", [{"kind": Recurrent}, {"kind": Recurrent, "seed": 2}]),
        ("in some of them only", [{"kind": Ignores, "whole": whole} for whole in (True, False)]),
    ],
)
def test_what_may_not_differ(reason, options, problem):
    with pytest.raises(CannotStack, match=reason):
        Stack([[problem.erm(**each) for each in options]]).choose(batches_of(problem, 2, 4))


def test_shapes_may_not_differ():
    for options in ({"hidden": 5}, {"features": 5}, {"labels": 2}):
        with pytest.raises(CannotStack, match="differ in shape"):
            Stack([[chained(), chained(**options)]])


@pytest.mark.parametrize("option", [{"selection": "always"}, {"loss_on": "final"}])
def test_chains_of_different_kinds(option, problem):
    with pytest.raises(CannotStack):
        Stack([[chained(), chained(seed=2, **option)]]).choose(batches_of(problem, 2, 4))


def test_what_fails_alone_is_no_matter_of_stacks(problem):
    class Fails(ERM):
        def loss(self, batch):
            raise FileNotFoundError("wanted")

    with pytest.raises(BrokenAlone):
        Stack([[problem.erm(kind=Fails) for _ in range(2)]]).choose(batches_of(problem, 2, 4))


def test_a_loss_that_is_no_number_does_not_keep_the_others(problem):
    modules = [problem.erm(seed=seed) for seed in range(3)]
    nn.init.constant_(modules[1].head.bias, torch.nan)
    stack = Stack([modules])
    batches = batches_of(problem, 3, 4)
    stack.choose(batches)
    assert stack.losses(batches[0]).isnan().tolist() == [False, True, False]
