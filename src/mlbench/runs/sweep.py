"""The jobs of a sweep in this process: those that may be trained as one are.

Hydra hands over one job at a time. What the whole sweep will be is worked out when it starts, so that the
first job of a group can take the others along; they then find their records.
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

ahead: dict[str, list[Config]] = {}  # the group of each run that was not begun yet
ended: dict[str, tuple[Record, Path] | Exception] = {}  # of runs that were taken along


def foresee(overrides: list[str], asked: list[str]) -> None:
    """Composes every job of the sweep, those that differ in seed only at once."""
    ahead.clear()
    ended.clear()
    parsed = OverridesParser.create().parse_overrides(overrides)
    search_path = [word for word in asked if word.startswith("hydra.searchpath=")]
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
    """The run, and with it those that may be trained as one with it."""
    name = config.model_dump_json()
    if name not in ended:
        group = ahead.get(name, [config])
        names = [other.model_dump_json() for other in group]
        for other in names:
            ahead.pop(other, None)
        if len(group) == 1:
            return experiment.run(config)
        ended.update(zip(names, experiment.run_all(group)))
    result = ended.pop(name)
    if isinstance(result, Busy):
        return experiment.run(config)
    if isinstance(result, Exception):
        raise result
    return result
