"""Two processes under gloo measure what one measures, and end well: undisturbed, stopped, or killed."""

import functools
import json
import signal
from pathlib import Path

import numpy as np
import pytest

from commands import Done, records, result, signalled_at_step, until
from mlbench.compose import configure
from mlbench.experiment import run

INTERRUPTED = "mlbench: interrupted; the same command goes on from the last checkpoint\n"
KILLED = (
    "one of the 2 processes of train.devices=2 was ended by SIGKILL; the same command goes on from the last "
    "checkpoint"
)


def history(path):
    return [json.loads(line) for line in path.with_name("history.jsonl").read_text().splitlines()]


@pytest.fixture
def data(problem, folder):
    """Overrides that choose it: 143 rows to train with, 41 to test."""
    files = {}
    for part, rows in (("train", 143), ("test", 41)):
        data = problem.vectors(rows, seed=rows)
        files[part] = folder / f"{part}.npz"
        np.savez(files[part], features=data.x.numpy(), targets=data.targets.numpy().astype(np.uint8))
    cache = f"paths.cache={folder}/cache"
    return ["dataset=npz", f"dataset.path={files['train']}", f"dataset.test={files['test']}", cache]


def test_two_processes_finish_what_one_began(data, command, folder, capfd):
    """Odd sizes: 115 rows in batches of 10, 28 to validate, 41 to test; gradients accumulated and clipped."""
    arguments = [
        *data,
        "split=official",
        "split.validation=0.2",
        "selection.rule=best",
        "threshold=per_label",
        "backbone.widths=[16]",
        "train.epochs=4",
        "train.batch_size=10",
        "train.accumulate=2",
        "train.gradient_clip=0.5",
        "train.optimizer.lr=0.02",
        "train/scheduler=cosine_restarts",
    ]
    alone, alone_path = run(configure([*arguments, f"paths.outputs={folder}/alone"]))

    outputs = f"paths.outputs={folder}/together"
    first = functools.partial(signalled_at_step, 8, signal.SIGTERM)  # in the second epoch
    assert command(*arguments, outputs, first=first).status == 130
    assert not records(folder / "together")
    capfd.readouterr()
    together, path = run(configure([*arguments, outputs, "train.devices=2"]))
    assert capfd.readouterr() == ("", "")

    assert together.key == alone.key
    for ours, theirs in zip(history(path), history(alone_path), strict=True):
        assert ours == pytest.approx(theirs, abs=1e-5)
    assert together.selected["best"]["epoch"] == alone.selected["best"]["epoch"]
    with (
        np.load(path.with_name("scores.npz")) as ours,
        np.load(alone_path.with_name("scores.npz")) as theirs,
    ):
        assert set(ours) == set(theirs) == {"ids", "targets", "last", "best"}
        for name in ("ids", "targets"):
            assert np.array_equal(ours[name], theirs[name])
        for rule in ("last", "best"):
            assert ours[rule].shape == (41, 3)
            assert np.abs(ours[rule] - theirs[rule]).max() <= 1e-5
    assert together.metrics["best"] == pytest.approx(alone.metrics["best"], abs=1e-5, nan_ok=True)


# 143 rows in batches of 10: of the last three one rank has two, and draws more than the other from then on.
DROPOUT = [
    "split=official",
    "method._target_=outside.Dies",
    "+method.batch=100",
    "backbone.widths=[16]",
    "backbone.dropout=0.5",
    "train.epochs=40",
    "train.batch_size=10",
    "train.checkpoint_seconds=0",
    "train.accelerator=cpu",
    "train.devices=2",
]


def alive(folder):
    """Processes that trained here and are still there."""
    found = [Path("/proc", path.stem, "stat") for path in folder.glob("*.rank")]
    return [path for path in found if path.exists() and path.read_text().rpartition(")")[2].split()[0] != "Z"]


@pytest.mark.usefixtures("forked")
def test_whatever_befalls_its_processes_it_ends_as_undisturbed(data, command, start, folder):
    """A rank is killed, the command is stopped, the command is killed; nothing is left of any of them."""

    def checkpointed():
        """Waits for a checkpoint that was not there before."""
        before = {path: path.stat().st_mtime_ns for path in folder.glob("outputs/*/*/*/stages/*.ckpt")}
        running = start(*data, *DROPOUT)
        running.until(
            lambda: any(
                path.stat().st_mtime_ns != before.get(path)
                for path in folder.glob("outputs/*/*/*/stages/*.ckpt")
            )
        )
        return running

    (folder / "spared").touch()
    whole = command(*data, *DROPOUT, "paths.outputs=whole")
    assert (whole.status, whole.err) == (0, ""), whole.err
    assert not alive(folder)
    threads = [path.read_text() for path in folder.glob("*.rank")]
    assert len(threads) == 2 and all("python" in names and "gloo" not in names for names in threads)
    (folder / "spared").unlink()

    killed = command(*data, *DROPOUT)
    assert (killed.status, killed.out, killed.err) == (2, "", f"mlbench: {KILLED}\n")
    assert not alive(folder) and len(list(folder.glob("*.rank"))) == 4
    (failed,) = folder.glob("outputs/*/*/*/failed.json")
    assert json.loads(failed.read_text())["reason"] == KILLED
    (folder / "spared").touch()

    stopped = checkpointed()
    stopped.signal(signal.SIGTERM)
    assert stopped.wait() == Done(130, "", INTERRUPTED)
    assert not alive(folder) and not records(folder / "outputs")

    checkpointed().signal(signal.SIGKILL)
    until(lambda: not alive(folder))
    assert not records(folder / "outputs")

    assert command(*data, *DROPOUT).status == 0
    (ours,), (theirs,) = records(folder / "outputs"), records(folder / "whole")
    assert result(ours) == result(theirs)
    assert not alive(folder) and not list(folder.rglob("*.ckpt")) and not list(folder.rglob("*.tmp"))
