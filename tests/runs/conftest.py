"""What tests on clusters share, with the folder of their modules on the path."""

import sys
from pathlib import Path

import pytest

import commands

sys.path.append(str(Path(__file__).parent))

from two_groups import REPRODUCE, measured


@pytest.fixture
def thorough(request, monkeypatch):
    if not request.config.getoption("--thorough"):
        pytest.skip("takes minutes: --thorough")
    monkeypatch.setattr(commands, "PATIENCE", 600)


@pytest.fixture
def undisturbed(command, folder, thorough):
    """What each run of folder/table.yaml measures, by its key, in one process that nobody disturbs."""

    def undisturbed():
        done = command("table=table.yaml", "paths.outputs=local", **REPRODUCE)
        assert done.status == 0, done.err
        return measured(folder / "local")

    return undisturbed
