"""Damaged files: whatever their bytes, a reader gives right instances or one sentence, in bounds.

A few files of each kind are read; `pytest tests/data/formats/test_fuzz.py --fuzz 5000` reads 5,000 of each.
What fails there is put into ONCE by its kind and number.
"""

import faulthandler
import os
import pickle
import resource
import signal
import tempfile
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random

import numpy as np
import pytest
from scipy import sparse

from damaged import DENSE_ARFF, SAMPLES, SPARSE_ARFF, lay
from mlbench.data.instances import Instances
from mlbench.errors import UserError

MEMORY = 768 << 20  # bytes that reading a few kilobytes may take
SECONDS = 20  # of the processor

# Of each kind, those that once were a dead process, a trace, gigabytes or a page of text.
ONCE = {
    "arff": [49, 106],
    "arff numbers": [31, 143],
    "arff packed": [29, 86, 108],
    "arff sparse": [141],
    "arff sparse numbers": [146],
    "arrow stream": [45],
    "csv lists": [39],
    "csv packed": [34, 78],
    "libsvm": [3, 20, 68, 121],
    "libsvm packed": [0, 11, 42, 67, 128],
    "libsvm sized": [0, 125, 130],
    "matlab": [82, 117, 120],
    "matlab 4": [40],
    "matlab 4 sparse": [8, 78],
    "matlab sparse": [2, 37, 73, 95, 97, 140],
    "matlab sparse packed": [74, 104, 110],
    "mulan": [13, 37, 108, 130],
    "mulan sparse": [47, 56, 60, 115],
    "npz members": [3, 16, 22, 23, 33, 34, 75, 114],
    "npz sparse": [6, 7, 10, 41, 52, 105],
}


def outcome(read: Callable[[], Instances], folder: Path) -> str:
    """ "whole", "refused", or what is wrong."""
    try:
        found = read()
    except UserError as error:
        said = str(error)
        if not said.strip() or len(said.splitlines()) > 1 or str(folder) not in said:
            return f"no sentence that names the file: {said[:500]!r}"
        if len(said) > 2000:
            return f"a sentence of {len(said)} characters: {said[:200]!r}"
        return "refused"
    except BaseException:
        return traceback.format_exc(limit=-4)
    return "whole" if is_sound(found) else f"instances that cannot be: {found}"[:1000]


def is_sound(found: Instances) -> bool:
    if sparse.issparse(found.features):
        found.features.check_format(full_check=True)
        numbers = found.features.data
        ordered = found.features.has_canonical_format
    else:
        numbers, ordered = found.features, True
    names = len(set(found.labels)) == len(found.labels)
    return bool(np.isfinite(numbers).all() and ordered and names and (found.targets <= 1).all())


def forked(cases: list, do: Callable[[object], str]) -> Iterator[tuple[object, str]]:
    """What `do` says of each case, in processes of bounded memory that may die of it."""
    left = list(cases)
    while left:
        inward, outward = os.pipe()
        child = os.fork()
        if not child:
            os.close(inward)
            serve(outward, left, do)
        os.close(outward)
        with os.fdopen(inward, "rb") as answers:
            while True:
                try:
                    said = pickle.load(answers)
                except (EOFError, pickle.UnpicklingError):
                    break
                yield left.pop(0), said
        _, status = os.waitpid(child, 0)
        if left and os.waitstatus_to_exitcode(status):
            yield left.pop(0), f"the process died: {os.waitstatus_to_exitcode(status)}"


def serve(outward: int, cases: list, do: Callable[[object], str]) -> None:
    status = 1
    try:
        taken = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (taken + MEMORY, taken + MEMORY))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        signal.signal(signal.SIGPROF, signal.SIG_DFL)
        faulthandler.disable()
        with os.fdopen(outward, "wb") as answers:
            for case in cases:
                signal.setitimer(signal.ITIMER_PROF, SECONDS)
                pickle.dump(do(case), answers)
                answers.flush()
        status = 0
    finally:
        os._exit(status)


def of_damaged(case: tuple[str, int]) -> str:
    kind, number = case
    with tempfile.TemporaryDirectory() as folder:
        path = lay(SAMPLES[kind], Path(folder), Random(f"{kind} {number}"))
        return outcome(lambda: SAMPLES[kind].read(path), Path(folder))


def test_every_sample_is_whole(tmp_path):
    for kind, sample in SAMPLES.items():
        assert outcome(lambda sample=sample: sample.read(lay(sample, tmp_path)), tmp_path) == "whole", kind


@pytest.mark.parametrize("kind", SAMPLES)
def test_a_damaged_file_is_read_or_refused(kind, pytestconfig):
    numbers = {*range(pytestconfig.getoption("fuzz")), *ONCE.get(kind, ())}
    found = dict(forked([(kind, number) for number in sorted(numbers)], of_damaged))
    assert not {case: said for case, said in found.items() if said not in ("whole", "refused")}
    assert len(found) == len(numbers)


LONG = 1_000_000
LONG_ROWS = {
    "spaces": SPARSE_ARFF.replace(b"3 grey", b"3 'gr" + b" " * LONG + b"ey' x"),
    "spaces beside quotes": DENSE_ARFF.replace(b"-3,", b"-3" + b" " * LONG + b"1,"),
    "quotes without an end": DENSE_ARFF.replace(b"7,", b"\\'" * LONG + b" % "),
    "a word like a value": DENSE_ARFF.replace(b"{blue", b"{" + b"b" * LONG).replace(
        b"7,", b"7,'" + b"bl" * LONG
    ),
    "entries": SPARSE_ARFF.replace(b"3 grey", b"3 grey '" + b"  x" * LONG),
}


@pytest.mark.parametrize("row", LONG_ROWS)
def test_a_long_row_takes_no_longer_than_its_length(tmp_path, row):
    (tmp_path / "set.arff").write_bytes(LONG_ROWS[row])

    def read(case: str) -> str:
        return outcome(lambda: SAMPLES["arff"].read(tmp_path / "set.arff"), tmp_path)

    assert dict(forked([row], read)) == {row: "refused"}


def test_what_reading_does_to_the_process_is_seen():
    """That the test above can fail, and how."""

    def do(case: str) -> str:
        if case == "dies":
            os.kill(os.getpid(), signal.SIGSEGV)
        return outcome({"eats": lambda: np.ones(MEMORY // 4), "raises": lambda: 1 // 0}[case], Path("/here"))

    found = dict(forked(["raises", "dies", "eats", "raises"], do))
    assert found["dies"] == "the process died: -11"
    assert "ZeroDivisionError" in found["raises"] and "Unable to allocate" in found["eats"]
