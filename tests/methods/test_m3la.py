"""M3LA: worked values, gradients of the choice, weights of labels, all that the paper leaves to choose."""

import hypothesis.strategies as st
import numpy as np
import pytest
import torch
from hypothesis import given, settings

from mlbench.compose import configure
from mlbench.methods.build import build_method
from mlbench.methods.multimodal.f1_weights import f1_weights
from mlbench.methods.multimodal.m3la import M3LA
from modalities import batch_of, doubles, having, random_data, task_of
from references import m3la as reference

X = [(1.5, 1, 0.5, -0.5), (0.5, 0.5, -3, -0.5), (1, 0, 2, -1)]
Y = [(1, 0, 1), (0, 1, 0), (1, 1, 0)]
WIDTHS, HIDDEN, LABELS = (2, 1, 1), 2, 3
GIVEN = {
    "order": "straight_through",
    "first": "s0",
    "label_activation": "sigmoid",
    "weights": "f1",
    "rescale": True,
    "wco": True,
}
ENCODER = [(6, 4), (6, 2), (6,), (6,)]
SHAPES = [*ENCODER, *ENCODER, (2, 4), (2,), (2, 2), (2, 4), (2,)]
SHAPES += [(6, 8), (6, 2), (6,), (6,), (3, 2), (3,), (3, 2), (3,), (3, 3)]


def filled():
    """The page's 22 parameters, in its order."""
    for number, shape in enumerate(SHAPES):
        places = np.arange(np.prod(shape)).reshape(shape)
        yield torch.from_numpy((((5 * places + 2 * number) % 9) - 4) / 4)


def take(module, parameters, widths):
    """The parameters in the page's order, a weight of the whole input cut by modality."""
    (f_in, f_hidden, f_bias, f_own), (b_in, b_hidden, b_bias, b_own) = parameters[:4], parameters[4:8]
    start, start_bias, w, u, v, d_in, d_hidden, d_bias, d_own, modal, modal_bias = parameters[8:19]
    label, label_bias, correlations = parameters[19:]
    d = sum(widths)
    with torch.no_grad():
        blocks = torch.cat([f_in, b_in, d_in[:, :d]]).split(widths, dim=1)
        for own, block in zip(module.inputs.weights, blocks, strict=True):
            own.copy_(block)
        module.inputs.bias.copy_(torch.cat([f_bias, b_bias, d_bias]))
        for layer, weight, bias in (
            (module.ahead, f_hidden, f_own),
            (module.back, b_hidden, b_own),
            (module.initial, start, start_bias),
            (module.attention.query, w, None),
            (module.attention.keys, u, None),
            (module.attention.score, v[None], None),
            (module.attended, d_in[:, d:], None),
            (module.states, d_hidden, d_own),
            (module.modal, modal, modal_bias),
            (module.label, label, label_bias),
        ):
            if layer is not None:
                layer.weight.copy_(weight)
                if bias is not None:
                    layer.bias.copy_(bias)
        if module.correlations is not None:
            module.correlations.copy_(correlations)
    return module


def worked(**options):
    module = M3LA(task_of(WIDTHS, LABELS), HIDDEN, **GIVEN | options).double()
    return take(module, [*filled()], WIDTHS)


def assert_near(actual, expected):
    torch.testing.assert_close(actual, doubles(expected), rtol=0, atol=1e-5)


def test_states_of_encoder_and_decoder():
    module, x = worked(), doubles(X)
    encoded, _ = module.encoded(x)
    first = [
        (0.490450, -0.549660, 0.704458, -0.903277),
        (0.493489, -0.579518, 0.500755, -0.733971),
        (0.525696, -0.641830, 0.144739, -0.626964),
    ]
    assert_near(encoded[0], first)
    state = module.started(encoded)
    assert_near(state, [(-0.300531, -0.858190), (-0.291777, -0.892293), (-0.588440, -0.499648)])
    logits = [
        (-1.010851, -0.050531, -0.664016),
        (-0.995760, -0.041777, -0.681296),
        (-1.316418, -0.338440, -0.286472),
    ]
    assert_near(module.modal(state), logits)
    shares = module.attention.shares(state, module.attention.keys(encoded))
    assert_near(shares[0], (0.315788, 0.327609, 0.356603))


