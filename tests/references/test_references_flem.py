"""Plain references of FLEM and of what it is compared with, against values worked out apart from them."""

import math

import numpy as np
import pytest
import torch

from references import flem, levi, long_tailed, valen
from references.arithmetic import filled, slopes, slopes_of_all, softmax

S = [(0.5, -1, 2), (-0.3, 0.8, -2)]
SCORES = [(1, 0, -1), (0.2, -0.4, 0.6)]
Y = [(1, 0, 1), (0, 1, 0)]
X = [(1, 2, 0, 1), (0, 1, 1, 3)]


def worked(value, digits=1e-5):
    return pytest.approx(value, abs=digits)


def test_terms():
    d, p, given = flem.held(S, SCORES)
    assert flem.l_sc(S, Y) == worked(0.32777512, 1e-7)
    assert flem.l_ld(S, d) == worked(1.09216416, 1e-7)
    assert flem.l_in(SCORES, Y, p) == worked(0.53154665, 1e-7)
    assert flem.distribution(SCORES, given) == worked(1.10230434, 1e-7)
    assert flem.threshold(SCORES, Y) == worked(1.0) and flem.threshold(SCORES, Y, reduction="sum") == worked(
        2.0
    )
    assert flem.similarity(SCORES, X) == worked(0.49344349, 1e-7)


def test_losses_are_their_weighted_terms():
    terms = {"S": 0.49344349, "T": 1.0, "D": 1.10230434}
    for strategy, term in terms.items():
        expected = 0.1 * 1.09216416 + 0.9 * 0.32777512 + 0.2 * term + 0.8 * 0.53154665
        assert flem.total(S, SCORES, Y, X, strategy, w_ld=0.1, w_le=0.2) == worked(expected, 1e-7)
        alone = flem.total(S, SCORES, Y, X, strategy, w_ld=0, w_le=0.2, interaction=False)
        assert alone == worked(0.32777512 + 0.2 * term, 1e-7)


@pytest.mark.parametrize("strategy", ["S", "T", "D"])
def test_gradients_are_those_of_the_detached_loss(strategy):
    """The same losses written with torch, whose detach holds d, p and P."""
    s, scores, y, x = (torch.tensor(rows, dtype=torch.float64) for rows in (S, SCORES, Y, X))
    s.requires_grad_(), scores.requires_grad_()
    d, p, given = scores.softmax(-1).detach(), s.sigmoid().detach(), s.softmax(-1).detach()
    divergence = torch.nn.functional.kl_div
    cross_entropy = torch.nn.functional.binary_cross_entropy_with_logits
    classifier = 0.3 * divergence(s.log_softmax(-1), d, reduction="batchmean") + 0.7 * cross_entropy(s, y)
    cosine = torch.nn.functional.cosine_similarity
    enhanced = {
        "S": (cosine(x[:, None], x[None], -1) - cosine(scores[:, None], scores[None], -1)).square().mean(),
        "T": torch.stack([scores[0, 1] - scores[0, 2], scores[1, 2] - scores[1, 1]]).clamp(min=0).mean(),
        "D": divergence(scores.log_softmax(-1), given, reduction="batchmean"),
    }[strategy]
    interaction = cross_entropy(scores, y, weight=y + (1 - y) * p)
    (classifier + 0.4 * enhanced + 0.6 * interaction).backward()
    of_s, of_scores = flem.gradients(S, SCORES, Y, X, strategy, w_ld=0.3, w_le=0.4)
    np.testing.assert_allclose(of_s, s.grad, atol=1e-8)
    np.testing.assert_allclose(of_scores, scores.grad, atol=1e-8)


