"""Shows how far a training is: by a bar on a terminal, by a line now and then elsewhere."""

import contextlib
import sys
import time
from collections.abc import Callable, Iterator
from datetime import timedelta

from mlbench.engine.plan import Plan

Tell = Callable[[int, float, float | None], None]  # epoch, share of all epochs that is done, last loss

SECONDS = 30  # from one line to the next


class Lines:
    """Prints a line at most once in SECONDS, and none for a training that ends before that."""

    def __init__(self, label: str, epochs: int, done: float = 0.0):
        """`done`: the share of the training that an earlier process did."""
        self.label, self.epochs, self.done = label, epochs, done
        self.begun = self.told = time.monotonic()
        self.wanted = not sys.stderr.isatty()

    @property
    def due(self) -> bool:
        return self.wanted and time.monotonic() - self.told >= SECONDS

    def tell(self, epoch: int, done: float, loss: float | None) -> None:
        """`epoch` is the current one, `done` the share of all epochs that is done, `loss` the last one."""
        self.told = time.monotonic()
        time_left = remaining(self.told - self.begun, done - self.done, 1 - done)
        shown = "-" if loss is None else f"{loss:.4f}"
        text = f"{self.label} · epoch {min(epoch, self.epochs)}/{self.epochs} · loss {shown} · {time_left}"
        print(text, file=sys.stderr, flush=True)


def remaining(seconds: float, done: float, rest: float) -> str:
    """The time left, if the rest goes as fast as what was done."""
    return f"{timedelta(seconds=round(seconds * rest / done))} left" if done > 0 else "time left unknown"


@contextlib.contextmanager
def progress(label: str, plan: Plan, done: float, rank: int) -> Iterator[Tell]:
    """A function that shows a training's progress; an earlier process did the share `done`. Of several
    processes the first one shows it.
    """
    if not plan.train.progress or rank:
        yield lambda *_: None
    elif sys.stderr.isatty():
        with bar(label, plan.epochs) as tell:
            yield tell
    else:
        lines = Lines(label, plan.epochs, done)
        yield lambda *news: lines.tell(*news) if lines.due else None


@contextlib.contextmanager
def bar(label: str, epochs: int) -> Iterator[Tell]:
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

    columns = [TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn(), TimeRemainingColumn()]
    with Progress(*columns, console=Console(stderr=True), transient=True) as shown:
        task = shown.add_task(label, total=1.0)

        def tell(epoch: int, done: float, loss: float | None) -> None:
            loss_text = "-" if loss is None else f"{loss:.4f}"
            text = f"{label} · epoch {min(epoch, epochs)}/{epochs} · loss {loss_text}"
            shown.update(task, completed=done, description=text)

        yield tell