def test_the_encoder_is_torchs_over_inputs_that_are_zero_but_for_a_modality():
    module, x, parameters = worked(), doubles(X), [*filled()]
    unit = torch.nn.GRU(4, 2, bidirectional=True, batch_first=True).double()
    with torch.no_grad():
        for name, own in zip(("ih", "hh"), (0, 1)):
            for way, first in (("", 0), ("_reverse", 4)):
                getattr(unit, f"weight_{name}_l0{way}").copy_(parameters[first + own])
                getattr(unit, f"bias_{name}_l0{way}").copy_(parameters[first + 2 + own])
    padded = torch.zeros(3, 3, 4).double()
    for number, modality in enumerate(task_of(WIDTHS, LABELS).modalities):
        padded[:, number, modality.start : modality.stop] = modality.of(x)
    torch.testing.assert_close(module.encoded(x)[0], unit(padded)[0])


def test_orders_and_predictions():
    steps = [*worked().unrolled(doubles(X))]
    assert torch.stack([step.modality for step in steps], 1).tolist() == [[1, 0, 2], [1, 2, 0], [2, 1, 0]]
    expected = [
        [(0.312743, 0.129897, 0.743289), (0.473819, 0.228110, 0.626345), (0.357688, 0.143746, 0.738253)],
        [(0.178575, 0.142100, 0.675566), (0.234031, 0.158306, 0.701428), (0.201299, 0.145224, 0.692863)],
        [(0.203963, 0.167669, 0.646488), (0.192403, 0.171968, 0.625389), (0.180386, 0.147500, 0.674492)],
    ]
    for step, predicted in zip(steps, expected, strict=True):
        assert_near(step.predicted, predicted)
        assert_near(step.logits.sigmoid(), predicted)
    assert_near(worked().scores(batch_of(X, Y)), expected[-1])


def test_the_share_of_rows_that_took_an_order():
    noted = worked().row_facts(batch_of(X, Y))
    expected = {"order_m1_m0_m2": [1, 0, 0], "order_m1_m2_m0": [0, 1, 0], "order_m2_m1_m0": [0, 0, 1]}
    assert {name: rows.tolist() for name, rows in noted.items()} == expected


def test_weights_of_labels():
    first, second, _ = (step.predicted for step in worked().unrolled(doubles(X)))
    raw = [(1 / 3, 1 / 6, 2 / 3), (0, 2 / 3, 0), (1 / 2, 1 / 2, 0)]
    rescaled = [(1.058824, 0.529412, 2.117647), (0, 2.117647, 0), (1.588235, 1.588235, 0)]
    for predicted in (first, second):
        assert_near(f1_weights(predicted, doubles(Y), False), raw)
        assert_near(f1_weights(predicted, doubles(Y), True), rescaled)
    assert_near(f1_weights(doubles([(0.2, 0.6, 0.1)]), doubles([(0, 0, 0)]), False), [(0, 1, 0)])


@pytest.mark.parametrize(
    ("options", "loss", "first_row"),
    [
        ({}, 11.150784, (0.203963, 0.167669, 0.646488)),
        ({"rescale": False}, 5.568460, (0.203963, 0.167669, 0.646488)),
        ({"order": "hard"}, 11.150784, (0.203963, 0.167669, 0.646488)),
        ({"order": "fixed"}, 10.757069, (0.208037, 0.169178, 0.648168)),
        ({"wco": False}, 10.557777, (0.323024, 0.138962, 0.726389)),
        ({"label_activation": "softmax"}, 14.680597, (0.109803, 0.105754, 0.784443)),
    ],
)
def test_losses(options, loss, first_row):
    module, batch = worked(**options), batch_of(X, Y)
    assert module.loss(batch).item() == pytest.approx(loss, abs=1e-5)
    assert_near(module.scores(batch)[0], first_row)


