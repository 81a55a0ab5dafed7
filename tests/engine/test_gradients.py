"""Gradients of many weights are copied to their places, those of few added up there: the same weights.

A layer without a gradient rests, whatever the decay, until it has one.
"""

import copy
import dataclasses

import pytest
import torch
from torch import nn

from mlbench.engine import flat as flats
from mlbench.engine.fit import fit
from mlbench.engine.flat import Flat, shapes_of
from mlbench.engine.many import fit_together
from mlbench.layers import Linear
from mlbench.methods.erm import ERM

WIDTH, STEPS = 7, 6


class Sometimes(nn.Module):
    """Its second layer has a part in every other loss, its third one in none."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.first, self.second, self.third = (nn.Linear(WIDTH, WIDTH) for _ in range(3))

    def loss(self, x, number):
        x = self.first(x).tanh()
        return (self.second(x) if number % 2 else x).square().mean()


def batches(number):
    """Two of a step."""
    return torch.randn(2, 5, WIDTH, generator=torch.Generator().manual_seed(number))


def trained(many, monkeypatch, clip=None):
    monkeypatch.setattr(flats, "MANY", many)
    module = Sometimes()
    shapes = shapes_of(module)
    flat = Flat(shapes, [[*shapes]], module.first.weight, 1)
    flat.take(module)
    optimizer = torch.optim.AdamW([flat.optimised(0, 0, 1)], weight_decay=0.1, fused=True)
    step, seen = flat.step_of(optimizer), []
    for number in range(STEPS):
        for x in batches(number):
            module.loss(x, number).backward()
        flat.collect()
        if clip:
            flat.clip(0.01, clip)
        seen += [parameter.grad.clone() for parameter in module.parameters() if parameter.grad is not None]
        step()
    return flat, module, seen


@pytest.mark.parametrize("clip", [None, "norm", "value"])
def test_copied_or_added_up_the_weights_and_what_hooks_see_are_the_same(clip, monkeypatch):
    (few, _, added), (lot, _, copied) = (trained(many, monkeypatch, clip) for many in (10**9, 1))
    assert lot.collects and not few.collects
    assert torch.equal(few.weights[0], lot.weights[0])
    given = [gradient for gradient in added if gradient.any()]
    assert len(given) == STEPS * 2 + STEPS // 2 * 2  # the first layer's in all steps, the second's in half
    assert all(map(torch.equal, given, copied))


@pytest.mark.parametrize("many", [1, 10**9])
def test_they_are_those_of_torch_alone(many, monkeypatch):
    """But for the steps that Adam counts before a layer has its first gradient."""
    _, module, _ = trained(many, monkeypatch)
    alone = Sometimes()
    optimizer = torch.optim.AdamW(alone.parameters(), weight_decay=0.1, fused=True)
    for number in range(STEPS):
        for x in batches(number):
            alone.loss(x, number).backward()
        optimizer.step()
        if not number:
            for parameter in alone.second.parameters():
                zeros = {name: torch.zeros_like(parameter) for name in ("exp_avg", "exp_avg_sq")}
                optimizer.state[parameter] = {"step": torch.tensor(1.0), **zeros}
        optimizer.zero_grad(set_to_none=not number)
    for parameter, expected in zip(module.parameters(), alone.parameters(), strict=True):
        torch.testing.assert_close(parameter, expected)


class Later(ERM):
    """A second head has a part in the second epoch alone."""

    def __init__(self, *given):
        super().__init__(*given)
        self.more = Linear(*reversed(self.head.weight.shape))

    def begin_epoch(self, epoch, of):
        self.takes_part = epoch == 1

    def logits(self, batch):
        x = self.backbone(batch.x)
        return self.head(x) + self.more(x) if self.takes_part else self.head(x)


@pytest.mark.parametrize("several", [1, 3])
def test_a_layer_that_comes_later_and_rests_again_is_trained_as_if_nothing_had_stopped(several, jobs):
    how = {"module": {"kind": Later}, "epochs": 4, "checkpoint_seconds": 0}
    how["optimizer"] = "AdamW", {"lr": 0.05, "weight_decay": 0.1}

    def outcomes(folder, stops=False):
        """With `stops` it is interrupted after the third epoch."""
        asked = jobs(folder, *[{}] * several, **how)
        if stops:
            asked = [dataclasses.replace(job, report=interrupt) for job in asked]
        stacked = fit_together(asked) if several > 1 else {}
        assert several == 1 or {outcome.trained for outcome in stacked.values()} == {""}
        return [stacked.get(job.path) or fit(job) for job in asked]

    def interrupt(history):
        if len(history) == 3:
            raise KeyboardInterrupt

    first = [copy.deepcopy(job.stage.module) for job in jobs("first", *[{}] * several, **how)]
    whole = outcomes("whole")
    with pytest.raises(KeyboardInterrupt):
        outcomes("stopped", stops=True)
    for ours, theirs, module in zip(outcomes("stopped"), whole, first, strict=True):
        assert all(torch.equal(ours.last[name], theirs.last[name]) for name in theirs.last)
        moved = (theirs.last["more.weight"] - module.more.weight).abs()
        assert moved.max() > 0.05, "the layer has learned"
