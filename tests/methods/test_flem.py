"""FLEM: worked values, plain references of losses and gradients, who learns from whom, what it leaves."""

import copy
import functools

import numpy as np
import pytest
import torch

from mlbench.backbones.linear import Linear
from mlbench.compose import configure
from mlbench.data.rows import Batch, Rows
from mlbench.data.task import Modality, Task
from mlbench.errors import UserError
from mlbench.experiment import run
from mlbench.losses.bce import bce
from mlbench.methods.build import build_method, unpacked
from mlbench.methods.enhancement import classifier
from mlbench.methods.enhancement.classifier import divergence
from mlbench.methods.enhancement.flem import FLEM, clip, interaction, similarity, threshold
from mlbench.methods.erm import ERM
from references import flem as reference

S = torch.tensor([[0.5, -1, 2], [-0.3, 0.8, -2]])
RAW = torch.tensor([[1.0, 0, -1], [0.2, -0.4, 0.6]])
Y = torch.tensor([[1.0, 0, 1], [0, 1, 0]])
X = torch.tensor([[1.0, 2, 0, 1], [0, 1, 1, 3]])
LOSS = functools.partial(bce, pos_weight=None)
BRANCHES = {"features": "feature", "labels": "label", "decoder": "decoder"}
LAYERS = {"inner": "entry.0", "norm": "entry.2", "outer": "more"}


def test_worked_values():
    near = functools.partial(torch.testing.assert_close, rtol=0, atol=1e-6)
    near(LOSS(S, Y), torch.tensor(0.32777512))  # L_SC
    near(divergence(RAW.log_softmax(-1), S.log_softmax(-1)), torch.tensor(1.09216416))  # L_LD
    near(interaction(S, RAW, Y, 0.0, 1.0), torch.tensor(0.53154665))  # L_IN
    near(divergence(S.log_softmax(-1), RAW.log_softmax(-1)), torch.tensor(1.10230434))  # D
    near(threshold(RAW, Y, 0.0).mean(), torch.tensor(1.0))
    near(threshold(RAW, Y, 0.0).sum(), torch.tensor(2.0))
    near(similarity(X, RAW), torch.tensor(0.49344349))


def made(features=4, labels=3, seed=0, **options):
    """With weights drawn anew, so that none is 0 or 1."""
    task = Task("small", tuple("abcdefg")[:labels], (Modality("features", 0, features),), 9, (3,) * labels)
    settings = {"strategy": "D", "w_ld": 0.3, "w_le": 0.4, "interaction": True, "reduction": "mean"}
    settings |= {"gamma_positive": 0.0, "gamma_negative": 1.0, "margin": 0.0, "hidden": 2, "clipping": True}
    torch.manual_seed(seed)
    method = FLEM(task, Linear, LOSS, **settings | {"bias_decay": 0.0} | options).double()
    with torch.no_grad():
        for parameter in method.parameters():
            parameter.uniform_(-1, 1)
    return method


def drawn(rows, features=4, labels=3, seed=0):
    draws = torch.Generator().manual_seed(seed)
    x = torch.randn(rows, features, generator=draws, dtype=torch.float64)
    targets = (torch.rand(rows, labels, generator=draws) < 0.5).double()
    return Batch(x, targets, torch.arange(rows), {})


def parameters_of(method):
    """As the reference names them."""
    return {
        f"{theirs}.{layer}_{kind}": method.get_parameter(f"estimator.{ours}.{path}.{kind}")
        for theirs, ours in BRANCHES.items()
        for layer, path in LAYERS.items()
        for kind in ("weight", "bias")
    }