def test_the_choice_learns_straight_through_and_not_when_it_is_hard():
    learned, hard = worked(), worked(order="hard")
    for module in (learned, hard):
        module.loss(batch_of(X, Y)).backward()
    expected = [(0.012407, 0.003015), (-0.025541, -0.041206), (0.013134, 0.038191)]
    assert_near(learned.modal.weight.grad, expected)
    assert not hard.modal.weight.grad.any()  # a gradient of 0, so that the weight decay finds it


def test_the_first_modality_may_be_the_data_sets():
    steps = [*worked(first="index0").unrolled(doubles(X))]
    assert steps[0].modality.tolist() == [0, 0, 0]
    assert {tuple(own) for own in torch.stack([s.modality for s in steps], 1).sort(1)[0].tolist()} == {
        (0, 1, 2)
    }


def test_with_two_modalities_and_a_given_first_nothing_is_left_to_choose():
    torch.manual_seed(0)
    module = M3LA(task_of((2, 2), 3), 4, **GIVEN | {"first": "index0"}).double()
    module.loss(batch_of(X, Y)).backward()
    assert module.modal.weight.grad is None


def test_equal_logits_take_the_modality_of_the_lower_number():
    module = worked()
    with torch.no_grad():
        module.modal.weight.zero_()
        module.modal.bias.fill_(0.5)
    orders = torch.stack([step.modality for step in module.unrolled(doubles(X))], 1)
    assert orders.tolist() == [[0, 1, 2]] * 3


def test_unweighted_steps_are_plain_cross_entropies():
    module, batch = worked(weights="none"), batch_of(X, Y)
    expected = sum(
        torch.nn.functional.binary_cross_entropy(step.predicted, batch.targets, reduction="none").sum() / 3
        for step in module.unrolled(batch.x)
    )
    torch.testing.assert_close(module.loss(batch), expected)


@settings(max_examples=100)
@given(st.integers(0, 2**32 - 1), st.integers(1, 6), st.integers(1, 5))
def test_a_label_weighs_what_f1_loses_by_it(seed, rows, labels):
    rng = np.random.default_rng(seed)
    predicted, targets = rng.random((rows, labels)), (rng.random((rows, labels)) < 0.4).astype(float)
    expected = np.empty((rows, labels))
    for row in range(rows):
        for label in range(labels):
            off, on = (predicted[row] > 0.5).copy(), (predicted[row] > 0.5).copy()
            off[label], on[label] = False, True
            expected[row, label] = abs(f1(off, targets[row]) - f1(on, targets[row]))
    weights = f1_weights(torch.from_numpy(predicted), torch.from_numpy(targets), False)
    np.testing.assert_allclose(weights, expected, atol=1e-12)
    rescaled = f1_weights(torch.from_numpy(predicted), torch.from_numpy(targets), True)
    assert rescaled.isfinite().all()
    assert rescaled.mean().item() == pytest.approx(1 if expected.any() else 0)


def f1(said, true):
    together, total = (said * true).sum(), said.sum() + true.sum()
    return 2 * together / total if total else 1.0


def test_weights_of_nothing_stay_nothing():
    """With two wrong labels predicted F1 is 0, and 0 without either of them."""
    weights = f1_weights(torch.tensor([[0.9, 0.9]]), torch.zeros(1, 2), True)
    assert weights.tolist() == [[0, 0]]


