"""MPVAE: worked values, plain references of losses, gradients and predictions, what a person can plot."""

import functools
import math

import numpy as np
import pytest
import torch

from given import Given, batch_of, gradients_of, layers, take, task_of
from mlbench.backbones.mlp import MLP
from mlbench.compose import configure
from mlbench.data.rows import Batch
from mlbench.experiment import run
from mlbench.methods.generative.latent import Gaussian
from mlbench.methods.generative.mpvae import MPVAE, correlations, divergence, probit, terms
from references import arithmetic
from references import mpvae as reference

Y = torch.tensor([[1.0, 0, 1], [0, 1, 0]])
HEADS = torch.tensor([[[0.5, -1, 2], [-0.3, 0.8, -2]], [[1, 0, -1], [0.2, -0.4, 0.6]]])  # label, feature
ROOT = torch.tensor([[0.5, 0, 0.2], [-0.3, 0.4, 0], [0.1, 0.2, -0.6]])
DRAWS = torch.tensor([[[0.3, -1, 0.5], [1.2, 0, -0.4]], [[-0.7, 0.2, 0.1], [0.5, -0.9, 1.1]]])
NAMES = (
    layers("label_encoder.0", "label_encoder.0")
    | layers("label_encoder.2", "label_encoder.1")
    | layers("label_encoder.4", ("label_encoder.mean", "label_encoder.log_variance"))
    | layers("backbone.layers.0", "feature_encoder.0")
    | layers("backbone.layers.2", "feature_encoder.1")
    | layers("backbone.layers.4", "feature_encoder.2")
    | layers("feature_gaussian", ("feature_encoder.mean", "feature_encoder.log_variance"))
    | layers("decoder.0", "decoder.0")
    | layers("decoder.2", "decoder.1")
    | layers("label_head", "label_head")
    | layers("feature_head", "feature_head")
    | {"root": ["R"]}
)


def near(found, expected, **how):
    np.testing.assert_allclose(found.detach(), expected, **({"atol": 1e-5} | how))


def test_worked_values():
    of_label = Gaussian(torch.tensor([[0.1, -0.2], [0.4, 0]]), torch.tensor([[0.2, -0.1], [0, 0.3]]))
    of_feature = Gaussian(torch.tensor([[0, 0.3], [-0.2, 0.1]]), torch.tensor([[-0.2, 0.1], [0.1, 0]]))
    apart = divergence(of_label, of_feature)
    near(apart, 0.184854)
    nll, rank = terms(HEADS, torch.zeros(1, 2, 3), Y)
    near(nll, [0.653606, 2.965898])
    near(rank, [0.011972, 0.782519])
    near(0.1 * nll.sum() + 40 * rank.sum() + 1.1 * apart, 32.344902)
    noises = DRAWS @ ROOT.mT
    nll, rank = terms(HEADS, noises, Y)
    near(nll, [0.967424, 3.609744])
    near(rank, [0.045153, 1.773913])
    near(0.1 * nll.sum() + 40 * rank.sum() + 1.1 * apart, 73.42371)
    found = probit(HEADS[1] + noises).mean(0)
    near(found, [[0.821460, 0.463079, 0.104319], [0.756404, 0.202520, 0.628063]])


WIDTHS = {"label_widths": [4, 3], "decoder_widths": [3, 4]}
BACKBONE = functools.partial(MLP, widths=[3, 5, 4], activation="relu", dropout=0.0)


def made(features, labels, latent=2, parameters=None, **options):
    """In double precision, without dropout."""
    given = {"draws": 2, "nll": 0.5, "ranking": 10.0, "divergence": 1.1, "dropout": 0.0} | WIDTHS
    given |= {"test_latent": "mean", "test_draws": "all"} | options
    method = MPVAE(task_of(features, labels), BACKBONE, latent=latent, **given).double()
    if parameters:
        take(method, NAMES, parameters)
    return method


def drawn(seed):
    """Sizes, parameters, a batch, and the draws of a step: of z in both branches, of ε."""
    rng = np.random.default_rng(seed)
    features, labels, latent, rows, draws = rng.integers(1, 5, 5)
    module = made(features, labels, latent)
    parameters = {}
    for name, theirs in NAMES.items():
        shape = module.get_parameter(name).shape
        parts = np.split(rng.normal(size=shape) / 2, len(theirs))
        parameters |= dict(zip(theirs, parts))
    x = rng.normal(size=(rows, features)).tolist()
    y = (rng.random((rows, labels)) < 0.5).astype(float).tolist()
    latents = rng.normal(size=(2, rows, latent))
    return (features, labels, latent), parameters, x, y, latents, rng.normal(size=(draws, rows, labels))


def loss_of(method, x, y, latents, noise):
    method.draws, method.noise = len(noise), Given(np.concatenate(latents), noise)
    return method.loss(batch_of(x, y))


def test_losses_are_those_of_loops():
    """Rows without labels, with all of them, a label, a row and a draw alone are among them."""
    for seed in range(200):
        sizes, parameters, x, y, latents, noise = drawn(seed)
        loss = loss_of(made(*sizes, parameters), x, y, latents, noise).item()
        expected = reference.loss(parameters, x, y, *latents, noise, a=0.5, c=10)
        assert loss == pytest.approx(expected, rel=1e-6)


