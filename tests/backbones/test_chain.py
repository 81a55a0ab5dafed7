"""The order-free classifier chain against its worked value and a literal reading of the paper."""

import copy
import functools

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.func import functional_call, vmap

from mlbench.backbones.chain import Chain
from mlbench.backbones.unroll import Weights
from mlbench.bench.literal import LiteralChain, copy_weights
from mlbench.data.task import Modality, Task


def chain_task(features: int, labels: int) -> Task:
    names = tuple(f"label {number}" for number in range(labels))
    return Task("made up", names, (Modality("features", 0, features),), 10, (1,) * labels)


def chain_pair(features, labels, hidden, always=False, seed=0, loss_on="steps"):
    """A literal chain and ours with the same weights, in double precision; outputs of both signs."""
    torch.manual_seed(seed)
    literal = LiteralChain(features, labels, hidden, always).double()
    with torch.no_grad():
        for parameter in literal.parameters():
            parameter.mul_(3)
    selection = "always" if always else "confident"
    chain = Chain(chain_task(features, labels), hidden, selection, loss_on).double()
    copy_weights(literal, chain)
    return literal, chain


def filled_chain() -> tuple[LiteralChain, Chain]:
    literal = LiteralChain(2, 3, 2)
    lstm, out, init = literal.lstm, literal.out, literal.init
    order = [lstm.weight_ih_l0, lstm.weight_hh_l0, lstm.bias_ih_l0, lstm.bias_hh_l0]
    order += [out.weight, out.bias, init.weight, init.bias]
    with torch.no_grad():
        for k, parameter in enumerate(order):
            index = torch.arange(parameter.numel())
            parameter.copy_(((((5 * index + 2 * k) % 9) - 4) / 4).view_as(parameter))
        out.bias.copy_(torch.tensor([3.0, 2.5, -0.5]))
    chain = Chain(chain_task(2, 3), 2, "confident", "steps")
    copy_weights(literal, chain)
    return literal, chain


def test_the_worked_value():
    x = torch.tensor([[1, -0.5], [0.3, 0.8], [-1, 2]])
    targets = torch.tensor([[1.0, 0, 1], [0, 0, 1], [1, 1, 0]])
    first = [[3.25839, 2.24696, -0.68310], [3.19761, 2.27977, -0.69344], [3.02443, 2.47184, -0.52578]]
    final = [[3.25839, 2.24185, -0.68310], [3.19761, 2.19923, -0.69344], [3.02443, 2.37819, -0.52578]]
    for_both = filled_chain()
    chain = for_both[1]
    unrolled = chain.unroll(x)
    torch.testing.assert_close(unrolled.steps[0], torch.tensor(first), atol=1e-5, rtol=0)
    torch.testing.assert_close(unrolled.final, torch.tensor(final), atol=1e-5, rtol=0)
    assert unrolled.hard[-1].tolist() == [[1, 1, 0]] * 3
    for model in for_both:
        assert model.loss(x, targets).item() == pytest.approx(3.599931, abs=1e-5)


@settings(max_examples=40, deadline=None)
@given(
    features=st.integers(1, 6),
    labels=st.integers(1, 6),
    hidden=st.integers(1, 5),
    rows=st.integers(1, 7),
    always=st.booleans(),
    seed=st.integers(0, 10_000),
)
def test_forward_and_backward_equal_the_literal_reading(features, labels, hidden, rows, always, seed):
    literal, chain = chain_pair(features, labels, hidden, always, seed)
    x = 2 * torch.randn(rows, features, dtype=torch.double)
    targets = torch.rand(rows, labels, dtype=torch.double)
    steps, states, final, hard = literal(x)
    unrolled = chain.unroll(x)
    torch.testing.assert_close(unrolled.steps, steps)
    torch.testing.assert_close(unrolled.hidden, states)
    torch.testing.assert_close(unrolled.final, final)
    torch.testing.assert_close(unrolled.hard[-1], hard)
    # A loss that looks at everything: all steps, the final logits, the hidden states.
    weigh = torch.randn_like(states)
    (literal.loss(x, targets) + final.square().sum() + (states * weigh).sum()).backward()
    (
        chain.loss_of(unrolled, targets) + unrolled.final.square().sum() + (unrolled.hidden * weigh).sum()
    ).backward()
    gradient = LiteralChain(features, labels, hidden).double()
    for into, parameter in zip(gradient.parameters(), literal.parameters()):
        into.data.copy_(parameter.grad)
    expected = copy.deepcopy(chain)
    copy_weights(gradient, expected)
    torch.testing.assert_close(chain.vector.grad, expected.vector.data)


