"""Layers: torch's own in all but the bits, and the bits that a replica has alone."""

import copy

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from mlbench import layers
from mlbench.engine.native import put

MADE = {
    "Linear": (9, 7),
    "GELU": (),
    "LayerNorm": (9,),
    "BatchNorm1d": (9,),
    "Embedding": (5, 7),
    "LSTMCell": (9, 7),
    "GRUCell": (9, 7),
    "Dropout": (0.4,),
}


def made(name, seed, package=layers, **options):
    torch.manual_seed(seed)
    if name == "BatchNorm1d":
        options["track_running_stats"] = False
    return getattr(package, name)(*MADE[name], **options)


def input_of(name, *shape):
    return torch.randint(5, shape) if name == "Embedding" else torch.randn(*shape, 9)


def first(found):
    return found[0] if isinstance(found, tuple) else found


@pytest.mark.parametrize("name", MADE)
def test_a_layer_is_torchs(name):
    """Names, first weights, and what it makes of a batch; but dropout, of which see below."""
    ours, theirs = made(name, 3), made(name, 3, nn)
    assert isinstance(ours, type(theirs)) and str(ours) == str(theirs)
    assert ours.state_dict().keys() == theirs.state_dict().keys()
    for one, other in zip(ours.parameters(), theirs.parameters()):
        assert torch.equal(one, other)
    assert torch.equal(torch.rand(3), (made(name, 3, nn), torch.rand(3))[1])  # as much was drawn
    if name != "Dropout":
        x = input_of(name, 6)
        torch.testing.assert_close(first(ours(x)), first(theirs(x)))