def test_gradients_are_those_of_loops():
    for seed in range(4):
        sizes, parameters, x, y, latents, noise = drawn(seed)
        method = made(*sizes, parameters)
        loss_of(method, x, y, latents, noise).backward()
        fixed = dict(zip(("label_draw", "feature_draw"), latents)) | {"x": x, "y": y, "noise": noise}
        slopes = arithmetic.slopes_of_all(functools.partial(reference.loss, **fixed, a=0.5, c=10), parameters)
        for name, own in gradients_of(method, NAMES).items():
            np.testing.assert_allclose(own, slopes[name], atol=1e-5, err_msg=name)


@pytest.mark.parametrize("latents", ["mean", 3])
def test_scores_of_so_many_draws_are_those_of_loops(latents):
    for seed in range(20):
        sizes, parameters, x, y, (of_z, _), noise = drawn(seed)
        method = made(*sizes, parameters, test_draws=len(noise), test_latent=latents)
        times = 1 if latents == "mean" else latents
        of_z = [of_z + number for number in range(times)]
        both = [own for z in of_z for own in ([noise] if latents == "mean" else [z, noise])]
        method.test_noise = Given(*both)
        found = method.scores(batch_of(x, y))
        drawn_z = [None] if latents == "mean" else of_z
        expected = np.mean([reference.predictions(parameters, x, noise, z) for z in drawn_z], 0)
        near(found, expected, atol=1e-9)


@pytest.mark.parametrize("cells", [1 << 24, 7])
def test_scores_of_all_draws_are_what_ever_more_draws_come_to(cells, monkeypatch):
    """Drawn in blocks or at once; 1 / (2 √count) is the most that a mean of so many lies off, about."""
    monkeypatch.setattr("mlbench.methods.generative.mpvae.CELLS", cells)
    torch.manual_seed(0)
    count = 20_000 if cells > 7 else 2_000
    method = made(3, 2, test_draws=count)
    with torch.no_grad():
        method.root.mul_(2)
    batch = batch_of(np.random.default_rng(1).normal(size=(2, 3)), np.zeros((2, 2)))
    drawn_mean, method.test_draws = method.scores(batch), "all"
    exact = method.scores(batch)
    near(drawn_mean, exact.detach(), atol=4 / (2 * math.sqrt(count)))
    with torch.no_grad():
        method.root.zero_()
    assert not torch.allclose(method.scores(batch), exact, atol=1e-3)


def test_in_single_precision_the_surest_and_the_wrongest_stay_finite():
    heads = torch.tensor([[[30.0, -30]], [[-30, 30]]], requires_grad=True)
    nll, rank = terms(heads, torch.zeros(1, 1, 2), torch.tensor([[1.0, 0]]))
    near(nll, [1e-6, -2 * math.log(0.5e-6)], rtol=1e-4)
    near(rank, [math.exp(-5) / 5, math.exp(5) / 5], rtol=1e-4)
    (nll.sum() + rank.sum()).backward()
    assert heads.grad.isfinite().all()


def test_correlations_are_those_of_the_probits_utilities():
    root = torch.tensor([[1.0, 0, 0], [1, 0, 0], [0, -2, 0]])
    near(correlations(root), [[1, 0.5, 0], [0.5, 1, 0], [0, 0, 1]])
    torch.manual_seed(0)
    root = torch.randn(3, 3)
    utilities = torch.randn(100_000, 3) @ root.mT + torch.randn(100_000, 3)
    near(correlations(root), np.corrcoef(utilities.numpy().T), atol=0.02)


def test_a_run_keeps_the_correlations_of_the_model_that_it_scores(small, tmp_path):
    words = [*small, "method=mpvae", "backbone.widths=[8]", "method.draws=3", "train.epochs=5"]
    words += ["split.validation=0.3", "selection.rule=best", "train.progress=false", "train.optimizer.lr=0.1"]
    record, path = run(configure([*words, f"paths.outputs={tmp_path}"]))
    held = torch.load(path.with_name("model.pt"))
    assert not [name for name in held["state"] if name.startswith(("label_encoder", "label_head"))]
    with np.load(path.with_name("correlations.npz")) as kept:
        assert np.array_equal(kept["root"], held["state"]["root"])
        near(correlations(held["state"]["root"]), kept["correlations"])
        assert [*kept["labels"]] == record.per_label["label"]
        assert kept["targets"].shape == (record.parts["train"], len(kept["labels"]))


def test_a_row_without_a_negative_or_a_positive_label_has_no_rank():
    method, x = made(3, 2), torch.randn(2, 3, dtype=torch.float64)
    for value in (0.0, 1.0):
        _, rank = terms(HEADS[..., :2], torch.zeros(1, 2, 2), torch.full((2, 2), value))
        assert not rank.any()
        loss = method.loss(Batch(x, torch.full((2, 2), value, dtype=torch.float64), torch.arange(2)))
        loss.backward()
        assert loss.isfinite() and all(own.grad.isfinite().all() for own in method.parameters())
