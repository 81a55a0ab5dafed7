"""The states of the global generators that a method may draw from: kept, and set again."""

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
    """A rank with a kept state goes on from it. A new rank begins anew, whatever a rehearsal drew: the first
    with `seed`, every other with a seed of its own, since its rows are others.
    """
    if rank < len(kept):
        set_generators(kept[rank])
    else:
        seed_everything(derive(seed, "rank", rank) if rank else seed)
