"""Memory that is freed is there for the next to ask."""

import platform
import subprocess
import sys

import pytest

from mlbench.engine import memory

FAULTS = """
import resource, runpy, sys
import numpy as np
keep_freed = runpy.run_path(sys.argv[1])["keep_freed"]  # without Lightning

def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    np.zeros(2**23).fill(1)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

print(faults(), faults())
keep_freed()
faults()
print(faults(), faults())
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc can be told")
def test_a_block_that_is_asked_for_again_is_not_mapped_anew():
    done = subprocess.run(
        [sys.executable, "-c", FAULTS, memory.__file__], capture_output=True, text=True, check=True
    )
    before, after = [list(map(int, line.split())) for line in done.stdout.splitlines()]
    assert max(after) < 0.1 * min(before)
