"""Two processes under gloo finish what one began, and measure what one measures."""

import functools
import json
import signal

import numpy as np
import pytest

from commands import records, signalled_at_step
from mlbench.compose import configure
from mlbench.experiment import run


def history(path):
    return [json.loads(line) for line in path.with_name("history.jsonl").read_text().splitlines()]


def test_two_processes_finish_what_one_began(problem, command, folder, capfd):
    """Odd sizes: 115 rows in batches of 10, 28 to validate, 41 to test; gradients accumulated and clipped."""
    files = {}
    for part, rows in (("train", 143), ("test", 41)):
        data = problem.vectors(rows, seed=rows)
        files[part] = folder / f"{part}.npz"
        np.savez(files[part], features=data.features.numpy(), targets=data.targets.numpy().astype(np.uint8))
    arguments = [
        "dataset=npz",
        f"dataset.path={files['train']}",
        f"dataset.test={files['test']}",
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
        f"paths.cache={folder}/cache",
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
