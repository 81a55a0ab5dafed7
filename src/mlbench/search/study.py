"""Draws trials, launches their runs, reports their values. Optuna keeps the trials, the store the runs.

A trial is drawn from a generator of its own, seeded by its number, and is kept whole or not at all: a search
that was stopped, by kill -9 too, goes on with the trials that it would have had without the stop.
"""

import math
import statistics
from typing import Any

import optuna
from filelock import Timeout
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.trial import FrozenTrial, TrialState

from mlbench.assemble import assemble
from mlbench.compose import configure
from mlbench.config import Config, fingerprint, options, science, target
from mlbench.data.contracts import identity_of
from mlbench.errors import UserError
from mlbench.evaluation.suite import find
from mlbench.locks import lock
from mlbench.names import one_name
from mlbench.results import store
from mlbench.results.validation import best_first, on_validation
from mlbench.runs.execute import run_missing
from mlbench.runs.run import Run, with_seeds
from mlbench.search.spec import Dimension, Search
from mlbench.words import quoted

OVER = (TrialState.COMPLETE, TrialState.FAIL)


class Study:
    """The trials of one search: the same space, overrides, seeds and data."""

    def __init__(self, name: str, search: Search, overrides: list[str], launcher: list[str]):
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self.search, self.overrides, self.launcher = search, overrides, launcher
        self.space = {key: distribution(dimension) for key, dimension in search.space.items()}
        config = self.config({key: first(dimension) for key, dimension in search.space.items()})
        assemble(config)  # refuses pieces that do not fit each other
        self.metric, self.better = config.selection.metric, find(config.selection.metric).better
        dataset = target(config.dataset)(**options(config.dataset))
        self.dataset, self.identity = dataset.name, identity_of(dataset, config.paths.cache)
        asked = {"space": {key: str(kind) for key, kind in self.space.items()}, "sampler": search.sampler}
        science_of_all = science(config.model_copy(update={"seed": 0}), self.identity)
        key = fingerprint(asked | {"seeds": search.seeds, "batch": search.batch, "run": science_of_all})
        self.folder = config.paths.outputs / "searches" / one_name("sweep", f"{name}-{self.dataset}-{key}")

    def run(self) -> list[FrozenTrial]:
        """All trials of the search, with those that were finished before."""
        self.folder.mkdir(parents=True, exist_ok=True)
        try:
            with lock(self.folder / ".lock", timeout=0):
                return self._run()
        except Timeout:
            raise UserError(f"another process is at work on this search, in {self.folder}") from None

    def _run(self) -> list[FrozenTrial]:
        study = optuna.create_study(
            storage=f"sqlite:///{self.folder / 'trials.db'}",
            study_name="search",
            direction="maximize" if self.better == "high" else "minimize",
            load_if_exists=True,
        )
        for trial in study.get_trials(deepcopy=False):
            if trial.distributions != self.space:  # a trial's names and values become overrides
                raise UserError(f"{self.folder / 'trials.db'} holds trials of another search; remove it")
        while True:
            trials = study.get_trials(deepcopy=False)
            # A batch is drawn whole before any of its values is reported: a stop does not change it then.
            begun = len(trials) % self.search.batch or not drawn_of(study)
            for number in range(len(trials), self._end_of_batch(len(trials)) if begun else 0):
                self._draw(study, number)
            drawn = drawn_of(study)
            if not drawn:
                return study.get_trials(deepcopy=False, states=OVER)
            runs = {trial.number: self.runs(trial.params) for trial in drawn}
            run_missing(
                [run for trial_runs in runs.values() for run in trial_runs if run.state != "finished"],
                self.launcher,
            )
            for number, trial_runs in runs.items():
                self._tell(study, number, trial_runs)

    def _end_of_batch(self, count: int) -> int:
        batch = self.search.batch
        return min(self.search.trials, (count // batch + 1) * batch)

    def _draw(self, study: optuna.Study, number: int) -> None:
        """Draws a trial in a copy in memory and adds it whole: Optuna would store it key by key."""
        copy = optuna.create_study(direction=study.direction, sampler=self._sampler(number))
        copy.add_trials(study.get_trials(deepcopy=False))
        params = copy.ask(self.space).params
        study.add_trial(
            optuna.trial.create_trial(state=TrialState.RUNNING, params=params, distributions=self.space)
        )

    def _sampler(self, number: int) -> optuna.samplers.BaseSampler:
        if self.search.sampler == "random":
            return optuna.samplers.RandomSampler(seed=number)
        return optuna.samplers.TPESampler(seed=number)

    def _tell(self, study: optuna.Study, number: int, runs: tuple[Run, ...]) -> None:
        """Reports the mean over a trial's seeds; a trial with a failed run or an undefined metric failed."""
        try:
            values = [self.value(run) for run in runs]
        except UserError:
            values = [math.nan]
        if math.isnan(value := statistics.fmean(values)):
            study.tell(number, state=TrialState.FAIL)
        else:
            study.tell(number, value)

    def config(self, params: dict[str, Any]) -> Config:
        return configure(quoted(self.words(params)))

    def words(self, params: dict[str, Any]) -> list[str]:
        return [*self.overrides, *(f"{key}={value}" for key, value in params.items())]

    def runs(self, params: dict[str, Any]) -> tuple[Run, ...]:
        """A trial's runs, one a seed."""
        config, words = self.config(params), quoted(self.words(params))
        return with_seeds(config, words, self.search.seeds, self.dataset, self.identity)

    def value(self, run: Run) -> float:
        """The metric of a run's best epoch on the validation part."""
        record = store.brief(run.folder)
        if record is None:
            raise UserError(run.reason)
        value = on_validation(record)
        if value is None:
            raise UserError(f"no epoch of {run.folder} has {self.metric} on the validation part")
        return value

    def ranked(self, trials: list[FrozenTrial]) -> list[FrozenTrial]:
        """The trials with a value, best first, of equals the earlier first."""
        trials = sorted(trials, key=lambda trial: trial.number)
        places = best_first([trial.value for trial in trials], low=self.better == "low")
        return [trials[index] for index in places]


def drawn_of(study: optuna.Study) -> list[FrozenTrial]:
    """The trials that are drawn and have no value yet."""
    return study.get_trials(deepcopy=False, states=[TrialState.RUNNING])


def distribution(dimension: Dimension) -> BaseDistribution:
    if dimension.choices:
        return CategoricalDistribution(dimension.choices)
    kind: Any = IntDistribution if dimension.whole else FloatDistribution
    step = dimension.step or (1 if dimension.whole else None)
    return kind(dimension.low, dimension.high, log=dimension.log, step=step)


def first(dimension: Dimension) -> Any:
    return dimension.choices[0] if dimension.choices else dimension.low
