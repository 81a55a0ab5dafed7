"""How far a training is, in a line now and then, where no terminal shows a bar."""

import sys
import time
from datetime import timedelta

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
