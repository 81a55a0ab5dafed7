"""LaMP: worked values, plain references of logits and gradients, its mask, what a run keeps of it."""

import functools
import os
import signal
from itertools import count

import numpy as np
import pytest
import torch
from torch import nn

import commands
from mlbench.compose import configure
from mlbench.data.task import Modality, Task
from mlbench.errors import UserError
from mlbench.experiment import run
from mlbench.losses.bce import bce
from mlbench.methods import lamp
from mlbench.methods.build import unpacked
from mlbench.methods.lamp import LaMP, ToInstance, co_occurring
from references import arithmetic
from references import lamp as reference

LOSS = functools.partial(bce, pos_weight=None)
NARROW = ["method.width=16", "method.hidden=16", "method.head_width=4", "train.progress=false"]


def doubles(rows):
    return torch.tensor(np.asarray(rows), dtype=torch.float64)


def made(parameters, mask, heads, **options):
    """The module with parameters as the reference names them, without dropout."""
    labels, width = parameters["embedding"].shape
    hidden, _ = parameters["0.nodes.forward.inner.weight"].shape
    d, layers = parameters["input.weight"].shape[1], sum(name.endswith("nodes.query") for name in parameters)
    task = Task("made up", tuple(map(str, range(labels))), (Modality("x", 0, d),), 1, (1,) * labels)
    given = {"width": width, "layers": layers, "heads": heads, "hidden": hidden, "dropout": 0.0}
    given |= {"head_width": len(parameters["0.nodes.query"]) // heads, "mask": "none"}
    module = LaMP(task, LOSS, **given, tied="output" not in parameters).double()
    module.mask.copy_(torch.tensor(mask))
    with torch.no_grad():
        for name, own in named(module).items():
            own.copy_(torch.from_numpy(parameters[name]))
    return module


def named(module, of=lambda parameter: parameter):
    """Its parameters by the names of the reference, or `of` them; three of a layer lie one below another."""
    found = {"input.weight": of(module.encoder.weight), "input.bias": of(module.encoder.bias)}
    found["embedding"] = of(module.embedding)
    for number, layer in enumerate(module.layers):
        parts = {"nodes": (layer.to_instance, layer.first), "labels": (layer.to_labels, layer.second)}
        for part, (attention, forward) in parts.items():
            name = f"{number}.{part}"
            found[f"{name}.output"] = of(attention.out.weight)
            for place, linear in (("inner", forward.layers[0]), ("outer", forward.layers[2])):
                found[f"{name}.forward.{place}.weight"] = of(linear.weight)
                found[f"{name}.forward.{place}.bias"] = of(linear.bias)
        found[f"{number}.nodes.value"] = of(layer.to_instance.value.weight)
        found |= zip(
            [f"{number}.labels.{kind}" for kind in ("query", "key", "value")],
            of(layer.to_labels.seen.weight).chunk(3),
        )
    return found if module.readout is None else found | {"output": of(module.readout)}


def test_worked_values():
    parameters = arithmetic.filled(reference.shapes(5, 4, 4, 4, 3))
    mask = co_occurring(doubles([[1, 1, 0], [0, 1, 0], [0, 0, 1], [1, 0, 0]]))
    assert mask.tolist() == [[True, True, False], [True, True, False], [False, False, True]]
    module = made(parameters, mask.tolist(), 2)
    logits = module.logits(doubles([[1, 0, -1, 0.5, 2], [0, 1, 0.5, -0.5, 1]]))
    expected = [[-0.139589, -0.460055, -0.999240], [-0.124910, -0.492988, -0.974051]]
    np.testing.assert_allclose(logits.detach(), expected, atol=1e-6)
    assert LOSS(logits, doubles([[1, 1, 0], [0, 1, 0]])).item() == pytest.approx(0.658485, abs=1e-6)


def drawn(seed):
    """Parameters, a mask and a batch; rows without labels and labels without rows among them."""
    rng = np.random.default_rng(seed)
    d, heads, per_head, hidden, labels, layers, rows = rng.integers(1, 4, 7)
    shapes = reference.shapes(d, rng.integers(2, 5), hidden, heads * per_head, labels, layers)
    parameters = {name: rng.normal(size=shape) for name, shape in shapes.items()}
    if seed % 3 == 0:
        del parameters["output"]  # tied to the embedding
    y = (rng.random((rows, labels)) < 0.4).astype(float)
    mask = reference.mask(y.tolist(), ("prior", "none", "eye")[seed % 3])
    return parameters, mask, int(heads), rng.normal(size=(rows, d)), y


def test_logits_and_losses_are_those_of_loops():
    for seed in range(40):
        parameters, mask, heads, x, y = drawn(seed)
        logits = made(parameters, mask, heads).logits(doubles(x))
        expected = reference.logits(parameters, x, mask, heads)
        np.testing.assert_allclose(logits.detach(), expected, atol=1e-9)
        loss = reference.loss(parameters, x, y, mask, heads)
        assert LOSS(logits, doubles(y)).item() == pytest.approx(loss, rel=1e-9)


def test_gradients_are_those_of_loops():
    for seed in range(3):
        parameters, mask, heads, x, y = drawn(seed)
        module = made(parameters, mask, heads)
        LOSS(module.logits(doubles(x)), doubles(y)).backward()
        fixed = {"x": x, "y": y, "seen": mask, "heads": heads}
        slopes = arithmetic.slopes_of_all(functools.partial(reference.loss, **fixed), parameters)
        for name, gradient in named(module, lambda parameter: parameter.grad).items():
            np.testing.assert_allclose(gradient, slopes.pop(name), atol=1e-6, err_msg=name)
        for name, slope in slopes.items():  # queries and keys of the attention on one node
            assert ".nodes." in name and not slope.any()


def test_the_prior_mask_is_that_of_loops():
    for seed in range(20):
        y = (np.random.default_rng(seed).random((6, 5)) < 0.3).astype(float)
        assert co_occurring(doubles(y)).tolist() == reference.mask(y.tolist())


class Given(nn.Module):
    """What dropout leaves of each weight was drawn before."""

    def __init__(self, kept):
        super().__init__()
        self.kept = kept

    def forward(self, x):
        return x * self.kept


def test_dropout_takes_heads_of_the_instance_from_single_labels():
    """As where each label weighs the one node by itself, head by head."""
    torch.manual_seed(0)
    rows, labels, heads, head_width, width = 3, 4, 2, 5, 6
    attention = ToInstance(width, heads, head_width, 0.0).double()
    kept = (torch.rand(rows, labels, heads) < 0.5).double() / 0.5
    attention.weights_dropout = Given(kept)
    nodes, instance = torch.randn(rows, labels, width).double(), torch.randn(rows, width).double()
    values = attention.value(instance).view(rows, 1, heads, head_width)
    attended = attention.out((kept.unsqueeze(-1) * values).flatten(2))
    torch.testing.assert_close(attention(nodes, instance), attention.norm(nodes + attended))


def test_scores_are_the_same_in_pieces(monkeypatch):
    parameters, mask, heads, _, _ = drawn(1)
    x = doubles(np.random.default_rng(0).normal(size=(7, parameters["input.weight"].shape[1])))
    module = made(parameters, mask, heads)
    monkeypatch.setattr(lamp, "ENTRIES", 1)
    pieces = made(parameters, mask, heads)
    assert pieces.at_once == 1 < module.at_once
    batch = lamp.Batch(x, x, torch.arange(7))
    torch.testing.assert_close(pieces.scores(batch), module.scores(batch))


@pytest.fixture
def small(tmp_path):
    """Overrides that choose 70 rows to train with; the last label is never positive there."""
    rng = np.random.default_rng(0)
    words = ["dataset=npz", "dataset.name=small", f"paths.cache={tmp_path}/cache"]
    for part, rows in (("path", 70), ("test", 20)):
        x = rng.normal(size=(rows, 7)).astype(np.float32)
        y = (x[:, :4] + rng.normal(size=(rows, 4)) > 1).astype(np.uint8)
        y[:, -1] = 0
        np.savez(tmp_path / f"{part}.npz", features=x, targets=y)
        words.append(f"dataset.{part}={tmp_path}/{part}.npz")
    return [*words, "split=official", "method=lamp", *NARROW]


@pytest.mark.parametrize("kind", ["prior", "none", "eye"])
def test_a_run_keeps_its_mask_for_people_and_for_itself(kind, small, tmp_path):
    words = [*small, "train.epochs=2", f"method.mask={kind}", f"paths.outputs={tmp_path}"]
    _, path = run(configure(words))
    with np.load(path.with_name("label_mask.npz")) as kept:
        assert kept["mask"].tolist() == reference.mask(kept["targets"].tolist(), kind)
        assert [*kept["labels"]] and len(kept["ids"]) == 70
        mask = kept["mask"]
    method, _ = unpacked(path.with_name("model.pt"))
    assert np.array_equal(method.mask, mask)
    with np.load(path.with_name("scores.npz")) as scored, np.load(tmp_path / "test.npz") as test:
        x = torch.from_numpy(test["features"])
        with torch.no_grad():
            own = method.scores(lamp.Batch(x, x, torch.arange(len(x))))
        np.testing.assert_allclose(own, scored["last"], atol=1e-6)


def stopped_at_loss(number):
    """Asked to stop in the n-th step."""
    calls, inner = count(1), LaMP.loss

    def loss(self, batch):
        if next(calls) == number:
            os.kill(os.getpid(), signal.SIGTERM)
        return inner(self, batch)

    LaMP.loss = loss


def test_an_interrupted_run_ends_as_an_undisturbed_one(small, command, folder):
    """Within an epoch: what dropout draws goes on where it was."""
    words = [*small, "train.epochs=2", "train.batch_size=1"]
    assert command(*words, "paths.outputs=undisturbed").status == 0
    assert command(*words, first=functools.partial(stopped_at_loss, 100)).status == 130
    (checkpoint,) = folder.glob("outputs/*/*/*/stages/*.ckpt")
    assert 0 < torch.load(checkpoint)["batch"] < 70
    assert command(*words).status == 0
    (ours,), (theirs,) = commands.records(folder / "outputs"), commands.records(folder / "undisturbed")
    assert commands.result(ours) == commands.result(theirs)


@pytest.mark.parametrize("change", ["heads=0", "dropout=1", "layers=0", "mask=some", "width=0", "tied=2"])
def test_options_that_cannot_be_are_refused_in_a_sentence(change):
    with pytest.raises(UserError, match=f"method.{change.partition('=')[0]}") as refused:
        configure(["method=lamp", f"method.{change}"])
    assert "\n" not in str(refused.value)


def test_a_batch_larger_than_the_data_is_refused_in_a_sentence(small, tmp_path):
    with pytest.raises(UserError, match=r"train\.drop_last=true leaves no batch of 200"):
        run(configure([*small, "train.batch_size=200", f"paths.outputs={tmp_path}"]))
