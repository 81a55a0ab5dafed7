"""The plain reference of MPVAE, against values worked out apart from it."""

import numpy as np
import pytest
import torch

from references import mpvae

Y = [(1, 0, 1), (0, 1, 0)]
HEADS_E, HEADS_X = [(0.5, -1, 2), (-0.3, 0.8, -2)], [(1, 0, -1), (0.2, -0.4, 0.6)]
LABEL = [(0.1, -0.2), (0.4, 0)], [(0.2, -0.1), (0, 0.3)]
FEATURE = [(0, 0.3), (-0.2, 0.1)], [(-0.2, 0.1), (0.1, 0)]
R = [(0.5, 0, 0.2), (-0.3, 0.4, 0), (0.1, 0.2, -0.6)]
NOISE = [[(0.3, -1, 0.5), (1.2, 0, -0.4)], [(-0.7, 0.2, 0.1), (0.5, -0.9, 1.1)]]


def worked(value, digits=1e-6):
    return pytest.approx(value, abs=digits)


def terms(matrix):
    return mpvae.terms(HEADS_E, HEADS_X, LABEL, FEATURE, Y, matrix, NOISE)


def test_terms_without_correlation():
    found = terms(np.zeros((3, 3)))
    expected = {"nll_e": 0.653606, "nll_x": 2.965898, "rank_e": 0.011972, "rank_x": 0.782519, "kl": 0.184854}
    assert found == worked(expected)
    assert mpvae.total(found, a=0.1, c=40) == worked(32.344902)


def test_terms_and_predictions_of_two_draws():
    found = terms(R)
    expected = {"nll_e": 0.967424, "nll_x": 3.609744, "rank_e": 0.045153, "rank_x": 1.773913, "kl": 0.184854}
    assert found == worked(expected)
    assert mpvae.total(found, a=0.1, c=40) == worked(73.42371, 1e-5)
    expected = [(0.821460, 0.463079, 0.104319), (0.756404, 0.202520, 0.628063)]
    found = mpvae.mean_over_draws(mpvae.estimates(HEADS_X, R, NOISE))
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_rows_with_no_or_all_labels_stay_in_the_mean_of_ranks():
    e = mpvae.estimates([*HEADS_E, HEADS_X[0], HEADS_X[1]], np.zeros((3, 3)), [[(0, 0, 0)] * 4])
    assert mpvae.rank(e, [*Y, (0, 0, 0), (1, 1, 1)]) == worked(0.011972 / 2)


def test_kl_is_that_of_torch():
    label, feature = (
        torch.distributions.Normal(means, variances.exp().sqrt())
        for means, variances in torch.tensor([LABEL, FEATURE], dtype=torch.float64)
    )
    expected = torch.distributions.kl_divergence(label, feature).sum(-1).mean().item()
    assert mpvae.kl(*LABEL, *FEATURE) == worked(expected)


def shapes(d=4, c=3, latent=2):
    widths = {
        "label_encoder.0": (3, d + c),
        "label_encoder.1": (2, 3),
        "label_encoder.mean": (latent, 2),
        "label_encoder.log_variance": (latent, 2),
        "feature_encoder.0": (3, d),
        "feature_encoder.1": (4, 3),
        "feature_encoder.2": (3, 4),
        "feature_encoder.mean": (latent, 3),
        "feature_encoder.log_variance": (latent, 3),
        "decoder.0": (3, d + latent),
        "decoder.1": (4, 3),
        "label_head": (c, 4),
        "feature_head": (c, 4),
    }
    found = {}
    for name, (out, width) in widths.items():
        found |= {f"{name}.weight": (out, width), f"{name}.bias": (out,)}
    return found | {"R": (c, c)}


X, LATENT = [(1, 2, 0, 1), (0, 1, 1, 3)], ([(0.5, -1), (1, 0.2)], [(-0.3, 0.4), (0.8, -0.6)])


@pytest.mark.parametrize("seed", range(3))
def test_network_is_the_one_built_of_torch_layers(seed):
    random = np.random.default_rng(seed)
    parameters = {name: random.normal(size=shape) / 2 for name, shape in shapes().items()}
    weights = {name: torch.tensor(array) for name, array in parameters.items()}
    x, y = torch.tensor(X, dtype=torch.float64), torch.tensor(Y, dtype=torch.float64)
    noise = torch.tensor(NOISE, dtype=torch.float64)

    def layer(name, rows):
        return torch.nn.functional.linear(rows, weights[f"{name}.weight"], weights[f"{name}.bias"])

    def gaussian(name, layers, rows):
        for k in range(layers):
            rows = layer(f"{name}.{k}", rows).relu()
        return layer(f"{name}.mean", rows), layer(f"{name}.log_variance", rows)

    label = gaussian("label_encoder", 2, torch.cat([x, y], -1))
    feature = gaussian("feature_encoder", 3, x)

    def estimate(branch, z):
        decoded = layer("decoder.1", layer("decoder.0", torch.cat([x, z], -1)).relu()).relu()
        moved = layer(f"{branch}_head", decoded) + noise @ weights["R"].T
        return torch.special.ndtr(moved) * (1 - 1e-6) + 0.5e-6

    def nll(e):
        product = torch.where(y.bool(), e, 1 - e).log().sum(-1)
        return -(product.logsumexp(0) - torch.tensor(2.0, dtype=torch.float64).log()).mean()

    def rank(e):
        gaps = (-5 * (e[..., :, None] - e[..., None, :])).exp() * y[:, :, None] * (1 - y)[:, None, :]
        return (gaps.sum((-1, -2)) / 5 / y.sum(-1) / (1 - y).sum(-1)).mean()

    spread = torch.exp(label[1] - feature[1]) + (feature[0] - label[0]) ** 2 / (feature[1].exp() + 1e-6)
    kl = (feature[1] - label[1] - 1 + spread).sum(-1).mean() / 2
    branches = zip(("label", "feature"), (label, feature), LATENT)
    e, e_x = (
        estimate(name, m + (lv / 2).exp() * torch.tensor(draw, dtype=torch.float64))
        for name, (m, lv), draw in branches
    )
    expected = 0.5 * (nll(e) + nll(e_x)) + 10 * (rank(e) + rank(e_x)) + 1.1 * kl
    found = mpvae.loss(parameters, X, Y, *LATENT, NOISE, a=0.5, c=10)
    assert found == pytest.approx(expected.item(), rel=1e-9)
    sampled = mpvae.predictions(parameters, X, NOISE, LATENT[1])
    np.testing.assert_allclose(sampled, e_x.mean(0), atol=1e-12)
    centred = mpvae.predictions(parameters, X, NOISE)
    np.testing.assert_allclose(centred, estimate("feature", feature[0]).mean(0), atol=1e-12)


def test_rate_falls_after_each_quarter():
    found = [mpvae.rate(epoch, 400, 2e-3) for epoch in (0, 99, 100, 200, 300, 399)]
    assert found == worked([2e-3, 2e-3, 1.6e-3, 1.28e-3, 1.024e-3, 1.024e-3], 1e-12)