def estimator_shapes(d=4, labels=3, hidden=2):
    found = {}
    for name, width, out in (
        ("features", d, hidden),
        ("labels", labels, hidden),
        ("decoder", 2 * hidden, labels),
    ):
        found |= {f"{name}.inner_weight": (out, width), f"{name}.inner_bias": (out,)}
        found |= {f"{name}.norm_weight": (out,), f"{name}.norm_bias": (out,)}
        found |= {f"{name}.outer_weight": (out, out), f"{name}.outer_bias": (out,)}
    return found


def test_estimator_is_the_one_built_of_torch_layers():
    parameters = filled(estimator_shapes())
    x, y = [*X, (2, -1, 0, 1)], [*Y, (1, 1, 0)]

    def branch(name, rows):
        weights = {key: torch.tensor(parameters[f"{name}.{key}"]) for key in ("inner_weight", "inner_bias")}
        active = torch.nn.functional.leaky_relu(
            rows @ weights["inner_weight"].T + weights["inner_bias"], 0.01
        )
        norm = torch.nn.BatchNorm1d(active.shape[1], dtype=torch.float64)
        norm.weight.data = torch.tensor(parameters[f"{name}.norm_weight"])
        norm.bias.data = torch.tensor(parameters[f"{name}.norm_bias"])
        u = norm(active)
        outer = torch.tensor(parameters[f"{name}.outer_weight"])
        return u + u @ outer.T + torch.tensor(parameters[f"{name}.outer_bias"])

    rows, labels = torch.tensor(x, dtype=torch.float64), torch.tensor(y, dtype=torch.float64)
    expected = branch("decoder", torch.cat([branch("features", rows), branch("labels", labels)], -1))
    np.testing.assert_allclose(flem.estimate(parameters, x, y), expected.detach(), atol=1e-12)


def test_one_row_leaves_batch_norm_its_bias():
    assert np.isfinite(flem.estimate(filled(estimator_shapes()), X[:1], Y[:1])).all()
    assert flem.normalised([3.0], 2, 0.5) == [0.5]


def test_estimator_learns_from_its_own_loss_alone():
    parameters = filled(estimator_shapes())
    found = flem.gradients_of_estimator(parameters, S, Y, X, "D", w_le=0.4)
    assert any(np.abs(array).max() > 1e-3 for array in found.values())
    last = found["decoder.outer_bias"]  # added to d* of both rows
    scores = flem.estimate(parameters, X, Y)
    np.testing.assert_allclose(last, flem.gradients(S, scores, Y, X, "D", 0.3, 0.4)[1].sum(0), atol=1e-8)


def test_rows_without_positives_or_negatives_have_no_threshold():
    assert flem.threshold([*SCORES, (3, 0, -5), (0, 1, 2)], [*Y, (1, 1, 1), (0, 0, 0)]) == worked(0.5)
    assert flem.threshold(SCORES, [(1, 1, 0), (1, 0, 1)], epsilon=0.5) == worked(0.0)
    assert flem.threshold(SCORES, [(1, 1, 0), (1, 0, 1)], epsilon=1.5) == worked((0.5 + 0.9) / 2)


def test_adaptive_clipping_remembers_five_values():
    steps = flem.clipped([10, 0.5, 0.1, 0.2, 0.3, 9, 0.01])
    assert [bound for bound, _, _ in steps] == [math.inf] * 5 + [5, 5]
    assert [after for _, after, _ in steps] == [10, 0.5, 0.1, 0.2, 0.3, 5, 0.01]
    assert steps[4][2] == [1, 0.5, 0.1, 0.2, 0.3] and steps[5][2] == [0.5, 0.1, 0.2, 0.3, 1]
    assert flem.clipped([0.1] * 6 + [0.9])[-1] == (0.5, 0.5, [0.1] * 4 + [0.2])


def test_long_tailed_losses():
    z, y = [(1, -2, 0.5), (0, 3, -1), (-0.5, 0.2, 2)], [(1, 0, 1), (0, 1, 0), (1, 1, 0)]
    expected = {
        "focal": 0.135377,
        "cb_focal": 0.136828,
        "r_focal": 0.109203,
        "db": 0.115422,
        "cb_ntr": 0.140550,
    }
    for name, value in expected.items():
        assert getattr(long_tailed, name)(z, y, (300, 120, 40), 1000) == worked(value, 1e-6), name
    assert long_tailed.balanced_softmax(z, y) == worked(1.696043, 1e-6)


