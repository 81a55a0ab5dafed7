"""A record as an experiment writes it."""

import pytest

from mlbench.compose import configure
from mlbench.experiment import run


@pytest.fixture(scope="session")
def finished_run(tmp_path_factory):
    """The record of a run, and its path."""
    folder = tmp_path_factory.mktemp("finished")
    return run(configure(["method=prior", f"paths.outputs={folder}", f"paths.cache={folder}"]))


@pytest.fixture
def record(finished_run):
    return finished_run[0]


@pytest.fixture
def experiment(tmp_path, finished_run):
    """experiment("logger=wandb") runs what `finished_run` ran, in a folder of its own."""

    def experiment(*overrides):
        return run(
            configure(["method=prior", f"paths.outputs={tmp_path}", f"paths.cache={tmp_path}", *overrides])
        )

    return experiment
