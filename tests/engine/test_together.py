"""Whole experiments side by side: each ends with the record it has alone, and nobody waits for anybody."""

import contextlib
import functools
import io
import itertools
import json
import multiprocessing
import signal

import numpy as np
import pytest
import torch
from filelock import FileLock
from scipy import sparse

import commands
from mlbench import estimator, experiment
from mlbench.compose import choices, configure
from mlbench.config import target
from mlbench.data import multidigits
from mlbench.engine import fit, loop, many
from mlbench.errors import DoesNotFit
from mlbench.predict import Trained, predictions
from mlbench.premises import build
from mlbench.results import store, tracking
from small import smaller

SEEDS = range(3)
FEW = SEEDS[:2]  # of every shipped method and loss
forked = multiprocessing.get_context("fork")  # quick: everything is imported already


def side_by_side(configs):
    """What they end with, and what was said."""
    said = io.StringIO()
    with contextlib.redirect_stderr(said):
        ended = experiment.run_all(configs, wait=False)
    return ended, said.getvalue()


DEFAULT = configure([]).choices["loss"]
SHIPPED = [f"method={name}" for name in choices("method")]
SHIPPED += [f"loss={name}" for name in choices("loss") if name != DEFAULT]


def steps_of(words):
    """Fifty for a method: what differs in a last bit may take some steps to be seen."""
    return 50 if words.startswith("method=") else 20


@pytest.fixture(scope="module")
def shipped(tmp_path_factory, cache):
    """Every shipped method and loss with two seeds: alone, all of them together; what was trained how."""
    folder = tmp_path_factory.mktemp("shipped")
    composed = {words: configure([words]) for words in SHIPPED}

    def configs(where):
        return [
            smaller(composed[words], seed, folder / where, cache, steps_of(words))
            for words in SHIPPED
            for seed in FEW
        ]

    stacks, singles = [], []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(multidigits, "make", functools.cache(multidigits.make))
        alone = [experiment.run(config) for config in configs("alone")]
        train_stack, train_one, solve = many._train, fit.train, fit.solve
        patch.setattr(many, "_train", lambda jobs: (stacks.append(jobs), train_stack(jobs))[1])
        patch.setattr(fit, "train", lambda job: (singles.append(job), train_one(job))[1])
        patch.setattr(fit, "solve", lambda job, by: (singles.append(job), solve(job, by))[1])
        together, said = side_by_side(configs("together"))
    names = [*itertools.product(SHIPPED, FEW)]
    return dict(zip(names, zip(alone, together))), stacks, singles, said


def scores_at(path):
    with np.load(path.with_name("scores.npz")) as archive:
        return dict(archive)


def history_at(path):
    return [json.loads(line) for line in path.with_name("history.jsonl").read_text().splitlines()]


def assert_same_record(ended, alone):
    """To the last bit."""
    (record, path), (other, other_path) = ended, alone
    elsewhere = {"paths": 0, "engine": 0}
    assert record.config | elsewhere == other.config | elsewhere
    assert (record.parts, record.data, record.facts) == (other.parts, other.data, other.facts)
    assert commands.result(path) == commands.result(other_path)
    assert {*record.seconds} == {*other.seconds}
    assert record.trained == other.trained == ""


@pytest.mark.parametrize("words", SHIPPED)
def test_every_shipped_method_and_loss_leaves_the_record_it_leaves_alone(words, shipped):
    for seed in FEW:
        alone, ended = shipped[0][words, seed]
        assert not isinstance(ended, Exception), ended
        assert_same_record(ended, alone)


@pytest.mark.parametrize("name", choices("method"))
def test_every_shipped_method_gives_as_an_estimator_the_scores_of_its_run(name, shipped, cache, monkeypatch):
    monkeypatch.setattr(
        estimator, "configure", lambda words: smaller(configure(words), FEW[0], "nowhere", cache, 50)
    )
    loaded = build(configure([]).dataset).load(cache)
    instances, rows = loaded.instances, loaded.official
    modalities = {cell: [start, stop - 1] for cell, (start, stop) in instances.modalities.items()}
    ours = estimator.Classifier(name, modalities=modalities)
    options = configure([f"method={name}"]).method
    train, test = (instances.features[rows[part]] for part in ("train", "test"))
    if "teacher_0" in target(options).parts(options):
        with pytest.raises(DoesNotFit, match=f"method={name} needs a part teacher_0"):
            ours.fit(train, instances.targets[rows["train"]])
        return
    ours.fit(train, instances.targets[rows["train"]])
    (_, path), _ = shipped[0][f"method={name}", FEW[0]]
    np.testing.assert_array_equal(ours.predict_proba(test), scores_at(path)["last"])


