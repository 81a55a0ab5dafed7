"""launch=slurm on a real SLURM, which this file starts. What takes minutes is behind --thorough, whose last
result docs/scale.md has."""

import json
import os
import signal
import subprocess
import sys

import pytest
from slurm import Cluster, kill, lacking
from two_groups import REPRODUCE, TABLE, checkpoints, measured

from commands import ROOT, records, until
from mlbench.results.record import Record

pytestmark = pytest.mark.skipif(bool(lacking()), reason=f"SLURM cannot start: {lacking()}")
OFTEN = "train.checkpoint_seconds=0.2"
SENT = ("launch=slurm", "launch.minutes=9", OFTEN)


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    cluster = Cluster(tmp_path_factory.mktemp("slurm"))
    try:
        cluster.start()
        yield cluster
    finally:
        cluster.stop()


@pytest.fixture
def sent(cluster, start, folder, thorough):
    """sent() is the command that has sent the table to SLURM, once each of its groups has a checkpoint."""
    (folder / "table.yaml").write_text(TABLE)

    def sent(*more):
        command = start("table=table.yaml", *SENT, *more, **REPRODUCE, **cluster.variables)
        command.until(lambda: len(checkpoints(folder)) == 2)
        return command

    yield sent
    cluster.call("scancel", "--user=root")
    until(lambda: not cluster.call("squeue", "--noheader"))


def job_of(folder):
    (note,) = folder.glob("outputs/launches/*/*.json")
    return note.stem


def logs(folder):
    return "".join(path.read_text() for path in folder.glob("outputs/launches/*/*_log.err"))


def test_a_sweep_goes_to_slurm(cluster, command, at_once, folder):
    """And its jobs find their records; a run that fails there is told of here."""
    sweep = ["-m", "method._target_=mlbench.methods.erm.ERM,outside.Needs", "seed=0,1", "train.epochs=1"]
    done = command(*sweep, "launch=slurm", "launch.minutes=5", **cluster.variables)
    lines = done.out.splitlines()
    assert done.status == 2 and lines[-1] == "2 of 4 runs finished" and "mean of 2 seeds: " in lines[-2], done
    assert sum("failed: " in line and "wanted" in line for line in done.err.splitlines()) == 2
    (note,) = folder.glob("outputs/launches/*/*.json")
    assert sorted(len(group["runs"]) for group in json.loads(note.read_text())) == [2, 2]
    assert at_once(*sweep[:1], sweep[1].partition(",")[0], *sweep[2:], "paths.outputs=local").status == 0
    assert measured(folder / "outputs") == measured(folder / "local")


def test_tasks_that_are_signalled_go_back_and_end_the_same(cluster, sent, folder, undisturbed):
    command = sent()
    job = job_of(folder)
    for task, which in enumerate(("TERM", "USR1")):
        cluster.call("scancel", f"--signal={which}", f"{job}_{task}")
    command.until(lambda: logs(folder).count("back into the queue as") == 2)
    assert not records(folder / "outputs")
    done = command.wait()
    assert done.status == 0, done.err + logs(folder)
    assert cluster.restarts(job) == [1, 1]
    assert measured(folder / "outputs") == undisturbed()


def test_a_node_that_is_lost(cluster, sent, folder, undisturbed):
    """SLURM puts its tasks back by itself; they go on from their checkpoints when a node is there. If it ends
    one that has begun again, for what became of it before, the same command does the rest.
    """
    command = sent()
    job = job_of(folder)
    cluster.lose_node()
    assert not records(folder / "outputs")
    until(
        lambda: cluster.restarts(job) == [1, 1] or "NODE_FAIL" in cluster.call("scontrol", "show", "job", job)
    )
    cluster.start_node()
    done = command.wait()
    assert done.status == 0 or "the same command goes on" in done.err, done.err + logs(folder)
    assert done.status == 0 or sent_again(folder, cluster).returncode == 0
    assert measured(folder / "outputs") == undisturbed()


def test_slurmd_is_killed_and_started_again(cluster, sent, folder, undisturbed):
    """Its tasks go on without it, and SLURM takes them up again."""
    command = sent()
    job = job_of(folder)
    cluster.kill_slurmd()
    assert len(cluster.call("squeue", "--noheader", "--array").splitlines()) == 2
    cluster.start_node()
    done = command.wait()
    assert done.status == 0, done.err + logs(folder)
    assert cluster.restarts(job) == [0, 0]
    assert measured(folder / "outputs") == undisturbed()


