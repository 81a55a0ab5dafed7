"""The jobs of a sweep: in this process, those that may be trained as one as a stack; or by another launch.

Hydra hands over one job at a time. All jobs of the sweep are composed when it starts, so that the first job
of a group runs the whole group, or a launch has run all; the others then find their outcomes.
"""

from collections.abc import Sequence
from pathlib import Path

from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.override_parser.overrides_parser import OverridesParser

from mlbench import experiment
from mlbench.config import Config
from mlbench.errors import UserError
from mlbench.results import store
from mlbench.results.record import Record
from mlbench.runs.composed import composed, located
from mlbench.runs.groups import grouped
from mlbench.runs.launched import launch_of, launched

ahead: dict[str, list[Config]] = {}  # the group of each run that has not begun
ended: dict[str, tuple[Record, Path] | Exception] = {}  # outcomes of runs that ended with their group


def foresee(overrides: list[str], words: list[str]) -> None:
    """Composes every job of the sweep, and has them run if they go to other processes."""
    ahead.clear()
    ended.clear()
    parsed = OverridesParser.create().parse_overrides(overrides)
    search_path = [word for word in words if word.startswith("hydra.searchpath=")]
    jobs = BasicSweeper.split_arguments(parsed, None)[0]
    made = {
        config.model_dump_json(): (config, [*job, *search_path])
        for job, config in zip(jobs, composed(jobs, search_path))
        if isinstance(config, Config)  # else the job itself says what is wrong
    }
    configs = [config for config, _ in made.values()]
    if configs and not launch_of(configs[0]).in_this_process:
        elsewhere(configs, [job for _, job in made.values()])
    for group in grouped(configs):
        ahead.update({config.model_dump_json(): group for config in group})


def elsewhere(configs: Sequence[Config], jobs: Sequence[Sequence[str]]) -> None:
    """Has the runs made that have no record, or are asked for again, and keeps their outcomes."""
    plain = [config.model_copy(update={"force": False}) for config in configs]
    words = [[word for word in job if not word.startswith("force=")] for job in jobs]
    todo = {
        config.model_dump_json(): run
        for config, run in zip(configs, located(plain, words))
        if config.force or run.state != "finished"
    }
    for config in configs:
        if config.force and (run := todo.get(config.model_dump_json())):
            with store.claim(run.folder, wait=False):
                store.clear(run.folder)
    if todo:
        launched([*todo.values()])
    for name, run in todo.items():
        record = store.finished(run.folder) if run.state == "finished" else None
        ended[name] = (record, run.folder / "record.json") if record else UserError(run.reason)


def run(config: Config) -> tuple[Record, Path]:
    """Runs the configuration, and with it the others of its group."""
    name = config.model_dump_json()
    if name not in ended:
        group = ahead.get(name, [config])
        names = [member.model_dump_json() for member in group]
        for member in names:
            ahead.pop(member, None)
        if len(group) == 1:
            return experiment.run(config)
        ended.update(zip(names, experiment.run_all(group)))
    result = ended.pop(name)
    if isinstance(result, store.Busy):
        return experiment.run(config)
    if isinstance(result, Exception):
        raise result
    return result
