"""The plain reference of CS3G, against values worked out apart from it."""

import numpy as np
import pytest
import torch

from references import cs3g
from references.arithmetic import slopes_of_all

WIDTHS = (3, 1)
PARAMETERS = {
    "W_1": np.array([(0.5, -0.2), (0, 0.3), (-0.4, 0.1)]),
    "W_2": np.array([(0.2, 0.6)]),
    "b": np.array([0.1, -0.3]),
    "R": np.array([(0, 0.8), (-0.5, 0)]),
}
X, Y = [(1, -1, 0.5, 2), (0.3, 0.2, -0.6, -1)], [(1, 0), (0, 1)]


def worked(value, digits=1e-6):
    return pytest.approx(value, abs=digits)


def test_probabilities_and_the_loss():
    found = cs3g.probabilities(PARAMETERS, X, WIDTHS)
    np.testing.assert_allclose(found, [(0.783895, 0.526229), (0.625159, 0.223394)], atol=1e-6)
    assert cs3g.entropy(PARAMETERS, X, Y, WIDTHS) == worked(0.867646)
    assert cs3g.penalty(PARAMETERS, 0.001, 0.01) == worked(0.014883)
    assert cs3g.loss(PARAMETERS, X, Y, WIDTHS, 0.001, 0.01) == worked(0.867646 + 0.014883, 2e-6)
    assert {name: array.shape for name, array in PARAMETERS.items()} == cs3g.shapes(WIDTHS, 2)


def test_no_label_speaks_of_itself():
    loud = {**PARAMETERS, "R": PARAMETERS["R"] + 7 * np.eye(2)}
    assert cs3g.loss(loud, X, Y, WIDTHS) == cs3g.loss(PARAMETERS, X, Y, WIDTHS)


def test_slopes_are_those_of_torch():
    random = np.random.default_rng(0)
    parameters = {name: random.normal(size=shape) for name, shape in cs3g.shapes(WIDTHS, 2).items()}
    w1, w2, b, r = leaves = [torch.tensor(array, requires_grad=True) for array in parameters.values()]
    x, y = torch.tensor(X, dtype=torch.float64), torch.tensor(Y, dtype=torch.float64)
    f = x @ torch.cat([w1, w2]) + b
    off = r * (1 - torch.eye(2))
    entropy = torch.nn.functional.binary_cross_entropy_with_logits(f + f.sigmoid() @ off.T, y)
    loss = entropy + 0.002 * (w1.norm(dim=1).sum() + w2.norm(dim=1).sum()) + 0.003 * off.abs().sum()
    assert cs3g.loss(parameters, X, Y, WIDTHS, 0.002, 0.003) == worked(loss.item(), 1e-12)
    loss.backward()
    found = slopes_of_all(lambda moved: cs3g.loss(moved, X, Y, WIDTHS, 0.002, 0.003), parameters)
    for name, leaf in zip(parameters, leaves):
        np.testing.assert_allclose(found[name], leaf.grad, atol=1e-8)
