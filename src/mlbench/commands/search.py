"""The command line that searches for hyper-parameters on validation data."""

import shlex
from functools import partial
from typing import TYPE_CHECKING

from hydra.core.override_parser.overrides_parser import OverridesParser

from mlbench.commands.arguments import answered, as_typed, pairs
from mlbench.commands.first import carried_out
from mlbench.compose import choices
from mlbench.errors import UserError
from mlbench.search import spec as specs
from mlbench.spelling import spelled
from mlbench.words import quoted

if TYPE_CHECKING:
    from mlbench.search.study import Study

USAGE = f"""{spelled("search")} sweep=NAME   searches on validation data, prints the best's command
  trials=40              this many in all; more of them later go on with the same search
  seeds=1                runs of a trial; the mean of their best epochs' validation scores counts
  batch=8                trials that are drawn together, and trained as one where they can be
  sampler=tpe            tpe | random
  sweep=mine.yaml        a search of one's own
  hydra/launcher=joblib hydra.launcher.n_jobs=2   through a launcher of Hydra's
  all else               as in {spelled("run")}: method, loss, train.epochs, split.validation, ...

The same command again goes on where it stopped, or prints what was found. Needs multilabel-bench[search].

Sweeps: """
OWN = ("trials", "seeds", "batch", "sampler")
SHOWN = 5  # trials, best first


def main(arguments: list[str] | None = None) -> int | None:
    return carried_out(partial(answered, run, arguments))


def run(arguments: list[str]) -> int:
    if not arguments or {"-h", "--help"} & set(arguments):
        print(as_typed(USAGE + ", ".join(choices("sweep"))))
        return 0
    name, search, overrides, launcher = asked(arguments)
    study = _study(name, search, overrides, launcher)
    trials = study.run()
    ranked = study.ranked(trials)
    failed = len(trials) - len(ranked)
    if not ranked:
        raise UserError(f"all {failed} trials failed; {study.folder} has them, outputs/ the runs and why")
    print(summary(study, ranked, failed))
    return 0


def asked(arguments: list[str]) -> tuple[str, specs.Search, list[str], list[str]]:
    """The name, the search, the words that every run gets, and the words on the launcher that Hydra gets."""
    options = pairs(arguments, "sweep", ("sweep", *OWN))
    if not (name := options.pop("sweep", None)):
        raise UserError(f"sweep=... is needed; there are: {', '.join(choices('sweep'))}")
    changed = {key: options.pop(key) for key in OWN if key in options}
    launcher = [f"{key}={options.pop(key)}" for key in [*options] if key.startswith(("hydra.", "hydra/"))]
    search = specs.read(name, changed)
    return name, search, overrides_of(search, options), launcher


def _study(name: str, search: specs.Search, overrides: list[str], launcher: list[str]) -> "Study":
    try:
        from mlbench.search.study import Study  # imports Optuna, and torch
    except ModuleNotFoundError as error:
        if error.name != "optuna":
            raise
        raise UserError("a search needs Optuna: pip install 'multilabel-bench[search]'") from None
    return Study(name.removesuffix(".yaml").rpartition("/")[2], search, overrides, launcher)


def overrides_of(search: specs.Search, options: dict[str, str]) -> list[str]:
    """The words that every run gets; an option of the command line replaces the file's."""
    all_overrides = pairs(search.overrides) | options | {"selection.rule": "best", "train.progress": "false"}
    for key, value in options.items():
        if key in search.space:
            raise UserError(f"{key}={value}: the sweep searches it; leave it out")
        (word,) = quoted([f"{key}={value}"])
        if OverridesParser.create().parse_override(word).is_sweep_override():
            raise UserError(f"{key}={value}: a search has one value of what it does not search")
    words = [f"{key}={value}" for key, value in all_overrides.items() if key != "seed"]
    if "seed" in all_overrides:
        raise UserError(
            f"seed={all_overrides['seed']}: a search runs seeds 0, 1, ...; seeds=3 takes three of each trial"
        )
    return sorted(words, key=lambda word: "." in word.partition("=")[0])  # choices of groups first


def summary(study: "Study", ranked: list, failed: int) -> str:
    """The best trials, and the command that gives the best again."""
    best, keys = ranked[0], list(study.space)
    seeds = study.search.seeds
    mean = f", mean of {seeds} seeds" if seeds > 1 else ""
    head = ["trial", f"validation {study.metric}", *keys]
    rows = [
        [
            str(trial.number),
            f"{trial.value:.4f}",
            *(
                f"{trial.params[key]:.6g}" if isinstance(trial.params[key], float) else str(trial.params[key])
                for key in keys
            ),
        ]
        for trial in ranked[:SHOWN]
    ]
    widths = [max(map(len, column)) for column in zip(head, *rows)]
    table = [
        "  ".join(word.ljust(width) for word, width in zip(row, widths)).rstrip() for row in [head, *rows]
    ]
    several = f"-m seed={','.join(map(str, range(seeds)))} " if seeds > 1 else ""
    words = [word for word in study.words(best.params) if not word.startswith("train.progress=")]
    return "\n".join(
        [
            f"{len(ranked) + failed} trials{f', {failed} failed' if failed else ''}{mean}; {study.folder}",
            *table,
            "",
            "the winner, to run again or to measure on the test part:",
            f"{spelled('run')} {several}{shlex.join(words)}",
        ]
    )
