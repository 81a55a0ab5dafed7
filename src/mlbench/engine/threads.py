"""How many threads share an operation: one where operations are small, as many as torch takes elsewhere."""

import os

import torch
from torch import nn

from mlbench.config import Train

# Multiply-adds of a forward pass, a batch through every weight: below this, waking a second thread costs more
# than it does. A 294-256-6 network at batch 64 has 5 million, a 2048-1024-983 one at batch 128 has 400.
ENOUGH = 100_000_000


def use(train: Train, module: nn.Module | None = None, batch_size: int = 0, replicas: int = 1) -> None:
    """Sets what train.threads asks for; `auto` goes by the module, and is one thread where there is none."""
    if train.threads == "auto":
        weights = sum(parameter.numel() for parameter in module.parameters()) if module else 0
        alone = weights * batch_size * replicas < ENOUGH
        torch.set_num_threads(1 if alone else ALL)
    elif train.threads:
        torch.set_num_threads(train.threads)


def _all() -> int:
    """torch's own choice, before anybody made another: OMP_NUM_THREADS, else the cores."""
    asked = os.environ.get("OMP_NUM_THREADS", "")
    return int(asked) if asked.isdecimal() and int(asked) else torch.get_num_threads()


ALL = _all()
