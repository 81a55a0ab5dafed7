"""What tests of methods of several modalities share: a task of some widths, a batch of doubles."""

from itertools import accumulate, pairwise

import torch

from mlbench.data.rows import Batch
from mlbench.data.task import Modality, Task


def task_of(widths, labels):
    edges = pairwise(accumulate(widths, initial=0))
    modalities = tuple(Modality(f"m{number}", *edge) for number, edge in enumerate(edges))
    return Task("made up", tuple(f"label{number}" for number in range(labels)), modalities, 8, (3,) * labels)


def doubles(values):
    return torch.tensor(values, dtype=torch.float64)


def batch_of(x, y):
    return Batch(doubles(x), doubles(y), torch.arange(len(x)))
