"""launch=ray on real clusters, which this file starts where Ray is installed (`make ray`). What takes minutes
is behind --thorough, whose last result docs/scale.md has."""

import importlib.util
import os
import signal
import sys
import time
from pathlib import Path

import pytest
from ray_cluster import Cluster
from two_groups import REPRODUCE, TABLE, checkpoints, measured

from commands import records, until
from mlbench.compose import configure
from mlbench.errors import UserError
from mlbench.results import store
from mlbench.runs.composed import runs_of
from mlbench.runs.launched import launch_of
from mlbench.runs.work import divided

real = pytest.mark.skipif(not importlib.util.find_spec("ray"), reason="no Ray here: make ray brings it")
SWEEP = ["-m", "backbone=linear,mlp", "seed=0,1", "launch=ray"]
GB = 2**30


@pytest.fixture(scope="module")
def cluster():
    cluster = Cluster()
    yield cluster
    cluster.stop()


@pytest.fixture
def sent(cluster, start, folder, thorough):
    """sent() is the command that has sent the table to the cluster of two nodes, once both of its groups have
    a checkpoint, one on each node."""
    (folder / "table.yaml").write_text(TABLE)
    other = cluster.add()

    def sent():
        command = start(*words(cluster), **REPRODUCE, **cluster.variables)
        command.until(lambda: len(checkpoints(folder)) == 2)
        return command

    yield sent
    if other in cluster.cluster.worker_nodes:
        cluster.lose(other)


def words(cluster):
    where = ["launch=ray", f"launch.address={cluster.address}"]
    return ["table=table.yaml", *where, "train.checkpoint_seconds=0.2"]


def holders(folder):
    """The processes that hold runs of the table."""
    held = [store.holder(path.parent) for path in folder.glob("outputs/*/*/*/config.yaml")]
    return {note["process"] for note in held if note}


def logs(folder):
    return "".join(path.read_text() for path in folder.glob("outputs/launches/*/*.log"))


@real
def test_a_sweep_on_a_cluster_of_its_own(command, at_once, folder, thorough):
    """Two of its runs fail, and it says so; the others have the bytes that they have here."""
    sweep = ["-m", "method._target_=mlbench.methods.erm.ERM,outside.Needs", "seed=0,1", "train.epochs=1"]
    done = command(*sweep, "launch=ray")
    lines = done.out.splitlines()
    assert done.status == 2 and lines[-1] == "2 of 4 runs finished" and "mean of 2 seeds: " in lines[-2], done
    assert sum("failed: " in line and "wanted" in line for line in done.err.splitlines()) == 2
    assert logs(folder).count("wanted") >= 1
    assert at_once(sweep[0], sweep[1].partition(",")[0], *sweep[2:], "paths.outputs=local").status == 0
    assert measured(folder / "outputs") == measured(folder / "local")


@real
def test_what_no_node_has_is_refused_at_once(command):
    done = command(*SWEEP, "launch.cpus=4000")
    (line,) = done.err.splitlines()
    assert done.status == 2 and "a group asks for 4000 CPU, 0.5 GB, and no node has that; there is " in line


@real
def test_a_killed_worker_and_a_command_that_is_stopped(sent, cluster, command, folder, undisturbed):
    """Ray begins the group again; Ctrl-C stops it, leaves nothing at work, and the same command goes on."""
    running = sent()
    before = holders(folder)
    os.kill(min(before), signal.SIGKILL)
    running.until(lambda: holders(folder) - before)
    processes = holders(folder) | before
    running.signal(signal.SIGINT)
    done = running.wait()
    assert done.status == 130 and done.err.endswith("the same command goes on where it stopped\n"), done
    assert len(records(folder / "outputs")) < 4 and checkpoints(folder)
    until(lambda: not any(Path(f"/proc/{process}").exists() for process in processes))
    done = command(*words(cluster), **REPRODUCE, **cluster.variables)
    assert done.status == 0, done.err + logs(folder)
    assert measured(folder / "outputs") == undisturbed()


