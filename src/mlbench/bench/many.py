"""Replicas trained as one beside the same replicas one after the other."""

import copy
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import torch

from mlbench.assemble import assemble
from mlbench.bench.chain import built
from mlbench.bench.timing import Row, compare
from mlbench.compose import configure
from mlbench.config import Config
from mlbench.data.catalogue import described, state
from mlbench.data.rows import Rows
from mlbench.data.task import Modality, Task
from mlbench.engine.fit import Job, fit
from mlbench.engine.many import fit_together
from mlbench.engine.watch import Watch
from mlbench.methods.amalgamation.teachers import AmalgamationMethod
from mlbench.methods.base import Method, Stage

WIDE = "512-256-90"
CASES = {  # what is trained: its overrides
    "ANT's student": ("method=ant",),
    "ANT's first teacher": ("method=ant",),
    "linear": ("backbone=linear", "split=holdout", "train.batch_size=64"),
    "mlp-64": ("backbone.widths=[64]", "split=holdout", "train.batch_size=64"),
    WIDE: ("backbone.widths=[256]", "split=holdout", "train.batch_size=64"),
}


def many(
    repeats: int = 5, epochs: int = 20, chains: int = 8, others: int = 32, accelerator: str = "cpu"
) -> Iterator[Row]:
    """Whole fits of replicas that differ in seed, with the files they leave: `chains` of chains and of
    networks that fill the caches, `others` of the others.
    """
    for name, overrides in CASES.items():
        config = on("scene", [*overrides, f"train.accelerator={accelerator}"])
        replicas = chains if "ANT" in name or name == WIDE else others
        make = wide if name == WIDE else built
        stages = [stage_of(name, *make(config, seed)) for seed in range(replicas)]
        batch_size = stages[0].batch_size or config.train.batch_size
        data = "random" if name == WIDE else assemble(config).dataset.name
        title = f"{data}, {name}, batch {batch_size}, {replicas} replicas"
        yield compare_engines(title, [replace(stage, epochs=epochs) for stage in stages], config, repeats)


def on(dataset: str, overrides: list[str]) -> Config:
    """On the data set if it is here, else on the embedded one."""
    config = configure([*overrides, f"dataset={dataset}"])
    if state(dict(described())[dataset], config.paths.cache) == "here":
        return config
    return configure([*overrides, "dataset=multidigits"])


def wide(config: Config, seed: int) -> tuple[Method, dict[str, Rows]]:
    """A network and rows of WIDE's size."""
    return random(config, seed, 1024)


def random(
    config: Config, seed: int, rows: int, width: int = 512, labels: int = 90
) -> tuple[Method, dict[str, Rows]]:
    """A method, and so many random rows of `width` features and so many labels."""
    draws = torch.Generator().manual_seed(seed)
    x = torch.randn(rows, width, generator=draws)
    targets = (torch.rand(rows, labels, generator=draws) < 0.05).float()
    names = tuple(f"label {number}" for number in range(labels))
    positives = tuple(map(int, targets.sum(0)))
    task = Task("random", names, (Modality("features", 0, width),), len(x), positives)
    torch.manual_seed(seed)
    return assemble(config).method(task), {"train": Rows(x, targets, torch.arange(len(x)))}


def compare_engines(title: str, stages: list[Stage], config: Config, repeats: int) -> Row:
    def with_files(train: Callable[[list[Job]], None]) -> Callable[[], None]:
        def act() -> None:
            fresh = [replace(stage, module=copy.deepcopy(stage.module)) for stage in stages]
            with tempfile.TemporaryDirectory() as folder:
                train([job_of(stage, config, seed, Path(folder)) for seed, stage in enumerate(fresh)])

        return act

    def alone(jobs: list[Job]) -> None:
        for job in jobs:
            fit(job)

    def together(jobs: list[Job]) -> None:
        outcomes = fit_together(jobs)
        for job in jobs:
            fit(job, outcomes.get(job.path))

    row = compare(title, "one by one", with_files(together), with_files(alone), repeats)
    return Row(row.name, row.against, row.ours, row.other, {"times_faster": sum(row.other) / sum(row.ours)})


def stage_of(name: str, method: Method, data: dict) -> Stage:
    if "student" not in name:
        return next(iter(method.stages(data)))
    assert isinstance(method, AmalgamationMethod), "only these have a student"
    method.teachers.requires_grad_(False)
    return next(iter(method.learn(data["train"])))


def job_of(stage: Stage, config: Config, seed: int, folder: Path, watches: Sequence[Watch] = ()) -> Job:
    path = folder / str(seed)
    return Job(stage, config.train, config.selection, seed, path, [*watches], "", lambda history: None)
