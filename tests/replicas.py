"""What tests of stacks share: how two outcomes are compared, numbers in which replicas differ, a module."""

import copy
import functools

import pytest
import torch

from mlbench.methods.erm import ERM

RATES = [{"lr": 0.01}, {"lr": 0.003, "weight_decay": 0.1}, {"lr": 0.01}, {"lr": 0.03}]
COSINE = ("CosineAnnealingWarmRestarts", {"T_0": 2, "T_mult": 1, "eta_min": 0.0})


def bits(state):
    return {name: tensor.numpy().tobytes() for name, tensor in state.items()}


def equal(ours, theirs):
    """To the last bit."""
    assert (bits(ours.last), ours.history) == (bits(theirs.last), theirs.history)
    assert ours.kept.keys() == theirs.kept.keys()
    for rule, kept in ours.kept.items():
        other = theirs.kept[rule]
        assert (kept["epoch"], kept["value"]) == (other["epoch"], other["value"])
        assert bits(kept["state"]) == bits(other["state"])


class Hooked(ERM):
    """Has every hook; what they keep stands in buffers, in a frozen copy and in an attribute of the epoch."""

    def __init__(self, *given):
        super().__init__(*given)
        self.average = copy.deepcopy(self.head).requires_grad_(False)
        self.register_buffer("queue", torch.zeros(4))
        self.register_buffer("limit", torch.tensor(0.05))
        self.weight = 0.0

    def loss(self, batch):
        kept = self.queue.sum(-1)
        return self.weight * super().loss(batch) + 1e-3 * kept * self.head.bias.square().sum(-1)

    def begin_epoch(self, epoch, of):
        self.weight = (epoch + 1) / of

    def before_step(self):
        gradient = self.head.bias.grad
        size = gradient.abs().amax(-1)
        gradient.mul_((self.limit / size).clamp(max=1).unsqueeze(-1))
        self.limit.lerp_(size, 0.5)

    @torch.no_grad()
    def after_step(self):
        self.average.bias.lerp_(self.head.bias, 0.1)
        newest = self.average.bias.abs().amax(-1, keepdim=True)
        self.queue.copy_(torch.cat([self.queue[..., 1:], newest], -1))


def close(ours, theirs):
    """As close as the order of sums allows in a short training; in all that is named, and its order."""
    near = functools.partial(torch.testing.assert_close, rtol=0, atol=1e-5)
    near(ours.last, theirs.last)
    assert [list(row) for row in ours.history] == [list(row) for row in theirs.history]
    for row, other in zip(ours.history, theirs.history):
        assert row == pytest.approx(other, abs=1e-5)
    assert ours.kept.keys() == theirs.kept.keys()
    for rule, kept in ours.kept.items():
        assert kept["epoch"] == theirs.kept[rule]["epoch"]
        assert kept["value"] == pytest.approx(theirs.kept[rule]["value"], abs=1e-9)
        near(kept["state"], theirs.kept[rule]["state"])


BY_VMAP = "mlbench: label is trained as one by vmap, which changes last digits: as one module "


def but_for_vmap(said):
    """Many modules here act on no dimension of replicas, and each stack of them says so."""
    return "".join(line for line in said.splitlines(keepends=True) if not line.startswith(BY_VMAP))
