"""The plain reference of DMP, against values worked out apart from it and against torch."""

import numpy as np
import pytest
import torch

from references import dmp
from references.arithmetic import block_scaled, slopes_of_all

WIDTHS = (2, 1, 1)
ROW = (1, -0.5, 0.8, 0.3), (0.5, 0.3, 0.2), (1, 0, 1)
NEIGHBOURS = [
    ((0.8, 0, 0.5, 0.1), (0.6, 0.2, 0.2), (1, 0, 1)),
    ((-1, 0.4, 0.9, 0.2), (0.1, 0.7, 0.2), (0, 1, 0)),
    ((0.2, -0.5, 1, 0), (0.3, 0.3, 0.4), (1, 1, 1)),
]


def worked(value, digits=1e-6):
    return pytest.approx(value, abs=digits)


def data(seed=0, scale=1.0):
    random = np.random.default_rng(seed)
    shapes = dmp.shapes(WIDTHS, 2).items()
    parameters = {name: random.normal(size=shape) * scale for name, shape in shapes}
    x = random.normal(size=(6, 4))
    return parameters, x, random.integers(0, 2, size=(6, 2))


def test_the_neighbour_term():
    assert [dmp.sign(ROW[2], y) for _, _, y in NEIGHBOURS] == worked([1, -1, 1 / 3], 1e-12)
    distances = [dmp.neighbour_term(ROW, [near], WIDTHS) / dmp.sign(ROW[2], near[2]) for near in NEIGHBOURS]
    assert distances == worked([0.0841, 0.5966, 0.2108], 1e-12)
    assert dmp.neighbour_term(ROW, NEIGHBOURS, WIDTHS) == worked(-0.147411)


def test_two_rows_without_a_label_are_of_one_class():
    assert dmp.sign((0, 0), (0, 0)) == 1 and dmp.sign((0, 0), (0, 1)) == -1


def test_the_cost_term():
    assert dmp.cost_term(ROW[1], [0]) == worked(0.183333)
    assert dmp.cost_term(ROW[1], [0, 1, 2]) == worked(1 / 3, 1e-12)


def test_neighbours():
    assert dmp.nearest([(0.0,), (1.0,), (2.5,), (10.0,)], 2) == [[1, 2], [0, 2], [1, 0], [2, 1]]
    assert dmp.nearest([(0.0,), (0.0,), (0.0,)], 1) == [[1], [0], [0]]


def test_the_first_modality_is_number_0_and_the_next_the_largest_share():
    orders = set()
    for seed in range(12):
        parameters, x, _ = data(seed)
        trace = dmp.traced(parameters, x[0], WIDTHS)
        assert trace.order == [0, *(int(np.argmax(p)) for p in trace.shares[:-1])]
        orders.add(tuple(trace.order))
    assert any(len({*order}) < 3 for order in orders)  # a modality may come again
    assert any(len({*order}) == 3 for order in orders)


def test_states_are_those_of_torch():
    parameters, x, _ = data(1, 0.5)
    trace = dmp.traced(parameters, x[0], WIDTHS)
    cell = torch.nn.LSTM(4, 4, batch_first=True, dtype=torch.float64)

    def torch_order(array):  # torch's gates are i, f, c, o
        let_in, forget, let_out, candidate = np.split(array, 4)
        return torch.tensor(np.concatenate([let_in, forget, candidate, let_out]))

    cell.weight_ih_l0.data = torch_order(parameters["lstm.input_weight"])
    cell.weight_hh_l0.data = torch_order(parameters["lstm.hidden_weight"])
    cell.bias_ih_l0.data = torch_order(parameters["lstm.bias"])
    cell.bias_hh_l0.data.zero_()
    shown = [block_scaled(x[0], WIDTHS, np.eye(3)[k]) for k in trace.order]
    states = cell(torch.tensor([shown], dtype=torch.float64))[0][0].detach().numpy()
    np.testing.assert_allclose(trace.states, states, atol=1e-12)
    for i in range(3):
        joined = states[: i + 1].ravel()
        expected = parameters[f"label.{i}.weight"] @ joined + parameters[f"label.{i}.bias"]
        np.testing.assert_allclose(trace.label_logits[i], expected, atol=1e-12)
        expected = np.exp(parameters[f"modality.{i}.weight"] @ states[i] + parameters[f"modality.{i}.bias"])
        np.testing.assert_allclose(trace.shares[i], expected / expected.sum(), atol=1e-12)


def test_the_loss_is_put_together_from_its_terms():
    parameters, x, y = data(2, 0.5)
    neighbours, batch = dmp.nearest(x), [0, 4]
    traces = [dmp.traced(parameters, row, WIDTHS) for row in x]
    labels = torch.tensor(y[batch], dtype=torch.float64)
    expected = 0.0
    for i in range(3):
        logits = torch.tensor([traces[n].label_logits[i] for n in batch], dtype=torch.float64)
        expected += torch.nn.functional.binary_cross_entropy_with_logits(logits, labels).item()
        if i == 2:
            break
        for n in batch:
            used = [k in traces[n].order[: i + 1] for k in range(3)]
            expected += 0.1 * np.mean(np.where(used, 1, 0.1) * traces[n].shares[i]) / 2
            u = [x[k] * np.repeat(traces[k].shares[i], WIDTHS) for k in range(6)]
            for k in neighbours[n]:
                expected += 0.001 * dmp.sign(y[n], y[k]) * ((u[k] - u[n]) ** 2).sum() / 3 / 2
    assert dmp.loss(parameters, batch, x, y, neighbours, WIDTHS) == worked(expected, 1e-12)


def test_modality_heads_learn_by_cost_and_neighbours_alone_and_the_last_by_nothing():
    parameters, x, y = data(3, 0.5)
    neighbours, batch = dmp.nearest(x), [1, 2]
    heads = {f"modality.{i}.bias": parameters[f"modality.{i}.bias"] for i in range(3)}

    def found(**weights):
        def function(moved):
            return dmp.loss({**parameters, **moved}, batch, x, y, neighbours, WIDTHS, **weights)

        return slopes_of_all(function, heads)

    silent = found(of_neighbours=0.0, of_cost=0.0)
    assert all(not slopes.any() for slopes in silent.values())
    for weights in ({"of_cost": 0.0, "of_neighbours": 1.0}, {"of_neighbours": 0.0}):
        slopes = found(**weights)
        for i in (0, 1):
            assert np.abs(slopes[f"modality.{i}.bias"]).max() > 1e-4
            np.testing.assert_allclose(slopes[f"modality.{i}.bias"].sum(), 0, atol=1e-8)
        assert not slopes["modality.2.bias"].any()
