"""LEVI: worked values, plain references of losses and gradients, what a run keeps of what it recovered."""

import functools
import importlib
import os
import signal
from collections import Counter
from itertools import count

import numpy as np
import pytest
import torch
from scipy import sparse
from torch import nn

import commands
from mlbench.compose import configure
from mlbench.data.rows import Rows
from mlbench.data.sparse import sparse_rows
from mlbench.errors import UserError
from mlbench.experiment import run, run_all
from mlbench.methods.enhancement.classifier import EnhancementMethod
from mlbench.methods.enhancement.levi import LEVIRecovery, LEVISettings, extent
from references import arithmetic
from references import levi as reference

LAYERS = (0, 3, 6)  # of encoder and decoder, between activations and dropout
QUICK = ["train.epochs=2", "train.progress=false", "method.recovery.hidden=9", "method.recovery.epochs=3"]


class Given(nn.Module):
    """Noise that was drawn before."""

    def __init__(self, noise):
        super().__init__()
        self.noise = noise

    def forward(self, like):
        return self.noise.to(like)


def made(features, labels, hidden, latent, parameters, noise, binary=False):
    """The autoencoder with parameters as the reference names them, without dropout."""
    settings = {"epochs": 1, "batch_size": None, "optimizer": {}, "hidden": hidden, "latent": latent}
    settings |= {"dropout": 0.0, "information": 0.01, "features": 0.01}
    recovery = LEVIRecovery(features, labels, LEVISettings(**settings), 0.0, 1.0, binary).double()
    recovery.noise = Given(torch.tensor(noise, dtype=torch.float64))
    with torch.no_grad():
        for name, own in named(recovery).items():
            own.copy_(torch.from_numpy(parameters[name]))
    return recovery


def named(recovery):
    """Its parameters by the names of the reference."""
    return {
        f"{part}.{number}.{kind}": recovery.get_parameter(f"{part}.{layer}.{kind}")
        for part in ("encoder", "decoder")
        for number, layer in enumerate(LAYERS)
        for kind in ("weight", "bias")
    }


def rows_of(x, y):
    x, y = torch.tensor(x, dtype=torch.float64), torch.tensor(y, dtype=torch.float64)
    return Rows(x, y, torch.arange(len(x)))


def near(found, expected):
    np.testing.assert_allclose(found.detach(), expected, atol=1e-6)


def test_worked_values():
    x, y = [[0.2, 0.9], [0.6, 0], [1, 0.4]], [[1, 0], [0, 1], [1, 1]]
    noise = [[0.5, -1, 0.3], [0, 0.2, -0.4], [1, 0.1, -0.6]]
    recovery = made(2, 2, 2, 3, arithmetic.filled(reference.shapes(2, 2, 2, 3)), noise)
    data = rows_of(x, y)
    batch = data.batch(torch.arange(3))
    mu, std = recovery.encoded(batch.x, batch.targets)
    expected = [-1.269022, 0.793524, -0.561730], [-1.489783, 1.005921, -0.412886]
    near(mu, [*expected, [-1.414037, 0.930919, -0.468207]])
    near(std[0], [0.873454, 0.307329, 2.041121])
    labels, information, features = recovery.terms(batch.x, batch.targets)
    near(labels, 1.042631)
    near(information, 1.045540)
    near(features, 0.261086)
    near(recovery.loss(batch), 1.055697)
    near(mu[:, 1:].sigmoid(), [[0.688587, 0.363147], [0.732221, 0.398220], [0.717262, 0.385041]])
    found = recovery.log_distributions(data).exp()
    near(found, [[0.794987, 0.205013], [0.805151, 0.194849], [0.802045, 0.197955]])


def drawn(seed, binary):
    """Shapes, parameters, a batch and noise."""
    rng = np.random.default_rng(seed)
    d, labels, hidden, rows = rng.integers(1, 5, 4)
    latent = labels + rng.integers(0, 3)
    shapes = reference.shapes(d, labels, hidden, latent)
    parameters = {name: rng.normal(size=shape) for name, shape in shapes.items()}
    x, y = rng.random((rows, d)), (rng.random((rows, labels)) < 0.5).astype(float)
    x = x.round() if binary else x
    return (
        (d, labels, hidden, latent),
        parameters,
        x.tolist(),
        y.tolist(),
        rng.normal(size=(rows, latent)).tolist(),
    )


