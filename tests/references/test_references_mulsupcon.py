"""The plain reference of MulSupCon and its label distributions, against values worked out apart from it."""

import numpy as np
import pytest
import torch

from references import mulsupcon as reference
from references import mulsupcon_step
from references.arithmetic import filled, slopes

Z = [(0.6, 0.8), (1, 0), (-0.8, 0.6)]
BATCH, QUEUE = [(0.8, 0.6), (0.6, -0.8), (0, 1)], [(-0.6, 0.8), (0.96, 0.28), (0, -1)]
KEYS = [*BATCH, *QUEUE]
Y, QUEUE_Y = [(1, 1, 0), (0, 1, 1), (1, 0, 0)], [(0, 1, 1), (1, 0, 0), (0, 0, 0)]
LABELS = [*Y, *QUEUE_Y]
D, QUEUE_D = (
    [(0.5, 0.3, 0.2), (0.1, 0.6, 0.3), (0.7, 0.2, 0.1)],
    [(0.2, 0.4, 0.4), (0.6, 0.3, 0.1), (0.3, 0.4, 0.3)],
)
STORED = [*D, *QUEUE_D]
W = [(0.5, -1), (0.2, 0.3), (-0.4, 1)]
UNLABELLED = [(1, 1, 0), (0, 0, 0), (1, 0, 0)]


def worked(value, digits=1e-6):
    return pytest.approx(value, abs=digits)


def test_contrastive_losses():
    pairs = reference.pairs(Z, KEYS, Y, LABELS)
    found = [value for anchor in pairs for value in anchor]
    assert found == worked([1.406641, 6.739974, 7.139824, 9.806490, 10.560295])
    assert [len(anchor) for anchor in pairs] == [2, 2, 1]
    assert reference.loss_mulsupcon(Z, KEYS, Y, LABELS) == worked(7.130645)
    assert reference.loss_mulsupcon(Z, KEYS, Y, LABELS, pair_weights="instance") == worked(7.702253)
    assert reference.loss_any(Z, KEYS, Y, LABELS) == worked(7.506697)
    assert reference.loss_all(Z, KEYS, Y, LABELS) == worked(6.591142)


def test_an_anchor_without_labels_has_no_pair():
    labels = [*UNLABELLED, *QUEUE_Y]
    assert reference.loss_mulsupcon(Z, KEYS, UNLABELLED, labels) == worked(5.235636)
    assert reference.loss_any(Z, KEYS, UNLABELLED, labels) == worked(6.700134)


@pytest.mark.parametrize("loss", ["all", "any", "mulsupcon", "instance"])
@pytest.mark.parametrize("y", [Y, UNLABELLED])
def test_a_loss_is_the_matrix_of_its_pairs_on_log_ratios(loss, y):
    labels, how = [*y, *QUEUE_Y], {"pair_weights": "instance"} if loss == "instance" else {}
    name = "mulsupcon" if how else loss
    m = np.array(reference.matrix(y, labels, name, **how))
    expected = getattr(reference, f"loss_{name}")(Z, KEYS, y, labels, **how)
    assert -(m * reference.log_ratios(Z, KEYS)).sum() == worked(expected, 1e-9)


def test_without_any_pair_a_loss_is_nothing():
    y = [(0, 0)] * 2
    assert reference.loss_mulsupcon(Z[:2], BATCH[:2], y, y) == reference.loss_any(Z[:2], BATCH[:2], y, y) == 0


def loss_of_distributions(weighting="exp", sigma=0.01, **how):
    algorithm = how.get("algorithm", False)
    held = reference.similarities(Z, KEYS, weighting, sigma=sigma, algorithm=algorithm)
    return reference.loss_of_distributions(Z, KEYS, Y, LABELS, D, STORED, W, held, 0.1, 1, **how)


def pull(weighting, sigma=0.01, algorithm=False):
    held = reference.similarities(Z, KEYS, weighting, sigma=sigma, algorithm=algorithm)
    return sum(reference.pulls(Y, LABELS, D, STORED, held, algorithm))


def test_terms_of_distributions():
    assert sum(reference.contrastive_terms(Z, KEYS, Y, LABELS, STORED)) == worked(48.035430)
    assert sum(reference.contrastive_terms(Z, KEYS, Y, LABELS, STORED, algorithm=True)) == worked(31.693673)
    assert sum(reference.anchorings(Y, LABELS, D, STORED)) == worked(1.58)
    assert sum(reference.anchorings(Y, LABELS, D, STORED, h="positives")) == worked(5.98)
    assert 3 * reference.frobenius(W) == worked(7.62)
    assert pull("rbf") == worked(0) and pull("rbf", sigma=1) == worked(0.451637)
    assert pull("exp") == worked(0.054308) and pull("exp", algorithm=True) == worked(0.003486)
    assert pull("neg_log") == -pull("literal") == worked(6.943421)


