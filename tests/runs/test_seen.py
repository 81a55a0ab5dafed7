"""`mlbench status` and `mlbench gc`: what they say of runs in every state, and what is removed."""

import json
import os
import re
import subprocess
import sys
import time

import pytest
from filelock import FileLock

from commands import PATIENCE
from made_up import made_up_record
from mlbench import files
from mlbench.commands import gc, status
from mlbench.compose import configure
from mlbench.engine.job import Job
from mlbench.experiment import run_all
from mlbench.results import store
from mlbench.results.index import NAME

CONFIG = "seed: 3\ntrain:\n  epochs: 40\n"
CLAIMING = """import sys, time
from pathlib import Path
from mlbench.results import store
with store.claim(Path(sys.argv[1])):
    print("claimed", flush=True)
    time.sleep(600)
"""


@pytest.fixture(autouse=True)
def without_slurm(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path / "nothing"))


def begun(outputs, key, dataset="scene"):
    run = store.folder(outputs, dataset, "erm", key)
    (run / "stages").mkdir(parents=True)
    (run / "config.yaml").write_text(CONFIG)
    return run


def finished(outputs, key, dataset="scene"):
    run = begun(outputs, key, dataset)
    store.finish(run, made_up_record(key, dataset, "erm", 0), {})
    return run


@pytest.fixture
def claimed():
    """claimed(run): another process that holds the run."""
    processes = []

    def claimed(run):
        processes.append(
            subprocess.Popen([sys.executable, "-c", CLAIMING, run], stdout=subprocess.PIPE, text=True)
        )
        assert processes[-1].stdout.readline() == "claimed\n"
        return processes[-1]

    yield claimed
    for process in processes:
        process.kill()
        process.wait(PATIENCE)
        process.stdout.close()


def said(program, outputs, capsys, *words):
    assert program.main([f"paths.outputs={outputs}", *words]) == 0
    return capsys.readouterr().out


def test_tells_every_state_and_why(tmp_path, capsys, claimed):
    finished(tmp_path, "1a")
    running, killed, _, failed, broken = (begun(tmp_path, f"2{letter}") for letter in "abcde")
    (running / "stages" / "0-train.progress").write_text('{"epoch": 12, "epochs": 40}')
    at_work = claimed(running)
    dead = claimed(killed)
    dead.kill()
    dead.wait(PATIENCE)
    store.fail(failed, ValueError("no row\nhas a label"))
    (broken / "record.json").write_text("{}")
    (tmp_path / "tables" / "ant-2" / "pages").mkdir(parents=True)
    out = said(status, tmp_path, capsys)
    assert "6 runs: 1 running, 2 stopped, 1 failed, 1 unreadable, 1 finished" in out
    lines = {line.split()[0]: line for line in out.splitlines() if line.startswith("  ")}
    assert (
        f"seed 3  0-train: epoch 12 of 40  on {os.uname().nodename}, process {at_work.pid}, since 20"
        in (lines["scene/erm/2a"])
    )
    assert f"without a word: {os.uname().nodename}, process {dead.pid}, since 20" in lines["scene/erm/2b"]
    assert lines["scene/erm/2c"].endswith("no checkpoint yet, 40 epochs")
    assert lines["scene/erm/2d"].endswith("no row has a label")
    assert "not a record" in lines["scene/erm/2e"]
    heads = [line for line in out.splitlines()[1:] if line and not line.startswith("  ")]
    assert heads == ["running", "stopped", "failed", "unreadable"]


def test_lists_a_few_of_a_kind_or_all(tmp_path, capsys):
    for number in range(23):
        begun(tmp_path, f"{number:04x}")
    assert said(status, tmp_path, capsys).endswith("  and 3 more; all=true lists them\n")
    assert len(re.findall("epochs", said(status, tmp_path, capsys, "all=true"))) == 23


