"""The plain reference of LaMP, against values worked out apart from it."""

import numpy as np
import pytest
import torch

from references import lamp
from references.arithmetic import filled

TRAINING = [(1, 1, 0), (0, 1, 0), (0, 0, 1), (1, 0, 0)]
X = [(1, 0, -1, 0.5, 2), (0, 1, 0.5, -0.5, 1)]
Y = [(1, 1, 0), (0, 1, 0)]
EXPECTED = [(-0.139589, -0.460055, -0.999240), (-0.124910, -0.492988, -0.974051)]


def worked(value, digits=1e-6):
    return pytest.approx(value, abs=digits)


def test_logits():
    parameters = filled(lamp.shapes(d=5, width=4, inner=4, heads_width=4, labels=3))
    assert len(parameters) == 20
    seen = lamp.mask(TRAINING)
    assert seen == [[True, True, False], [True, True, False], [False, False, True]]
    np.testing.assert_allclose(lamp.logits(parameters, X, seen, heads=2), EXPECTED, atol=1e-6)
    assert lamp.loss(parameters, X, Y, seen, heads=2) == worked(0.658485)


def test_masks():
    assert lamp.mask(TRAINING, "eye") == np.eye(3, dtype=bool).tolist()
    assert lamp.mask(TRAINING, "none") == np.ones((3, 3), dtype=bool).tolist()


def test_without_w_the_output_is_the_embedding():
    parameters = filled(lamp.shapes(5, 4, 4, 4, 3))
    tied = {name: array for name, array in parameters.items() if name != "output"}
    expected = lamp.logits({**tied, "output": tied["embedding"]}, X, lamp.mask(TRAINING), heads=2)
    assert lamp.logits(tied, X, lamp.mask(TRAINING), heads=2) == expected


@pytest.mark.parametrize("kind", ["prior", "none", "eye"])
def test_two_layers_are_those_built_of_torch(kind):
    """Of torch's own attention, its blocks for query, key and value laid one under the other."""
    random = np.random.default_rng(0)
    shapes, seen = (
        lamp.shapes(d=5, width=6, inner=7, heads_width=6, labels=3, layers=2),
        lamp.mask(TRAINING, kind),
    )
    for part in [f"{k}.{name}" for k in range(2) for name in ("nodes", "labels")]:
        shapes |= {f"{part}{f}.norm.{name}": (6,) for f in ("", ".forward") for name in ("weight", "bias")}
    parameters = {name: random.normal(size=shape) for name, shape in shapes.items()}
    weights = {name: torch.tensor(array) for name, array in parameters.items()}
    linear = torch.nn.functional.linear

    def normalised(name, rows):
        norm = weights[f"{name}.norm.weight"], weights[f"{name}.norm.bias"]
        return torch.nn.functional.layer_norm(rows, (6,), *norm)

    def block(name, labels, keys, hidden):
        attention = torch.nn.MultiheadAttention(6, 3, bias=False, batch_first=True, dtype=torch.float64)
        attention.in_proj_weight.data = torch.cat(
            [weights[f"{name}.{part}"] for part in ("query", "key", "value")]
        )
        attention.out_proj.weight.data = weights[f"{name}.output"]
        labels = normalised(name, labels + attention(labels, keys, keys, attn_mask=hidden)[0])
        forward = f"{name}.forward"
        inner = linear(labels, weights[f"{forward}.inner.weight"], weights[f"{forward}.inner.bias"]).relu()
        outer = linear(inner, weights[f"{forward}.outer.weight"], weights[f"{forward}.outer.bias"])
        return normalised(forward, labels + outer)

    x = torch.tensor(X, dtype=torch.float64)
    e = linear(x, weights["input.weight"], weights["input.bias"])[:, None]
    labels = weights["embedding"].expand(2, -1, -1)
    for k in range(2):
        labels = block(f"{k}.nodes", labels, e, None)
        labels = block(f"{k}.labels", labels, labels, ~torch.tensor(seen))
    expected = (labels * weights["output"]).sum(-1).detach()
    np.testing.assert_allclose(lamp.logits(parameters, X, seen, heads=3), expected, atol=1e-10)


def test_attention_on_one_node_is_the_same_for_every_label():
    parameters = filled(lamp.shapes(5, 4, 4, 4, 3))
    found = lamp.attentions(parameters, "0.nodes", parameters["embedding"], [(1, 2, 0, 1)], 2, [[True]] * 3)
    assert found == [[[1]] * 3] * 2


def test_cuts():
    assert len(lamp.cuts()) == 27 and lamp.cuts()[9:11] == [0.1, 0.15] and lamp.cuts()[-1] == 0.95
