"""The plain reference of recurrent Bayesian classifier chains, against values worked out apart from it."""

import numpy as np
import pytest
import torch

from references import rbcc
from references.arithmetic import filled

RESIDUALS = [
    *((0, 1, 0), (1, 1, 0), (0, 0, -1), (-1, 0, 0), (0, 1, 0)),
    *((0, 0, 0), (1, 1, -1), (0, 0, 0), (-1, 0, 0), (1, 1, 0)),
]
X, Y, NETWORK = [(1, -0.5), (0.3, 0.8)], [(1, 0, 1), (0, 1, 1)], [[], [0], [0, 1]]


def worked(value, digits=1e-6):
    return pytest.approx(value, abs=digits)


def test_scores_of_nodes():
    expected = {
        (0, ()): -12.599115,
        (0, (1,)): -11.335287,
        (1, ()): -8.082764,
        (1, (0,)): -6.818936,
        (2, ()): -6.155317,
        (2, (0, 1)): -10.726840,
    }
    for (node, parents), value in expected.items():
        assert rbcc.score(RESIDUALS, node, [*parents]) == worked(value)


def test_hill_climbing():
    network, path = rbcc.climbed(RESIDUALS)
    assert network == [[], [0], []]
    assert [move[:3] for move in path] == [("add", 0, 1)] and path[0][3] == worked(1.263828, 2e-6)
    gains = {move[:3]: move[4] for move in rbcc.moves(RESIDUALS, [[], [], []])}
    assert len(gains) == 6 and gains["add", 0, 1] == worked(gains["add", 1, 0], 1e-12)


def test_hill_climbing_ends_at_the_best_of_all_or_below():
    highest, networks = rbcc.best(RESIDUALS)
    assert highest == worked(rbcc.total(RESIDUALS, [[], [0], []])) and networks == [
        [[], [0], []],
        [[1], [], []],
    ]
    random = np.random.default_rng(0)
    for _ in range(5):
        causes = random.integers(-1, 2, size=(60, 2))
        rows = np.column_stack([causes, causes.sum(1).clip(-1, 1), random.integers(-1, 2, 60)])
        network, path = rbcc.climbed(rows)
        gained = rbcc.total(rows, [[]] * 4) + sum(gain for *_, gain in path)
        assert gained == worked(rbcc.total(rows, network)) and gained <= rbcc.best(rows)[0] + 1e-9
        assert all(gain <= 1e-9 for *_, gain in rbcc.moves(rows, network))


def test_networks():
    assert [sum(1 for _ in rbcc.every_network(c)) for c in (1, 2, 3, 4)] == [1, 3, 25, 543]
    assert rbcc.moved([[], [0], [1]], "add", 2, 0) is None  # a circle
    assert rbcc.moved([[], [0], [0, 1]], "reverse", 0, 2) is None  # as well: 2 → 0 → 1 → 2
    assert rbcc.moved([[], [0], [0, 1]], "reverse", 1, 2) == [[], [0, 2], [0]]
    assert rbcc.moved([[], [0], [0, 1]], "delete", 0, 2) == [[], [0], [1]]
    assert rbcc.moved([[], [0], []], "add", 0, 1) is rbcc.moved([[], [0], []], "delete", 1, 0) is None
    assert rbcc.order([[2], [0], [], [0]]) == [2, 0, 1, 3]


def test_no_node_has_more_parents_than_it_may():
    cause = np.random.default_rng(1).integers(-1, 2, size=(100, 2))
    rows = np.column_stack([cause, cause.sum(1).clip(-1, 1)])
    assert max(map(len, rbcc.climbed(rows)[0])) == 2 and max(map(len, rbcc.climbed(rows, 1)[0])) == 1


def test_residuals():
    assert rbcc.residuals([(1, 0, 1, 0)], [(0.2, 0.9, 0.5, 0.1)]) == [[1, -1, 0, 0]]


def test_logits_and_probabilities():
    parameters = filled(rbcc.shapes(d=2, hidden=2, labels=3))
    expected = [(-0.293704, 0.347143, -0.963233), (-0.598788, 0.204008, -1.069555)]
    np.testing.assert_allclose(rbcc.logits(parameters, X, Y, NETWORK), expected, atol=1e-6)
    assert rbcc.loss(parameters, X, Y, NETWORK) == worked(0.902967)
    expected = [(0.427097, 0.517861, 0.263426), (0.354621, 0.550826, 0.255488)]
    np.testing.assert_allclose(rbcc.probabilities(parameters, X, NETWORK), expected, atol=1e-6)


def test_the_chain_is_that_of_torch():
    random = np.random.default_rng(0)
    parameters = {name: random.normal(size=shape) for name, shape in rbcc.shapes(2, 4, 3).items()}
    gru = torch.nn.GRU(5, 4, batch_first=True, dtype=torch.float64)
    for name, key in (("weight_ih", "input_weight"), ("weight_hh", "hidden_weight")):
        getattr(gru, f"{name}_l0").data = torch.tensor(parameters[f"gru.{key}"])
        getattr(gru, f"{name.replace('weight', 'bias')}_l0").data = torch.tensor(
            parameters[f"gru.{key.replace('weight', 'bias')}"]
        )

    def expected(shown, x, label):
        rows = torch.tensor([[[*values, *x] for values in shown]], dtype=torch.float64)
        state = gru(rows)[1][0, 0].detach().numpy()
        return parameters["output.weight"][label] @ state + parameters["output.bias"][label]

    found = rbcc.logits(parameters, X, Y, [[1, 2], [], [1]])
    for x, y, row in zip(X, Y, found):
        assert row[0] == worked(expected([(0, y[1], 0), (0, 0, y[2])], x, 0), 1e-12)
        assert row[1] == worked(expected([(0, 0, 0)], x, 1), 1e-12)
        assert row[2] == worked(expected([(0, y[1], 0)], x, 2), 1e-12)


def test_the_test_reads_parents_first_whatever_their_number():
    random = np.random.default_rng(1)
    parameters = {name: random.normal(size=shape) for name, shape in rbcc.shapes(2, 4, 3).items()}
    network, x = [[1, 2], [2], []], random.normal(size=(8, 2))
    found = np.array(rbcc.probabilities(parameters, x, network))
    rounded = (found >= 0.5).astype(int)
    assert 0 < rounded.sum() < 24
    given = 1 / (1 + np.exp(-np.array(rbcc.logits(parameters, x, rounded, network))))
    np.testing.assert_allclose(found, given, atol=1e-12)


def test_predictor():
    random = np.random.default_rng(0)
    inner, bias, outer, x = (random.normal(size=shape) for shape in ((6, 3), 6, 6, (4, 3)))
    hidden = 1 / (1 + np.exp(-(x @ inner.T + bias)))
    expected = 1 / (1 + np.exp(-(hidden @ outer + 0.3)))
    np.testing.assert_allclose(rbcc.predictor(inner, bias, outer, 0.3, x), expected, atol=1e-12)
