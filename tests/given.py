"""What tests of methods that draw share: noise drawn before, and parameters by the names of a reference."""

import numpy as np
import torch
from torch import nn

from mlbench.data.rows import Batch
from mlbench.data.task import Modality, Task


class Given(nn.Module):
    """Hands out noise in the order in which it is asked for."""

    def __init__(self, *noises):
        super().__init__()
        self.draws = []
        self.noises = [torch.tensor(np.array(noise), dtype=torch.float64) for noise in noises]

    def forward(self, like):
        noise = self.noises.pop(0)
        assert noise.shape == like.shape
        return noise.to(like)


def task_of(features, labels):
    names = tuple(f"label{number}" for number in range(labels))
    return Task("drawn", names, (Modality("features", 0, features),), 8, (3,) * labels)


def batch_of(x, y):
    x, y = torch.tensor(x, dtype=torch.float64), torch.tensor(y, dtype=torch.float64)
    return Batch(x, y, torch.arange(len(x)))


def take(module, names, parameters):
    """`names`: a parameter of the module → those of the reference that it has one above the other."""
    with torch.no_grad():
        for name, theirs in names.items():
            module.get_parameter(name).copy_(torch.cat([torch.tensor(parameters[own]) for own in theirs]))


def gradients_of(module, names):
    """By the names of the reference."""
    found = {}
    for name, theirs in names.items():
        found |= dict(zip(theirs, module.get_parameter(name).grad.chunk(len(theirs)), strict=True))
    return found


def layers(ours, theirs):
    """Weight and bias of a layer; `theirs` may be two names, of the halves of ours."""
    pair = [theirs] if isinstance(theirs, str) else theirs
    return {f"{ours}.{kind}": [f"{own}.{kind}" for own in pair] for kind in ("weight", "bias")}