def side_by_side(modules):
    """One module with the parameters of several, each in rows of whole vectors."""
    module = copy.deepcopy(modules[0])
    held = {}
    for parameter_name, parameter in module.named_parameters():
        size = parameter.numel()
        rows = torch.zeros(len(modules), -(-size // 64) * 64)[:, :size].view(-1, *parameter.shape)
        rows.copy_(torch.stack([own.get_parameter(parameter_name).detach() for own in modules]))
        held[parameter_name] = nn.Parameter(rows)
    put(module, held)
    if isinstance(module, layers.Dropout):
        module.draws = [copy.deepcopy(own.draws[0]) for own in modules]
    return module


@settings(max_examples=15, deadline=None)
@given(replicas=st.integers(1, 5), rows=st.integers(1, 40), seed=st.integers(0, 1000))
@pytest.mark.parametrize("name", MADE)
def test_every_replica_has_the_bits_it_has_alone(name, replicas, rows, seed):
    """Its output and its gradients, whatever the size of the batch."""
    torch.set_num_threads(1)
    modules = [made(name, seed + number) for number in range(replicas)]
    for number, module in enumerate(modules):
        layers.begin_draws(module, seed + number)
    together = side_by_side(modules)
    torch.manual_seed(seed)
    x = input_of(name, replicas, rows)
    out = first(together(x))
    weigh = torch.randn(out.shape)
    (out * weigh).sum().backward() if out.requires_grad else None
    for number, module in enumerate(modules):
        own = first(module(x[number].clone()))
        assert torch.equal(out[number], own)
        if own.requires_grad:
            (own * weigh[number].clone()).sum().backward()
        for one, other in zip(together.parameters(), module.parameters()):
            if other.grad is not None:
                assert torch.equal(one.grad[number], other.grad)


def test_embedding_leaves_its_padding():
    together = side_by_side([made("Embedding", seed, padding_idx=1) for seed in range(2)])
    together(torch.tensor([[0, 1, 1], [1, 2, 2]])).sum().backward()
    assert together.weight.grad.sum(-1).tolist() == [[7, 0, 0, 0, 0], [0, 0, 14, 0, 0]]


def test_dropout_keeps_its_share_and_the_mean():
    dropout = layers.Dropout(0.3)
    layers.begin_draws(dropout, 1)
    found = dropout(torch.ones(100, 100))
    assert found.unique().tolist() == [0, pytest.approx(1 / 0.7)]
    assert (found == 0).float().mean().item() == pytest.approx(0.3, abs=0.02)
    assert torch.equal(dropout.eval()(found), found)


def test_dropout_draws_on_from_where_it_was_left_and_leaves_torchs_generator_alone():
    one, other = (nn.Sequential(layers.Dropout(), layers.Dropout()) for _ in range(2))
    layers.begin_draws(one, 5)
    x, before = torch.ones(8, 8), torch.get_rng_state()
    first_mask, second = one[0](x), one[1](x)
    assert not torch.equal(first_mask, second)  # each layer has a seed of its own
    for path, draws in layers.draws_of(other).items():
        draws[0].begin(*layers.draws_of(one)[path][0].kept())
    assert torch.equal(one(x), other(x)) and torch.equal(copy.deepcopy(one)(x), other(x))
    assert torch.equal(torch.get_rng_state(), before)


def test_batch_norm_of_ours_keeps_no_running_statistics():
    with pytest.raises(ValueError, match="track_running_stats"):
        layers.BatchNorm1d(3, track_running_stats=True)


def test_noise_is_standard_normal():
    noise = layers.Noise()(torch.zeros(400, 50))
    assert abs(noise.mean()) < 0.03 and abs(noise.std() - 1) < 0.03


SIZE = st.sampled_from([1, 2, 3, 7, 10, 16, 17, 31, 32, 33, 64, 80, 99])


@settings(max_examples=300)
@given(
    sizes=st.tuples(SIZE, SIZE, SIZE),
    replicas=st.integers(2, 5),
    turned=st.tuples(st.booleans(), st.booleans()),
    added=st.sampled_from([None, "a row", "a matrix"]),
    seed=st.integers(0, 1000),
)
def test_a_product_has_the_bits_of_one_replicas_whatever_its_shape(sizes, replicas, turned, added, seed):
    """Vectors (a size of 1) go through other code than matrices, and processors differ in which."""
    (m, k, n), generator = sizes, torch.Generator().manual_seed(seed)

    def drawn(rows, columns, transposed=False):
        shape = (replicas, columns, rows) if transposed else (replicas, rows, columns)
        matrix = layers.aligned(torch.randn(shape, generator=generator))
        return matrix.mT if transposed else matrix

    a, b = drawn(m, k, turned[0]), drawn(k, n, turned[1])
    add = None if added is None else drawn(1 if added == "a row" else m, n)
    together = layers.multiplied(a, b, add)
    for replica in range(replicas):
        own = [matrix[replica].clone(memory_format=torch.preserve_format) for matrix in (a, b)]
        alone = torch.mm(*own) if add is None else torch.addmm(add[replica], *own)
        assert torch.equal(together[replica], alone)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_an_exponential_is_torchs_but_for_what_hardly_is_a_number(dtype):
    least = {torch.float32: -87.0, torch.float64: -708.0}[dtype]
    exponents = torch.cat([torch.linspace(least, 80, 999), torch.tensor([-torch.inf, -1e30, least * 1.2])])
    own, theirs = (exponents.to(dtype).requires_grad_() for _ in range(2))
    result, expected = layers.exponential(own), theirs.exp()
    assert torch.equal(result[:-3], expected[:-3]) and torch.equal(result[-3:], torch.zeros(3, dtype=dtype))
    result.sum().backward()
    expected.sum().backward()
    assert torch.equal(own.grad[:-3], theirs.grad[:-3]) and not own.grad[-3:].any()


@given(st.lists(st.integers(1, 40), min_size=1, max_size=3), st.floats(0, 1), st.integers(0, 2**31))
def test_zeros_and_ones_are_thrown_as_torch_throws_them(shape, share, seed):
    one, other = (torch.Generator().manual_seed(seed) for _ in range(2))
    own, theirs = torch.empty(shape), torch.empty(shape)
    for _ in range(2):
        layers.throw(own, share, one)
        theirs.bernoulli_(share, generator=other)
        assert torch.equal(own, theirs)
    assert torch.equal(one.get_state(), other.get_state())
