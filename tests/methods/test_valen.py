"""VALEN: worked values, plain references of losses and gradients, what it remembers of every row."""

import functools

import numpy as np
import pytest
import torch
from scipy import sparse
from torch import nn

from mlbench.backbones.linear import Linear
from mlbench.compose import configure
from mlbench.data.rows import Rows
from mlbench.data.sparse import sparse_rows
from mlbench.data.task import Modality, Task
from mlbench.errors import UserError
from mlbench.experiment import run
from mlbench.losses.bce import bce
from mlbench.methods.enhancement import valen
from mlbench.methods.enhancement.classifier import divergence
from mlbench.methods.enhancement.valen import (
    VALEN,
    Dirichlet,
    VALENRecovery,
    VALENSettings,
    WarmUp,
    block,
    neighbours,
    strengths,
)
from references import arithmetic
from references import valen as reference

DECODER = {"first": "0", "second": "2"}
LOSS = functools.partial(bce, pos_weight=None)


def settings(**options):
    given = {"warm_up": 1, "epochs": 1, "batch_size": 9, "optimizer": {}, "neighbours": 3}
    return VALENSettings(**given | {"beta": 0.01, "gamma": 20.0, "features": 0.01, "labels": 0.01} | options)


class Given(nn.Module):
    """What it gives was computed, or drawn, before."""

    def __init__(self, rows):
        super().__init__()
        self.rows = nn.Parameter(doubles(rows))
        self.in_features = self.out_features = len(rows[0])

    def forward(self, *_):
        return self.rows


def doubles(rows):
    return torch.tensor(np.asarray(rows), dtype=torch.float64)


def data_of(x, y, count=3):
    x, y = doubles(x), doubles(y)
    row = torch.arange(len(x))
    plain = Rows(x, y, row)
    extra = {"row": row, "neighbours": neighbours(Rows(x.float(), y, row), count)}
    return Rows(plain.x, plain.targets, plain.ids, extra)


def made(e, f, o, dist, d, width, decoder, **options):
    """The second stage, whose encoder, classifier and draw are given."""
    module = VALENRecovery(
        nn.Linear(width, len(o[0])), nn.Linear(width, len(o[0])), settings(**options), doubles(o)
    )
    module = module.double()
    module.dist.copy_(doubles(dist))
    module.encoder, module.classifier, module.dirichlet = Given(e), Given(f), Given(d)
    with torch.no_grad():
        for name, place in DECODER.items():
            for kind in ("weight", "bias"):
                own = module.get_parameter(f"decoder.{place}.{kind}")
                own.copy_(doubles(decoder[f"{name}.{kind}"]))
    return module


def near(found, expected):
    np.testing.assert_allclose(found.detach(), expected, atol=1e-6)


def test_worked_values():
    x, y = [[0, 1], [1, 1], [0.2, 0.9], [3, 0]], [[1, 1, 0], [0, 1, 1], [1, 0, 0], [1, 1, 1]]
    e = [[0.5, -1, 2], [-0.3, 0.8, -2], [1, 0, -1], [0.2, -0.4, 0.6]]
    f = [[1, 0, -1], [0.4, 0.2, 0.1], [-0.5, 0.3, 0], [0, 1, 2]]
    o = [[0.6, 0.4, 0], [0, 0.3, 0.7], [1, 0, 0], [0.2, 0.5, 0.3]]
    dist = [[0.5, 0.5, 0], [0, 0.6, 0.4], [1, 0, 0], [0.4, 0.4, 0.2]]
    d = [[0.5, 0.4, 0.1], [0.1, 0.6, 0.3], [0.9, 0.05, 0.05], [0.3, 0.3, 0.4]]
    decoder = arithmetic.filled(reference.shapes(2, 3))
    module = made(e, f, o, dist, d, 2, decoder, beta=0.1, gamma=10.0)
    batch = data_of(x, y, 1).batch(torch.arange(4))
    near(block(batch), [[0.5, 0, 0.5, 0], [0, 0.5, 0.5, 0], [0.5, 0, 0.5, 0], [0, 0.5, 0, 0.5]])
    near(strengths(doubles(e), batch.targets)[:2], [[0.827574, 0.192426, 0.01], [0.01, 0.952676, 0.067324]])
    expected = {"d": 1.583233, "alpha": 0.146692, "x": 0.038617, "y": 0.005723, "A": 0.060496, "o": 1.319753}
    for name, term in module.terms(batch, doubles(e), doubles(f), doubles(d)).items():
        near(term, expected[name])
    near(module.loss(batch), 17.271590)
    near(module.o, o)  # until the step is done
    module.after_step()
    near(module.dist, [[0.555556, 0.444444, 0], [0, 0.666667, 0.333333], [1, 0, 0], [0.3, 0.3, 0.4]])
    after = [0.731059, 0.268941, 0], [0, 0.524979, 0.475021], [1, 0, 0], [0.090031, 0.244728, 0.665241]
    near(module.o, [*after])