def test_long_tailed_losses_of_rows_and_labels_without_positives():
    z = [(1, -2, 0.5), (0, 3, -1)]
    assert long_tailed.row_weights((0, 0, 0), (3, 2, 0)) == [1.1] * 3
    assert long_tailed.class_weights((0,)) == long_tailed.class_weights((1,)) == [worked(10)]
    for loss in (long_tailed.cb_focal, long_tailed.r_focal, long_tailed.db, long_tailed.cb_ntr):
        assert math.isfinite(loss(z, [(0, 0, 0), (1, 0, 0)], (1, 0, 0), 2 + 1))


LEVI_X, LEVI_Y = [(0.2, 0.9), (0.6, 0), (1, 0.4)], [(1, 0), (0, 1), (1, 1)]
NOISE = [(0.5, -1, 0.3), (0, 0.2, -0.4), (1, 0.1, -0.6)]


def test_levi():
    parameters = filled(levi.shapes(d=2, labels=2, hidden=2, latent=3))
    encoded = [levi.encoded(parameters, x, y) for x, y in zip(LEVI_X, LEVI_Y)]
    expected = [
        (-1.269022, 0.793524, -0.561730),
        (-1.489783, 1.005921, -0.412886),
        (-1.414037, 0.930919, -0.468207),
    ]
    np.testing.assert_allclose([mu for mu, _ in encoded], expected, atol=1e-6)
    np.testing.assert_allclose(encoded[0][1], (0.873454, 0.307329, 2.041121), atol=1e-6)
    terms = levi.terms(parameters, LEVI_X, LEVI_Y, NOISE)
    np.testing.assert_allclose(terms, (1.042631, 1.045540, 0.261086), atol=1e-6)
    assert levi.loss(parameters, LEVI_X, LEVI_Y, NOISE) == worked(1.055697, 1e-6)
    expected = [(0.688587, 0.363147), (0.732221, 0.398220), (0.717262, 0.385041)]
    found = levi.distributions(parameters, LEVI_X, LEVI_Y, final="sigmoid")
    np.testing.assert_allclose(found, expected, atol=1e-6)
    expected = [(0.794987, 0.205013), (0.805151, 0.194849), (0.802045, 0.197955)]
    np.testing.assert_allclose(levi.distributions(parameters, LEVI_X, LEVI_Y), expected, atol=1e-6)


def test_levi_scales_by_the_whole_matrix():
    assert levi.scaled([(1, 3), (2, 5)]) == [[0, 0.5], [0.25, 1]]


def test_levi_takes_features_of_zero_and_one_for_logits():
    parameters = filled(levi.shapes(2, 2, 2, 3))
    decoded = levi.three_layers(parameters, "decoder", levi.encoded(parameters, (1, 0), (1, 0))[0])
    logits, x = torch.tensor([decoded]), torch.tensor([[1.0, 0.0]])
    found = levi.terms(parameters, [(1, 0)], [(1, 0)], [(0, 0, 0)], binary=True)[2]
    cross_entropy = torch.nn.functional.binary_cross_entropy_with_logits
    assert found == worked(cross_entropy(logits, x).item(), 1e-6)