def test_losses_of_distributions():
    assert loss_of_distributions("rbf") == worked(55.813430)
    assert loss_of_distributions("rbf", sigma=1) == worked(56.265068)
    assert loss_of_distributions() == worked(55.867739)
    assert loss_of_distributions(h="positives") == worked(56.307739)
    assert loss_of_distributions("neg_log") == worked(62.756852)
    assert loss_of_distributions("literal") == worked(48.870009)
    assert loss_of_distributions(algorithm=True) == worked(39.475159)
    assert loss_of_distributions(normalise="positives") == worked(7.344614)


def gradients(**how):
    held = reference.similarities(Z, KEYS, "exp")
    return reference.gradients_of_distributions(Z, KEYS, Y, LABELS, D, STORED, W, held, 0.1, 1, **how)


def test_gradients_of_distributions():
    of_z, of_d, of_weight = gradients()
    expected = [(8.554414, 7.081182), (15.512318, 5.170371), (-20.272646, 2.815727)]
    np.testing.assert_allclose(of_z, expected, atol=1e-6)
    expected = [
        (-0.185747, -0.111419, 0.097165),
        (-0.111384, 0.018538, -0.107154),
        (-0.059998, 0.039999, 0.019999),
    ]
    np.testing.assert_allclose(of_d, expected, atol=1e-6)
    np.testing.assert_allclose(of_weight, 2 * 3 * np.array(W), atol=1e-6)  # β‖W‖² counts B times


def test_the_constant_terms_of_the_positives_move_nothing():
    for own, over_positives in zip(gradients(), gradients(h="positives")):
        np.testing.assert_allclose(own, over_positives, atol=1e-7)


def test_normalised_labels_let_a_distribution_reach_its_row():
    d, y = [(0.5, 0.5, 0), (0.3, 0.3, 0.4)], [(1, 1, 0), (0, 0, 0)]
    assert reference.anchorings(y, y, d, d, normalise_labels=True) == worked([0, 0.34])
    assert reference.anchorings(y, y, d, d) == worked([0.5, 0.34])
    assert reference.anchorings(y, y, d, d, h="positives") == worked([0.5, 0])


def test_a_queue_is_used_whole_one_step_after_it_filled():
    queue, seen = reference.Queue(4), []
    for step in range(5):
        batch = [(step, 0), (step, 1)]
        keys, labels, stored = queue.references(batch, [(step,)] * 2, [(-step,)] * 2)
        assert [key[0] for key in keys] == [row[0] for row in labels] == [-row[0] for row in stored]
        seen.append([key[0] for key in keys])
        queue = queue.after(batch, [(step,)] * 2, [(-step,)] * 2)
    assert seen == [[0, 0], [1, 1], [2, 2, 0, 0, 1, 1], [3, 3, 1, 1, 2, 2], [4, 4, 2, 2, 3, 3]]
    with pytest.raises(ValueError):
        reference.Queue(5).after([(0, 0), (0, 1)], Y[:2], D[:2])


def test_key_encoder_follows():
    key, query = {"a": np.array([[1.0, 2.0]])}, {"a": np.array([[3.0, -2.0]])}
    np.testing.assert_allclose(reference.followed(key, query, 0.9)["a"], [[1.2, 1.6]])
    np.testing.assert_allclose(reference.followed(key, query)["a"], [[1.002, 1.996]])


def shapes():
    found = {
        f"backbone.{k}.{name}": shape
        for k in range(3)
        for name, shape in (("weight", (4, 4)), ("bias", (4,)))
    }
    found |= {
        "projection.inner.weight": (3, 4),
        "projection.inner.bias": (3,),
        "projection.norm.weight": (3,),
    }
    found |= {"projection.norm.bias": (3,), "projection.outer.weight": (2, 3), "projection.outer.bias": (2,)}
    return found | {"fc.weight": (3, 4), "fc.bias": (3,)}