def test_tasks_of_launches_are_listed_while_they_have_runs_left(tmp_path, capsys):
    note_launch(tmp_path, [finished(tmp_path, "1a"), begun(tmp_path, "2a")])
    out = said(status, tmp_path, capsys)
    assert "71_1  SLURM cannot be asked here  group g1, 1 of 1 runs without a record" in out
    assert "71_0" not in out


def note_launch(outputs, runs):
    folder = outputs / "launches" / "f00d"
    folder.mkdir(parents=True)
    groups = [{"name": f"g{number}", "seconds": None, "runs": [str(run)]} for number, run in enumerate(runs)]
    (folder / "71.json").write_text(json.dumps(groups))
    (folder / "71_0_log.out").write_text("log")
    return folder


def litter(run):
    """Files of a run that is not over."""
    paths = [run / "stages" / name for name in ("0-train.ckpt", "0-train.progress", "0-train.pt")]
    for path in paths:
        path.write_text("x" * 100)
    return paths


def temporary(run, process, age):
    path = run / f"model.pt.{files.HERE}-{process}-ab12.tmp"
    path.write_text("half")
    os.utime(path, (time.time() - age,) * 2)
    return path


def test_removes_what_nothing_needs_and_nothing_else(tmp_path, capsys, claimed):
    over = finished(tmp_path, "1a")
    checkpoint, progress, stage = litter(over)
    at_work, stopped, failed = (begun(tmp_path, f"2{letter}") for letter in "abc")
    needed = [stage, *litter(at_work), *litter(stopped), *litter(failed)]
    claimed(at_work)
    store.fail(failed, ValueError())
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait(PATIENCE)
    half = temporary(over, gone.pid, 3600)
    (tmp_path / "tables").mkdir()
    needed += [temporary(tmp_path / "tables", os.getpid(), 3600), temporary(stopped, gone.pid, 0)]
    shared = tmp_path / "scene" / "stages" / "beef"
    orphans = tmp_path / "emotions" / "stages" / "beef"
    for folder in (shared, orphans):
        folder.mkdir(parents=True)
        for name in ("teacher.pt", "teacher.ckpt", "teacher.lock"):
            (folder / name).touch()
    needed += [
        shared / "teacher.pt",
        shared / "teacher.ckpt",
        *(run / "config.yaml" for run in (over, stopped)),
    ]
    launch = note_launch(tmp_path, [over])
    unneeded = [checkpoint, progress, half, orphans / "teacher.pt", orphans / "teacher.ckpt", launch]

    out = said(gc, tmp_path, capsys)
    assert {line.split()[2].rstrip(":") for line in out.splitlines()[:-1]} == {*map(str, unneeded)}
    assert "remove=true" in out.splitlines()[-1] and all(path.exists() for path in [*needed, *unneeded])
    out = said(gc, tmp_path, capsys, "remove=true")
    assert out.splitlines()[-1].startswith("removed ")
    assert all(path.exists() for path in needed) and not any(path.exists() for path in unneeded)
    assert "nothing that nothing needs" in said(gc, tmp_path, capsys, "remove=true")
    assert len((tmp_path / NAME).read_bytes().split()) and store.finished(over)


def test_checkpoints_of_shared_stages_go_when_all_runs_have_finished(tmp_path, capsys):
    finished(tmp_path, "1a")
    shared = tmp_path / "scene" / "stages" / "beef"
    shared.mkdir(parents=True)
    for name in ("teacher.pt", "other.ckpt"):
        (shared / name).touch()
    said(gc, tmp_path, capsys, "remove=true")
    assert [path.name for path in shared.iterdir() if path.suffix != ".lock"] == ["teacher.pt"]


def test_what_somebody_takes_up_meanwhile_is_left(tmp_path, capsys, claimed, monkeypatch):
    run = finished(tmp_path, "1a")
    paths = litter(run)
    found = [*gc.unneeded(tmp_path)]
    monkeypatch.setattr(gc, "unneeded", lambda outputs: found)
    claimed(run)
    out = said(gc, tmp_path, capsys, "remove=true")
    assert out.count("somebody has taken it up") == 2 and all(path.exists() for path in paths)


