"""Memory that is freed is there for the next to ask."""

import platform
import resource

import pytest
import torch

from mlbench.engine.memory import keep_freed


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc can be told")
def test_a_block_that_is_asked_for_again_is_not_mapped_anew():
    keep_freed()
    pages = resource.getpagesize()

    def faults() -> int:
        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
        torch.zeros(64 * 2**20, dtype=torch.uint8).add_(1)
        return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

    faults()
    assert faults() < 64 * 2**20 / pages / 10
