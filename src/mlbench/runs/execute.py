"""Runs what is missing, by the launch that is configured or a launcher of Hydra's, under one bar."""

import sys
from collections.abc import Sequence
from typing import Any

from mlbench.config import Config, options, target
from mlbench.runs.launcher import launch
from mlbench.runs.run import Run
from mlbench.runs.watch import watched


def run_missing(runs: Sequence[Run], launcher: Sequence[str] = ()) -> None:
    """Runs all that have no record yet; if one fails, its folder says why, and the others go on.

    `launcher` holds overrides of Hydra's, such as `hydra/launcher=joblib`; without any, the group `launch` of
    the runs' configuration, the same for all, says where they go. If it only tells what it would do, the
    command ends here.
    """
    if not runs:
        return
    if not launcher and (told := foretold(runs)):
        print(told)
        sys.exit(0)
    with watched(runs):
        if launcher:
            launch(runs, list(launcher))
        else:
            launch_of(runs[0].config).run(runs)


def launch_of(config: Config) -> Any:
    return target(config.launch)(**options(config.launch))


def foretold(runs: Sequence[Run], asked: bool = False) -> str:
    """What a launch that is asked to (launch.dry_run, or `asked`) says instead of launching; else nothing."""
    chosen = launch_of(runs[0].config)
    if hasattr(chosen, "foretold") and (asked or chosen.dry_run):
        return chosen.foretold(runs)
    return ""
