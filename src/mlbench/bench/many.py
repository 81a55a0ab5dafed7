"""Replicas trained as one beside the same replicas one after the other."""

import copy
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

from mlbench.bench.chain import built
from mlbench.bench.timing import Row, compare
from mlbench.compose import configure
from mlbench.config import Config
from mlbench.data.fetch import described, state
from mlbench.engine.fit import Job, fit
from mlbench.engine.many import fit_together
from mlbench.methods.base import Method, Stage

CASES = (  # name, overrides, replicas
    ("ANT's student, hidden 16, batch 8", ("method=ant",), 8),
    ("ANT's first teacher, hidden 16, batch 8", ("method=ant",), 8),
    ("linear, batch 64", ("backbone=linear", "split=holdout"), 32),
    ("mlp-64, batch 64", ("backbone.widths=[64]", "split=holdout"), 32),
)


def many(repeats: int = 5, epochs: int = 5) -> Iterator[Row]:
    """Whole fits of replicas that differ in seed, with the files they leave."""
    for name, overrides, replicas in CASES:
        config = configure([*overrides, "dataset=scene"])
        if state(dict(described())["scene"], config.paths.cache) != "here":
            config = configure([*overrides, "dataset=multidigits"])
        dataset = config.choices["dataset"]
        yield compare_engines(
            f"{dataset}, {name}, {replicas} replicas", name, config, replicas, epochs, repeats
        )


def compare_engines(title: str, name: str, config: Config, replicas: int, epochs: int, repeats: int) -> Row:
    stages = [stage_of(name, *built(config, seed)) for seed in range(replicas)]

    def timed_with(train: Callable[[list[Job]], None]) -> Callable[[], None]:
        def act() -> None:
            fresh = [replace(stage, module=copy.deepcopy(stage.module), epochs=epochs) for stage in stages]
            with tempfile.TemporaryDirectory() as folder:
                train([job_of(stage, config, seed, Path(folder)) for seed, stage in enumerate(fresh)])

        return act

    def alone(jobs: list[Job]) -> None:
        for job in jobs:
            fit(job)

    row = compare(title, "one by one", timed_with(fit_together), timed_with(alone), repeats)
    return Row(row.name, row.against, row.ours, row.other, {"times_faster": sum(row.other) / sum(row.ours)})


def stage_of(name: str, method: Method, data: dict) -> Stage:
    if "student" not in name:
        return next(iter(method.stages(data)))
    method.teachers.requires_grad_(False)
    return next(iter(method.learn(data["train"])))


def job_of(stage: Stage, config: Config, seed: int, folder: Path) -> Job:
    return Job(stage, config.train, config.selection, seed, folder / str(seed), [], "", lambda history: None)
