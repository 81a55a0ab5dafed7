"""C-GMVAE: worked values, plain references of losses, gradients and predictions, rows without labels."""

import functools

import numpy as np
import pytest
import torch

from given import Given, batch_of, gradients_of, layers, take, task_of
from mlbench.backbones.mlp import MLP
from mlbench.data.rows import Batch, Rows
from mlbench.errors import UserError
from mlbench.methods.generative.cgmvae import (
    CGMVAE,
    contrasts,
    divergence,
    entropies,
    log_densities,
    mean,
)
from mlbench.methods.generative.latent import Gaussian
from references import arithmetic
from references import cgmvae as reference

Y = torch.tensor([[1.0, 0, 1], [0, 1, 0]])
DECODED = torch.tensor([[0.6, 0.8], [0, 1], [0.8, 0.6], [-0.6, 0.8], [1, 0], [0.28, 0.96]])
EMBEDDINGS = torch.tensor([[1, -0.5, 0.3], [0.2, 0.8, -1]])
OF_LABELS = Gaussian(
    torch.tensor([[0.1, 0], [-0.3, 0.5], [0.2, 0.4]]), torch.tensor([[0, 0.2], [-0.1, 0.1], [0.3, -0.2]])
)
OF_FEATURES = Gaussian(torch.tensor([[0.2, -0.1], [0.5, 0.3]]), torch.tensor([[-0.2, 0.4], [0, 0.1]]))
NOISE = torch.tensor([[0.5, -1], [1, 0.2]])
NAMES = (
    layers("embedding", "label_encoder.0")
    | layers("label_encoder.2", "label_encoder.1")
    | layers("label_encoder.4", "label_encoder.2")
    | layers("label_encoder.6", ("label_encoder.mean", "label_encoder.log_variance"))
    | layers("backbone.layers.0", "feature_encoder.0")
    | layers("backbone.layers.2", "feature_encoder.1")
    | layers("backbone.layers.4", "feature_encoder.2")
    | layers("feature_gaussian", ("feature_encoder.mean", "feature_encoder.log_variance"))
    | layers("decoder.0", "decoder.0")
    | layers("decoder.2", "decoder.1")
)
BACKBONE = functools.partial(MLP, widths=[3, 5, 4], activation="relu", dropout=0.0)


def near(found, expected, **how):
    np.testing.assert_allclose(found.detach(), expected, **({"atol": 1e-5} | how))


def test_worked_values():
    logits = DECODED @ EMBEDDINGS
    nll = [mean(entropies(own, Y), Y) for own in logits.split(2)]
    near(torch.stack(nll), [1.897075, 1.552106, 1.537120])
    near(mean(entropies(logits, Y), Y), sum(nll))
    apart = mean(divergence(OF_FEATURES.at(NOISE), NOISE, OF_FEATURES, OF_LABELS, Y), Y)
    near(apart, 0.917002)
    pulled = mean(contrasts(logits[:4], Y), Y)
    near(pulled, 0.846700)
    near(0.5 * sum(nll) + 6 * apart + pulled, 8.841863)


def made(features, labels, latent=2, embedding=3, parameters=None, **options):
    """In double precision, without dropout."""
    given = {"label_widths": [4, 3], "decoder_widths": [4], "dropout": 0.0, "test_latent": "mean"}
    given |= {"nll": 0.5, "divergence": 6.0, "contrast": 1.0} | options
    method = CGMVAE(task_of(features, labels), BACKBONE, latent=latent, embedding=embedding, **given).double()
    if parameters:
        take(method, NAMES, parameters)
    return method


def drawn(seed):
    """Sizes, parameters, a batch whose rows have labels, and the draws of a step."""
    rng = np.random.default_rng(seed)
    features, labels, latent, embedding, rows = rng.integers(1, 5, 5)
    module, parameters = made(features, labels, latent, embedding), {}
    for name, theirs in NAMES.items():
        parts = np.split(rng.normal(size=module.get_parameter(name).shape) / 2, len(theirs))
        parameters |= dict(zip(theirs, parts))
    x = rng.normal(size=(rows, features)).tolist()
    y = (rng.random((rows, labels)) < 0.5).astype(float)
    y[np.arange(rows), rng.integers(labels, size=rows)] = 1
    return (
        (features, labels, latent, embedding),
        parameters,
        x,
        y.tolist(),
        rng.normal(size=(3, rows, latent)),
    )


