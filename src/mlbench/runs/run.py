"""One of many runs: one seed of an experiment, one fold if there are folds, and the run's state on disk."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from mlbench.config import Config, fingerprint, science
from mlbench.results import imported as theirs
from mlbench.results import store
from mlbench.results.code import code_of
from mlbench.results.record import Brief
from mlbench.results.repeats import Repeat
from mlbench.runs.limit import OutOfTime

State = Literal["finished", "failed", "missing"]


HOW = ("paths.", "train.progress", "launch=", "launch.", "hydra.")


@dataclass(frozen=True)
class Run:
    """`overrides` are the words with which run.py makes the same run; what is `imported` nobody makes."""

    seed: int
    config: Config
    overrides: tuple[str, ...]
    key: str
    folder: Path
    fold: int | None = None
    imported: bool = False

    @property
    def repeat(self) -> Repeat:
        return self.seed, self.fold

    @property
    def words(self) -> list[str]:
        """The overrides that say what is run, without those that say where and how."""
        return [word for word in self.overrides if not word.startswith(HOW)]

    @property
    def state(self) -> State:
        asked = self.config.outputs.embeddings
        if store.whole(self.folder) and (not asked or (self.folder / store.EMBEDDINGS).is_file()):
            return "finished"
        return "failed" if (self.folder / "failed.json").is_file() else "missing"

    @property
    def over(self) -> bool:
        """Whether nothing is left to do: with launch.seconds, a run that took longer is not made again."""
        failed = store.failure(self.folder) if self.config.launch.get("seconds") else {}
        return self.state == "finished" or failed.get("type") == OutOfTime.__name__

    def outdated(self, record: Brief) -> bool:
        """Whether the run's record is of other code than the present one."""
        return not self.imported and store.outdated(record, code_of(self.config))

    @property
    def reason(self) -> str:
        """Why the run failed, in few words."""
        failure = store.failure(self.folder)
        return "data" if failure.get("type") == "DataMissing" else failure.get("reason", "failed")


def with_seeds(
    config: Config,
    overrides: list[str],
    seeds: int,
    dataset: str,
    identity: dict[str, Any],
    folds: int | None = None,
    imported: bool = False,
) -> tuple[Run, ...]:
    """One run a seed, or a fold of a seed, on the data set of that name and identity.

    What is imported under the name of `config`'s method may have been scores that were cut, or label sets.
    """
    runs = []
    of_folds = {fold: _of_fold(config, fold) for fold in (range(folds) if folds else [None])}
    sciences = {} if imported else {fold: science(each, identity) for fold, each in of_folds.items()}
    for seed, fold in itertools.product(range(seeds), of_folds):
        changed, words = of_folds[fold].model_copy(update={"seed": seed}), [*overrides, f"seed={seed}"]
        if fold is not None:
            words.append(f"split.fold={fold}")
        if imported:
            folders = [theirs.folder(changed, dataset, identity, cut) for cut in (True, False)]
            folder = next(filter(store.whole, folders), folders[0])
        else:
            runs.append(_run(changed, words, dataset, sciences[fold] | {"seed": seed}))
            continue
        runs.append(Run(seed, changed, tuple(words), folder.name, folder, fold, imported=True))
    return tuple(runs)


def run_of(config: Config, overrides: Sequence[str], dataset: str, identity: dict[str, Any]) -> Run:
    """The run of a configuration, on the data set of that name and identity."""
    return _run(config, overrides, dataset, science(config, identity))


def _of_fold(config: Config, fold: int | None) -> Config:
    return config if fold is None else config.model_copy(update={"split": config.split | {"fold": fold}})


def _run(config: Config, overrides: Sequence[str], dataset: str, content: dict[str, Any]) -> Run:
    """The run of a configuration; `content` is its science, which many runs share but for the seed."""
    key = fingerprint(content)
    folder = store.folder(config.paths.outputs, dataset, config.choices["method"], key)
    return Run(config.seed, config, tuple(overrides), key, folder, config.split.get("fold"))
