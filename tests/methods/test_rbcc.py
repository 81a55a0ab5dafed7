"""RBCC: worked values, plain references of scores, search, logits and probabilities, what a run keeps."""

import functools
import os
import signal
from itertools import count

import numpy as np
import pytest
import torch

import commands
from mlbench.compose import configure
from mlbench.data.rows import Batch, Rows
from mlbench.data.task import Modality, Task
from mlbench.errors import UserError
from mlbench.experiment import run, run_all
from mlbench.losses.bce import bce
from mlbench.methods.build import unpacked
from mlbench.methods.rbcc import chain
from mlbench.methods.rbcc.chain import RBCC, Predictors, PredictorSettings, arrange
from mlbench.methods.rbcc.network import BICScores, climbed, levels_of
from references import arithmetic
from references import rbcc as reference

LOSS = functools.partial(bce, pos_weight=None)
RESIDUALS = {"epochs": 1, "batch_size": 8, "optimizer": {}, "scheduler": {}, "hidden": 3}
QUICK = ["method.hidden=9", "method.residuals.hidden=9", "method.residuals.epochs=5"]
QUICK += ["train.progress=false", "train.epochs=2"]


def doubles(rows):
    return torch.tensor(np.asarray(rows), dtype=torch.float64)


def task_of(features, labels):
    names = tuple(map(str, range(labels)))
    return Task("made up", names, (Modality("x", 0, features),), 1, (1,) * labels)


def method_of(features, labels, hidden=4, **options):
    given = {"halves": "file", "max_parents": None, "drop_unlabelled": True, "residuals": RESIDUALS}
    return RBCC(task_of(features, labels), LOSS, hidden, **given | options)


def made(parameters, network):
    """The module with parameters as the reference names them, and lists of parents."""
    labels, hidden = parameters["output.weight"].shape
    joint = parameters["gru.input_weight"]
    module = method_of(joint.shape[1] - labels, labels, hidden).double()
    of_labels, of_x = torch.from_numpy(joint).split([labels, joint.shape[1] - labels], 1)
    with torch.no_grad():
        module.values.weight.copy_(of_labels.T)
        module.features.weight.copy_(of_x)
        for own, name in (
            (module.features.bias, "gru.input_bias"),
            (module.states.weight, "gru.hidden_weight"),
            (module.states.bias, "gru.hidden_bias"),
            (module.output.weight, "output.weight"),
            (module.output.bias, "output.bias"),
        ):
            own.copy_(torch.from_numpy(parameters[name]))
    for label, parents in enumerate(network):
        module.parents[label, parents] = True
    arrange(module)
    return module.double()


def batch_of(x, y):
    return Batch(doubles(x), doubles(y), torch.arange(len(x)))


def near(found, expected):
    np.testing.assert_allclose(found.detach(), expected, atol=1e-6)


RESIDUAL_ROWS = np.array(
    [
        *([0, 1, 0], [1, 1, 0], [0, 0, -1], [-1, 0, 0], [0, 1, 0]),
        *([0, 0, 0], [1, 1, -1], [0, 0, 0], [-1, 0, 0], [1, 1, 0]),
    ]
)


def test_worked_values_of_the_network():
    scores = BICScores(RESIDUAL_ROWS)
    expected = {(0, ()): -12.599115, (0, (1,)): -11.335287, (1, ()): -8.082764, (1, (0,)): -6.818936}
    for (node, parents), value in (expected | {(2, ()): -6.155317, (2, (0, 1)): -10.726840}).items():
        assert scores.of(node, parents) == pytest.approx(value, abs=1e-6)
    assert lists_of(climbed(RESIDUAL_ROWS)) == [[], [0], []]


def test_worked_values_of_the_chain():
    network = [[], [0], [0, 1]]
    module = made(arithmetic.filled(reference.shapes(2, 2, 3)), network)
    batch = batch_of([[1, -0.5], [0.3, 0.8]], [[1, 0, 1], [0, 1, 1]])
    logits = logits_of(module, batch)
    near(logits, [[-0.293704, 0.347143, -0.963233], [-0.598788, 0.204008, -1.069555]])
    near(module.loss(batch), 0.902967)
    near(module.scores(batch), [[0.427097, 0.517861, 0.263426], [0.354621, 0.550826, 0.255488]])