@real
def test_a_node_that_is_lost(cluster, sent, folder, undisturbed):
    """Its group goes on at the other one. What Ray says of it is not mixed with what the command prints."""
    command = sent()
    (other,) = cluster.cluster.worker_nodes
    cluster.lose(other)
    assert not records(folder / "outputs")
    done = command.wait()
    assert done.status == 0, done.err + logs(folder)
    assert "raylet" not in done.out
    assert measured(folder / "outputs") == undisturbed()


@real
def test_a_group_that_is_told_to_go_goes_on_elsewhere(sent, folder, undisturbed):
    """SIGTERM, as from a node that is about to be taken away: the group saves and begins again."""
    command = sent()
    before = holders(folder)
    os.kill(min(before), signal.SIGTERM)
    command.until(lambda: holders(folder) - before)
    done = command.wait()
    assert done.status == 0, done.err + logs(folder)
    assert measured(folder / "outputs") == undisturbed()


def test_dry_run_says_what_each_group_asks_for(command, folder):
    more = ["launch.cpus=2", "launch.gpus=.5", "launch.at_once=1", "launch.retries=4", "launch.dry_run=true"]
    done = command(*SWEEP, *more)
    assert done.status == 0 and not (folder / "outputs").exists(), done.err
    told, _, tasks = done.out.partition("\n\n")
    assert len(told.splitlines()) == 3 and "multidigits erm ×2" in told and "4 runs in 2 groups" in told
    first, *groups = tasks.splitlines()
    assert first == "tasks of a cluster that this command starts, max_retries=4, at most 1 at once:"
    assert len(groups) == 2 and all(line.endswith("2 CPU, 0.5 GPU, 0.5 GB") for line in groups), groups


@pytest.fixture
def groups(environment, folder, monkeypatch):
    monkeypatch.chdir(folder)
    monkeypatch.setenv("MLBENCH_CACHE", environment["MLBENCH_CACHE"])
    return divided(runs_of([["seed=0"], ["seed=1"]]), folder / "outputs", 3600)


def launch(*words):
    return launch_of(configure(["launch=ray", *words]))


def test_a_group_asks_for_no_more_memory_than_a_node_has_unless_it_is_told_to(groups, capsys):
    small = [{"CPU": 1.0, "memory": 0.1 * GB}, {"CPU": 2.0, "memory": 0.2 * GB}]
    (group,) = groups
    assert launch().wanted(group, 0.2 * GB)["memory"] == int(0.2 * GB)
    launch("launch.cpus=2").look_for_room(groups, small)
    with pytest.raises(
        UserError, match=r"asks for 1 CPU, 3.0 GB, and no node has that; there is 1 CPU, 0.1 GB or"
    ):
        launch("launch.memory=3").look_for_room(groups, small)
    launch("launch.memory=3", "launch.address=auto").look_for_room(groups, small)
    assert capsys.readouterr().err.endswith("waiting for such a node\n")


@pytest.mark.parametrize(
    "words, said",
    [
        (["launch=ray"], "launch=ray: a launcher is for the runs of a sweep; add -m"),
        (["-m", "launch=ray", "launch.cpus=0"], "launch.cpus=0: "),
        (["-m", "launch=ray", "launch.retires=1"], "did you mean retries?"),
        (
            ["-m", "launch=ray", "launch.address=ray://head:1"],
            "local, auto, or host:port",
        ),
        (["-m", "launch=ray", "launch.address=127.0.0.1:1"], "nobody answers there"),
        (["-m", "launch=ray", "launch.processes=2"], "launch.processes"),
    ],
)
def test_what_is_wrong_is_said_in_a_line(words, said, at_once):
    began = time.monotonic()
    done = at_once(*words, "seed=0")
    assert done.status == 2 and len(done.err.splitlines()) == 1 and said in done.err
    assert time.monotonic() - began < 60


def test_without_ray_a_line_says_what_to_install(at_once, monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    done = at_once("-m", "launch=ray", "seed=0,1")
    assert done.status == 2 and "pip install 'multilabel-bench[ray]'" in done.err