def test_a_second_pass_starts_from_the_given_logits():
    literal, chain = chain_pair(4, 3, 5)
    x, start = torch.randn(6, 4, dtype=torch.double), torch.randn(6, 3, dtype=torch.double)
    torch.testing.assert_close(chain(x, start), literal(x, start)[2])
    literal_gradient = torch.autograd.grad(literal(x, start)[2].sum(), literal.out.weight)[0]
    chain(x, start).sum().backward()
    torch.testing.assert_close(Weights.of(chain.vector.grad, *chain.size).out, literal_gradient)


def test_the_gradient_reaches_the_input():
    literal, chain = chain_pair(4, 3, 5)
    x = torch.randn(6, 4, dtype=torch.double, requires_grad=True)
    expected = torch.autograd.grad(literal(x)[2].sum(), x)[0]
    torch.testing.assert_close(torch.autograd.grad(chain(x).sum(), x)[0], expected)


def test_loss_on_final_sums_over_labels():
    literal, chain = chain_pair(4, 3, 5, loss_on="final")
    x, targets = torch.randn(6, 4, dtype=torch.double), torch.rand(6, 3, dtype=torch.double)
    entries = F.binary_cross_entropy_with_logits(literal(x)[2], targets, reduction="none")
    torch.testing.assert_close(chain.loss(x, targets), entries.sum(1).mean())


def weighed_unrolling(chain, x, start, weights, vector=None):
    """A number that looks at all there is of an unrolling, of one chain or of a stack; it; its final."""
    given = chain.vector if vector is None else vector
    unrolled = functional_call(Unrolls(chain), {"chain.vector": given}, (x, start))
    seen = unrolled.steps, unrolled.hidden, unrolled.final
    return sum((part * weight).sum() for part, weight in zip(seen, weights)), unrolled, unrolled.final


class Unrolls(torch.nn.Module):
    """`functional_call` calls a module; this one's call is a chain's `unroll`."""

    def __init__(self, chain):
        super().__init__()
        self.chain = chain

    def forward(self, x, start):
        return self.chain.unroll(x, start)


@settings(max_examples=40, deadline=None)
@given(
    replicas=st.integers(1, 4),
    features=st.integers(1, 5),
    labels=st.integers(1, 5),
    hidden=st.integers(1, 4),
    rows=st.integers(1, 5),
    always=st.booleans(),
    started=st.booleans(),
    directly=st.booleans(),
    seed=st.integers(0, 10_000),
)
def test_chains_side_by_side_are_each_alone(
    replicas, features, labels, hidden, rows, always, started, directly, seed
):
    """Called with stacked weights and rows, or through vmap: outputs, losses and every gradient."""
    chains = [chain_pair(features, labels, hidden, always, seed + number)[1] for number in range(replicas)]

    def draw(*shape):
        return torch.randn(replicas, *shape, dtype=torch.double)

    x, start = 2 * draw(rows, features), 3 * draw(rows, labels) if started else None
    targets = torch.rand(replicas, rows, labels, dtype=torch.double)
    weights = draw(labels, rows, labels), draw(labels, rows, hidden), draw(rows, labels)
    x.requires_grad_()
    vector = torch.stack([chain.vector.detach() for chain in chains]).requires_grad_()

    expected, finals, gradients = [], [], []
    for number, chain in enumerate(chains):
        own = x[number].detach().requires_grad_()
        begin = None if start is None else start[number]
        own_weights = [weight[number] for weight in weights]
        value, unrolled, final = weighed_unrolling(chain, own, begin, own_weights)
        gradients.append(torch.autograd.grad(value, [own, chain.vector]))
        expected.append(unrolled)
        finals.append(final)

    template = chains[0]
    if directly:
        value, together, final = weighed_unrolling(template, x, start, weights, vector)
    else:
        mapped = (0, None if start is None else 0, 0, 0)
        each = functools.partial(weighed_unrolling, template)
        values, together, final = vmap(each, mapped)(x, start, weights, vector)
        value = values.sum()
    for ours, alone in zip([*together, final], [*zip(*expected), finals]):
        torch.testing.assert_close(ours, torch.stack(alone))
    for ours, alone in zip(torch.autograd.grad(value, [x, vector]), zip(*gradients)):
        torch.testing.assert_close(ours, torch.stack(alone))

    for template.loss_on in ("steps", "final"):
        alone = [template.loss_of(own, own_targets) for own, own_targets in zip(expected, targets)]
        losses = (template.loss_of if directly else vmap(template.loss_of))(together, targets)
        torch.testing.assert_close(losses, torch.stack(alone))


