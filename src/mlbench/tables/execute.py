"""Runs what a plan lacks: here, or wherever a Hydra launcher takes it, under one bar."""

import contextlib
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence

from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.core.plugins import Plugins
from hydra.types import HydraContext
from omegaconf import DictConfig

from mlbench import experiment
from mlbench.cli import execute as run_composed
from mlbench.cli import expected, sentence
from mlbench.compose import chosen_names, config_dir
from mlbench.config import but_for_numbers
from mlbench.engine import progress
from mlbench.engine.many import REPLICAS
from mlbench.errors import trace
from mlbench.results import store
from mlbench.tables.plan import Run
from mlbench.tables.processes import side_by_side

SECONDS_BETWEEN_LOOKS = 0.5


def run_missing(runs: Sequence[Run], launcher: list[str], processes: int = 1) -> None:
    """Runs without a record yet, all of them; one that fails leaves word in its folder, and the rest goes on.

    `launcher` are overrides of Hydra's, `hydra/launcher=joblib`; none: in this process, one after the other,
    or in several of this machine.
    """
    with watched(runs):
        if launcher:
            _launch(runs, launcher)
        elif processes > 1:
            side_by_side(_in_turn, runs, processes)
        else:
            _in_turn(list(runs))


def _in_turn(todo: list[Run], worker: int = 0) -> None:
    """Here, those that can be trained as one together. What another process works on is left to it, and
    looked at again at the end. Each `worker` begins with something else."""
    groups: dict[str, list[Run]] = {}
    for run in todo:
        alike = but_for_numbers(run.config) if run.config.engine == "auto" else run.key
        groups.setdefault(alike, []).append(run)
    waiting = [group[i : i + REPLICAS] for group in groups.values() for i in range(0, len(group), REPLICAS)]
    waiting = _beginning(waiting, worker) if waiting else []
    while waiting:
        free = [group for group in waiting if not any(store.claimed(run.folder) for run in group)]
        if not free:
            time.sleep(SECONDS_BETWEEN_LOOKS)
            waiting = [[run for run in group if run.state != "finished"] for group in waiting]
            waiting = [group for group in waiting if group]
            continue
        group = _apart(free, waiting)
        waiting.remove(group)
        missing = [run for run in group if run.state != "finished"]
        busy = _together(missing)
        waiting += [busy] if busy else []


def _beginning(groups: list[list[Run]], worker: int) -> list[list[Run]]:
    """Another one of them first for every worker: with data of its own while there are such."""
    data = [group[0].config.dataset.get("name") for group in groups]
    own = [number for number, name in enumerate(data) if name not in data[:number]]
    begin = [*own, *(number for number in range(len(groups)) if number not in own)]
    first = begin[worker % len(begin)]
    return [groups[first], *groups[:first], *groups[first + 1 :]]


def _apart(free: list[list[Run]], waiting: list[list[Run]]) -> list[Run]:
    """The first group with whose data nobody is at work: two that are would wait for the same stages."""
    busy = {
        group[0].config.dataset["name"]
        for group in waiting
        if group not in free and "name" in group[0].config.dataset
    }
    return next((group for group in free if group[0].config.dataset.get("name") not in busy), free[0])


def _together(runs: list[Run]) -> list[Run]:
    """Those that another process turned out to hold."""
    ended = experiment.run_all([run.config for run in runs], wait=False)
    for error in ended:
        if isinstance(error, Exception) and not isinstance(error, store.Busy):
            _tell(error)
    return [run for run, error in zip(runs, ended) if isinstance(error, store.Busy)]


def _launch(todo: Sequence[Run], launcher: list[str]) -> None:
    """Through one of Hydra's launchers, as `run.py -m` would."""
    GlobalHydra.instance().clear()
    with initialize_config_dir(config_dir=str(config_dir()), version_base="1.3"):
        config = compose("config", overrides=[*launcher, "hydra.mode=MULTIRUN"], return_hydra_config=True)
        hydra = GlobalHydra.instance().hydra
        context = HydraContext(config_loader=hydra.config_loader, callbacks=_no_callbacks())
        HydraConfig.instance().set_config(config)
        chosen = Plugins.instance().instantiate_launcher(
            hydra_context=context, task_function=job, config=config
        )
        chosen.launch([list(run.overrides) for run in todo], initial_job_idx=0)


def job(composed: DictConfig) -> None:
    """One run, in whatever process the launcher started."""
    chosen = chosen_names(HydraConfig.get().runtime.choices, composed)
    _guarded(lambda: run_composed(composed, chosen))


def _guarded(run: Callable) -> None:
    try:
        run()
    except Exception as error:
        _tell(error)


def _tell(error: Exception) -> None:
    """A failure stays with its run, whose folder says why; an unexpected one shows its trace, too."""
    if not expected(error):
        print(trace(error), end="", file=sys.stderr)
    print(f"mlbench: {sentence(error)}", file=sys.stderr)


def _no_callbacks():
    from hydra._internal.callbacks import Callbacks  # HydraContext asks for one

    return Callbacks()


@contextlib.contextmanager
def watched(runs: Sequence[Run]) -> Iterator[None]:
    """One bar over all runs, whoever does them: it looks at their folders. No terminal: a line a run."""
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
    left, done, begun = list(runs), 0, time.monotonic()
    told = begun
    with Progress(*columns, console=console, transient=True, disable=not sys.stderr.isatty()) as bar:
        task = bar.add_task("", total=len(runs))
        while True:
            last_look = over.is_set()
            for run in [run for run in left if run.state == "finished"]:
                left.remove(run)
                done += 1
                name = " ".join(
                    word for word in run.overrides if not word.startswith(("paths.", "train.pro"))
                )
                bar.update(task, completed=done, description=name[:60])
                if bar.disable:
                    print(f"{done}/{len(runs)}  {name}", file=sys.stderr, flush=True)
                    told = time.monotonic()
            if bar.disable and time.monotonic() - told >= progress.SECONDS:
                told = time.monotonic()
                after = progress.remaining(told - begun, done, len(left))
                print(f"{done}/{len(runs)}  {after}", file=sys.stderr, flush=True)
            if last_look:
                return
            over.wait(SECONDS_BETWEEN_LOOKS)