@pytest.mark.parametrize("order", ["straight_through", "fixed"])
def test_a_label_depends_on_every_modality_and_weights_on_their_own(order):
    torch.manual_seed(0)
    widths = (3, 2, 4)
    module = M3LA(task_of(widths, 3), 5, **GIVEN | {"order": order}).double()
    x = torch.randn(4, 9).double()
    for hidden, columns in enumerate(((0, 3), (3, 5), (5, 9))):
        shown = x.clone()
        shown[:, columns[0] : columns[1]] = 0  # nothing of it is left, so its weights have no say
        module.zero_grad()
        module.scores(batch_of(shown.tolist(), [(0, 1, 0)] * 4)).sum().backward()
        for number, weight in enumerate(module.inputs.weights):
            assert bool(weight.grad.any()) == (number != hidden)


def test_columns_of_a_modality_may_stand_in_any_order():
    torch.manual_seed(0)
    one, other = (M3LA(task_of((3, 2), 3), 4, **GIVEN).double() for _ in range(2))
    order = [2, 0, 1, 4, 3]
    state = one.state_dict()
    for number, own in enumerate(([2, 0, 1], [1, 0])):
        state[f"inputs.weights.{number}"] = state[f"inputs.weights.{number}"][:, own]
    other.load_state_dict(state)
    x = torch.randn(6, 5).double()
    y = [(0, 1, 0)] * 6
    torch.testing.assert_close(
        other.scores(batch_of(x[:, order].tolist(), y)), one.scores(batch_of(x.tolist(), y))
    )


def test_the_ablations_are_options():
    def built(name):
        config = configure([f"method={name}", "method.hidden=3"])
        return build_method(config.method, config.backbone, config.loss, task_of(WIDTHS, LABELS))

    whole, order, wco = built("m3la"), built("m3la_order"), built("m3la_wco")
    assert (order.order, order.modal, wco.correlations) == ("fixed", None, None)
    assert whole.modal is not None and not whole.correlations.any() and order.correlations is not None


def test_the_papers_settings():
    train = configure(["method=m3la", "dataset=yeast"]).train
    assert (train.epochs, train.batch_size, train.optimizer["weight_decay"]) == (300, 64, 0.0002)


def by_name(parameters):
    """In the page's order, as the reference names them."""
    return [torch.from_numpy(np.asarray(array, float)) for array in parameters.values()]


@pytest.mark.parametrize("block", range(10))
def test_it_is_the_reference(block):
    """On 200 random models of 2 to 5 modalities in all, whatever the choices."""
    for seed in range(20 * block, 20 * block + 20):
        rng = np.random.default_rng(seed)
        widths, x, y = random_data(rng)
        hidden = int(rng.integers(1, 4))
        shapes = reference.shapes(widths, hidden, y.shape[1])
        parameters = {name: rng.normal(size=shape) for name, shape in shapes.items()}
        choices = {
            "order": rng.choice(["straight_through", "hard", "fixed"]),
            "first": rng.choice(["s0", "index0"]),
            # the softmax of one label is 1, and log(1 - 1) nothing to compare
            "label_activation": rng.choice(["sigmoid", "softmax"] if y.shape[1] > 1 else ["sigmoid"]),
            "weights": rng.choice(["f1", "none"]),
            "rescale": bool(rng.integers(2)),
            "wco": bool(rng.integers(2)),
        }
        module = M3LA(task_of(widths, y.shape[1]), hidden, **choices).double()
        take(module, by_name(parameters), widths)
        options = reference.Options(widths, **choices)
        loss = module.loss(batch_of(x, y))
        assert loss.item() == pytest.approx(reference.loss(parameters, x, y, options), abs=1e-7)
        traces = [reference.traced(parameters, row, options) for row in x]
        steps = [*module.unrolled(doubles(x))]
        orders = torch.stack([step.modality for step in steps], 1)
        assert orders.tolist() == [trace.order for trace in traces]
        for number, step in enumerate(steps):
            expected = [trace.predictions[number] for trace in traces]
            np.testing.assert_allclose(step.predicted.detach(), expected, atol=1e-9)
        if seed % 20 == 0 and module.modal is not None:
            loss.backward()
            slopes = reference.gradient(parameters, x, y, options, ["W_modal", "W_label", "b_init"])
            ours = {"W_modal": module.modal, "W_label": module.label}
            for name, layer in ours.items():
                gradient = layer.weight.grad
                gradient = torch.zeros_like(layer.weight) if gradient is None else gradient
                np.testing.assert_allclose(gradient.detach(), slopes[name], atol=1e-5)
            np.testing.assert_allclose(module.initial.bias.grad, slopes["b_init"], atol=1e-5)


