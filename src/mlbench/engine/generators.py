"""The global generators that a method may draw from: their states, kept and set again."""

import random
from typing import Any

import numpy as np
import torch

from mlbench.seeding import derive, seed_everything


def generators() -> dict[str, Any]:
    """The state of every global generator, as tensors and numbers."""
    (version, words, gauss), (name, keys, *rest) = random.getstate(), np.random.get_state()  # noqa: NPY002
    state = {
        "python": [version, torch.tensor(words), gauss],
        "numpy": [name, torch.from_numpy(np.asarray(keys, np.int64)), *rest],
        "torch": torch.get_rng_state(),
    }
    return state | ({"cuda": torch.cuda.get_rng_state()} if torch.cuda.is_available() else {})


def set_generators(state: dict[str, Any]) -> None:
    version, words, gauss = state["python"]
    random.setstate((version, tuple(words.tolist()), gauss))
    name, keys, *rest = state["numpy"]
    np.random.set_state((name, keys.numpy().astype(np.uint32), *rest))  # noqa: NPY002
    torch.set_rng_state(state["torch"])
    if "cuda" in state:
        torch.cuda.set_rng_state(state["cuda"])


def begin_drawing(kept: list[dict[str, Any]], rank: int, seed: int) -> None:
    """Each rank goes on where it stood. A new one begins with the seed, whatever a rehearsal drew before, or
    beside the first one with a seed of its own: its rows are others.
    """
    if rank < len(kept):
        set_generators(kept[rank])
    else:
        seed_everything(derive(seed, "rank", rank) if rank else seed)