def logits_of(module, batch):
    """Of training, as the loss meets them."""
    seen = {}
    module.objective = lambda logits, targets: seen.setdefault("logits", logits).sum()
    module.loss(batch)
    module.objective = LOSS
    return seen["logits"]


def lists_of(network):
    return [np.flatnonzero(row).tolist() for row in network]


def residual_rows(seed, nodes=None, rows=None):
    """Nodes that follow one another, with states from −1 to 1; some have one state alone."""
    rng = np.random.default_rng(seed)
    nodes, rows = nodes or rng.integers(1, 6), rows or rng.integers(2, 40)
    found = rng.integers(-1, 2, (rows, nodes))
    for node in range(1, nodes):
        follows = rng.random(rows) < rng.random()
        found[follows, node] = found[follows, rng.integers(node)]
    found[:, rng.random(nodes) < 0.2] = 0
    return found


def test_scores_are_those_of_loops():
    for seed in range(60):
        rows = residual_rows(seed)
        scores, rng = BICScores(rows), np.random.default_rng(seed)
        node, *parents = rng.permutation(rows.shape[1])[: rng.integers(1, 5)].tolist()
        parents = sorted(parents)
        assert scores.of(node, tuple(parents)) == pytest.approx(
            reference.score(rows, node, parents), abs=1e-9
        )
        more = BICScores(rows).with_one_more(node, tuple(parents))
        for other in {*range(rows.shape[1])} - {node, *parents}:
            expected = reference.score(rows, node, [*parents, other])
            assert more[other] == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("max_parents", [None, 1, 2])
def test_the_network_is_that_of_loops(max_parents):
    for seed in range(25):
        rows = residual_rows(seed)
        expected, _ = reference.climbed(rows, max_parents)
        assert lists_of(climbed(rows, max_parents)) == expected, seed


def test_beside_every_network_of_four_labels():
    """None scores higher where the climb arrives, which it does for most, and no move gains where it ends."""
    reached = 0
    for seed in range(12):
        rows = residual_rows(seed, nodes=4, rows=60)
        network = lists_of(climbed(rows))
        score = sum(BICScores(rows).of(node, tuple(parents)) for node, parents in enumerate(network))
        assert score == pytest.approx(reference.total(rows, network), abs=1e-9)
        best, winners = reference.best(rows)
        assert score <= best + 1e-9
        reached += network in winners
        assert all(gain <= 1e-9 for *_, gain in reference.moves(rows, network))
    assert reached >= 9


def test_every_level_comes_after_its_parents_and_circles_are_found():
    for seed in range(20):
        network = climbed(residual_rows(seed))
        levels = levels_of(network.tolist())
        place = {node: number for number, level in enumerate(levels) for node in level}
        assert sorted(place) == [*range(len(network))]
        assert all(place[parent] < place[child] for child, parent in np.argwhere(network))
    assert levels_of([[False, True], [True, False]]) is None


def drawn(seed):
    """Parameters, a network and a batch; rows without labels among others."""
    rng = np.random.default_rng(seed)
    d, hidden, labels, rows = rng.integers(1, 5, 4)
    shapes = reference.shapes(d, hidden, labels)
    parameters = {name: rng.normal(size=shape) for name, shape in shapes.items()}
    order, share = rng.permutation(labels), rng.random()
    network = [[] for _ in range(labels)]
    for place, label in enumerate(order):
        network[label] = sorted(int(p) for p in order[:place] if rng.random() < share)
    return parameters, network, rng.normal(size=(rows, d)), (rng.random((rows, labels)) < 0.5).astype(float)


def test_logits_losses_and_probabilities_are_those_of_loops():
    for seed in range(50):
        parameters, network, x, y = drawn(seed)
        module, batch = made(parameters, network), batch_of(x, y)
        near(logits_of(module, batch), reference.logits(parameters, x, y, network))
        assert module.loss(batch).item() == pytest.approx(reference.loss(parameters, x, y, network), rel=1e-6)
        near(module.scores(batch), reference.probabilities(parameters, x, network))