def test_a_launch_with_a_run_that_is_not_over_keeps_its_logs(tmp_path, capsys):
    note_launch(tmp_path, [finished(tmp_path, "1a"), begun(tmp_path, "2a")])
    assert "nothing that nothing needs" in said(gc, tmp_path, capsys)


@pytest.mark.parametrize(("queue", "kept"), [(None, True), ({}, False), ({"71_1": "PENDING ()"}, True)])
def test_a_run_without_a_folder_may_be_queued(tmp_path, capsys, monkeypatch, queue, kept):
    monkeypatch.setattr("mlbench.runs.unneeded.queued", lambda: queue)
    folder = note_launch(tmp_path, [finished(tmp_path, "1a"), tmp_path / "scene" / "erm" / "2a"])
    said(gc, tmp_path, capsys, "remove=true")
    assert folder.exists() == kept


@pytest.mark.parametrize("program", [gc, status])
@pytest.mark.parametrize("words", [["paths.outputs=nowhere"], ["all=yes"], ["remove=all"], ["outputs"]])
def test_a_mistake_is_one_line(program, words, capsys):
    assert program.main(words) == 2
    assert len(capsys.readouterr().err.splitlines()) == 1


def test_a_claim_is_noted_while_it_lasts(tmp_path):
    run = begun(tmp_path, "2a")
    with store.claim(run):
        assert store.holder(run)["process"] == os.getpid() and store.claimed(run)
    assert store.holder(run) == {} and not store.claimed(run)


def test_a_run_of_an_older_version_is_seen_at_work_and_stopped(tmp_path, capsys):
    run = begun(tmp_path, "2a")
    with FileLock(run / ".lock"):
        assert "2a  seed 3  no checkpoint yet, 40 epochs  by a process that left no note" in (
            said(status, tmp_path, capsys)
        )
    assert "1 run: 1 stopped" in said(status, tmp_path, capsys)


READ_ONLY = 'mount --bind "$0" "$0" && mount -o remount,bind,ro "$0" && exec "$@"'


def test_outputs_that_cannot_be_written_are_told_of_all_the_same(tmp_path, monkeypatch):
    monkeypatch.undo()
    outputs = tmp_path / "outputs"
    finished(outputs, "1a"), begun(outputs, "2a"), store.fail(begun(outputs, "3a"), ValueError("why"))
    (outputs / NAME).unlink()
    (outputs / "scene" / "erm" / "2a" / ".lock").touch()
    asked = [sys.executable, "-m", "mlbench", "status", f"paths.outputs={outputs}"]
    command = ["unshare", "--mount", "sh", "-c", READ_ONLY, outputs]
    if subprocess.run([*command, "true"], capture_output=True).returncode:
        pytest.skip("this user may not mount a folder read-only")
    done = subprocess.run([*command, *asked], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert "3 runs: 1 stopped, 1 failed, 1 finished" in done.stdout and not (outputs / NAME).exists()


def test_a_training_leaves_how_far_it_is_until_it_ends(tmp_path, monkeypatch):
    """Each run of a stack in its own folder, though they have one checkpoint."""
    noted, note = [], Job.note

    def noting(job, *far):
        note(job, *far)
        noted.append((job.path.parents[1], store.progress(job.path.parents[1])[1:]))

    monkeypatch.setattr(Job, "note", noting)
    words = [f"paths.outputs={tmp_path}", f"paths.cache={tmp_path}", "backbone=linear", "train.epochs=2"]
    ended = run_all([configure([*words, "train.checkpoint_seconds=0", f"seed={seed}"]) for seed in (0, 1)])
    folders = {path.parent for _, path in ended}
    assert {far for folder, far in noted if folder in folders} >= {(0, 2), (1, 2), (2, 2)}
    assert len(folders) == 2 and not any(map(store.progress, folders)) and not any(map(store.holder, folders))