@pytest.mark.parametrize("binary", [False, True])
def test_losses_are_those_of_loops(binary):
    for seed in range(100):
        sizes, parameters, x, y, noise = drawn(seed, binary)
        recovery, data = made(*sizes, parameters, noise, binary), rows_of(x, y)
        loss = recovery.loss(data.batch(torch.arange(len(x)))).item()
        assert loss == pytest.approx(reference.loss(parameters, x, y, noise, binary), rel=1e-6)
        expected = reference.distributions(parameters, x, y)
        np.testing.assert_allclose(recovery.log_distributions(data).exp(), expected, atol=1e-6)


@pytest.mark.parametrize("binary", [False, True])
def test_gradients_are_those_of_loops(binary):
    for seed in range(8):
        sizes, parameters, x, y, noise = drawn(seed, binary)
        recovery, data = made(*sizes, parameters, noise, binary), rows_of(x, y)
        recovery.loss(data.batch(torch.arange(len(x)))).backward()
        fixed = {"x": x, "y": y, "noise": noise, "binary": binary}
        slopes = arithmetic.slopes_of_all(functools.partial(reference.loss, **fixed), parameters)
        for name, own in named(recovery).items():
            np.testing.assert_allclose(own.grad, slopes[name], atol=1e-6, err_msg=name)


def configured():
    return configure(["method=levi"]).method["recovery"]


def test_at_its_own_rate_it_learns_what_it_sees():
    torch.manual_seed(0)
    x, y = torch.rand(16, 4), (torch.rand(16, 3) < 0.5).float()
    recovery = LEVIRecovery(4, 3, LEVISettings(**configured() | {"hidden": 50}), *extent(x))
    optimizer = torch.optim.Adam(recovery.parameters(), configured()["optimizer"]["lr"])
    batch, losses = Rows(x, y, torch.arange(16)).batch(torch.arange(16)), []
    for _ in range(150):
        losses.append(recovery.loss(batch))
        optimizer.zero_grad()
        losses[-1].backward()
        optimizer.step()
    assert losses[-1] < losses[0] / 4


def test_features_are_scaled_by_one_least_and_one_greatest_of_all():
    x = torch.tensor([[1.0, 3.0, 2.0], [5.0, 1.0, 1.0]])
    low, high, binary = extent(x)
    recovery = LEVIRecovery(3, 2, LEVISettings(**configured()), low, high, binary)
    torch.testing.assert_close(recovery.scaled(x), torch.tensor(reference.scaled(x.tolist())))
    constant = LEVIRecovery(3, 2, LEVISettings(**configured()), *extent(torch.full((2, 3), 7.0)))
    assert torch.equal(constant.scaled(torch.full((2, 3), 7.0)), torch.zeros(2, 3))


@pytest.mark.parametrize(
    ("x", "expected"),
    [
        ([[0.0, 1.0], [1.0, 1.0]], (0, 1, True)),
        ([[1.0, 1.0], [1.0, 1.0]], (1, 1, True)),
        ([[0.0, -2.0], [1.0, 1.0]], (-2, 1, False)),
        ([[0.0, 3.0], [2.0, 3.0]], (0, 3, False)),
        ([[0.0, 0.0], [0.0, 0.0]], (0, 0, True)),
    ],
)
def test_the_extent_of_sparse_features_is_that_of_dense_ones(x, expected):
    assert extent(torch.tensor(x)) == extent(sparse_rows(sparse.csr_matrix(np.float32(x)))) == expected


def test_the_classifier_learns_what_was_recovered(monkeypatch, tmp_path, small):
    """Of the file that a run leaves; and model.pt has nothing of the autoencoder."""
    seen = {}
    inner = EnhancementMethod.classification

    def classification(self, *given):
        seen.setdefault("log_d", []).append(given[-1])
        return inner(self, *given)

    monkeypatch.setattr(EnhancementMethod, "classification", classification)
    words = [*small, "method=levi", *QUICK, "train.batch_size=130", "train.shuffle=false"]
    record, path = run(configure([*words, f"paths.outputs={tmp_path}"]))
    with np.load(path.with_name("distributions.npz")) as kept:
        last = seen["log_d"][-1].exp()
        assert np.array_equal(last, kept["degrees"]) and np.allclose(last.sum(-1), 1, atol=1e-5)
        assert [*kept["labels"]] == record.per_label["label"]
        assert len({*kept["ids"]}) == len(kept["ids"]) == record.parts["train"]
        assert kept["targets"].shape == kept["degrees"].shape
    assert {*torch.load(path.with_name("model.pt"))["state"]} == {"head.weight", "head.bias"}