def drawn(seed):
    """A batch with rows of no, one, or all positives among others, and what the step meets."""
    rng = np.random.default_rng(seed)
    rows, labels, width = rng.integers(4, 8), rng.integers(1, 5), rng.integers(1, 4)
    x, y = rng.normal(size=(rows, width)).round(2), (rng.random((rows, labels)) < 0.5).astype(float)
    given = {name: rng.normal(size=(rows, labels)) * 2 for name in ("e", "f")}
    for name in ("o", "dist"):
        given[name] = np.array([reference.restricted(row, own) for row, own in zip(rng.random(y.shape), y)])
    given["d"] = rng.dirichlet(np.ones(labels), rows)
    decoder = {name: rng.normal(size=shape) for name, shape in reference.shapes(width, labels).items()}
    return x, y, decoder, given


def test_losses_and_what_is_remembered_are_those_of_loops():
    for seed in range(200):
        x, y, decoder, given = drawn(seed)
        module, data = made(**given, width=x.shape[1], decoder=decoder), data_of(x, y)
        graph = reference.graph(np.float32(x).astype(float))
        near(block(data.batch(torch.arange(len(x)))), graph)
        module.loss(data.batch(torch.arange(len(x))))
        found = module.terms(data.batch(torch.arange(len(x))), *(doubles(given[name]) for name in "efd"))
        expected = reference.terms(decoder, **given, x=x, y=y, block=graph)
        assert {name: own.item() for name, own in found.items()} == pytest.approx(expected, abs=1e-7)
        assert module.loss(data.batch(torch.arange(len(x)))).item() == pytest.approx(reference.loss(expected))
        module.after_step()
        near(module.dist, reference.next_dist(given["d"], y))
        near(module.o, reference.next_o(given["f"], y))
        near(module.double().log_distributions(data).exp(), reference.distributions(given["e"], y))


def test_gradients_are_those_of_loops():
    for seed in range(20):
        x, y, decoder, given = drawn(seed)
        module, data = made(**given, width=x.shape[1], decoder=decoder), data_of(x, y)
        module.loss(data.batch(torch.arange(len(x)))).backward()
        graph = reference.graph(np.float32(x).astype(float))

        def loss(name, value, fixed=(decoder, given, x, y, graph)):
            decoder, given, x, y, graph = fixed
            return reference.loss(reference.terms(decoder, **given | {name: value}, x=x, y=y, block=graph))

        owns = {"e": module.encoder, "f": module.classifier, "d": module.dirichlet}
        for name, own in owns.items():
            slopes = arithmetic.slopes(functools.partial(loss, name), given[name])
            np.testing.assert_allclose(own.rows.grad, slopes, atol=1e-6, err_msg=name)


def test_parameters_of_the_densities_and_their_gradient_are_those_of_loops():
    """The normaliser has no gradient."""
    for seed in range(50):
        _, y, _, given = drawn(seed)
        e = doubles(given["e"]).requires_grad_()
        held = reference.normalisers(given["e"], given["o"])
        found, weights = strengths(e, doubles(y)), given["f"]
        near(found, reference.strengths(given["e"], given["o"], held))
        (found * doubles(weights)).sum().backward()

        def weighed(e, o=given["o"], held=held, weights=weights):
            return float((np.array(reference.strengths(e, o, held)) * weights).sum())

        np.testing.assert_allclose(e.grad, arithmetic.slopes(weighed, given["e"]), atol=1e-6)


def test_densities_are_drawn_as_torch_draws_them():
    torch.manual_seed(0)
    parameters = torch.rand(6, 5, dtype=torch.float64) * 2 + 0.01
    own, theirs = (parameters.clone().requires_grad_() for _ in range(2))
    torch.manual_seed(1)
    learned = (torch.rand(6, 5, generator=torch.Generator().manual_seed(2)) < 0.5).double()
    found = Dirichlet()(own, learned)
    torch.manual_seed(1)
    expected = torch.distributions.Dirichlet(theirs).rsample()
    assert torch.equal(found, expected)
    weights = torch.randn(6, 5, dtype=torch.float64)
    (found * weights).sum().backward()
    (expected * weights).sum().backward()
    torch.testing.assert_close(own.grad, theirs.grad * learned)


@pytest.mark.parametrize("count", [0, 3, 40])
def test_neighbours_are_those_of_loops(count, monkeypatch):
    """Blocks of a few rows; features that are often equally far; fewer rows than neighbours."""
    monkeypatch.setattr(valen, "CELLS", 60)
    x = np.random.default_rng(0).integers(0, 3, (30, 6)).astype(np.float32)
    graph = reference.graph(x.astype(float), count)
    for features in (torch.from_numpy(x), sparse_rows(sparse.csr_matrix(x))):
        data = Rows(features, torch.zeros(30, 2), torch.arange(30))
        data.extra.update(row=torch.arange(30), neighbours=neighbours(data, count))
        rows = torch.randperm(30)
        expected = (graph > 0)[rows][:, rows] / min(count + 1, 30)
        near(block(data.batch(rows)), expected)