@pytest.mark.parametrize("strategy", ["S", "T", "D"])
def test_losses_and_gradients_are_those_of_loops(strategy):
    """200 batches over the strategies; f's through its logits, g's through d*."""
    for seed in range(67):
        how = {"interaction": seed % 3 > 0, "reduction": ("mean", "sum")[seed % 2]}
        method, batch = made(seed=seed, strategy=strategy, **how), drawn(2 + seed % 4, seed=seed)
        s, y, x = method.logits(batch).tolist(), batch.targets.tolist(), batch.x.tolist()
        parameters = {name: p.detach().numpy() for name, p in parameters_of(method).items()}
        raw = reference.estimate(parameters, x, y)
        loss = method.loss(batch)
        loss.backward()
        assert loss.item() == pytest.approx(reference.total(s, raw, y, x, strategy, 0.3, 0.4, **how))
        of_s, of_raw = reference.gradients(s, raw, y, x, strategy, 0.3, 0.4, **how)
        np.testing.assert_allclose(method.head.weight.grad, of_s.T @ batch.x.numpy(), atol=1e-7)
        np.testing.assert_allclose(method.head.bias.grad, of_s.sum(0), atol=1e-7)
        np.testing.assert_allclose(method.estimator.decoder.more.bias.grad, of_raw.sum(0), atol=1e-7)


@pytest.mark.parametrize("strategy", ["S", "T", "D"])
def test_every_gradient_of_the_estimator_is_that_of_loops(strategy):
    method, batch = made(strategy=strategy), drawn(4)
    method.loss(batch).backward()
    own = parameters_of(method)
    expected = reference.gradients_of_estimator(
        {name: p.detach().numpy() for name, p in own.items()},
        method.logits(batch).tolist(),
        batch.targets.tolist(),
        batch.x.tolist(),
        strategy,
        0.4,
    )
    for name, parameter in own.items():
        np.testing.assert_allclose(parameter.grad, expected[name], atol=1e-6, err_msg=name)


def gradients(method, batch):
    method.zero_grad()
    method.loss(batch).backward()
    return {name: parameter.grad.clone() for name, parameter in method.named_parameters()}


def test_neither_learns_through_the_other():
    """What g descends changes nothing of f's gradient, and the other way round."""
    method, batch = made(), drawn(6)
    before = gradients(method, batch)
    estimator = {name for name in before if name.startswith("estimator.")}
    changes = {
        "w_le": (0.9, before.keys() - estimator),
        "strategy": ("S", before.keys() - estimator),
        "interaction": (False, before.keys() - estimator),
        "w_ld": (0.9, estimator),
        "objective": (functools.partial(bce, pos_weight=[9.0, 1.0, 2.0]), estimator),
    }
    for name, (value, kept) in changes.items():
        other = copy.deepcopy(method)
        held = getattr(other, name)
        setattr(other, name, torch.full_like(held, value) if isinstance(held, torch.Tensor) else value)
        after = gradients(other, batch)
        same = {name for name in before if torch.equal(before[name], after[name])}
        assert kept <= same < before.keys(), name


@pytest.mark.parametrize("strategy", ["S", "T", "D"])
@pytest.mark.parametrize(
    ("rows", "labels", "fill"), [(1, 3, None), (5, 1, None), (4, 3, 0.0), (4, 3, 1.0), (1, 1, 0.0)]
)
def test_edges_are_finite(strategy, rows, labels, fill):
    """One row, one label, rows without positives or without negatives."""
    method, batch = made(labels=labels, strategy=strategy), drawn(rows, labels=labels)
    if fill is not None:
        batch = batch._replace(targets=torch.full_like(batch.targets, fill))
    assert method.loss(batch).isfinite()
    assert all(gradient.isfinite().all() for gradient in gradients(method, batch).values())


