"""Label statistics reach the losses that ask for them, from the task and from nowhere else."""

from functools import partial
from operator import itemgetter

import pytest
import torch

from mlbench.backbones.linear import Linear
from mlbench.compose import configure
from mlbench.data.rows import Batch
from mlbench.data.task import Modality, Task
from mlbench.engine.stack import Stack
from mlbench.errors import UserError
from mlbench.methods.build import build_loss, build_method, packed, unpacked
from mlbench.methods.erm import ERM

ASKING = {"cb_focal": False, "r_focal": False, "db": True, "cb_ntr": True}  # and whether for N, too


def counted_task(positives=(0, 3, 20, 9), instances=20):
    return Task("small", tuple("abcd"), (Modality("features", 0, 3),), instances, tuple(positives))


def counted_batch(replicas=(), rows=8):
    generator = torch.Generator().manual_seed(0)
    features = torch.randn(*replicas, rows, 3, generator=generator)
    targets = (torch.rand(*replicas, rows, 4, generator=generator) < 0.4).float()
    return Batch(features, targets, torch.arange(rows).expand(*replicas, rows))


@pytest.mark.parametrize("name", ASKING)
def test_they_are_those_of_the_task(name):
    node, task, batch = configure([f"loss={name}"]).loss, counted_task(), counted_batch()
    loss, logits = build_loss(node, task), batch.targets - 0.5
    known = {"positives": torch.tensor(task.positives)} | ({"instances": 20} if ASKING[name] else {})
    assert torch.equal(
        loss(logits, batch.targets), loss.loss.func(logits, batch.targets, **loss.loss.keywords | known)
    )
    other = build_loss(node, counted_task((1, 1, 1, 1)))
    assert not torch.equal(loss(logits, batch.targets), other(logits, batch.targets))


def test_a_loss_that_does_not_ask_is_bound_to_its_options_alone():
    loss = build_loss(configure(["loss=focal"]).loss, counted_task())
    assert isinstance(loss.loss, partial) and loss.loss.keywords == {"alpha": 0.25, "gamma": 2.0}


@pytest.mark.parametrize("name", ASKING)
def test_a_trained_method_comes_back_from_its_file(name, tmp_path):
    config = configure([f"loss={name}", "backbone=linear"])
    nodes = {"method": config.method, "backbone": config.backbone, "loss": config.loss}
    method, batch = build_method(**nodes, task=counted_task()), counted_batch()
    assert set(method.state_dict()) == {"head.weight", "head.bias"}
    torch.save(packed(method, nodes, counted_task()), tmp_path / "model.pt")
    again, task = unpacked(tmp_path / "model.pt")
    assert task == counted_task() and torch.equal(again.loss(batch), method.loss(batch))


@pytest.mark.parametrize("name", ASKING)
def test_replicas_trained_as_one_have_their_own(name):
    """Splits that are drawn differ in how often each label occurs, folds in the number of instances, too."""
    node = configure([f"loss={name}"]).loss
    tasks = [counted_task(), counted_task((5, 0, 1, 9), 21), counted_task((1, 2, 3, 4), 20)]
    modules = [ERM(task, Linear, build_loss(node, task)) for task in tasks]
    batch = counted_batch((3,))
    stack = Stack([modules])
    stack.choose([batch])
    alone = [module.loss(batch.map(itemgetter(n))) for n, module in enumerate(modules)]
    torch.testing.assert_close(stack.losses(batch), torch.stack(alone), rtol=1e-5, atol=0)


def test_nobody_says_them_in_a_configuration():
    for words in ("+loss.positives=[1]", "+loss.instances=3"):
        with pytest.raises(
            UserError, match=r"no such key; loss has: alpha, beta, gamma, kappa, scale, tolerance"
        ):
            configure(["loss=cb_ntr", words])
