"""DMP: worked values of its terms, a plain reference, what a row brings along."""

import itertools

import numpy as np
import pytest
import torch

from mlbench.data.rows import Batch, Rows
from mlbench.methods.multimodal.dmp import DMP, likeness
from modalities import batch_of, doubles, random_data, task_of
from references import dmp as reference

GIVEN = {"neighbours": 3, "neighbour_weight": 0.001, "cost_weight": 0.1, "cost": 0.1, "cost_again": 1.0}


def made(widths, labels, dropout=0.0, **changes):
    return DMP(task_of(widths, labels), dropout, **GIVEN | changes).double()


def named(module, widths):
    """Its parameters by the names of the reference."""
    found = {"lstm.input_weight": torch.cat([*module.inputs.weights], 1), "lstm.bias": module.inputs.bias}
    found["lstm.hidden_weight"] = module.states.weight
    for kind, heads in (("label", module.labels), ("modality", module.choices)):
        for number, layer in enumerate(heads):
            found |= {f"{kind}.{number}.weight": layer.weight, f"{kind}.{number}.bias": layer.bias}
    last = f"modality.{len(widths) - 1}"  # on which nothing depends
    found |= {
        f"{last}.weight": torch.zeros(len(widths), sum(widths)),
        f"{last}.bias": torch.zeros(len(widths)),
    }
    return {name: tensor.detach().numpy() for name, tensor in found.items()}


def test_worked_terms():
    x, own = doubles([(1, -0.5, 0.8, 0.3)]), doubles([(0.5, 0.3, 0.2)])
    near = doubles([[(0.8, 0, 0.5, 0.1), (-1, 0.4, 0.9, 0.2), (0.2, -0.5, 1, 0)]])
    theirs = doubles([[(0.6, 0.2, 0.2), (0.1, 0.7, 0.2), (0.3, 0.3, 0.4)]])
    signs = likeness(doubles([(1, 0, 1)]), doubles([(1, 0, 1), (0, 1, 0), (1, 1, 1)]))
    np.testing.assert_allclose(signs, (1, -1, 1 / 3), atol=1e-6)
    apart = made((2, 1, 1), 3).apart(x, own, near, theirs)
    np.testing.assert_allclose(apart[0], (0.0841, 0.5966, 0.2108), atol=1e-5)
    assert (signs * apart).mean().item() == pytest.approx(-0.147411, abs=1e-5)


def test_label_sets_without_labels_are_alike():
    assert likeness(torch.zeros(1, 3), torch.zeros(1, 3)).item() == 1
    assert likeness(torch.eye(3)[:1], torch.eye(3)).tolist() == [1, -1, -1]


@pytest.mark.parametrize("seed", range(8))
def test_it_is_the_reference(seed):
    rng = np.random.default_rng(seed)
    torch.manual_seed(seed)
    widths, x, y = random_data(rng, rows=7)
    module = made(widths, y.shape[1])
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.3)
    x = x.astype(np.float32).astype(float)
    data = Rows(doubles(x).float(), doubles(y), torch.arange(len(x)))
    (stage,) = module.stages({"train": data})
    order, parameters = stage.data.ids.numpy(), named(module, widths)
    assert sorted(order) == [*range(7)]
    neighbours = reference.nearest(x)
    picked = torch.tensor([4, 1, 2])
    batch = stage.data.batch(picked).map(lambda part: part.double() if part.is_floating_point() else part)
    expected = reference.loss(parameters, [*order[picked]], x, y, neighbours, widths)
    assert module.loss(batch).item() == pytest.approx(expected, abs=1e-7)
    scores = module.scores(batch_of(x, y))
    np.testing.assert_allclose(scores.detach(), reference.probabilities(parameters, x, widths), atol=1e-7)
    used = [len({*reference.traced(parameters, row, widths).order}) for row in x]
    assert module.row_facts(batch_of(x, y))["modalities_used"].tolist() == used


def test_modalities_but_the_first_may_stand_in_any_order():
    torch.manual_seed(0)
    one, other = made((3, 2, 4), 3), made((3, 4, 2), 3)
    columns = torch.tensor([0, 1, 2, 5, 6, 7, 8, 3, 4])
    state = dict(one.state_dict())
    state["inputs.weights.1"], state["inputs.weights.2"] = (state[f"inputs.weights.{n}"] for n in (2, 1))
    for name in [name for name in state if name.startswith("choices")]:
        state[name] = state[name][[0, 2, 1]]
    other.load_state_dict(state)
    x, y = torch.randn(6, 9).double(), (torch.rand(6, 3) < 0.5).double()
    batch = Batch(x, y, torch.arange(6), {"near": torch.randn(6, 3, 9).double(), "signs": torch.randn(6, 3)})
    turned = batch._replace(x=x[:, columns], extra=batch.extra | {"near": batch.extra["near"][..., columns]})
    torch.testing.assert_close(other.scores(turned), one.scores(batch))
    torch.testing.assert_close(other.loss(turned), one.loss(batch))


def test_weights_of_a_modality_that_is_not_there_have_no_say():
    torch.manual_seed(0)
    module, x = made((3, 2), 2), torch.randn(5, 5).double()
    x[:, 3:] = 0
    module.scores(batch_of(x.tolist(), [(0, 1)] * 5)).sum().backward()
    assert module.inputs.weights[0].grad.any() and not module.inputs.weights[1].grad.any()


def test_dropout_is_of_training_alone():
    torch.manual_seed(0)
    module = made((3, 2), 2, dropout=0.5)
    batch = batch_of(torch.randn(5, 5).tolist(), [(0, 1)] * 5)
    assert module.loss(batch) != module.loss(batch)
    module.eval()
    assert module.loss(batch) == module.loss(batch)


def test_each_gate_starts_orthogonal():
    module = made((3, 2), 2)
    whole = torch.cat([*module.inputs.weights], 1)
    for gate in itertools.chain(whole.chunk(4), module.states.weight.chunk(4)):
        torch.testing.assert_close(gate @ gate.T, torch.eye(5).double(), atol=1e-5, rtol=0)
    assert not module.inputs.bias.any() and not module.labels[1].bias.any()