def test_chains_side_by_side_with_one_and_the_same_weights_or_rows():
    """Under vmap what is not mapped is the same for all, whatever was mapped in the same place before."""
    chains = [chain_pair(4, 3, 5, seed=number)[1] for number in range(3)]
    vector = torch.stack([chain.vector.detach() for chain in chains])
    x, weights = torch.randn(3, 6, 4, dtype=torch.double), [1.0, 1.0, 1.0]

    def value(x, vector):
        return weighed_unrolling(chains[0], x, None, weights, vector)[0]

    mapped, same = vmap(value)(x, vector), vmap(value, (0, None))(x, vector[0])  # one after the other
    torch.testing.assert_close(mapped, torch.stack([value(*own) for own in zip(x, vector)]))
    torch.testing.assert_close(same, torch.stack([value(own, vector[0]) for own in x]))
    weights_of_each = vector.clone().requires_grad_()
    (together,) = torch.autograd.grad(vmap(value, (None, 0))(x[0], weights_of_each).sum(), weights_of_each)
    alone = sum(value(x[0], own) for own in weights_of_each)
    torch.testing.assert_close(together, torch.autograd.grad(alone, weights_of_each)[0])


def test_several_graphs_at_once_do_not_share_buffers():
    _, chain = chain_pair(4, 3, 5)
    x = [torch.randn(6, 4, dtype=torch.double) for _ in range(3)]
    alone = []
    for batch in x:
        chain.zero_grad()
        chain(batch).square().sum().backward()
        alone.append(chain.vector.grad.clone())
    chain.zero_grad()
    outputs = [chain(batch) for batch in x]  # three graphs open, the buffers of none reused
    kept = [output.detach().clone() for output in outputs]
    sum(output.square().sum() for output in outputs).backward()
    torch.testing.assert_close(chain.vector.grad, sum(alone))
    chain(torch.randn(6, 4, dtype=torch.double))
    for output, before in zip(outputs, kept):
        assert torch.equal(output, before)


def test_weights_may_change_or_move_between_batches():
    _, chain = chain_pair(4, 3, 5)
    x = torch.randn(6, 4, dtype=torch.double)
    before = chain(x)
    other = copy.deepcopy(chain)
    with torch.no_grad():
        chain.vector.mul_(0.5)
    assert not torch.equal(chain(x), before)
    assert torch.equal(other(x), before)
    chain.load_state_dict(other.state_dict())
    assert torch.equal(chain(x), before)
    assert chain.float()(x.float()).dtype == torch.float32


def test_initial_weights_are_those_of_pytorch_modules():
    torch.manual_seed(0)
    chain = Chain(chain_task(400, 5), 25, "confident", "steps")
    weights = chain.weights
    for tensor, bound in (
        (weights.state, 0.2),
        (weights.out, 0.2),
        (weights.input[:100], 0.2),
        (weights.input[100:], 0.05),
    ):
        assert 0.9 * bound < tensor.abs().max().item() <= bound
