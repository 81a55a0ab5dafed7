"""Times two functions in turn, so that other load on the machine meets both alike."""

import gc
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Row:
    """One comparison: seconds of ours and of the other, repeat by repeat."""

    name: str
    against: str  # what ours is compared with
    ours: list[float]
    other: list[float]
    notes: dict[str, Any] = field(default_factory=dict)

    def content(self) -> dict[str, Any]:
        ratios = [ours / other for ours, other in zip(self.ours, self.other)]
        return {
            "name": self.name,
            "against": self.against,
            "ours": spread(self.ours) | {"seconds": self.ours},
            "other": spread(self.other) | {"seconds": self.other},
            "ratio": spread(ratios),
            "notes": self.notes,
        }


def spread(values: list[float]) -> dict[str, float]:
    return {"min": min(values), "median": statistics.median(values), "max": max(values)}


def compare(
    name: str,
    against: str,
    ours: Callable[[], Any],
    other: Callable[[], Any],
    repeats: int,
    agree: Callable[[Any, Any], dict[str, Any]] | None = None,
) -> Row:
    """Calls both once unmeasured, then in turn, beginning with the one and with the other alternately.

    `agree` gets the results of the unmeasured calls, and notes whether both did the same work.
    """
    first = ours(), other()
    notes = agree(*first) if agree else {}
    del first
    seconds: dict[Callable, list[float]] = {ours: [], other: []}
    for repeat in range(repeats):
        for action in (ours, other) if repeat % 2 == 0 else (other, ours):
            seconds[action].append(timed(action))
    return Row(name, against, seconds[ours], seconds[other], notes)


def timed(action: Callable[[], Any]) -> float:
    gc.collect()
    started = time.perf_counter()
    action()
    return time.perf_counter() - started


def python(*arguments: str, **options: Any) -> str:
    """What a fresh Python process prints; raises with its errors if it fails."""
    done = subprocess.run([sys.executable, *arguments], capture_output=True, text=True, **options)
    if done.returncode:
        raise RuntimeError(f"python {' '.join(arguments)} failed: {done.stderr.strip()}")
    return done.stdout
