"""Every method of conf/method, as it is configured there: what an experiment relies on."""

import copy
import io
from dataclasses import replace

import pytest
import torch

from mlbench.assemble import assemble
from mlbench.compose import choices
from mlbench.config import target
from mlbench.errors import UserError
from mlbench.seeding import seed_everything

SHAPES = {
    "one label": {"labels": 1},
    "one row": {"rows": 1},
    "one modality": {"modalities": 1},
    "many labels": {"labels": 40},
}


@pytest.fixture(params=choices("method"))
def name(request):
    return request.param


@pytest.fixture
def fresh(name, pieces):
    """fresh(task, seed) is the method with new weights."""

    def build(task, seed=0):
        seed_everything(seed)
        return pieces(f"method={name}").method(task)

    return build


@pytest.fixture
def trained(name, fresh, pieces, learn):
    """trained(task, data) is the method after a few steps."""

    def train(task, data, seed=0, **how):
        method = fresh(task, seed)
        learn(method, data, pieces(f"method={name}"), **how)
        return method

    return train


def scores_of(method, batch):
    with torch.no_grad():
        return method.scores(batch)


def bytes_of(method):
    """Of its tensors. A learner of scikit-learn's is an archive that holds dates: its scores stand for it."""
    state = method.state_dict().items()
    return {key: tensor.numpy().tobytes() for key, tensor in state if not key.endswith("_extra_state")}


def test_scores_are_a_probability_for_each_label(problem, trained, everything):
    task, data = problem()
    scores = scores_of(trained(task, data), everything(data))
    assert scores.shape == data.targets.shape and scores.dtype == torch.float32
    assert scores.isfinite().all() and scores.min() >= 0 and scores.max() <= 1


def test_scores_depend_on_nothing_but_a_rows_features(problem, trained, everything):
    task, data = problem()
    method, batch = trained(task, data), everything(data)
    scores = scores_of(method, batch)
    others = batch._replace(targets=1 - batch.targets, ids=batch.ids.flip(0))
    assert torch.equal(scores_of(method, others), scores)
    one_by_one = [scores_of(method, data.batch(torch.tensor([row]))) for row in range(len(data))]
    torch.testing.assert_close(torch.cat(one_by_one), scores)


def test_every_trainable_parameter_gets_a_gradient(name, problem, fresh, pieces, everything):
    task, data = problem()
    if name == "rbcc":  # its unit goes from one state to another where a label has two parents
        task, data = problem(rows=256)
        targets = data.targets.clone()
        targets[:, 2] = torch.maximum(targets[:, 0], targets[:, 1])
        data = replace(data, targets=targets)
    method = fresh(task)
    reached = {}
    parts = [part for part in pieces(f"method={name}").split.parts if part != "test"]
    for stage in method.stages(dict.fromkeys(parts, data)):
        if stage.solve:
            stage.solve(stage.data)
            continue
        loss = stage.module.loss(everything(stage.data))
        assert loss.ndim == 0 and loss.isfinite()
        loss.backward()
        for parameter in stage.module.parameters():
            if parameter.requires_grad:
                assert parameter.grad is not None and parameter.grad.isfinite().all()
                reached[parameter] = reached.get(parameter, False) or bool(parameter.grad.any())
    trainable = [parameter for parameter in method.parameters() if parameter.requires_grad]
    assert set(trainable) <= set(reached) and all(reached.values())


def test_it_takes_of_conf_train_what_it_says(name, problem, fresh, pieces):
    """No more, which would not be in a run's key, and no less, which would run the same thing twice."""
    task, data = problem()
    method = fresh(task)
    parts = [part for part in pieces(f"method={name}").split.parts if part != "test"]
    found = frozenset()
    for stage in method.stages(dict.fromkeys(parts, data)):
        if stage.solve:
            stage.solve(stage.data)
        found |= stage.train_options
    assert found == type(method).train_options


