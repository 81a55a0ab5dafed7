"""A budget of processor seconds for a run: one that takes more is over, and its folder says so."""

import contextlib
import signal
from collections.abc import Iterator

from mlbench.errors import UserError


class OutOfTime(UserError):
    """A run has taken more than launch.seconds. It is not made again by itself: that is its result."""


@contextlib.contextmanager
def limited(seconds: float | None) -> Iterator[None]:
    """Raises OutOfTime once this process has worked so many seconds in the block, however long it waited.

    A long call into a library delays the exception: Python raises it between two steps of its own.
    """
    if not seconds:
        yield
        return

    def over(*_: object) -> None:
        raise OutOfTime(f"took more than {seconds:g} processor seconds, launch.seconds")

    before = signal.signal(signal.SIGPROF, over)
    signal.setitimer(signal.ITIMER_PROF, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)