VALEN_X, VALEN_Y = [(0, 1), (1, 1), (0.2, 0.9), (3, 0)], [(1, 1, 0), (0, 1, 1), (1, 0, 0), (1, 1, 1)]
E = [(0.5, -1, 2), (-0.3, 0.8, -2), (1, 0, -1), (0.2, -0.4, 0.6)]
F = [(1, 0, -1), (0.4, 0.2, 0.1), (-0.5, 0.3, 0), (0, 1, 2)]
CANDIDATES = [(0.6, 0.4, 0), (0, 0.3, 0.7), (1, 0, 0), (0.2, 0.5, 0.3)]
DIST = [(0.5, 0.5, 0), (0, 0.6, 0.4), (1, 0, 0), (0.4, 0.4, 0.2)]
DRAWN = [(0.5, 0.4, 0.1), (0.1, 0.6, 0.3), (0.9, 0.05, 0.05), (0.3, 0.3, 0.4)]
A = [(0.5, 0, 0.5, 0), (0, 0.5, 0.5, 0), (0.5, 0, 0.5, 0), (0, 0.5, 0, 0.5)]


def test_valen():
    np.testing.assert_array_equal(valen.graph(VALEN_X, neighbours=1), A)
    s = valen.strengths(E, CANDIDATES, valen.normalisers(E, CANDIDATES))
    np.testing.assert_allclose(s[:2], [(0.827574, 0.192426, 0.01), (0.01, 0.952676, 0.067324)], atol=1e-6)
    decoder = filled(valen.shapes(d=2, labels=3))
    terms = valen.terms(decoder, E, F, CANDIDATES, DIST, DRAWN, VALEN_X, VALEN_Y, A)
    expected = {"d": 1.583233, "alpha": 0.146692, "x": 0.038617, "y": 0.005723, "A": 0.060496, "o": 1.319753}
    assert terms == worked(expected, 1e-6)
    assert valen.loss(terms, beta=0.1, gamma=10) == worked(17.271590)
    expected = [(0.555556, 0.444444, 0), (0, 0.666667, 0.333333), (1, 0, 0), (0.3, 0.3, 0.4)]
    np.testing.assert_allclose(valen.next_dist(DRAWN, VALEN_Y), expected, atol=1e-6)
    expected = [(0.731059, 0.268941, 0), (0, 0.524979, 0.475021), (1, 0, 0), (0.090031, 0.244728, 0.665241)]
    np.testing.assert_allclose(valen.next_o(F, VALEN_Y), expected, atol=1e-6)


def test_valen_of_rows_with_one_positive_and_with_none():
    y = [(0, 1, 0), (0, 0, 0)]
    assert valen.distributions(E[:2], y) == [[0, 1, 0], [1 / 3] * 3]
    assert valen.uniform(y) == [[0, 1, 0], [0, 0, 0]]
    assert valen.next_dist(DRAWN[:2], y) == valen.next_o(F[:2], y) == [[0, 1, 0], [0, 0, 0]]
    assert valen.target_loss(E[:2], y) == worked(-math.log(softmax(E[0])[1]))
    assert valen.target_loss(E[:1], [(0, 0, 0)]) == 0


def test_valen_neither_graph_nor_rows_hold_more_than_they_need():
    found = valen.graph(np.arange(10.0)[:, None] ** 2)
    assert (found.sum(1) == 1).all() and ((found > 0).sum(1) == 4).all() and (np.diag(found) == 0.25).all()


def test_valen_holds_the_normaliser():
    """The gradient of s is that of softmax(e) divided by a constant."""
    total = valen.normalisers(E[:1], CANDIDATES[:1])
    found = slopes(lambda e: valen.strengths(e, CANDIDATES[:1], total)[0][0], E[:1])
    p = softmax(E[0])
    expected = [p[0] * ((j == 0) - p[j]) / total[0] for j in range(3)]
    np.testing.assert_allclose(found[0], expected, atol=1e-8)


def test_valen_learns_no_decoder_from_its_labels():
    decoder = filled(valen.shapes(2, 3))
    found = slopes_of_all(lambda decoder: valen.l_x(decoder, DRAWN, VALEN_X), decoder)
    assert all(array.shape == decoder[name].shape for name, array in found.items())
    assert np.abs(found["second.bias"]).min() > 0
