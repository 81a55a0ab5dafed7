"""What tests of methods of several modalities share: a task of some widths, doubles, random data."""

from itertools import accumulate, pairwise

import numpy as np
import torch

from mlbench.data.rows import Batch
from mlbench.data.task import Modality, Task


def task_of(widths, labels):
    edges = pairwise(accumulate(widths, initial=0))
    modalities = tuple(Modality(f"m{number}", *edge) for number, edge in enumerate(edges))
    return Task("made up", tuple(f"label{number}" for number in range(labels)), modalities, 8, (3,) * labels)


def doubles(values):
    return torch.as_tensor(values, dtype=torch.float64)


def batch_of(x, y, has=None):
    """`has` says which modalities a row has: by default all."""
    extra = {} if has is None else {"present": doubles(has)}
    return Batch(doubles(x), doubles(y), torch.arange(len(x)), extra)


def having(rng, rows, count):
    """Which of `count` modalities a row has: at random, never none."""
    has = (rng.random((rows, count)) < 0.6).astype(float)
    has[np.arange(rows), rng.integers(0, count, rows)] = 1
    return has


def random_data(rng, rows=4):
    """Widths of 2 to 5 modalities, features, and targets of 1 to 4 labels."""
    widths = tuple(rng.integers(1, 4, rng.integers(2, 6)).tolist())
    x = rng.normal(size=(rows, sum(widths)))
    return widths, x, (rng.random((rows, rng.integers(1, 5))) < 0.4).astype(float)
