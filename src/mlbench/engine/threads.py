"""How many threads share an operation: one if operations are small, else as many as torch chooses. A
convolution is none of the small: it uses each of its weights at every place of an image.
"""

import os

import torch
from torch import nn

from mlbench.config import Train

# Multiply-adds of a forward pass of one batch: below this number, waking a second thread costs more than it
# saves. A 294-256-6 network at batch 64 has 5 million, a 2048-1024-983 one at batch 128 has 400.
ENOUGH = 100_000_000


def use(train: Train, module: nn.Module | None = None, batch_size: int = 0, replicas: int = 1) -> None:
    """Sets the number of threads; `auto` depends on the module's size, and is 1 without a module."""
    if train.threads == "auto":
        parts = module.modules() if module else ()
        weights = sum(parameter.numel() for parameter in module.parameters()) if module else 0
        alone = weights * batch_size * replicas < ENOUGH
        alone = alone and not any(isinstance(part, nn.modules.conv._ConvNd) for part in parts)
        torch.set_num_threads(1 if alone else ALL)
    elif train.threads:
        torch.set_num_threads(train.threads)


def _all() -> int:
    """The number that torch chooses at its start: OMP_NUM_THREADS, else the cores."""
    wished = os.environ.get("OMP_NUM_THREADS", "")
    return int(wished) if wished.isdecimal() and int(wished) else torch.get_num_threads()


ALL = _all()