@pytest.mark.parametrize("name", choices("method"))
def test_what_every_shipped_method_leaves_gives_the_scores_of_its_run(name, shipped, cache, tmp_path):
    instances = build(configure([]).dataset).load(cache).instances
    (_, path), _ = shipped[0][f"method={name}", FEW[0]]
    kept = scores_at(path)
    order = np.random.default_rng(0).permutation(len(instances.feature_names))
    names = np.array(instances.feature_names)[order]
    np.savez(tmp_path / "new.npz", features=instances.features[kept["ids"]][:, order], feature_names=names)
    pieces = [*predictions([Trained.of_run(path.parent)], str(tmp_path / "new.npz"))]
    np.testing.assert_allclose(torch.cat([piece.scores for piece in pieces]), kept["last"], atol=1e-6)


def test_every_stage_with_a_gradient_was_stacked_once(shipped):
    """The teachers of all methods that share them, too: once a seed, and all seeds at once."""
    _, stacks, singles, said = shipped
    assert said == ""
    assert all(job.stage.solve for job in singles)
    trained = [job.path for stack in stacks for job in stack]
    assert len(trained) == len(set(trained))
    assert all(len(stack) % len(FEW) == 0 for stack in stacks)  # losses that differ in numbers stand together
    teaching = [stack for stack in stacks if stack[0].stage.name.startswith("teacher_")]
    assert sorted(stack[0].stage.name for stack in teaching) == ["teacher_0", "teacher_1"]


@pytest.fixture
def table(tmp_path, problem, cache):
    """table("folder", "seed=1", sparsely=...) is the configuration of a run on a small file."""
    data = problem.vectors(150)
    thin = sparse.csr_matrix(data.x.relu().numpy())
    arrays = {"targets": data.targets.numpy().astype(np.uint8)}
    parts = {"X_data": thin.data, "X_indices": thin.indices, "X_indptr": thin.indptr, "X_shape": thin.shape}
    np.savez(tmp_path / "dense.npz", features=data.x.numpy(), **arrays)
    np.savez(tmp_path / "thin.npz", **parts, **arrays)

    def table(folder, *words, sparsely=False):
        return configure(
            [
                "dataset=npz",
                f"dataset.path={tmp_path}/{'thin' if sparsely else 'dense'}.npz",
                *(["dataset.features=X"] if sparsely else []),
                "train.epochs=3",
                "train.batch_size=20",
                "train.progress=false",
                f"paths.outputs={tmp_path}/{folder}",
                f"paths.cache={cache}",
                *words,
            ]
        )

    return table


def seeds_of(config):
    return [config.model_copy(update={"seed": seed}) for seed in SEEDS]


def test_sparse_data(table):
    words = "split.validation=0.2", "selection.rule=best", "selection.every=2", "threshold=per_label"
    alone = [experiment.run(config) for config in seeds_of(table("alone", *words, sparsely=True))]
    ended, said = side_by_side(seeds_of(table("together", *words, sparsely=True)))
    assert said == ""
    for ours, theirs in zip(ended, alone, strict=True):
        assert_same_record(ours, theirs)
        assert ours[0].selected == theirs[0].selected and "best" in ours[0].metrics


def test_a_longer_training_ends_closer_to_itself_alone_than_to_another_seed(table):
    words = "method=ofcc", "backbone.hidden=8", "train.epochs=40", "train.optimizer.lr=0.02"
    alone = [experiment.run(config)[0] for config in seeds_of(table("alone", *words))]
    ended, _ = side_by_side(seeds_of(table("together", *words)))
    for metric in ("f1_macro", "auc_macro", "hamming_loss", "ap_macro"):
        values = [record.metrics["last"][metric] for record in alone]
        apart = [abs(record.metrics["last"][metric] - value) for (record, _), value in zip(ended, values)]
        assert max(apart) < (max(values) - min(values)) / 2, metric


def test_dropout_draws_beside_others_what_it_draws_alone(table):
    alone = [experiment.run(config) for config in seeds_of(table("alone", "backbone.dropout=0.5"))]
    ended, said = side_by_side(seeds_of(table("together", "backbone.dropout=0.5")))
    assert said == ""
    for ours, theirs in zip(ended, alone, strict=True):
        assert_same_record(ours, theirs)


def test_what_cannot_be_stacked_says_so_and_leaves_the_very_record_it_leaves_alone(table):
    words = "method._target_=outside.Breaks", "+method.batch=1000000", "+method.value=1.0"
    reason = "its loss changes what it holds"
    alone = [experiment.run(config) for config in seeds_of(table("alone", *words))]
    ended, said = side_by_side(seeds_of(table("together", *words)))
    assert f" is trained one by one: {reason}; as one module " in said and said.count("\n") == 1
    for ours, theirs in zip(ended, alone, strict=True):
        assert commands.result(ours[1]) == commands.result(theirs[1])


