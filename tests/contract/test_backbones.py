"""Every backbone of conf/backbone, as it is configured there: what a method builds on."""

import copy
from dataclasses import replace

import pytest
import torch

from mlbench.compose import choices, configure
from mlbench.config import options, target
from mlbench.seeding import seed_everything

IMAGE = (3, 16, 16)
VOCABULARY = tuple(map(str, range(9)))
WITH_WEIGHTS = {"efficientnet_lite0", "hf_text"}  # from a package: tests/backbones has it


@pytest.fixture(params=[name for name in choices("backbone") if name not in WITH_WEIGHTS])
def node(request):
    return configure([f"backbone={request.param}"]).backbone


@pytest.fixture
def problem(node, problem):
    """A task of the kind that the backbone takes, and its data."""

    def made(**how):
        task, data = problem(**how)
        kinds, draws = getattr(target(node), "kinds", ()), torch.Generator().manual_seed(0)
        if "text" in kinds:
            x = torch.randint(0, len(VOCABULARY), (len(data), 5), generator=draws)
            return replace(task, kind="text", vocabulary=VOCABULARY), replace(data, x=x)
        if "image" not in kinds:
            return task, data
        x = torch.rand(len(data), *IMAGE, generator=draws)
        return replace(task, kind="image", shape=IMAGE), replace(data, x=x)

    return made


@pytest.fixture
def build(node):
    """build(task, seed) is the backbone with new weights."""

    def build(task, seed=0):
        seed_everything(seed)
        return target(node)(task, **options(node)).eval()

    return build


def gives(backbone, task):
    """Features of a width that it states, or logits for the labels."""
    return getattr(backbone, "width", len(task.labels))


@pytest.mark.parametrize("rows", [1, 2, 7])
@pytest.mark.parametrize("shape", [{}, {"labels": 1}, {"modalities": 1}], ids=str)
def test_it_gives_a_vector_an_instance(build, problem, rows, shape):
    task, data = problem(rows=rows, **shape)
    backbone = build(task)
    out = backbone(data.x)
    assert out.shape == (rows, gives(backbone, task)) and out.dtype == torch.float32
    assert out.isfinite().all()


def test_an_instance_is_looked_at_by_itself(build, problem):
    task, data = problem()
    backbone = build(task)
    together = backbone(data.x)
    alone = torch.cat([backbone(row[None]) for row in data.x])
    torch.testing.assert_close(alone, together)
    assert not torch.equal(together[0], together[1])


def test_gradient_reaches_everything(build, problem):
    task, data = problem()
    backbone = build(task)
    out = backbone(data.x)
    if out.requires_grad:
        (out * torch.randn(out.shape, generator=torch.Generator().manual_seed(0))).sum().backward()
    for name, parameter in backbone.named_parameters():
        assert parameter.grad is not None and parameter.grad.isfinite().all() and parameter.grad.any(), name


def test_the_input_is_left_as_it_was(build, problem):
    task, data = problem()
    before = data.x.clone()
    backbone = build(task).train()
    backbone(data.x)
    assert torch.equal(data.x, before)


def test_its_weights_come_from_the_seed_and_its_state(build, problem):
    task, data = problem()
    first, again, other = build(task, 1), build(task, 1), build(task, 2)
    out = first(data.x)
    assert torch.equal(again(data.x), out)
    if list(first.parameters()):
        assert not torch.equal(other(data.x), out)
    other.load_state_dict(first.state_dict())
    assert torch.equal(other(data.x), out)
    assert torch.equal(copy.deepcopy(first)(data.x), out)
