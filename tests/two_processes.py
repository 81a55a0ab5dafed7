"""What one of two processes under gloo does, where a test starts both."""

from typing import Any

import numpy as np
import torch
import torch.distributed

from mlbench.metrics.streamed import Streamed


def measure_together(
    rank: int, meeting: str, said: Any, given: list, scores: np.ndarray, targets: np.ndarray, size: int
) -> None:
    """Says what it measures of all rows when it has seen its own, in batches of a size of its own."""
    torch.distributed.init_process_group("gloo", init_method=meeting, rank=rank, world_size=2)
    for name, counted in given:
        streamed = Streamed(name, cut=0.5, counted=counted)
        for start in range(0, len(scores), size):
            rows = slice(start, start + size)
            streamed.update(torch.from_numpy(scores[rows]), torch.from_numpy(targets[rows]))
        said.put((name, streamed.compute().item()))
    torch.distributed.barrier()
    torch.distributed.destroy_process_group()