def test_network_is_the_one_built_of_torch_layers():
    parameters = filled(shapes())
    weights = {name: torch.tensor(array) for name, array in parameters.items()}
    x = [(1, 2, 0, 1), (0, 1, 1, 3), (2, -1, 0, 1)]
    h = torch.tensor(x, dtype=torch.float64)
    linear = torch.nn.functional.linear
    for k in range(3):
        h = linear(h, weights[f"backbone.{k}.weight"], weights[f"backbone.{k}.bias"]).relu()
    found = reference.backbone(parameters, x)
    np.testing.assert_allclose(found, h, atol=1e-12)
    inner = linear(h, weights["projection.inner.weight"], weights["projection.inner.bias"])
    norm = weights["projection.norm.weight"], weights["projection.norm.bias"]
    active = torch.nn.functional.batch_norm(inner, None, None, *norm, training=True).relu()
    head = linear(active, weights["projection.outer.weight"], weights["projection.outer.bias"])
    np.testing.assert_allclose(reference.projection(parameters, found), head, atol=1e-12)
    z = torch.nn.functional.normalize(head, dim=-1)
    np.testing.assert_allclose(reference.of_length_one(head.tolist()), z, atol=1e-12)
    narrow = {"weight": weights["fc.weight"][:, :2], "bias": weights["fc.bias"]}
    for source, q, layer in (
        ("backbone", h, {"weight": weights["fc.weight"], "bias": weights["fc.bias"]}),
        ("projection", head, narrow),
        ("normalised", z, narrow),
    ):
        given = {**parameters, "fc.weight": layer["weight"].numpy()}
        expected = linear(q, **layer).softmax(-1)
        np.testing.assert_allclose(reference.distributions(given, found, source), expected, atol=1e-12)


def test_a_step_follows_then_looks_then_enters():
    random = np.random.default_rng(0)
    query = {name: random.normal(size=shape) for name, shape in shapes().items()}
    key, queue, y = {name: array + 1 for name, array in query.items()}, reference.Queue(3), [*Y]
    first, second = random.normal(size=(2, 3, 4))
    found = mulsupcon_step.step(query, key, queue, first, second, y, momentum=0.5)
    np.testing.assert_allclose(found.key["fc.bias"], query["fc.bias"] + 0.5)
    offset = {name: array + 0.5 for name, array in query.items()}
    keys = reference.of_length_one(reference.projection(offset, reference.backbone(offset, second)))
    np.testing.assert_allclose(found.keys, keys)
    assert found.queue.full() and len(found.keys) == len(found.labels) == len(found.stored) == 3
    np.testing.assert_allclose(found.queue.keys, keys)
    np.testing.assert_allclose(found.queue.distributions, found.d)
    later = mulsupcon_step.step(query, found.key, found.queue, second, first, y[::-1])
    np.testing.assert_allclose(later.keys[3:], keys)
    assert [tuple(row) for row in later.labels] == [*y[::-1], *y]
    np.testing.assert_allclose(later.stored, [*later.d, *found.d])
    assert [tuple(row) for row in later.queue.labels] == y[::-1]


def test_hidden_width_of_the_head():
    assert [reference.hidden_width(width) for width in (256, 511, 512, 2048)] == [256, 256, 256, 1024]


def test_gradients_are_those_of_the_loss_in_torch():
    """The cheap forms of the losses, by matrix products, with torch's own slopes."""
    z, keys, y, labels = (torch.tensor(rows, dtype=torch.float64) for rows in (Z, KEYS, Y, LABELS))
    z.requires_grad_()
    ratios = (z @ keys.T / 0.1).log_softmax(-1)
    weights = (y / labels.sum(0)) @ labels.T / y.sum()
    (-(weights * ratios).sum()).backward()
    found = slopes(lambda z: reference.loss_mulsupcon(z, KEYS, Y, LABELS), Z)
    np.testing.assert_allclose(found, z.grad, atol=1e-7)


def test_views_hide_entries_and_rescale_none():
    assert reference.masked([(1, -2, 3)], [(0, 1, 0)]) == [[1, 0, 3]]


def test_batches_walk_over_the_end_of_a_list():
    assert [*reference.batches([(0, 1, 2), (2, 0, 1)], 2)] == [[0, 1], [2, 2], [0, 1]]
    assert reference.batches_of_epoch(1500, 128) == 12


def test_rate_restarts_after_fifty_epochs_and_a_hundred_more():
    found = {
        epoch: reference.rate(epoch, 4e-5, 50, 2, 1e-5) for epoch in (0, 25, 49, 50, 75, 100, 150, 250, 350)
    }
    near_the_end = 1e-5 + 3e-5 * (1 + np.cos(np.pi * 0.98)) / 2
    quarter = 1e-5 + 3e-5 * (1 + np.cos(np.pi / 4)) / 2
    expected = {0: 4e-5, 25: 2.5e-5, 49: near_the_end, 50: 4e-5, 75: quarter, 100: 2.5e-5, 150: 4e-5}
    assert found == worked({**expected, 250: 2.5e-5, 350: 4e-5}, 1e-12)


def test_classifier():
    z, y = torch.tensor([(1, -2, 0.5), (0, 3, -1)]), torch.tensor([(1.0, 0, 1), (0, 1, 0)])
    expected = torch.nn.functional.binary_cross_entropy_with_logits(z, y).item()
    assert reference.loss_of_classifier(z.tolist(), y.tolist()) == worked(expected)
