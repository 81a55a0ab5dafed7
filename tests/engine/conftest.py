"""Small problems, and one stage fitted on them."""

import functools
import multiprocessing
from types import SimpleNamespace

import pytest
import torch

import commands
from mlbench.backbones.mlp import MLP
from mlbench.compose import configure
from mlbench.config import Selection
from mlbench.data.rows import Rows
from mlbench.data.task import Modality, Task
from mlbench.engine import ranks
from mlbench.engine.fit import fit as fit_stage
from mlbench.engine.job import Job
from mlbench.engine.watch import Watch
from mlbench.evaluation.thresholds import Fixed
from mlbench.losses.bce import bce
from mlbench.methods.base import Stage
from mlbench.methods.erm import ERM
from mlbench.seeding import seed_everything

SEED = 3
WIDTH, LABELS = 6, 3


def vectors(rows, seed=0):
    """Labels that follow from the features, a little."""
    draws = torch.Generator().manual_seed(seed)
    features = torch.randn(rows, WIDTH, generator=draws)
    noise = torch.randn(rows, LABELS, generator=draws)
    return Rows(features, (features[:, :LABELS] + noise > 0).float(), torch.arange(rows))


def erm(dropout=0.0, kind=ERM, seed=1, loss=None, **options):
    task = Task("small", tuple("abc"), (Modality("features", 0, WIDTH),), instances=9, positives=(3, 3, 3))
    seed_everything(seed)

    def backbone(task):
        return MLP(task, [8], "relu", dropout)

    return kind(task, backbone, loss or functools.partial(bce, pos_weight=None), **options)


@pytest.fixture(scope="session")
def defaults():
    return configure([]).train


@pytest.fixture
def problem(tmp_path, defaults):
    """`problem.fit(module, data, epochs=2)` is the outcome of one stage, `problem.job(...)` the job itself;
    settings as in conf/train.
    """

    def settings(optimizer=None, scheduler=None, **changes):
        if optimizer:
            changes["optimizer"] = {"_target_": f"torch.optim.{optimizer[0]}"} | optimizer[1]
        if scheduler:
            changes["scheduler"] = {"_target_": f"torch.optim.lr_scheduler.{scheduler[0]}"} | scheduler[1]
        return defaults.model_copy(update=changes)

    def job(
        module,
        data,
        watches=(),
        every=1,
        patience=None,
        name="train",
        report=lambda history: None,
        seed=SEED,
        **changes,
    ):
        selection = Selection(rule="last", metric="f1_macro", every=every, patience=patience)
        stage = Stage(name.rpartition("/")[2], module, data)
        return Job(
            stage, settings(**changes), selection, seed, tmp_path / name, list(watches), "label", report
        )

    def fit(*given, **how):
        return fit_stage(job(*given, **how))

    def watch(rule="best", data=None, metric="f1_macro"):
        part = "test" if rule == "oracle" else "validation"
        return Watch(rule, part, data, metric, Fixed(0.5))

    return SimpleNamespace(
        fit=fit, job=job, watch=watch, settings=settings, vectors=vectors, erm=erm, seed=SEED
    )


@pytest.fixture
def jobs(problem):
    """jobs("folder", changes, ...): a job a replica; they differ in seed, weights, rows, and as each says."""

    def job(folder, number, looks=(), threshold=None, rows=60, module=None, **changes):
        seed = changes.pop("seed", number)
        watches = [problem.watch(rule, problem.vectors(40, seed=9 + number)) for rule in looks]
        for watch in watches:
            watch.threshold = threshold() if threshold else watch.threshold
        return problem.job(
            problem.erm(seed=seed, **module or {}),
            problem.vectors(rows, seed=seed),
            watches,
            name=f"{folder}/{number}/train",
            seed=seed,
            **{"epochs": 2, "batch_size": 8} | changes,
        )

    def jobs(folder, *replicas, **common):
        return [job(folder, number, **common | own) for number, own in enumerate(replicas or [{}] * 3)]

    return jobs


@pytest.fixture
def forked(monkeypatch):
    """Commands and their ranks fork from this process, which has imported what DDP takes ten seconds to.

    A CUDA build of torch refuses to fork from a process that has counted its GPUs, as tests before this one
    have. No GPU is used here, so nothing of one is inherited.
    """
    import torch._dynamo

    monkeypatch.setattr(torch.cuda, "_is_in_bad_fork", lambda: False)
    monkeypatch.setattr(commands, "forks", multiprocessing.get_context("fork"))
    monkeypatch.setattr(ranks, "START", "fork")
