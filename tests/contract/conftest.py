"""Small problems, the shipped pieces built for them, and training without a trainer."""

import functools

import numpy as np
import pytest
import torch
from scipy import sparse

from mlbench.assemble import Pieces, assemble
from mlbench.compose import configure
from mlbench.config import Config
from mlbench.data.instances import Instances
from mlbench.data.rows import Rows
from mlbench.data.task import Modality, Task

WIDTH = 6  # columns of a modality


def make_problem(rows=16, labels=5, modalities=4, sparsely=False, seed=0) -> tuple[Task, Rows]:
    """A task and its data; every label occurs, and so does its absence, as far as the rows suffice."""
    rng = np.random.default_rng(seed)
    features = rng.normal(size=(rows, modalities * WIDTH)).astype(np.float32)
    features[rng.random(features.shape) < 0.5] = 0
    targets = (rng.random((rows, labels)) < 0.4).astype(np.uint8)
    targets[:2] = np.stack([np.arange(labels) % 2, np.arange(labels) % 2 == 0])[:rows]
    instances = Instances(
        features=sparse.csr_matrix(features) if sparsely else features,
        targets=targets,
        labels=tuple(f"label{number}" for number in range(labels)),
        feature_names=tuple(map(str, range(features.shape[1]))),
    )
    data = Rows.from_instances(instances, np.arange(rows))
    return task_of(data, modalities), data


def task_of(data: Rows, modalities=4) -> Task:
    return Task(
        name="small",
        labels=tuple(f"label{number}" for number in range(data.targets.shape[1])),
        modalities=tuple(Modality(f"m{m}", m * WIDTH, (m + 1) * WIDTH) for m in range(modalities)),
        instances=len(data),
        positives=tuple(data.targets.sum(0).int().tolist()),
    )


@functools.cache
def composed(*overrides: str) -> Config:
    """`python run.py <overrides>` for a data set that no paper has settings for."""
    narrower = [change for choice in overrides for change in NARROWER.get(choice, [])]
    return configure([*SMALL, *narrower, *overrides])


@functools.cache
def assembled(*overrides: str) -> Pieces:
    return assemble(composed(*overrides))


# A file of one's own with four modalities and an official split. It is not read here, so any file will do.
SMALL = [
    "dataset=npz",
    f"dataset.path={__file__}",
    f"dataset.test={__file__}",
    "dataset.name=small",
    "dataset.modalities={m0:[0,5],m1:[6,11],m2:[12,17],m3:[18,23]}",
]

# Of networks with millions of weights: nothing that is asked of them here depends on how many there are.
NARROWER = {"method=lamp": ["method.width=32", "method.hidden=32", "method.head_width=16"]}


def train_plainly(method, data, pieces, steps=5, lr=0.01, enough=0.0) -> list[list[float]]:
    """All stages in full batches, every part being `data`; each stage's losses.

    A stage ends early once its loss is below `enough` times its first.
    """
    parts = [part for part in pieces.split.parts if part != "test"]
    losses = []
    method.train()
    for stage in method.stages(dict.fromkeys(parts, data)):
        losses.append([])
        if stage.solve:
            stage.solve(stage.data)
            continue
        optimizer = torch.optim.Adam([p for p in stage.module.parameters() if p.requires_grad], lr)
        for _ in range(steps):
            loss = stage.module.loss(stage.data.batch(torch.arange(len(stage.data))))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            getattr(stage.module, "after_step", int)()
            losses[-1].append(loss.item())
            if losses[-1][-1] < enough * losses[-1][0]:
                break
    method.eval()
    return losses


@pytest.fixture
def problem():
    return make_problem


@pytest.fixture
def pieces():
    return assembled


@pytest.fixture
def configured():
    return composed


@pytest.fixture
def combined():
    """combined("method=ant", "split=kfold") is the configuration of both, put together from those of each."""

    def combined(first, second):
        group, name = second.split("=")
        config, other = composed(first), composed(second)
        changes = {group: getattr(other, group), "choices": config.choices | {group: name}}
        return config.model_copy(update=changes)

    return combined


@pytest.fixture
def learn():
    return train_plainly


@pytest.fixture
def everything():
    """All of some data as one batch."""
    return lambda data: data.batch(torch.arange(len(data)))