@pytest.mark.parametrize("method", ["levi", "valen"])
def test_runs_beside_one_another_leave_what_each_leaves_alone(method, tmp_path, small):
    """Scores, recovered distributions and all: noise, densities and what is remembered are a run's own. Runs
    that differ in no option of the recovery share its fits, and others do not."""
    quick = (
        QUICK if method == "levi" else [*QUICK[:2], "method.recovery.epochs=3", "method.recovery.warm_up=2"]
    )
    words = [*small, f"method={method}", *quick]
    configs = [
        [*words, f"seed={seed}", f"method.w_ld={w_ld}", *more]
        for seed, w_ld, more in [
            (0, 0.1, []),
            (0, 0.3, []),
            (1, 0.3, []),
            (0, 0.3, ["method.recovery.features=0.5"]),
            (
                0,
                0.3,
                ["backbone=mlp", "backbone.widths=[4]"],
            ),  # first weights are drawn after those of others
        ]
    ]
    together = run_all([configure([*own, f"paths.outputs={tmp_path}/together"]) for own in configs])
    for number, (own, (record, path)) in enumerate(zip(configs, together)):
        _, alone = run(configure([*own, f"paths.outputs={tmp_path}/alone-{number}"]))
        assert record.trained == ""
        for file in ("scores.npz", "distributions.npz"):
            with np.load(path.with_name(file)) as ours, np.load(alone.with_name(file)) as theirs:
                assert all(np.array_equal(ours[name], theirs[name]) for name in theirs)
    first, second, *others = [np.load(path.with_name("distributions.npz"))["degrees"] for _, path in together]
    assert np.array_equal(first, second) and not any(np.array_equal(first, other) for other in others)
    fits = Counter(path.stem for path in (tmp_path / "together").glob("*/stages/*/*.pt"))
    assert fits == {"recover": 4} | ({"warm_up": 4, "graph": 2} if method == "valen" else {})


def stopped_at_call(number, name):
    """Asked to stop when a loss calls a function of `valen` or `levi` for the n-th time."""
    module, calls = importlib.import_module(f"mlbench.methods.enhancement.{name[0]}"), count(1)
    inner = getattr(module, name[1])

    def called(*given):
        if next(calls) == number:
            os.kill(os.getpid(), signal.SIGTERM)
        return inner(*given)

    setattr(module, name[1], called)


@pytest.mark.parametrize(
    ("function", "changes"),
    [
        (("levi", "entropies"), ["method.recovery.hidden=9", "method.recovery.epochs=2"]),
        (("valen", "shared"), ["method.recovery.warm_up=1", "method.recovery.epochs=2"]),
    ],
)
def test_an_interrupted_run_ends_as_an_undisturbed_one(function, changes, small, command, folder):
    """Within an epoch: what was drawn and remembered is in the checkpoint."""
    method = function[0]
    words = [*small, f"method={method}", *changes, "method.recovery.batch_size=2", "train.epochs=1"]
    assert command(*words, "paths.outputs=undisturbed").status == 0
    stop = functools.partial(stopped_at_call, 100, function)
    assert command(*words, first=stop).status == 130
    (checkpoint,) = folder.glob("outputs/*/stages/*/*.ckpt")
    assert 0 < torch.load(checkpoint)["batch"] < 65
    assert command(*words).status == 0
    (ours,), (theirs,) = commands.records(folder / "outputs"), commands.records(folder / "undisturbed")
    assert commands.result(ours) == commands.result(theirs)
    with (
        np.load(ours.with_name("distributions.npz")) as one,
        np.load(theirs.with_name("distributions.npz")) as other,
    ):
        assert {*one} == {*other} == {"ids", "targets", "degrees", "labels"}
        assert all(np.array_equal(one[name], other[name]) for name in other)


def test_the_command_line_refuses_in_a_line(command):
    done = command("method=levi", "method.w_ld=2")
    assert done.status == 2 and "method.w_ld" in done.err and done.err.count("\n") == 1


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("w_ld=1.5", "method.w_ld"),
        ("recovery.epochs=0", "epochs"),
        ("recovery.dropout=2", "dropout"),
        ("recovery.batch_size=0", "batch_size"),
    ],
)
def test_numbers_outside_their_range_are_refused_in_a_sentence(change, said, tmp_path):
    with pytest.raises(UserError, match=said) as refused:
        run(configure(["method=levi", f"method.{change}", f"paths.outputs={tmp_path}"]))
    assert "\n" not in str(refused.value)
