"""Table → cases → runs: which there must be, and what became of each. Never trains or downloads."""

import hashlib
import itertools
import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mlbench.compose import config_dir, configure_each
from mlbench.config import Config, options, target, targets
from mlbench.data.contracts import identity_of
from mlbench.errors import DoesNotFit, UserError
from mlbench.results import imported, store
from mlbench.results.record import write_json
from mlbench.runs.run import Run, with_seeds
from mlbench.tables.spec import GRID, OF_SCORE, Results
from mlbench.words import quoted


@dataclass(frozen=True)
class Case:
    """What stands in one place of the grid: a run a seed and fold, or why there can be none.

    Where the validation part chooses among values of options, `choose`, there is a run for each of them.
    """

    dataset: str
    setting: str
    method: str
    runs: tuple[Run, ...]
    not_run: str | None = None
    choose: tuple[str, ...] = ()

    @property
    def seeds(self) -> int:
        return len({run.seed for run in self.runs})

    @property
    def where(self) -> tuple[str, str, str]:
        return self.dataset, self.setting, self.method


def plan(spec: Results, outputs: Path, settings: list[str], seeds: int | None = None) -> list[Case]:
    """The cases of a table; `settings` are overrides that say how to run, not what: paths.

    UserError where a data set, an override or a value is none that run.py knows.
    """
    composed = Composed(outputs / "tables" / "plans.json")
    identities: dict[str, dict] = {}  # of a data set, once for all its methods
    cases = [
        _case((dataset, setting, method), spec, settings, seeds or spec.seeds, composed, identities)
        for dataset, setting, method in itertools.product(*map(spec.names, GRID))
    ]
    composed.save()
    return cases


def runs_of(cases: list[Case]) -> list[Run]:
    """Each run once: cases whose options differ in what their method does not take share runs. Within a case
    the order is by seed, so that two processes seldom wait for the same teachers."""
    return list({run.key: run for case in cases for run in case.runs}.values())


def _case(
    where: tuple[str, str, str],
    spec: Results,
    settings: list[str],
    seeds: int,
    composed: "Composed",
    identities: dict[str, dict],
) -> Case:
    for value in spec.values(where):
        if value.not_run:
            return Case(*where, runs=(), not_run=value.not_run)
    if name := spec.imported(where):
        return _imported(name, where, spec, settings, seeds, identities)
    overrides, choose = quoted([*spec.overrides_at(where), *settings]), spec.choose(where)
    points = [quoted(point) for point in spec.points(where)]
    try:
        configs = composed(overrides, points)
        config = configs[0]
        if choose and config.selection.rule != "best":
            raise UserError(
                "choose goes by the best epoch of every run: add selection.rule=best to overrides"
            )
    except DoesNotFit as error:  # in this place of the grid
        return Case(*where, runs=(), not_run=str(error))
    except UserError as error:
        raise UserError(f"{' '.join(filter(None, where))}: {error}") from None
    about = _data(config, identities)
    if isinstance(about, str):
        return Case(*where, runs=(), not_run=about)
    if spec.folds and "fold" not in config.split:
        return Case(*where, runs=(), not_run=f"folds={spec.folds}: split={config.choices['split']} has none")
    runs = [
        with_seeds(configured, [*overrides, *point], seeds, *about, spec.folds)
        for configured, point in zip(configs, points)
    ]
    return Case(*where, runs=tuple(itertools.chain(*runs)), choose=tuple(choose))


def _data(config: Config, identities: dict[str, dict]) -> tuple[str, dict] | str:
    """The data set's name and identity, or why nothing is run on it: its files are missing, and nobody can
    fetch them.
    """
    named = json.dumps(config.dataset, sort_keys=True, default=str)
    try:
        dataset = target(config.dataset)(**options(config.dataset))
        if named not in identities:
            absent = getattr(dataset, "absent", lambda cache: [])(config.paths.cache)
            identities[named] = {} if absent else identity_of(dataset, config.paths.cache)
    except UserError as error:
        return str(error)
    return (dataset.name, identities[named]) if identities[named] else "data"


def _imported(
    name: str,
    where: tuple[str, str, str],
    spec: Results,
    settings: list[str],
    seeds: int,
    identities: dict[str, dict],
) -> Case:
    """The records that are there, of the table's seeds and folds: none of them can be made here."""
    words = [word for word in spec.overrides_at(where) if word.startswith(OF_SCORE)]
    (config,) = configure_each(quoted([*words, *settings]), [[]])
    about = _data(config, identities)
    if isinstance(about, str):
        return Case(*where, runs=(), not_run=about)
    runs = with_seeds(imported.named(config, name), words, seeds, *about, spec.folds, imported=True)
    there = tuple(run for run in runs if store.whole(run.folder))
    return Case(*where, runs=there, not_run=None if there else f"{name} is not imported")


class Composed:
    """Configurations by their overrides. Composing takes Hydra .1 s, so a plan's are kept on disk; they hold
    as long as no file of conf/ or of the package changes."""

    def __init__(self, path: Path):
        self.path = path
        self.stamp = _stamp()
        self.known: dict[str, Any] = {}
        self.fresh = False
        try:
            kept = json.loads(path.read_text())
            if kept["stamp"] == self.stamp:
                self.known = kept["configurations"]
        except (OSError, ValueError, KeyError, TypeError):
            pass  # none yet, or half of one

    def __call__(self, overrides: list[str], points: list[list[str]]) -> list[Config]:
        """A configuration for each point of a grid; a point is a list of further overrides."""
        names = [" ".join([*overrides, *point]) for point in points]
        if self.known.keys() >= {*names}:
            return [Config.model_validate(self.known[name]) for name in names]
        configs = configure_each(overrides, points)
        for name, config in zip(names, configs):
            _check(config)
            content = config.model_dump(mode="json", by_alias=True)
            if all(known.startswith(("mlbench.", "torch.")) for known in targets(content)):
                self.known[name] = (
                    content  # whose code stands still as long as the stamp does, or the version
                )
                self.fresh = True
        return configs

    def save(self) -> None:
        if self.fresh:
            write_json(self.path, {"stamp": self.stamp, "configurations": self.known})


def _check(config: Config) -> None:
    from mlbench.assemble import assemble  # and with it Lightning, which a plan of known parts can do without

    assemble(config)


def _stamp() -> str:
    """A hash of all that a configuration depends on: files of conf/ and of the package, environment."""
    package = Path(__file__).parents[1]
    files = sorted([*config_dir().rglob("*.yaml"), *package.rglob("*.py")])
    stats = [(str(path), status.st_size, status.st_mtime_ns) for path in files for status in [path.stat()]]
    environment = [os.environ.get("MLBENCH_CACHE"), str(Path.cwd())]
    return hashlib.sha256(json.dumps([stats, environment]).encode()).hexdigest()


Chosen = Callable[[Case], bool]


def part(only: str, spec: Results) -> Chosen:
    """Reads `dataset=scene,emotions method=ant`: the cases that a person asks for."""
    wanted: dict[str, set[str]] = {}
    for word in only.replace(";", " ").split():
        axis, sign, listed = word.partition("=")
        if not sign or axis not in spec.axes:
            raise UserError(f"only={only}: write axis=value,value; the axes are {', '.join(spec.axes)}")
        names = listed.split(",")
        for name in names:
            if name not in spec.axes[axis]:
                known = ", ".join(spec.axes[axis])
                raise UserError(f"only={only}: the table has no {axis} {name}; it has {known}")
        wanted[axis] = set(names)
    return lambda case: all(getattr(case, axis) in names for axis, names in wanted.items())