def test_gradients_are_those_of_loops():
    for seed in range(4):
        parameters, network, x, y = drawn(seed)
        module = made(parameters, network)
        module.loss(batch_of(x, y)).backward()
        fixed = {"x": x, "y": y, "network": network}
        slopes = arithmetic.slopes_of_all(functools.partial(reference.loss, **fixed), parameters)
        joint = torch.cat([module.values.weight.grad.T, module.features.weight.grad], 1)
        near(joint, slopes["gru.input_weight"])
        near(module.features.bias.grad, slopes["gru.input_bias"])
        near(module.states.bias.grad, slopes["gru.hidden_bias"])
        if module.states.weight.grad is not None:  # where a label has two parents
            near(module.states.weight.grad, slopes["gru.hidden_weight"])
        else:
            assert not slopes["gru.hidden_weight"].any()
        near(module.output.weight.grad, slopes["output.weight"])
        near(module.output.bias.grad, slopes["output.bias"])


def test_scores_are_the_same_in_pieces(monkeypatch):
    parameters, network, x, y = drawn(4)
    monkeypatch.setattr(chain, "ENTRIES", 1)
    module = made(parameters, network)
    assert module.at_once == 1 < len(x)
    near(module.scores(batch_of(x, y)), reference.probabilities(parameters, x, network))


def test_what_predicts_the_other_half_is_a_network_a_label():
    """Their loss is the sum of what each has by itself; residuals are −1, 0, 1."""
    torch.manual_seed(0)
    predictors, labels = (
        Predictors(3, 2, PredictorSettings(**RESIDUALS)).double(),
        torch.tensor([[1.0, 0], [0, 0]]),
    )
    batch = batch_of([[1, 2, -1], [0, 0.5, 3]], labels)
    losses = []
    for label, (inner, bias) in enumerate(zip(*[p.split(3) for p in predictors.inner.parameters()])):
        outer = predictors.weight[label].tolist(), predictors.bias[label].item()
        found = reference.predictor(inner.tolist(), bias.tolist(), *outer, batch.x.tolist())
        near(predictors.logits(batch.x)[:, label].sigmoid(), found)
        losses.append(
            torch.nn.functional.binary_cross_entropy(doubles(found), batch.targets[:, label]).item()
        )
    assert predictors.loss(batch).item() == pytest.approx(sum(losses), rel=1e-6)
    probabilities = predictors.logits(batch.x).sigmoid().tolist()
    found = predictors.residuals(Rows(*batch[:3]))
    assert found.tolist() == reference.residuals(labels.tolist(), probabilities)


def halves_of(halves, ids, targets, **options):
    """The ids of the rows that each stage has."""
    torch.manual_seed(0)
    method = method_of(2, targets.shape[1], halves=halves, **options)
    rows = Rows(torch.randn(len(ids), 2), targets, torch.tensor(ids))
    found = {}
    for stage in method.stages({"train": rows}):
        found[stage.name] = stage.data.ids.tolist()
        if stage.solve:
            stage.solve(stage.data)
    return found


def test_halves_are_those_of_the_file_or_drawn():
    ids, targets = [4, 2, 9, 7, 5], torch.ones(5, 2)
    found = halves_of("file", ids, targets)
    assert found["first_half"] == [2, 4] and found["second_half"] == [5, 7, 9]
    many = [*range(40)]
    found = halves_of("random", many, torch.ones(40, 2))
    assert sorted(found["first_half"] + found["second_half"]) == many
    assert found["first_half"] != many[:20] and len(found["first_half"]) == 20


def test_rows_without_labels_are_left_out_unless_there_are_no_others():
    targets = torch.tensor([[1.0, 0], [0, 0], [0, 1], [1, 1]])
    assert halves_of("file", [0, 1, 2, 3], targets)["train"] == [0, 2, 3]
    assert halves_of("file", [0, 1, 2, 3], targets, drop_unlabelled=False)["train"] == [0, 1, 2, 3]
    found = halves_of("file", [0, 1], torch.zeros(2, 2))
    assert found["train"] == found["network"] == [0, 1]


def test_one_row_or_one_label_shows_nothing_of_how_labels_go_together():
    assert [*halves_of("file", [3], torch.ones(1, 2))] == ["train"]
    assert [*halves_of("file", [3, 4], torch.ones(2, 1))] == ["train"]