def test_clipping_is_that_of_a_list():
    """Norms that grow, leap and fall; the first five have no bound."""
    lengths = [0.2, 3.0, 0.5, 40.0, 0.1, 900.0, 0.3, 0.01, 6.0, 0.02, 0.02, 0.02, 0.02, 0.02, 0.5, 0.001]
    norms = torch.tensor([0.0, 0.0, 0.0, 0.0, torch.inf], dtype=torch.float64)
    for length, (_, after, remembered) in zip(lengths, reference.clipped(lengths)):
        parts = [torch.randn(3, 2, dtype=torch.float64), torch.randn(4, dtype=torch.float64)]
        size = torch.cat([part.flatten() for part in parts]).norm()
        parts = [part * length / size for part in parts]
        clip(parts, norms)
        clipped = torch.cat([part.flatten() for part in parts]).norm().item()
        assert clipped == pytest.approx(after, rel=1e-3)  # its divisor has 1e-6 more
        assert norms[-len(remembered) :].tolist() == pytest.approx(remembered)


def test_without_distributions_it_is_cross_entropy_to_the_last_bit():
    method = made(w_ld=0.0, w_le=0.7, clipping=False).float()
    plain = ERM(Task("small", tuple("abc"), (Modality("features", 0, 4),), 9, (3, 3, 3)), Linear, LOSS)
    plain.head.load_state_dict(method.head.state_dict())
    optimizers = [torch.optim.AdamW(own.parameters(), lr=0.01, amsgrad=True) for own in (method, plain)]
    for seed in range(20):
        batch = drawn(8, seed=seed)
        batch = batch._replace(x=batch.x.float(), targets=batch.targets.float())
        for own, optimizer in zip((method, plain), optimizers):
            optimizer.zero_grad()
            own.loss(batch).backward()
            optimizer.step()
    assert torch.equal(method.head.weight, plain.head.weight)
    assert torch.equal(method.head.bias, plain.head.bias)


def test_a_trained_one_needs_no_estimator(tmp_path, cache):
    words = ["method=flem", "train.epochs=2", "train.progress=false", f"paths.cache={cache}"]
    record, path = run(configure([*words, f"paths.outputs={tmp_path}"]))
    state = torch.load(path.with_name("model.pt"))["state"]
    assert {*state} == {"head.weight", "head.bias"}
    method, _ = unpacked(path.with_name("model.pt"))
    assert torch.equal(method.head.weight, state["head.weight"])
    assert record.trained == "" and record.config["train"]["decay_on"] == "weights"


def test_a_run_keeps_what_the_estimator_makes_of_the_training_rows(monkeypatch):
    """After training; in blocks of nearly the same size, of which none is too small for a batch norm."""
    monkeypatch.setattr(classifier, "ROWS", 4)
    method, batch = made(), drawn(9)
    stages = method.stages({"train": Rows(batch.x, batch.targets, batch.ids)})
    next(stages)
    assert method.findings() == {}
    with torch.no_grad():
        method.estimator.decoder.more.bias.add_(1)
    assert next(stages, None) is None
    parts = torch.arange(9).split(3)
    expected = [method.estimator(batch.x[rows], batch.targets[rows]).softmax(-1) for rows in parts]
    torch.testing.assert_close(method.findings()["distributions"]["degrees"], torch.cat(expected))


@pytest.mark.parametrize(
    ("change", "said"),
    [("w_ld=1.5", "method.w_ld"), ("w_le=-0.1", "method.w_le"), ("strategy=X", "method.strategy")],
)
def test_what_is_no_weight_or_strategy_is_refused(change, said):
    with pytest.raises(UserError, match=said):
        config = configure(["method=flem", f"method.{change}"])
        task = Task("small", tuple("abc"), (Modality("features", 0, 4),), 9, (3, 3, 3))
        build_method(config.method, config.backbone, config.loss, task)


@pytest.mark.parametrize(
    ("part", "value", "said"), [("train", 1.0, "every label"), ("validation", 0.0, "no label")]
)
def test_nothing_to_learn_or_to_choose_by_is_refused(part, value, said):
    batch = drawn(4)
    rows = {name: Rows(batch.x, batch.targets.clone(), batch.ids) for name in ("train", "validation")}
    rows[part].targets.fill_(value)
    with pytest.raises(UserError, match=said):
        next(made().stages(rows))
