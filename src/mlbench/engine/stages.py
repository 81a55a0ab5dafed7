"""The stages of a method, in order, and the model that each selection rule leaves."""

import copy
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from mlbench.config import Config, Node, fingerprint
from mlbench.data.rows import Rows
from mlbench.engine.job import Job, Outcome, load
from mlbench.engine.plan import Plan
from mlbench.engine.watch import Watch
from mlbench.errors import UserError
from mlbench.evaluation.frequency import Frequencies
from mlbench.evaluation.thresholds import Threshold
from mlbench.methods.base import Method, Stage
from mlbench.names import one_name
from mlbench.seeding import derive

Report = Callable[[str, list[dict[str, float]]], None]  # takes a stage's name and its history so far


class Stages:
    """Asks for one fit after another, and takes the outcomes. The method sees every part but the test part.

    If a stage selects, the next stage builds on the epoch that selection.rule keeps.
    """

    def __init__(
        self,
        method: Method,
        parts: Mapping[str, Rows],
        config: Config,
        data: Node,
        folder: Path,
        threshold: Callable[[], Threshold],
        report: Report,
        frequencies: Frequencies | None = None,
    ):
        self.method, self.parts, self.config, self.data, self.folder = method, parts, config, data, folder
        self.threshold, self.report, self.frequencies = threshold, report, frequencies
        visible = {part: rows for part, rows in parts.items() if part != "test"}
        stages = method.stages(visible)
        if not isinstance(stages, Iterable):
            raise no_stages(method, stages)
        self.stages = enumerate(stages)
        self.last: tuple[Job, Outcome] | None = None
        self.history: dict[str, list[dict[str, float]]] = {}  # stage -> a row an epoch
        self.seconds: dict[str, float] = {}  # stage -> training time
        self.processor_seconds = 0.0  # of all stages together
        self.trained = ""

    def ask(self) -> list[Job]:
        """The next fits, none of which needs the outcome of another; empty once the method is trained."""
        jobs = []
        for number, stage in self.stages:
            if not isinstance(stage, Stage):
                raise no_stages(self.method, stage)
            jobs.append(self._job(number, stage))
            if stage.awaited:
                break
        return jobs

    def _job(self, number: int, stage: Stage) -> Job:
        config, choices = self.config, self.config.choices
        one_name(f"the name of stage {number} of method {choices['method']}", stage.name)
        if more := stage.train_options - self.method.train_options:
            raise UserError(
                f"{type(self.method).__name__}.train_options leaves out {', '.join(sorted(more))} of "
                f"conf/train, which its stage {stage.name} takes; name them there"
            )
        seed = derive(config.seed, "stage", number, stage.name)
        return Job(
            stage,
            config.train,
            config.selection,
            seed=seed,
            path=self._path(stage, number),
            watches=[] if stage.solve or not stage.selects else self._watches(),
            label=f"{choices['dataset']} · {choices['method']} · {stage.name}",
            report=lambda history: self.report(stage.name, history),
        )

    def _path(self, stage: Stage, number: int) -> Path:
        """A stage's path in the run's folder; a shared stage has a key, by which other runs find it."""
        if stage.shared is None:
            return self.folder / "stages" / f"{number}-{stage.name}"
        plan = Plan.of(stage, self.config.train, self.config.seed).science
        content = {"data": self.data, "split": self.config.split, "stage": number}
        key = fingerprint(content | {"shared": stage.shared, "plan": plan})
        return self.folder.parents[1] / "stages" / key / stage.name

    def _watches(self) -> list[Watch]:
        rule, metric = self.config.selection.rule, self.config.selection.metric
        looks = {"best": "validation"} | ({"oracle": "test"} if rule == "oracle" else {})
        return [
            Watch(rule, part, self.parts[part], metric, self.threshold(), self.frequencies)
            for rule, part in looks.items()
            if part in self.parts
        ]

    def take(self, jobs: Sequence[Job], outcomes: Sequence[Outcome]) -> None:
        for job, outcome in zip(jobs, outcomes):
            self.history[job.stage.name], self.seconds[job.stage.name] = outcome.history, outcome.seconds
            self.processor_seconds += outcome.processor_seconds
            if best := outcome.kept.get(self.config.selection.rule):
                load(job.stage.module, best["state"], job.done)
            self.last = job, outcome
            self.trained = max(self.trained, outcome.trained)  # "" is the least

    def models(self) -> tuple[dict[str, Method], dict[str, dict[str, float]]]:
        """By selection rule: the method to score; and its epoch, with the value that chose the epoch."""
        if self.last is None:
            raise UserError(f"method {self.config.choices['method']} yields no stage to train")
        selection, (job, outcome) = self.config.selection, self.last
        kept = {rule: best for rule, best in outcome.kept.items() if best}
        models = {}
        for rule, best in kept.items():
            load(job.stage.module, best["state"], job.done)
            models[rule] = copy.deepcopy(self.method)
        job.stage.module.load_state_dict(outcome.last)
        models = {"last": self.method} | models
        if job.stage.solve:  # no epochs to choose from: every rule means the one model
            models |= {watch.rule: self.method for watch in self._watches()}
        if selection.rule not in models:
            raise UserError(
                f"selection.metric={selection.metric} was undefined in every epoch; choose another"
            )
        selected = {
            rule: {"epoch": best["epoch"], selection.metric: best["value"]} for rule, best in kept.items()
        }
        return models, selected


def no_stages(method: Method, given: Any) -> UserError:
    what = f"{type(method).__name__}.stages gave a {type(given).__name__}"
    return UserError(f"{what}, and is to yield stages: mlbench.methods.base.Stage")
