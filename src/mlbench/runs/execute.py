"""Runs what is missing, by the launch that is configured or a launcher of Hydra's, under one bar."""

from collections.abc import Sequence

from mlbench.runs.launched import launched
from mlbench.runs.launcher import launch
from mlbench.runs.run import Run
from mlbench.runs.watch import watched


def run_missing(runs: Sequence[Run], launcher: Sequence[str] = ()) -> None:
    """Runs all that have no record yet; if one fails, its folder says why, and the others go on.

    `launcher` holds overrides of Hydra's, such as `hydra/launcher=joblib`; without any, the group `launch` of
    the runs' configuration, the same for all, says where they go.
    """
    if runs and launcher:
        with watched(runs):
            launch(runs, list(launcher))
    elif runs:
        launched(runs)
