"""Seeds for every purpose of a run, all derived from the run's seed."""

import functools
import random
import zlib

import numpy as np


@functools.lru_cache(maxsize=10_000)  # runs side by side, and one after the other, ask for the same
def derive(seed: int, *words: str | int) -> int:
    """A seed for each purpose that `words` name, so that a new purpose never shifts the draws of another."""
    entropy = [seed, *(zlib.crc32(str(word).encode()) for word in words)]
    return int(np.random.SeedSequence(entropy).generate_state(1, np.uint64)[0] >> np.uint64(1))


def seed_everything(seed: int) -> None:
    """Seeds the global generators of Python, numpy and torch (all devices)."""
    import torch  # late: a split needs seeds, and is checked before torch is there

    random.seed(seed)
    np.random.seed(seed % 2**32)  # noqa: NPY002 (libraries that draw from it must repeat as well)
    # Without a GPU torch.manual_seed notes where it was called, for each kind of device that may come yet.
    (torch if torch.accelerator.is_available() else torch.default_generator).manual_seed(seed)
