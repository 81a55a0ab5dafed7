"""Runs where the group `launch` of their configuration says, under one bar."""

import sys
from collections.abc import Sequence
from typing import Any

from mlbench.config import Config, options, target
from mlbench.runs.run import Run
from mlbench.runs.watch import watched


def launched(runs: Sequence[Run]) -> None:
    """Runs all; their `launch` is the same. If it only tells what it would do, the command ends here."""
    if told := foretold(runs):
        print(told)
        sys.exit(0)
    with watched(runs):
        launch_of(runs[0].config).run(runs)


def launch_of(config: Config) -> Any:
    return target(config.launch)(**options(config.launch))


def foretold(runs: Sequence[Run], asked: bool = False) -> str:
    """What a launch that is asked to (launch.dry_run, or `asked`) says instead of launching; else nothing."""
    chosen = launch_of(runs[0].config)
    if hasattr(chosen, "foretold") and (asked or chosen.dry_run):
        return chosen.foretold(runs)
    return ""
