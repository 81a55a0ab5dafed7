"""How far a training is: a bar on a terminal, a line now and then elsewhere."""

import contextlib
import sys
import time
from collections.abc import Callable, Iterator
from datetime import timedelta

from mlbench.engine.plan import Plan

Tell = Callable[[int, float, float | None], None]  # of an epoch, the share of all that is done, the last loss

SECONDS = 30  # from one line to the next


class Lines:
    """Tells at most once in SECONDS, and nothing of what ends before that."""

    def __init__(self, label: str, epochs: int, done: float = 0.0):
        """`done`: the share of the training that an earlier process did."""
        self.label, self.epochs, self.done = label, epochs, done
        self.begun = self.told = time.monotonic()
        self.wanted = not sys.stderr.isatty()

    @property
    def due(self) -> bool:
        return self.wanted and time.monotonic() - self.told >= SECONDS

    def tell(self, epoch: int, done: float, loss: float | None) -> None:
        """Of the epoch at hand, with the share of all epochs that is done, and the last loss there is."""
        self.told = time.monotonic()
        left = remaining(self.told - self.begun, done - self.done, 1 - done)
        shown = "-" if loss is None else f"{loss:.4f}"
        text = f"{self.label} · epoch {min(epoch, self.epochs)}/{self.epochs} · loss {shown} · {left}"
        print(text, file=sys.stderr, flush=True)


def remaining(seconds: float, done: float, left: float) -> str:
    """What is left takes as long as what was done took."""
    return f"{timedelta(seconds=round(seconds * left / done))} left" if done > 0 else "time left unknown"


@contextlib.contextmanager
def progress(label: str, plan: Plan, done: float, rank: int) -> Iterator[Tell]:
    """What tells of a training, of which `done` was done before; of several processes the first one tells."""
    if not plan.train.progress or rank:
        yield lambda *_: None
    elif sys.stderr.isatty():
        with bar(label, plan.epochs) as tell:
            yield tell
    else:
        lines = Lines(label, plan.epochs, done)
        yield lambda *of: lines.tell(*of) if lines.due else None


@contextlib.contextmanager
def bar(label: str, epochs: int) -> Iterator[Tell]:
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

    columns = [TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn(), TimeRemainingColumn()]
    with Progress(*columns, console=Console(stderr=True), transient=True) as shown:
        task = shown.add_task(label, total=1.0)

        def tell(epoch: int, done: float, loss: float | None) -> None:
            said = "-" if loss is None else f"{loss:.4f}"
            text = f"{label} · epoch {min(epoch, epochs)}/{epochs} · loss {said}"
            shown.update(task, completed=done, description=text)

        yield tell