def test_it_overfits_sixteen_rows(name, problem, fresh, pieces, learn, everything):
    task, data = problem(rows=16)
    method = fresh(task)
    seen = []
    stages = method.stages
    method.stages = lambda parts: (seen.append(stage) or stage for stage in stages(parts))
    losses = learn(method, data, pieces(f"method={name}"), steps=300, enough=0.002)
    for stage, fallen in zip(seen, losses):
        if fallen and stage.name != "pretrain":  # where a queue opens meanwhile, its loss rises
            # What recovers distributions meets noise, or targets that follow it, whose entropy is left.
            assert fallen[-1] < fallen[0] / (1 if stage.name == "recover" else 4)
    last = seen[-1]
    told = data.targets[last.data.ids]  # of the rows that it learns from
    if not last.solve and torch.equal(last.data.targets, told):  # it was told the labels
        scores, positive = scores_of(method, everything(last.data)), told.bool()
        assert scores[positive].min() > scores[~positive].max()


def test_its_state_is_all_there_is_to_it(problem, fresh, trained, everything):
    task, data = problem()
    method, other, file = trained(task, data), fresh(task, seed=1), io.BytesIO()
    torch.save(method.state_dict(), file)
    file.seek(0)
    other.load_state_dict(torch.load(file, weights_only=True))
    other.eval()
    scores = scores_of(method, everything(data))
    assert torch.equal(scores_of(other, everything(data)), scores)
    assert torch.equal(scores_of(copy.deepcopy(method), everything(data)), scores)


def test_the_seed_decides(problem, trained, everything):
    task, data = problem()
    first, again, other = (trained(task, data, seed) for seed in (3, 3, 4))
    assert bytes_of(first) == bytes_of(again)
    assert torch.equal(scores_of(first, everything(data)), scores_of(again, everything(data)))
    if list(first.parameters()):
        assert bytes_of(first) != bytes_of(other)


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_it_works_on_data_of_any_shape(shape, name, problem, trained, everything):
    task, data = problem(**shape)
    if name == "mlknn" and len(data) == 1:
        with pytest.raises(UserError, match="each of the 1 training rows has 0 others"):
            trained(task, data)
        return
    scores = scores_of(trained(task, data), everything(data))
    assert scores.shape == data.targets.shape and scores.isfinite().all()


@pytest.mark.parametrize("value", [0.0, 1.0])
def test_it_works_with_a_label_that_never_varies(value, problem, trained, everything):
    task, data = problem()
    targets = data.targets.clone()
    targets[:, 0] = value
    data = replace(data, targets=targets)
    task = replace(task, positives=tuple(targets.sum(0).int().tolist()))
    assert scores_of(trained(task, data), everything(data)).isfinite().all()


def test_sparse_features_are_worth_as_much_as_dense_ones(problem, trained, everything):
    task, dense = problem()
    _, thin = problem(sparsely=True)
    one, other = trained(task, thin), trained(task, dense)
    torch.testing.assert_close(scores_of(one, everything(thin)), scores_of(other, everything(dense)))
    if list(one.parameters()):  # what has none may keep the features themselves, as they are
        assert bytes_of(one) == bytes_of(other)


@pytest.mark.parametrize("group", ["backbone", "split"])
def test_a_combination_is_refused_in_one_sentence_or_works(name, group, problem, combined, learn, everything):
    task, data = problem()
    for choice in choices(group):
        try:
            chosen = assemble(combined(f"method={name}", f"{group}={choice}"))
        except UserError as error:
            assert "\n" not in str(error)
            continue
        method = chosen.method(task)
        learn(method, data, chosen, steps=1)
        assert scores_of(method, everything(data)).shape == data.targets.shape


def test_a_task_that_offers_too_little_is_refused(name, configured, monkeypatch):
    config = configured(f"method={name}")
    kind = target(config.method)
    monkeypatch.setattr(kind, "requires", replace(kind.requires, modalities=5))
    with pytest.raises(UserError, match=f"method={name} needs 5 modalities or more, dataset=small has"):
        assemble(config)
    monkeypatch.setattr(kind, "requires", replace(kind.requires, kinds=frozenset({"image"})))
    with pytest.raises(UserError, match=f"method={name} works on image data, dataset=small is vector"):
        assemble(config)