@pytest.mark.parametrize("block", range(4))
def test_rows_that_lack_modalities_are_the_reference(block):
    """On 40 random models: a row is as good as one of a model of its own modalities alone."""
    for seed in range(10 * block, 10 * block + 10):
        rng = np.random.default_rng(seed)
        widths, x, y = random_data(rng)
        has = having(rng, len(x), len(widths))
        shapes = reference.shapes(widths, 2, y.shape[1])
        parameters = {name: rng.normal(size=shape) for name, shape in shapes.items()}
        choices = {
            "order": ("straight_through", "hard", "fixed")[seed % 3],
            "first": rng.choice(["s0", "index0"]),
            "label_activation": rng.choice(["sigmoid", "softmax"] if y.shape[1] > 1 else ["sigmoid"]),
            "weights": rng.choice(["f1", "none"]),
            "rescale": bool(rng.integers(2)),
            "wco": bool(rng.integers(2)),
        }
        module = take(M3LA(task_of(widths, y.shape[1]), 2, **choices).double(), by_name(parameters), widths)
        options, batch = reference.Options(widths, **choices), batch_of(x, y, has)
        traces = [reference.traced_without(parameters, *row, options) for row in zip(x, has)]
        loss = module.loss(batch)
        assert loss.item() == pytest.approx(reference.loss_without(parameters, x, y, has, options), abs=1e-7)
        expected = [trace.predictions[-1] for trace in traces]
        np.testing.assert_allclose(module.scores(batch).detach(), expected, atol=1e-9)
        orders = torch.stack([step.modality for step in module.unrolled(batch.x, batch.extra["present"])], 1)
        own = [np.flatnonzero(there)[trace.order].tolist() for there, trace in zip(has, traces)]
        assert [[number for number in order if number >= 0] for order in orders.tolist()] == own
        loss.backward()
        assert all(p.grad is None or p.grad.isfinite().all() for p in module.parameters())
        if seed % 10 < 3:
            slopes = reference.gradient_without(
                parameters, x, y, has, options, ["W_modal", "W_label", "b_init"]
            )
            found = {"W_modal": module.modal, "W_label": module.label}
            for name, layer in found.items():
                gradient = getattr(getattr(layer, "weight", None), "grad", None)
                gradient = np.zeros_like(slopes[name]) if gradient is None else gradient.numpy()
                np.testing.assert_allclose(gradient, slopes[name], atol=1e-5)
            np.testing.assert_allclose(module.initial.bias.grad, slopes["b_init"], atol=1e-5)


def test_rows_that_have_all_modalities_are_as_if_nothing_were_said():
    for order in ("straight_through", "fixed"):
        module, all_there = worked(order=order), np.ones((3, 3))
        for found in (module.loss, module.scores):
            torch.testing.assert_close(
                found(batch_of(X, Y, all_there)), found(batch_of(X, Y)), rtol=0, atol=1e-12
            )


def test_an_order_is_of_what_a_row_has():
    noted = worked().row_facts(batch_of(X, Y, [(0, 1, 1), (1, 0, 0), (1, 1, 1)]))
    assert {name: rows.tolist() for name, rows in noted.items()} == {
        "order_m0": [0, 1, 0],
        "order_m1_m2": [1, 0, 0],
        "order_m2_m1_m0": [0, 0, 1],
    }
