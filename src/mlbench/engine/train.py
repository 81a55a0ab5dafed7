"""All stages of a method, and the model that each selection rule leaves."""

import copy
import functools
from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from mlbench.assemble import Pieces
from mlbench.config import Config, Node, fingerprint
from mlbench.data.vectors import Vectors
from mlbench.engine.callbacks import Watch
from mlbench.engine.fit import Job, Outcome
from mlbench.engine.lit import Plan
from mlbench.errors import UserError
from mlbench.methods.base import Method, Stage
from mlbench.names import one_name
from mlbench.seeding import derive

Result = TypeVar("Result")
# Asks for fits that do not wait for one another, is sent what each left, and ends with a result.
Running = Generator[list[Job], list[Outcome], Result]


def place(stage: Stage, number: int, config: Config, data: Node, folder: Path) -> Path:
    """Where a stage's result lies: in the run's folder, or, under a key of its own, where others find it."""
    one_name(f"the name of stage {number} of method {config.choices['method']}", stage.name)
    if stage.shared is None:
        return folder / "stages" / f"{number}-{stage.name}"
    plan = Plan.of(stage, config.train, config.seed)
    key = fingerprint(
        {"data": data, "split": config.split, "stage": number, "shared": stage.shared, "plan": plan.science}
    )
    return folder.parents[1] / "stages" / key / stage.name


@dataclass(frozen=True)
class Trained:
    models: dict[str, Method]  # selection rule -> the method as it is to be scored
    selected: dict[str, dict[str, float]]  # selection rule -> epoch, and the value it was selected by
    history: dict[str, list[dict[str, float]]]  # stage -> a row an epoch
    seconds: dict[str, float]  # stage -> training time


def check_options(method: Method, stage: Stage) -> None:
    """A stage takes of conf/train what its method says: the rest is not in the run's key."""
    if more := stage.train_options - method.train_options:
        raise UserError(
            f"{type(method).__name__}.train_options leaves out {', '.join(sorted(more))} of conf/train, "
            f"which its stage {stage.name} takes; name them there"
        )


def train(
    method: Method, parts: dict[str, Vectors], config: Config, pieces: Pieces, data: Node, folder: Path
) -> Running[Trained]:
    """Asks for the stages' fits, in order. The method sees every part but the test part."""
    selection = config.selection
    looks = {"best": "validation"} | ({"oracle": "test"} if selection.rule == "oracle" else {})
    watches = [
        Watch(rule, part, parts[part], selection.metric, pieces.threshold())
        for rule, part in looks.items()
        if part in parts
    ]
    visible = {part: vectors for part, vectors in parts.items() if part != "test"}
    history, seconds = {}, {}
    jobs: list[Job] = []
    for number, stage in enumerate(method.stages(visible)):
        check_options(method, stage)
        job = Job(
            stage,
            config.train,
            selection,
            seed=derive(config.seed, "stage", number, stage.name),
            path=place(stage, number, config, data, folder),
            watches=watches,
            label=f"{config.choices['dataset']} · {config.choices['method']} · {stage.name}",
            report=functools.partial(pieces.tracker.log, stage.name),
        )
        jobs.append(job)
        if stage.awaited:
            for job, outcome in zip(jobs, (yield jobs)):
                history[job.stage.name], seconds[job.stage.name] = outcome.history, outcome.seconds
            jobs = []

    models = {"last": method}
    kept = {rule: kept for rule, kept in outcome.kept.items() if kept}
    for rule, best in kept.items():
        stage.module.load_state_dict(best["state"])
        models[rule] = copy.deepcopy(method)
    stage.module.load_state_dict(outcome.last)
    if stage.solve:  # no epochs to choose from: every rule means the one model
        models |= {watch.rule: method for watch in watches}
    if selection.rule not in models:
        raise UserError(f"selection.metric={selection.metric} was undefined in every epoch; choose another")
    selected = {
        rule: {"epoch": best["epoch"], selection.metric: best["value"]} for rule, best in kept.items()
    }
    return Trained(models, selected, history, seconds)
