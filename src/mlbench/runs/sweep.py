"""The jobs of a sweep in this process, those that may be trained as one as a stack.

Hydra hands over one job at a time. All jobs of the sweep are composed when it starts, so that the first job
of a group runs the whole group; the others then find their outcomes.
"""

from pathlib import Path

from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.override_parser.overrides_parser import OverridesParser

from mlbench import experiment
from mlbench.compose import configure
from mlbench.config import Config
from mlbench.errors import UserError
from mlbench.results.record import Record
from mlbench.results.store import Busy
from mlbench.runs.groups import grouped

ahead: dict[str, list[Config]] = {}  # the group of each run that has not begun
ended: dict[str, tuple[Record, Path] | Exception] = {}  # outcomes of runs that ended with their group


def foresee(overrides: list[str], words: list[str]) -> None:
    """Composes every job of the sweep; jobs that differ in seed only are composed once."""
    ahead.clear()
    ended.clear()
    parsed = OverridesParser.create().parse_overrides(overrides)
    search_path = [word for word in words if word.startswith("hydra.searchpath=")]
    composed: dict[tuple[str, ...], Config | None] = {}
    configs: dict[str, Config] = {}
    for job in BasicSweeper.split_arguments(parsed, None)[0]:
        rest = tuple(word for word in job if not word.startswith("seed="))
        seeds = [word.removeprefix("seed=") for word in job if word.startswith("seed=")]
        try:
            if rest not in composed:
                composed[rest] = configure([*rest, *search_path])
            config = composed[rest]
            if config and seeds:
                config = config.model_copy(update={"seed": int(seeds[-1])})
        except (UserError, ValueError):  # the job itself says what is wrong
            composed[rest] = config = None
        if config:
            configs[config.model_dump_json()] = config
    for group in grouped(configs.values()):
        ahead.update({config.model_dump_json(): group for config in group})


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
    if isinstance(result, Busy):
        return experiment.run(config)
    if isinstance(result, Exception):
        raise result
    return result