def loss_of(method, x, y, noise):
    method.noise = Given(noise)
    return method.loss(batch_of(x, y))


def test_losses_are_those_of_loops():
    for seed in range(200):
        sizes, parameters, x, y, noise = drawn(seed)
        loss = loss_of(made(*sizes, parameters), x, y, noise).item()
        assert loss == pytest.approx(reference.loss(parameters, x, y, *noise), rel=1e-6)


def test_gradients_are_those_of_loops():
    for seed in range(4):
        sizes, parameters, x, y, noise = drawn(seed)
        method = made(*sizes, parameters)
        loss_of(method, x, y, noise).backward()
        own_draws = dict(zip(("first_draw", "second_draw", "draw"), noise))
        slopes = arithmetic.slopes_of_all(
            functools.partial(reference.loss, x=x, y=y, **own_draws), parameters
        )
        for name, own in gradients_of(method, NAMES).items():
            np.testing.assert_allclose(own, slopes[name], atol=1e-5, err_msg=name)


def test_scores_are_those_of_loops():
    for seed in range(40):
        sizes, parameters, x, y, _ = drawn(seed)
        method = made(*sizes, parameters)
        near(method.scores(batch_of(x, y)), reference.predictions(parameters, x), atol=1e-9)


def test_scores_of_draws_are_their_mean():
    sizes, parameters, x, y, noise = drawn(0)
    method = made(*sizes, parameters, test_latent=3)
    method.test_noise = Given(*noise)
    batch, of_features = batch_of(x, y), reference.feature_gaussians(parameters, x)
    expected = np.mean(
        [
            method.probabilities(batch.x, torch.tensor(reference.drawn(of_features, own))).detach().numpy()
            for own in noise
        ],
        0,
    )
    near(method.scores(batch), expected, atol=1e-9)


def test_a_row_without_labels_adds_nothing():
    sizes, parameters, x, y, noise = drawn(3)
    method = made(*sizes, parameters)
    expected = loss_of(method, x, y, noise)
    expected.backward()
    gradients = [own.grad.clone() for own in method.parameters()]
    method.zero_grad()
    more = np.concatenate([noise, np.ones((3, 1, sizes[2]))], 1)
    loss = loss_of(method, [*x, [1.0] * sizes[0]], [*y, [0.0] * sizes[1]], more)
    loss.backward()
    near(loss, expected.item(), atol=1e-9)
    for own, theirs in zip(method.parameters(), gradients):
        near(own.grad, theirs, atol=1e-9)


def test_rows_without_labels_are_not_trained_on():
    x, y = torch.randn(5, 3), torch.tensor([[1.0, 0], [0, 0], [0, 1], [1, 1], [0, 0]])
    data = Rows(x, y, torch.arange(5))
    (stage,) = made(3, 2).stages({"train": data})
    assert stage.data.ids.tolist() == [0, 2, 3]
    (stage,) = made(3, 2).stages({"train": data.rows(torch.tensor([0, 2]))})
    assert stage.data.ids.tolist() == [0, 2]
    with pytest.raises(UserError, match="no label is positive in any training row"):
        next(made(3, 2).stages({"train": data.rows(torch.tensor([1, 4]))}))


def test_a_batch_without_any_label_is_worth_nothing():
    method = made(3, 2)
    batch = Batch(torch.randn(4, 3).double(), torch.zeros(4, 2).double(), torch.arange(4))
    loss = method.loss(batch)
    loss.backward()
    assert loss == 0
    assert all(own.grad is None or own.grad.isfinite().all() for own in method.parameters())


@pytest.mark.parametrize("away", [0.0, 100.0])
def test_densities_are_those_of_torch(away):
    """By products of matrices, in single precision, far from 0 and of narrow Gaussians, too."""
    torch.manual_seed(0)
    mean, log_variance = torch.randn(5, 64) * 0.3 + away, torch.randn(5, 64) - 4
    s = torch.randn(7, 64) * 0.3 + away
    normal = torch.distributions.Normal(mean.double(), (log_variance.double() / 2).exp())
    expected = normal.log_prob(s.double().unsqueeze(1)).sum(-1) + 32 * np.log(2 * np.pi)
    near(log_densities(s, Gaussian(mean, log_variance)), expected, rtol=1e-5)
