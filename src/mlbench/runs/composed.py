"""From the words of run.py to runs."""

import json
from collections.abc import Iterator, Sequence
from typing import Any

from mlbench.compose import configure
from mlbench.config import Config, options, target
from mlbench.data.contracts import identity_of
from mlbench.errors import UserError
from mlbench.runs.run import Run, run_of


def composed(jobs: Sequence[Sequence[str]], more: Sequence[str] = ()) -> Iterator[Config | Exception]:
    """Each job's configuration, or why there is none; jobs that differ in seed only are composed once."""
    known: dict[tuple[str, ...], Config | Exception] = {}
    for job in jobs:
        rest = tuple(word for word in job if not word.startswith("seed="))
        seeds = [word.removeprefix("seed=") for word in job if word.startswith("seed=")]
        if rest not in known:
            try:
                known[rest] = configure([*rest, *more])
            except (UserError, ValueError) as error:
                known[rest] = error
        config = known[rest]
        if isinstance(config, Config) and seeds:
            config = (
                config.model_copy(update={"seed": int(seeds[-1])})
                if seeds[-1].isdecimal()
                else UserError(f"seed={seeds[-1]}: a whole number")
            )
        yield config


def runs_of(jobs: Sequence[Sequence[str]]) -> list[Run]:
    """The runs that the jobs' words make; a UserError where words make none."""
    configs = []
    for config in composed(jobs):
        if isinstance(config, Exception):
            raise config
        configs.append(config)
    return [*located(configs, jobs)]


def located(configs: Sequence[Config], jobs: Sequence[Sequence[str]]) -> Iterator[Run]:
    """Each configuration as a run. A run's key needs its data set's identity, computed once a data set."""
    known: dict[str, tuple[str, dict[str, Any]]] = {}
    for config, job in zip(configs, jobs):
        named = json.dumps(config.dataset, sort_keys=True, default=str)
        if named not in known:
            dataset = target(config.dataset)(**options(config.dataset))
            known[named] = dataset.name, identity_of(dataset, config.paths.cache)
        yield run_of(config, job, *known[named])
