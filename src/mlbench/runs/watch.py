"""One progress bar for many runs, whichever process trains them."""

import contextlib
import sys
import threading
import time
from collections.abc import Iterator, Sequence

from mlbench.engine import progress
from mlbench.runs.run import Run

SECONDS_BETWEEN_LOOKS = 0.5


@contextlib.contextmanager
def watched(runs: Sequence[Run]) -> Iterator[None]:
    """A bar that counts the runs whose folders have a record. Where there is no terminal, a line a run."""
    over = threading.Event()
    thread = threading.Thread(target=_watch, args=(runs, over), daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def _watch(runs: Sequence[Run], over: threading.Event) -> None:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    console = Console(stderr=True, soft_wrap=True, highlight=False)
    columns = [MofNCompleteColumn(), BarColumn(), TextColumn("{task.description}"), TimeRemainingColumn()]
    unfinished, done, begun = list(runs), 0, time.monotonic()
    printed = begun
    with Progress(*columns, console=console, transient=True, disable=not sys.stderr.isatty()) as bar:
        task = bar.add_task("", total=len(runs))
        while True:
            last_look = over.is_set()
            for run in [run for run in unfinished if run.state == "finished"]:
                unfinished.remove(run)
                done += 1
                name = " ".join(run.words)
                bar.update(task, completed=done, description=name[:60])
                if bar.disable:
                    print(f"{done}/{len(runs)}  {name}", file=sys.stderr, flush=True)
                    printed = time.monotonic()
            if bar.disable and time.monotonic() - printed >= progress.SECONDS:
                printed = time.monotonic()
                after = progress.remaining(printed - begun, done, len(unfinished))
                print(f"{done}/{len(runs)}  {after}", file=sys.stderr, flush=True)
            if last_look:
                return
            over.wait(SECONDS_BETWEEN_LOOKS)