def test_a_node_that_hangs_comes_back(cluster, sent, folder, undisturbed):
    """SLURM has put its tasks back meanwhile: they are there twice, and none does what another one is at."""
    command = sent()
    job = job_of(folder)
    hanging = cluster.freeze()
    cluster.kill_slurmd()
    until(lambda: cluster.state().startswith("down") and cluster.restarts(job) == [1, 1])
    assert hanging and not records(folder / "outputs")
    for number in hanging:
        kill(number, signal.SIGCONT)
    cluster.start_node()
    done = command.wait()
    assert done.status == 0 or "the same command goes on" in done.err, done.err + logs(folder)
    assert done.status == 0 or sent_again(folder, cluster).returncode == 0
    assert measured(folder / "outputs") == undisturbed()


def test_a_job_of_higher_priority_takes_the_node(cluster, sent, folder, undisturbed):
    command = sent()
    job = job_of(folder)
    cluster.call("srun", "--partition=first", "--ntasks=2", "true")
    assert logs(folder).count("back into the queue as") == 2 and not records(folder / "outputs")
    done = command.wait()
    assert done.status == 0, done.err + logs(folder)
    assert cluster.restarts(job) == [1, 1]
    assert measured(folder / "outputs") == undisturbed()


def test_what_somebody_cancels_stays_cancelled(cluster, sent, folder, undisturbed):
    """The command says what is left, and the same command does it."""
    command = sent()
    job = job_of(folder)
    cluster.call("scancel", f"{job}_1")
    done = command.wait()
    assert done.status == 2 and "2 of 4 runs have no record" in done.err
    assert "not put back into" in logs(folder) and sum(cluster.restarts(job)) == 0
    again = sent_again(folder, cluster)
    assert again.returncode == 0, again.stderr
    assert measured(folder / "outputs") == undisturbed()


def test_a_command_that_is_stopped_leaves_its_job_and_finds_it_again(cluster, sent, folder, undisturbed):
    command = sent()
    command.signal(signal.SIGINT)
    assert command.wait().status == 130
    again = sent_again(folder, cluster)
    assert again.returncode == 0 and f"job {job_of(folder)} of an earlier command" in again.stderr
    assert measured(folder / "outputs") == undisturbed()


def sent_again(folder, cluster):
    return subprocess.run(
        [sys.executable, ROOT / "scripts/reproduce.py", "table=table.yaml", *SENT],
        cwd=folder,
        env=os.environ | cluster.variables,
        capture_output=True,
        text=True,
    )


def test_srun_starts_a_training_on_two_devices(cluster, environment, folder, command, thorough):
    words = ["train.devices=2", "train.epochs=2", "backbone=linear"]
    done = subprocess.run(
        ["srun", "--ntasks=2", sys.executable, ROOT / "run.py", *words],
        cwd=folder,
        env=environment | cluster.variables,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.splitlines()) == 1  # the first process alone has the word
    assert command(*words, "paths.outputs=spawned").status == 0
    assert command(*words[1:], "paths.outputs=alone").status == 0
    (joined,), (spawned,), (alone,) = (
        [Record.read(path) for path in records(folder / name)] for name in ("outputs", "spawned", "alone")
    )
    assert joined.metrics == spawned.metrics
    for metric, value in alone.metrics["last"].items():
        assert joined.metrics["last"][metric] == pytest.approx(value, abs=0.01), metric


def test_a_search_goes_to_slurm(cluster, command, folder, thorough):
    (folder / "mine.yaml").write_text("space:\n  train.optimizer.lr: {low: 0.001, high: 0.1, log: true}\n")
    words = [
        "sweep=mine.yaml",
        "trials=2",
        "batch=2",
        "split.validation=0.2",
        "train.epochs=1",
        "backbone=linear",
    ]
    program = {"program": "mlbench.commands.search"}
    done = command(*words, "launch=slurm", "launch.minutes=5", **program, **cluster.variables)
    assert done.status == 0, done.err
    local = command(*words, "paths.outputs=local", **program)
    assert measured(folder / "outputs") == measured(folder / "local") and len(records(folder / "local")) == 2
    assert "launch" not in done.out.partition("the winner")[2] or "launch=slurm" not in local.out