@pytest.fixture
def small(tmp_path):
    """Overrides that choose 70 rows whose labels follow one another; the last is never positive."""
    rng = np.random.default_rng(0)
    words = ["dataset=npz", "dataset.name=small", "split=official", f"paths.cache={tmp_path}/cache"]
    for part, rows in (("path", 70), ("test", 20)):
        x, y = rng.normal(size=(rows, 7)).astype(np.float32), np.zeros((rows, 5), np.uint8)
        y[:, 0] = rng.random(rows) < 0.5
        y[:, 1] = rng.random(rows) < 0.5
        y[:, 2] = y[:, 0] | y[:, 1]
        y[:, 3] = y[:, 0] ^ (rng.random(rows) < 0.1)
        np.savez(tmp_path / f"{part}.npz", features=x, targets=y)
        words.append(f"dataset.{part}={tmp_path}/{part}.npz")
    return [*words, "method=rbcc", *QUICK]


def test_a_run_keeps_its_network_for_people_and_for_itself(small, tmp_path):
    record, path = run(configure([*small, f"paths.outputs={tmp_path}"]))
    with np.load(path.with_name("label_network.npz")) as kept:
        network = kept["parents"]
    assert network.any() and levels_of(network.tolist())
    assert record.facts == {"edges": network.sum(), "most_parents": network.sum(1).max()}
    method, _ = unpacked(path.with_name("model.pt"))
    assert np.array_equal(method.parents, network)
    with np.load(path.with_name("scores.npz")) as scored, np.load(tmp_path / "test.npz") as test:
        x = torch.from_numpy(test["features"])
        with torch.no_grad():
            own = method.scores(Batch(x, x, torch.arange(len(x))))
        np.testing.assert_allclose(own, scored["last"], atol=1e-6)


def test_a_file_whose_network_is_a_circle_is_refused_in_a_sentence():
    method = method_of(2, 2)
    state = method.state_dict() | {"parents": torch.tensor([[False, True], [True, False]])}
    method.load_state_dict(state)
    with pytest.raises(UserError, match="goes round in a circle"):
        method.scores(batch_of([[0, 0]], [[0, 0]]))


def test_runs_beside_one_another_leave_what_each_leaves_alone(small, tmp_path):
    """Their networks differ, so that some go through other steps than others."""
    configs = [[*small, "method.halves=random", f"seed={seed}"] for seed in range(3)]
    together = run_all([configure([*own, f"paths.outputs={tmp_path}/together"]) for own in configs])
    for own, (record, path) in zip(configs, together):
        _, alone = run(configure([*own, f"paths.outputs={tmp_path}/alone"]))
        assert record.trained == ""
        for file in ("scores.npz", "label_network.npz"):
            with np.load(path.with_name(file)) as ours, np.load(alone.with_name(file)) as theirs:
                assert all(np.array_equal(ours[name], theirs[name]) for name in theirs)


def stopped_at_loss(kind, number):
    """Asked to stop in the n-th step."""
    calls, inner = count(1), kind.loss

    def loss(self, batch):
        if next(calls) == number:
            os.kill(os.getpid(), signal.SIGTERM)
        return inner(self, batch)

    kind.loss = loss


@pytest.mark.parametrize("kind", [Predictors, RBCC])
def test_an_interrupted_run_ends_as_an_undisturbed_one(kind, small, command, folder):
    """Within the search for a network, or after it."""
    words = [*small, "method.residuals.batch_size=1", "train.batch_size=1"]
    assert command(*words, "paths.outputs=undisturbed").status == 0
    assert command(*words, first=functools.partial(stopped_at_loss, kind, 60)).status == 130
    assert [*folder.glob("outputs/*/*/*/stages/*.ckpt")]
    assert command(*words).status == 0
    (ours,), (theirs,) = commands.records(folder / "outputs"), commands.records(folder / "undisturbed")
    assert commands.result(ours) == commands.result(theirs)
    with (
        np.load(ours.with_name("label_network.npz")) as one,
        np.load(theirs.with_name("label_network.npz")) as other,
    ):
        assert all(np.array_equal(one[name], other[name]) for name in other)


@pytest.mark.parametrize(
    "change", ["hidden=0", "halves=some", "max_parents=0", "residuals.epochs=0", "residuals.rate=1"]
)
def test_options_that_cannot_be_are_refused_in_a_sentence(change):
    with pytest.raises(UserError, match=f"method.{change.partition('=')[0]}") as refused:
        configure(["method=rbcc", f"method.{change}"])
    assert "\n" not in str(refused.value)


def test_more_than_two_hundred_labels_are_refused_in_a_sentence():
    assert len(method_of(2, 200).parents) == 200
    with pytest.raises(UserError, match="of which made up has 201") as refused:
        method_of(2, 201)
    assert "\n" not in str(refused.value)
