"""The plain reference of M3LA, against values worked out apart from it and against torch."""

import numpy as np
import pytest
import torch

from references import m3la
from references.arithmetic import block_scaled, filled

WIDTHS = (2, 1, 1)
X = [(1.5, 1, 0.5, -0.5), (0.5, 0.5, -3, -0.5), (1, 0, 2, -1)]
Y = [(1, 0, 1), (0, 1, 0), (1, 1, 0)]
PREDICTIONS = [
    [(0.312743, 0.129897, 0.743289), (0.473819, 0.228110, 0.626345), (0.357688, 0.143746, 0.738253)],
    [(0.178575, 0.142100, 0.675566), (0.234031, 0.158306, 0.701428), (0.201299, 0.145224, 0.692863)],
    [(0.203963, 0.167669, 0.646488), (0.192403, 0.171968, 0.625389), (0.180386, 0.147500, 0.674492)],
]


def worked_parameters():
    return filled(m3la.shapes(WIDTHS, hidden=2, labels=3))


def options(**changed):
    return m3la.Options(WIDTHS, **changed)


def close(found, expected, digits=1e-6):
    np.testing.assert_allclose(found, expected, rtol=0, atol=digits)


def random_parameters(seed=0):
    random = np.random.default_rng(seed)
    return {name: random.normal(size=shape) for name, shape in m3la.shapes(WIDTHS, 2, 3).items()}


def test_the_encoder_and_the_choices():
    parameters = worked_parameters()
    assert len(parameters) == 22
    traces = [m3la.traced(parameters, row, options()) for row in X]
    expected = [
        (0.490450, -0.549660, 0.704458, -0.903277),
        (0.493489, -0.579518, 0.500755, -0.733971),
        (0.525696, -0.641830, 0.144739, -0.626964),
    ]
    close(traces[0].encoded, expected)
    expected = [(-0.300531, -0.858190), (-0.291777, -0.892293), (-0.588440, -0.499648)]
    close([trace.states[0] for trace in traces], expected)
    expected = [
        (-1.010851, -0.050531, -0.664016),
        (-0.995760, -0.041777, -0.681296),
        (-1.316418, -0.338440, -0.286472),
    ]
    close([trace.modality_logits[0] for trace in traces], expected)
    assert [trace.order for trace in traces] == [[1, 0, 2], [1, 2, 0], [2, 1, 0]]
    close(traces[0].attention[0], (0.315788, 0.327609, 0.356603))
    close([[trace.predictions[t] for trace in traces] for t in range(3)], PREDICTIONS)


def test_label_weights_and_the_loss():
    parameters = worked_parameters()
    raw = [m3la.raw_weights(y, before) for y, before in zip(Y, PREDICTIONS[0])]
    close(raw, [(1 / 3, 1 / 6, 2 / 3), (0, 2 / 3, 0), (1 / 2, 1 / 2, 0)], 1e-12)
    by_row = [[PREDICTIONS[t][n] for t in range(3)] for n in range(3)]
    found = m3la.label_weights(by_row, Y, options())
    rescaled = [(1.058824, 0.529412, 2.117647), (0, 2.117647, 0), (1.588235, 1.588235, 0)]
    close(found, [np.ones((3, 3)), rescaled, rescaled])
    close(m3la.loss(parameters, X, Y, options()), 11.150784)
    close(m3la.loss(parameters, X, Y, options(rescale=False)), 5.568460)
    assert m3la.raw_weights((0, 0, 0), (0.2, 0.6, 0.1)) == [0, 1, 0]


@pytest.mark.parametrize(
    ("changed", "prediction", "loss"),
    [
        ({"order": "fixed"}, (0.208037, 0.169178, 0.648168), 10.757069),
        ({"wco": False}, (0.323024, 0.138962, 0.726389), 10.557777),
        ({"label_activation": "softmax"}, (0.109803, 0.105754, 0.784443), 14.680597),
    ],
)
def test_variants(changed, prediction, loss):
    parameters = worked_parameters()
    close(m3la.traced(parameters, X[0], options(**changed)).predictions[-1], prediction)
    close(m3la.loss(parameters, X, Y, options(**changed)), loss)


def test_without_wco_is_with_a_wco_of_zero():
    parameters = worked_parameters()
    zero = {**parameters, "W_co": np.zeros((3, 3))}
    assert m3la.loss(zero, X, Y, options()) == m3la.loss(parameters, X, Y, options(wco=False))


def test_the_modality_layer_learns_by_the_straight_through_gate_alone():
    parameters = worked_parameters()
    found = m3la.gradient(parameters, X, Y, options(), ["W_modal"])
    close(found["W_modal"], [(0.012407, 0.003015), (-0.025541, -0.041206), (0.013134, 0.038191)])
    for order in ("hard", "fixed"):
        found = m3la.gradient(parameters, X, Y, options(order=order), ["W_modal", "b_modal", "W_label"])
        assert not found["W_modal"].any() and not found["b_modal"].any() and found["W_label"].any()


