"""One table through everything that can make it: the bytes of its records are those of one process.

What runs cannot be had here is left out, with its reason; docs/scale.md has the last result of all of them.
"""

import importlib.util
import subprocess
import sys

import pytest
import ray_cluster
import slurm
from two_groups import REPRODUCE, TABLE, measured

from commands import ROOT

SHORT = TABLE.replace("train.epochs=80", "train.epochs=8")


@pytest.fixture
def table(folder, command, thorough):
    """table(*words) is what each run of the table measures, made anew in a folder of its own."""
    (folder / "table.yaml").write_text(SHORT)

    def table(*words, **variables):
        outputs = f"paths.outputs={len([*folder.iterdir()])}"
        done = command("table=table.yaml", outputs, *words, **REPRODUCE, **variables)
        assert done.status == 0, done
        made = measured(folder / outputs.partition("=")[2])
        assert len(made) == 4
        return made

    return table


def test_here(table):
    here = table()
    assert table("processes=2") == here
    assert table("hydra/launcher=joblib", "hydra.launcher.n_jobs=2") == here


@pytest.mark.skipif(bool(slurm.lacking()), reason=f"SLURM cannot start: {slurm.lacking()}")
def test_on_slurm(table, tmp_path_factory):
    cluster = slurm.Cluster(tmp_path_factory.mktemp("slurm"))
    try:
        cluster.start()
        assert table("launch=slurm", "launch.minutes=9", **cluster.variables) == table()
    finally:
        cluster.stop()


@pytest.mark.skipif(not importlib.util.find_spec("ray"), reason="no Ray here: make ray brings it")
def test_on_ray(table):
    cluster = ray_cluster.Cluster()
    try:
        address = f"launch.address={cluster.address}"
        assert table("launch=ray", address, **cluster.variables) == table()
    finally:
        cluster.stop()


def test_by_torchrun(table, folder, environment):
    """On two devices, whose sums are no process's alone: the bytes are those of two devices."""
    here = table("train.devices=2")
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    words = [ROOT / "scripts/reproduce.py", "table=table.yaml", "paths.outputs=by_torchrun"]
    subprocess.run([*torchrun, *words], cwd=folder, env=environment, check=True, timeout=600)
    assert measured(folder / "by_torchrun") == here
