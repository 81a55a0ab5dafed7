"""Fusion of modalities, beside loops over rows and modalities; modalities that are dropped or missing."""

import functools

import hypothesis.strategies as st
import numpy as np
import pytest
import torch
from hypothesis import given, settings

from mlbench.backbones.linear import Linear
from mlbench.backbones.mlp import MLP
from mlbench.data.task import Modality
from mlbench.layers import begin_draws
from mlbench.methods.erm import ERM
from mlbench.methods.multimodal.fusion import Fusion, ModalityDropout
from modalities import batch_of, doubles, having, random_data, task_of
from references import fusion as reference

KINDS = ("early", "intermediate", "late")


def bce(logits, targets):
    return torch.nn.functional.binary_cross_entropy_with_logits(logits, targets)


def made(kind, widths, labels, units=3, dropout=0.0):
    backbone = functools.partial(MLP, widths=[units], activation="relu", dropout=0.0)
    return Fusion(task_of(widths, labels), backbone, bce, kind, dropout).double()


def layers_of(module):
    """Networks and heads, as the reference takes them."""
    plain = [
        [(layer.weight.detach().numpy(), layer.bias.detach().numpy()) for layer in found]
        for found in ([network.layers[0] for network in module.backbones], module.heads)
    ]
    return plain


@pytest.mark.parametrize("kind", KINDS)
def test_it_is_the_reference(kind):
    """On random models of 2 to 5 modalities, of which each row has some; or all, said or not."""
    for seed in range(30):
        rng = np.random.default_rng(seed)
        torch.manual_seed(seed)
        widths, x, y = random_data(rng)
        module, has = made(kind, widths, y.shape[1]).eval(), having(rng, len(x), len(widths))
        networks, heads = layers_of(module)
        for own, batch in (
            (has, batch_of(x, y, has)),
            (np.ones_like(has), batch_of(x, y)),
            (np.ones_like(has), batch_of(x, y, np.ones_like(has))),
        ):
            expected = [
                reference.logits(kind, networks, heads, *row, widths, there) for *row, there in zip(x, own)
            ]
            np.testing.assert_allclose(module.logits(batch).detach(), expected, atol=1e-9)


def test_early_fusion_is_empirical_risk_minimisation():
    task, x = task_of((3, 2), 4), torch.randn(5, 5).double()
    module, plain = Fusion(task, Linear, bce, "early", 0.0).double(), ERM(task, Linear, bce).double()
    plain.head.load_state_dict(module.heads[0].state_dict())
    batch = batch_of(x, torch.zeros(5, 4))
    torch.testing.assert_close(module.scores(batch), plain.scores(batch), rtol=0, atol=0)


@pytest.mark.parametrize("kind", KINDS)
def test_one_modality_is_fused_with_none(kind):
    x, y = torch.randn(5, 3).double(), torch.zeros(5, 2)
    module = made(kind, (3,), 2, dropout=0.5)
    scores = module.train().scores(batch_of(x, y))
    torch.testing.assert_close(module.eval().scores(batch_of(x, y)), scores)
    assert module.embed(batch_of(x, y)).shape == (5, 3)


@settings(max_examples=50)
@given(st.integers(0, 2**32 - 1), st.integers(1, 6), st.floats(0.01, 0.99))
def test_dropout_leaves_what_is_there_and_never_nothing(seed, count, p):
    layer, rng = ModalityDropout(p), np.random.default_rng(seed)
    begin_draws(layer, seed)
    has = torch.from_numpy(having(rng, 20, count))
    kept = layer(has)
    assert ((kept == 0) | (kept == 1)).all() and (kept <= has).all() and (kept.sum(-1) >= 1).all()
    assert layer.eval()(has) is has


def test_dropout_drops_as_often_as_it_says_and_spares_each_alike():
    layer, p = ModalityDropout(0.4), 0.4
    begin_draws(layer, 0)
    kept = layer(torch.ones(200_000, 3))
    # Each is dropped unless all would be and it is the one that stays.
    np.testing.assert_allclose(1 - kept.mean(0), [p - p**3 / 3] * 3, atol=0.005)
    alone = kept[kept.sum(-1) == 1].mean(0)
    np.testing.assert_allclose(alone, [1 / 3] * 3, atol=0.01)


@pytest.mark.parametrize("kind", KINDS)
def test_a_dropped_modality_is_a_missing_one(kind):
    torch.manual_seed(0)
    x, y = torch.randn(40, 6).double(), torch.zeros(40, 2)
    module = made(kind, (2, 1, 3), 2, dropout=0.5)
    begin_draws(module, 1)
    dropped = module.train().logits(batch_of(x, y))
    begin_draws(module, 1)
    kept = module.dropout(torch.ones(40, 3).double())
    assert 0 < kept.mean() < 1
    torch.testing.assert_close(module.eval().logits(batch_of(x, y, kept)), dropped, rtol=0, atol=1e-12)


def test_each_backbone_is_of_its_modality_alone():
    seen = []
    Fusion(task_of((3, 2), 4), lambda task: seen.append(task) or Linear(task), bce, "late", 0.0)
    assert [task.modalities for task in seen] == [(Modality("m0", 0, 3),), (Modality("m1", 0, 2),)]


@pytest.mark.parametrize("kind", KINDS)
def test_what_a_missing_modality_holds_is_of_no_account(kind):
    torch.manual_seed(0)
    module, has = made(kind, (2, 3), 2).eval(), doubles([(1, 0), (0, 1), (1, 1)])
    x = torch.randn(3, 5).double()
    other = x + 9 * (1 - has).repeat_interleave(torch.tensor([2, 3]), 1)
    y = torch.zeros(3, 2)
    torch.testing.assert_close(module.scores(batch_of(x, y, has)), module.scores(batch_of(other, y, has)))
