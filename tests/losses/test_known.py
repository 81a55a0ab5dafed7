"""Losses from which unknown entries are left out: those that are sums over single entries."""

import numpy as np
import pytest
import torch

from mlbench.compose import choices, configure, shipped_target
from mlbench.methods.build import build_loss, leaves_out
from small import small_task

LEAVING_OUT = [name for name in choices("loss") if leaves_out({"_target_": shipped_target("loss", name)})]
LABELS, ROWS = 3, 5


def test_these_leave_out():
    assert LEAVING_OUT == ["asl", "bce", "cb_focal", "cb_ntr", "focal"]


@pytest.mark.parametrize("replicas", [(), (2,)])
@pytest.mark.parametrize("name", LEAVING_OUT)
def test_it_is_the_sum_over_known_entries(name, replicas):
    """Each entry's cost is that of the loss on this entry alone; asl is no mean over labels, but a sum."""
    draws = torch.Generator().manual_seed(0)
    shape = (*replicas, ROWS, LABELS)
    logits = torch.randn(shape, generator=draws, dtype=torch.float64, requires_grad=True)
    targets = (torch.rand(shape, generator=draws) < 0.4).double()
    known = (torch.rand(shape, generator=draws) < 0.6).double()
    node, task = configure([f"loss={name}"]).loss, small_task(LABELS)
    objective = build_loss(node, task)
    if objective.positives is not None:  # each replica has its own
        objective.positives = objective.positives.expand(*replicas, LABELS)
    loss = objective(logits, targets, known)
    assert loss.shape == replicas

    for place in np.ndindex(*replicas):
        costs, count = 0.0, 0
        for row, label in np.ndindex(ROWS, LABELS):
            if known[*place, row, label]:
                entry = [tensor[*place, row, label].view(1, 1) for tensor in (logits, targets)]
                costs = costs + build_loss(node, task.narrowed(task.labels[label : label + 1]))(*entry)
                count += 1
        expected = costs / (ROWS if name == "asl" else count)
        torch.testing.assert_close(loss[place], expected)
    (gradient,) = torch.autograd.grad(loss.sum(), logits)
    assert torch.equal(gradient != 0, known != 0)


def test_a_batch_without_a_known_entry_costs_nothing():
    loss = build_loss(configure(["loss=bce"]).loss, small_task(LABELS))
    logits = torch.zeros(ROWS, LABELS, requires_grad=True)
    cost = loss(logits, torch.zeros(ROWS, LABELS), torch.zeros(ROWS, LABELS))
    cost.backward()
    assert cost == 0 and not logits.grad.any()
