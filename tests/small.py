"""A task and data of a few columns."""

import torch

from mlbench.data.rows import Rows
from mlbench.data.task import Modality, Task


def small_task(labels, features=5):
    names = tuple(f"label {number}" for number in range(labels))
    return Task("small", names, (Modality("features", 0, features),), 20, (5,) * labels)


def small_data(labels, rows=40, features=5):
    targets = (torch.rand(rows, labels) < 0.4).float()
    return Rows(torch.randn(rows, features), targets, torch.arange(rows))
