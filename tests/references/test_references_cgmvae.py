"""The plain reference of C-GMVAE, against values worked out apart from it."""

import numpy as np
import pytest
import torch

from references import cgmvae

Y = [(1, 0, 1), (0, 1, 0)]
DECODED = [(0.6, 0.8), (0, 1)], [(0.8, 0.6), (-0.6, 0.8)], [(1, 0), (0.28, 0.96)]
EMBEDDINGS = [(1, -0.5, 0.3), (0.2, 0.8, -1)]
LABELS = [(0.1, 0), (-0.3, 0.5), (0.2, 0.4)], [(0, 0.2), (-0.1, 0.1), (0.3, -0.2)]
FEATURES = [(0.2, -0.1), (0.5, 0.3)], [(-0.2, 0.4), (0, 0.1)]
DRAW = [(0.5, -1), (1, 0.2)]


def worked(value, digits=1e-6):
    return pytest.approx(value, abs=digits)


def test_terms():
    found = cgmvae.terms(*DECODED, EMBEDDINGS, LABELS, FEATURES, Y, DRAW)
    expected = {"nll_label": 1.897075, "nll_first": 1.552106, "nll_second": 1.537120}
    assert found == worked({**expected, "kl": 0.917002, "contrast": 0.846700})
    assert cgmvae.total(found) == worked(8.841863)


def shapes(d=4, c=3, latent=2, wide=5):
    widths = {
        "feature_encoder.0": (3, d),
        "feature_encoder.1": (4, 3),
        "feature_encoder.2": (3, 4),
        "feature_encoder.mean": (latent, 3),
        "feature_encoder.log_variance": (latent, 3),
        "label_encoder.0": (wide, c),
        "label_encoder.1": (4, wide),
        "label_encoder.2": (3, 4),
        "label_encoder.mean": (latent, 3),
        "label_encoder.log_variance": (latent, 3),
        "decoder.0": (4, d + latent),
        "decoder.1": (wide, 4),
    }
    found = {}
    for name, (out, width) in widths.items():
        found |= {f"{name}.weight": (out, width), f"{name}.bias": (out,)}
    return found


X = [(1, 2, 0, 1), (0, 1, 1, 3)]


@pytest.mark.parametrize("seed", range(3))
def test_network_is_the_one_built_of_torch_layers(seed):
    random = np.random.default_rng(seed)
    parameters = {name: random.normal(size=shape) for name, shape in shapes().items()}
    weights = {name: torch.tensor(array) for name, array in parameters.items()}
    x, y = torch.tensor(X, dtype=torch.float64), torch.tensor(Y, dtype=torch.float64)
    draws = torch.tensor(random.normal(size=(3, 2, 2)))

    def layer(name, rows):
        return torch.nn.functional.linear(rows, weights[f"{name}.weight"], weights[f"{name}.bias"])

    def gaussian(name, rows):
        for k in range(3):
            rows = layer(f"{name}.{k}", rows).relu()
        return torch.distributions.Normal(
            layer(f"{name}.mean", rows), (layer(f"{name}.log_variance", rows) / 2).exp()
        )

    labels = gaussian("label_encoder", torch.eye(3, dtype=torch.float64))
    features = gaussian("feature_encoder", x)

    def scores(z):
        inner = layer("decoder.0", torch.cat([x, z], -1)).relu()
        outer = torch.nn.functional.leaky_relu(layer("decoder.1", inner), 0.01)
        return torch.nn.functional.normalize(outer, dim=-1) @ weights["label_encoder.0.weight"]

    samples = features.mean + features.stddev * draws
    branches = [scores(z) for z in (y @ labels.mean / y.sum(-1, keepdim=True), *samples[:2])]
    bce = torch.nn.functional.binary_cross_entropy_with_logits
    expected = 0.5 * sum(bce(branch, y, reduction="none").sum(-1).mean() for branch in branches)
    inside = labels.log_prob(samples[2][:, None]).sum(-1)
    mixture = torch.where(y.bool(), inside, -torch.inf).logsumexp(-1) - y.sum(-1).log()
    expected += 6 * (features.log_prob(samples[2]).sum(-1) - mixture).mean()
    ratios = torch.cat(branches[:2]).log_softmax(-1)
    expected -= ((ratios * y.repeat(2, 1)).sum(-1) / y.sum(-1).repeat(2)).mean()
    found = cgmvae.loss(parameters, X, Y, *draws.tolist())
    assert found == pytest.approx(expected.item(), rel=1e-9)
    np.testing.assert_allclose(cgmvae.predictions(parameters, X), scores(features.mean).sigmoid(), atol=1e-12)


def test_kl_of_the_very_mixture_is_nothing():
    features = [LABELS[0][1]] * 2, [LABELS[1][1]] * 2
    assert cgmvae.kl(LABELS, features, [(0, 1, 0)] * 2, DRAW) == worked(0)
