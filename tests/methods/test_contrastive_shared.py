"""Two processes that share batches descend as one; a checkpoint holds all there is to a pre-training."""

import copy

import pytest
import torch
import torch.distributed
from torch.multiprocessing import start_processes

from mlbench.compose import configure
from mlbench.layers import begin_draws, draws_of
from mlbench.methods.build import build_method
from small import small_data, small_task

METHODS = ("mulsupcon", "mulsupcon_rld", "mulsupcon_cld")
STEPS = 5


def pretraining(method, *changes):
    """Its first stage, in small: the queue opens after two steps of eight."""
    small = ["backbone.widths=[8]", "method.pretrain.batch_size=8", "method.pretrain.queue=16", *changes]
    config = configure([f"method={method}", "dataset=npz", "dataset.path=x", *small])
    torch.manual_seed(0)
    data = small_data(3)
    built = build_method(config.method, config.backbone, config.loss, small_task(3))
    module = next(built.stages({"train": data})).module
    begin_draws(module, 0)
    return module, data


def step(module, rows, data):
    loss = module.loss(data.batch(rows))
    loss.backward()
    return loss.detach()


def descend(module):
    with torch.no_grad():
        for parameter in module.parameters():
            if parameter.grad is not None:
                parameter -= 0.01 * parameter.grad
                parameter.grad = None
    module.after_step()


def batches(data):
    return torch.arange(len(data)).split(8)[:STEPS]


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("stop", [1, 2, 4])
def test_it_goes_on_bit_for_bit_from_its_state(method, stop):
    module, data = pretraining(method)
    other, _ = pretraining(method)
    whole = []
    for number, rows in enumerate(batches(data)):
        if number == stop:
            other.load_state_dict(copy.deepcopy(module.state_dict()))
            for path, (draws,) in draws_of(module).items():
                draws_of(other)[path][0].begin(*draws.kept())
        whole.append(step(module, rows, data))
        descend(module)
    for rows, expected in zip(batches(data)[stop:], whole[stop:]):
        assert torch.equal(step(other, rows, data), expected)
        descend(other)
    assert all(map(torch.equal, module.state_dict().values(), other.state_dict().values()))


PLAIN = ("backbone.dropout=0", "method.pretrain.dropout=0", "method.pretrain.mask=0")


def without_norm(module):
    for head in (module.projection, module.key_projection):
        head[1] = torch.nn.Identity()
    return module


def rank(number, method, folder):
    torch.set_num_threads(1)  # a forked process has none of its threads
    torch.distributed.init_process_group(
        "gloo", init_method=f"file://{folder}/{method}", rank=number, world_size=2
    )
    module, data = pretraining(method, *PLAIN)
    losses = []
    for rows in batches(data):
        losses.append(step(without_norm(module), rows[number::2], data))
        for parameter in module.parameters():
            if parameter.grad is not None:
                torch.distributed.all_reduce(parameter.grad)
                parameter.grad /= 2
        descend(module)
    torch.save((losses, module.state_dict()), f"{folder}/{method}.{number}")
    torch.distributed.destroy_process_group()


@pytest.mark.parametrize("method", METHODS)
def test_two_processes_descend_as_one(method, tmp_path):
    module, data = pretraining(method, *PLAIN)
    alone = []
    for rows in batches(data):
        alone.append(step(without_norm(module), rows, data))
        descend(module)
    start_processes(rank, (method, str(tmp_path)), nprocs=2, start_method="fork")
    (first, state), (second, other) = (torch.load(tmp_path / f"{method}.{number}") for number in range(2))
    means = (torch.stack(first) + torch.stack(second)) / 2
    torch.testing.assert_close(means, torch.stack(alone), atol=1e-6, rtol=1e-6)
    for name, expected in module.state_dict().items():
        assert torch.equal(state[name], other[name])
        torch.testing.assert_close(state[name], expected, atol=1e-5, rtol=1e-5)