def test_the_warm_up_learns_from_what_it_said_before():
    torch.manual_seed(0)
    x, y = torch.randn(6, 4), (torch.rand(6, 3) < 0.6).float()
    y[0], y[1] = 0, 1
    classifier, data = nn.Linear(4, 3), Rows(x, y, torch.arange(6), {"row": torch.arange(6)})
    module = WarmUp(classifier, {}, o=torch.tensor(reference.uniform(y.tolist())))
    for rows in (torch.tensor([4, 0, 2]), torch.tensor([1, 4, 3])):
        f, before = classifier(x[rows]).tolist(), module.o.clone()
        loss = module.loss(data.batch(rows))
        assert loss.item() == pytest.approx(reference.target_loss(f, before[rows].tolist()), rel=1e-5)
        module.after_step()
        expected = before.index_copy(0, rows, torch.tensor(reference.next_o(f, y[rows].tolist())))
        torch.testing.assert_close(module.o, expected)


def stages_of(y, **recovery):
    """The method on 12 made-up rows, and its stages."""
    task = Task("small", tuple("abc"), (Modality("features", 0, 4),), 12, (5, 5, 5))
    method = VALEN(task, Linear, LOSS, settings(**recovery), 0.3, 0.0)
    torch.manual_seed(0)
    rows = torch.arange(12)
    return method, method.stages({"train": Rows(torch.randn(12, 4), y, rows)})


def test_the_encoder_begins_as_the_classifier_began():
    y = (torch.rand(12, 3, generator=torch.Generator().manual_seed(0)) < 0.5).float()
    _, stages = stages_of(y)
    warming = next(stages).module
    first = warming.classifier.weight.detach().clone()
    with torch.no_grad():
        warming.classifier.weight.add_(1)
        warming.o.mul_(0.5)
    graph, module = next(stages), next(stages).module
    assert graph.solve and torch.equal(module.encoder.weight, first)
    assert torch.equal(module.classifier.weight, first + 1)
    assert torch.equal(module.dist, warming.o) and torch.equal(module.o, warming.o)


def test_rows_with_one_positive_or_none_have_the_only_distribution_there_is():
    """A degree of 0 leaves the classifier's loss and gradient finite."""
    y = (torch.rand(12, 3, generator=torch.Generator().manual_seed(0)) < 0.5).float()
    y[0], y[1] = torch.tensor([0.0, 1.0, 0.0]), 0
    method, stages = stages_of(y)
    for stage in stages:
        if stage.solve:
            stage.solve(stage.data)
            continue
        loss = stage.module.loss(stage.data.batch(torch.arange(12)))
        loss.backward()
        assert loss.isfinite()
        assert all(own.grad is None or own.grad.isfinite().all() for own in stage.module.parameters())
    degrees = method.findings()["distributions"]["degrees"]
    near(degrees[:2], [[0, 1, 0], [1 / 3, 1 / 3, 1 / 3]])
    assert not degrees[2:][(y[2:] == 0) & (y[2:].sum(-1, keepdim=True) > 0)].any()
    logits = torch.randn(12, 3)
    expected = [
        arithmetic.divergence(p, arithmetic.softmax(s)) for p, s in zip(degrees.tolist(), logits.tolist())
    ]
    found = divergence(stage.data.extra["log_d"], logits.log_softmax(-1))
    assert found.item() == pytest.approx(np.mean(expected), rel=1e-5)


def test_extreme_logits_stay_finite():
    e = torch.tensor([[300.0, -300, 0], [-300, 300, 300], [0, 900, -900]], requires_grad=True)
    y = torch.tensor([[0.0, 1, 0], [1, 0, 0], [0, 0, 0]])
    d = Dirichlet()(strengths(e, y), y)
    alpha = valen.from_uniform((e / 4).clamp(*valen.BOUNDS).exp())
    (d.square().sum() + alpha.sum() + valen.restricted(e, y).sum() + valen.shared(d, y).sum()).backward()
    assert d.isfinite().all() and alpha.isfinite().all() and e.grad.isfinite().all()
    near(valen.restricted(e, y), y)


def test_where_every_label_is_positive_there_is_nothing_to_recover():
    with pytest.raises(UserError, match="every label is positive"):
        next(stages_of(torch.ones(12, 3))[1])


def test_several_processes_are_refused_in_a_sentence(monkeypatch):
    monkeypatch.setattr(valen, "ranks", lambda: (0, 2))
    _, stages = stages_of(torch.ones(12, 3).triu())
    with pytest.raises(UserError, match=r"method=valen .* train\.devices=1"):
        next(stages).module.begin_epoch(0, 1)


@pytest.mark.parametrize(
    "change", ["w_ld=-1", "recovery.neighbours=-1", "recovery.gamma=-1", "recovery.warm=3"]
)
def test_what_cannot_be_is_refused_in_a_sentence(change, tmp_path):
    with pytest.raises(UserError, match=change.partition("=")[0].rpartition(".")[2]) as refused:
        run(configure(["method=valen", f"method.{change}", f"paths.outputs={tmp_path}"]))
    assert "\n" not in str(refused.value)