@pytest.mark.parametrize(
    "changed", [{}, {"first": "index0"}, {"order": "hard"}, {"label_activation": "softmax"}]
)
def test_the_gradient_is_that_of_torch(changed):
    """Of a loop built of torch's cells, whose gate is e + p − p.detach()."""
    parameters, chosen = random_parameters(), options(**changed)
    rows, targets = X[:2], Y[:2]
    weights = {name: torch.tensor(array, requires_grad=True) for name, array in parameters.items()}

    def unit(name, x, state):
        names = ("input_weight", "hidden_weight", "input_bias", "hidden_bias")
        return torch.gru_cell(x[None], state[None], *(weights[f"{name}.{part}"] for part in names))[0]

    def predictions(row, order):
        parts = [torch.tensor(block_scaled(row, WIDTHS, np.eye(3)[k]), dtype=torch.float64) for k in range(3)]
        ahead, back = [torch.zeros(2, dtype=torch.float64)], [torch.zeros(2, dtype=torch.float64)]
        for k in range(3):
            ahead.append(unit("forward", parts[k], ahead[-1]))
            back.insert(0, unit("backward", parts[2 - k], back[0]))
        h = torch.stack([torch.cat(pair) for pair in zip(ahead[1:], back[:-1])])
        state = weights["W_init"] @ h[-1] + weights["b_init"]
        found = []
        for t, choice in enumerate(order):
            hidden = torch.tensor([k in order[:t] for k in range(3)])
            logits = weights["W_modal"] @ state + weights["b_modal"]
            p = logits.masked_fill(hidden, -torch.inf).softmax(0)
            gate = torch.eye(3, dtype=torch.float64)[choice]
            if chosen.order == "straight_through" and not (t == 0 and chosen.first == "index0"):
                gate = gate + p - p.detach()
            scores = torch.tanh(state @ weights["W"].T + h @ weights["U"].T) @ weights["v"]
            a = scores.softmax(0) @ h
            state = unit("decoder", torch.cat([gate @ torch.stack(parts), a]), state)
            z = weights["W_label"] @ state + weights["b_label"]
            z = z + found[-1] @ weights["W_co"] if found else z
            found.append(z.softmax(0) if chosen.label_activation == "softmax" else z.sigmoid())
        return torch.stack(found)

    traces = [m3la.traced(parameters, row, chosen) for row in rows]
    found = torch.stack([predictions(row, trace.order) for row, trace in zip(rows, traces)])
    w = torch.tensor(m3la.label_weights(found.tolist(), targets, chosen), dtype=torch.float64).transpose(0, 1)
    y = torch.tensor(targets, dtype=torch.float64)[:, None].expand_as(found)
    loss = (w * torch.nn.functional.binary_cross_entropy(found, y, reduction="none")).sum() / 2
    close(m3la.loss(parameters, rows, targets, chosen), loss.item(), 1e-10)
    loss.backward()
    for name, slopes in m3la.gradient(parameters, rows, targets, chosen).items():
        expected = weights[name].grad
        close(slopes, 0 if expected is None else expected, 1e-7)


def test_every_order_is_a_permutation_and_the_first_may_be_number_0():
    random = np.random.default_rng(0)
    firsts = set()
    for seed in range(10):
        row, parameters = random.normal(size=4), random_parameters(seed)
        found = m3la.traced(parameters, row, options()).order
        assert sorted(found) == [0, 1, 2]
        firsts.add(found[0])
        found = m3la.traced(parameters, row, options(first="index0")).order
        assert sorted(found) == [0, 1, 2] and found[0] == 0
    assert len(firsts) > 1
    assert m3la.chosen((1.0, 2.0, 2.0), []) == 1 and m3la.chosen((1.0, 2.0, 2.0), [1]) == 2


def test_weights_of_hamming_are_constant_and_a_step_of_zeros_stays_zero():
    by_row = [[(0.2, 0.6, 0.1)] * 3] * 3
    raw = m3la.label_weights(by_row, Y, options(weights="hamming", rescale=False))
    close(raw[1:], np.full((2, 3, 3), 1 / 3))
    for kind in ("hamming", "none"):
        close(m3la.label_weights(by_row, Y, options(weights=kind)), np.ones((3, 3, 3)))
    none = [[(0.9, 0.9, 0.9)] * 3]
    close(m3la.label_weights(none, [(0, 0, 0)], options())[1], np.zeros((1, 3)))


def test_penalty():
    close(m3la.penalty({"a": np.array([1.0, 2]), "b": np.array([[3.0]])}), 14e-4, 1e-15)
