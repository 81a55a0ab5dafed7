"""Processes that torchrun or srun has started measure what one measures, and end together."""

import functools
import signal
import socket
import subprocess
import sys

import numpy as np
import pytest
from lightning.fabric.plugins.environments import SLURMEnvironment

from commands import ROOT, records, result, signalled_at_step
from mlbench.compose import configure
from mlbench.errors import UserError
from mlbench.experiment import run
from mlbench.team import first_host, started_team, words

SETTINGS = (
    "split.validation=0.2",
    "selection.rule=best",
    "backbone.widths=[16]",
    "train.epochs=3",
    "train.batch_size=100",
    "train.checkpoint_seconds=0",
)


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return str(probe.getsockname()[1])


def step(rank, size=2, port="15000"):
    """What srun tells each of its tasks, here one a node."""
    return {
        "SLURM_JOB_ID": "7",
        "SLURM_STEP_ID": "0",
        "SLURM_STEP_NUM_TASKS": str(size),
        "SLURM_STEP_NUM_NODES": str(size),
        "SLURM_STEP_NODELIST": "127.0.0.1",
        "SLURM_PROCID": str(rank),
        "SLURM_LOCALID": "0",
        "SLURM_NODEID": str(rank),
        "MASTER_PORT": port,
    }


def agrees(record, folder):
    """Whether a record is that of one process."""
    alone, path = run(configure([*SETTINGS, f"paths.outputs={folder}/alone"]))
    ours, theirs = result(record), result(path)
    assert ours["key"] == theirs["key"]
    assert ours["selected"]["best"]["epoch"] == theirs["selected"]["best"]["epoch"]
    assert ours["metrics"]["best"] == pytest.approx(alone.metrics["best"], abs=1e-5, nan_ok=True)
    with np.load(record.with_name("scores.npz")) as mine, np.load(path.with_name("scores.npz")) as one:
        assert all(np.abs(mine[name] - one[name]).max() <= 1e-5 for name in one.files)


def test_torchrun_on_two_nodes(folder, environment):
    """Two agents at one address stand for the nodes."""
    port = free_port()
    agents = [
        subprocess.Popen(
            [
                *(sys.executable, "-m", "torch.distributed.run", "--nnodes=2", f"--node-rank={node}"),
                *("--nproc-per-node=1", "--master-addr=127.0.0.1", f"--master-port={port}"),
                *(ROOT / "run.py", *SETTINGS),
            ],
            cwd=folder,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for node in range(2)
    ]
    said = [agent.communicate(timeout=300) for agent in agents]
    assert [agent.returncode for agent in agents] == [0, 0], said
    (record,) = records(folder / "outputs")
    assert [out.count("record.json") for out, _ in said] == [1, 0]
    agrees(record, folder)


def test_srun_goes_on_after_a_process_was_lost(start, command, folder):
    def together(*first, outputs="outputs"):
        """What the processes of a step leave, the first one first."""
        port = free_port()
        tasks = [
            start(*SETTINGS, f"paths.outputs={outputs}", first=act, **step(rank, port=port))
            for rank, act in enumerate(first)
        ]
        return [task.wait() for task in tasks]

    whole = together(None, None, outputs="whole")
    assert [(done.status, done.err) for done in whole] == [(0, ""), (0, "")]
    assert "record.json" in whole[0].out and not whole[1].out
    (record,) = records(folder / "whole")
    agrees(record, folder)

    killed = functools.partial(signalled_at_step, 25, signal.SIGKILL)  # in the second epoch
    first, second = together(None, killed)
    lost = "one of the 2 processes was lost; the same command goes on from the last checkpoint"
    assert (first.status, first.out, first.err) == (2, "", f"mlbench: {lost}\n")
    assert second.status == -signal.SIGKILL and not records(folder / "outputs")

    assert [done.status for done in together(None, None)] == [0, 0]
    (again,) = records(folder / "outputs")
    assert result(again) == result(record)

    stopped = functools.partial(signalled_at_step, 25, signal.SIGTERM)
    assert [done.status for done in together(stopped, None, outputs="third")] == [130, 0]


def test_a_mistake_ends_all(command, start):
    port = free_port()
    tasks = [start("train.lr=0.1", **step(rank, port=port)) for rank in range(2)]
    first, second = (task.wait() for task in tasks)
    assert first.status == 2 and first.err.startswith("mlbench: train.lr")
    assert (second.status, second.err) == (0, "")


def test_who_is_of_a_team():
    torchrun = {
        "TORCHELASTIC_RUN_ID": "x",
        "TORCHELASTIC_USE_AGENT_STORE": "True",
        "RANK": "3",
        "WORLD_SIZE": "4",
        "LOCAL_RANK": "1",
        "LOCAL_WORLD_SIZE": "2",
        "GROUP_RANK": "1",
        "MASTER_ADDR": "gpu7",
        "MASTER_PORT": "29500",
    }
    team = started_team(torchrun)
    assert (team.rank, team.size, team.local, team.here, team.node) == (3, 4, 1, 2, 1)
    assert (team.host, team.port, team.kept) == ("gpu7", 29500, True)
    assert started_team(torchrun | {"WORLD_SIZE": "1", "RANK": "0", "LOCAL_WORLD_SIZE": "1"}) is None
    assert started_team(step(1)).rank == 1 and not started_team(step(1)).kept
    batch = {name: value for name, value in step(0).items() if "STEP" not in name}
    assert started_team(batch | {"SLURM_NTASKS": "2"}) is None
    assert started_team({}) is None
    with pytest.raises(UserError, match="each node needs as many"):
        started_team(torchrun | {"WORLD_SIZE": "5"})


@pytest.mark.parametrize("nodes", ["gpu7", "gpu7,gpu8", "gpu[07-09]", "gpu[07,09],login", "n[3]"])
def test_the_first_host_is_slurms(nodes):
    assert first_host(nodes) == SLURMEnvironment.resolve_root_node_address(nodes)


def test_a_team_is_its_devices():
    assert words(["seed=1"], 2) == ["seed=1", "train.devices=2"]
    assert words(["train.devices=2"], 2) == ["train.devices=2"]
    with pytest.raises(UserError, match=r"train\.devices=4: 2 processes were started"):
        words(["train.devices=4"], 2)
    for word in ("processes=3", "launch=slurm", "hydra/launcher=joblib"):
        with pytest.raises(UserError, match=f"{word}: 2 processes were started"):
            words(["table=ant/2", word], 2)