def test_a_method_draws_between_its_stages_what_it_draws_alone(table):
    """Its teacher is stacked, its student draws noise and keeps an average: by itself."""
    words = ["method._target_=outside.TwoStages"]
    alone = [experiment.run(config) for config in seeds_of(table("alone", *words))]
    ended, said = side_by_side(seeds_of(table("together", *words)))
    assert said.count("\n") == 2 and "student is trained one by one: what after_step does" in said
    assert "teacher is trained as one by vmap, which changes last digits: as one module" in said
    for (record, ours), (single, theirs) in zip(ended, alone, strict=True):
        ways = record.trained, single.trained
        assert ways == ("stacked", "alone"), "the teacher's loss is a mean over all"
        scores, expected = scores_at(ours)["last"], scores_at(theirs)["last"]
        np.testing.assert_allclose(scores, expected, rtol=0, atol=1e-5)


def test_one_that_is_held_or_fails_keeps_nobody(table, capfd):
    config = table("together")
    sound = seeds_of(config)
    _, path = experiment.run(sound[1])
    held = FileLock(path.with_name(".lock"))
    path.unlink()
    failing = [table("together", "method._target_=outside.Fails", f"seed={seed}") for seed in (0, 1)]
    with held:
        ended, said = side_by_side([*sound, sound[0], *failing])
    assert isinstance(ended[1], store.Busy) and isinstance(ended[3], store.Busy)  # the one asked for twice
    assert [isinstance(error, ZeroDivisionError) for error in ended[4:]] == [True, True]
    assert all(isinstance(result, tuple) and result[1].exists() for result in (ended[0], ended[2]))
    assert not path.exists() and said == ""
    reasons = [store.failure(at.parent)["type"] for at in path.parents[2].glob("*/*/failed.json")]
    assert reasons == ["ZeroDivisionError"] * 2


def test_an_interrupt_leaves_nothing_claimed_and_nothing_failed(table, monkeypatch):
    sound, stopped = seeds_of(table("together")), []
    monkeypatch.setattr(experiment, "fit_together", lambda jobs: signal.raise_signal(signal.SIGINT))
    monkeypatch.setattr(tracking.Local, "stop", lambda self: stopped.append(self))
    with pytest.raises(KeyboardInterrupt) as kept:  # and with it all that was at work
        side_by_side(sound)
    assert kept.traceback
    folders = [path.parent for path in sound[0].paths.outputs.glob("*/*/*/config.yaml")]
    assert len(folders) == len(stopped) == len(SEEDS)
    assert not any(store.claimed(folder) or store.failure(folder) for folder in folders)


# Stopped and killed, with several stages, some of them shared


ANT = [
    "split.student=0.5",
    "method.teachers.epochs=2",
    "method.teachers.batch_size=16",
    "method.teachers.hidden=[3,4]",
    "backbone.hidden=3",
    "train.batch_size=8",
]


def test_teachers_of_one_shape_and_seed_are_trained_as_one(table, monkeypatch):
    sets = "method.teachers.labels=[[0,1],[1,2]]"
    words = [
        "method=ant",
        *ANT,
        "method.teachers.hidden=[4]",
        sets,
        "split.disjoint=true",
        "split.student=0.6",
    ]
    alone = experiment.run(table("alone", *words, "engine=single"))
    stacks, train = [], many._train
    monkeypatch.setattr(many, "_train", lambda jobs: (stacks.append(jobs), train(jobs))[1])
    assert_same_record(experiment.run(table("together", *words)), alone)
    assert [{job.stage.name for job in jobs} for jobs in stacks] == [{"teacher_0", "teacher_1"}]


def runs_of(table, folder):
    return [
        config for name in ("ant", "tc") for config in seeds_of(table(folder, f"method={name}", *ANT))[:2]
    ]


MOMENTS = [
    lambda: commands.signalled_at_step(6, signal.SIGKILL),
    lambda: commands.signalled_at_step(22, signal.SIGTERM),
    lambda: commands.signalled_at_step(10, signal.SIGKILL),
    lambda: commands.signalled_at_rename(1, ".pt", "after"),
    lambda: commands.signalled_at_rename(1, "record.json", "before"),
    lambda: commands.signalled_at_rename(2, "record.json", "after"),
]


def test_stopped_or_killed_again_and_again_they_end_as_undisturbed(table, monkeypatch, tmp_path):
    monkeypatch.setattr(loop, "STEPS", 5)
    ended, _ = side_by_side(runs_of(table, "undisturbed"))
    runs = runs_of(table, "disturbed")
    for moment in MOMENTS:
        process = forked.Process(target=lambda: (moment(), side_by_side(runs)))  # noqa: B023
        process.start()
        process.join(60)
        assert process.exitcode in (1, -signal.SIGKILL)
        assert not list(tmp_path.glob("disturbed/*/*/*/failed.json"))
    again, said = side_by_side(runs)
    assert said == "" and not list(tmp_path.rglob("*.ckpt"))
    for (_, ours), (_, theirs) in zip(again, ended, strict=True):
        assert commands.result(ours) == commands.result(theirs)
