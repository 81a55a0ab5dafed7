"""scripts/bench.py: every suite runs, at a size that times nothing, and leaves what its JSON promises."""

import importlib.util
import json
import math

import pytest
import torch

from mlbench.assemble import assemble
from mlbench.bench import m3la_by_hand
from mlbench.bench.chain import built
from mlbench.bench.enhancement import FLEM_D
from mlbench.bench.flem_by_hand import Descent, by_hand_of
from mlbench.commands import bench
from mlbench.compose import configure
from mlbench.data.rows import Batch
from mlbench.data.task import Modality, Task
from mlbench.encoders.efficientnet_lite0 import PACKAGE

TINY = {
    "step": ["repeats=1", "epochs=1"],
    "chain": ["repeats=1", "epochs=1"],
    "many": ["repeats=1", "epochs=1", "chains=2", "others=2"],
    "enhancement": ["repeats=1", "epochs=1", "instances=70", "runs=3", "grid=2"],
    "contrastive": ["repeats=1", "epochs=1", "queue=256", "instances=20"],
    "multimodal": ["repeats=1", "instances=70", "hidden=8"],
    "encoders": ["repeats=1", "instances=16", "size=8", "workers=1", "features=80"],
    "metrics": ["repeats=2", "instances=150", "labels=4"],
    "intervals": ["repeats=1", "instances=30", "labels=3", "draws=20", "looped=2"],
    "load": ["repeats=1", "instances=20", "datasets=multidigits"],
    "predict": ["repeats=1", "instances=30", "features=4", "labels=2", "suffixes=parquet"],
    "start": ["repeats=1", "commands=import,help"],
    "records": ["repeats=1", "runs=20", "commands=status"],
}
ROWS = {
    "step": 4,
    "chain": 4,
    "many": 5,
    "enhancement": 6,
    "contrastive": 9,
    "multimodal": 2,
    "encoders": 3 + bool(importlib.util.find_spec(PACKAGE)),  # one where the weights are
    "metrics": 8,
    "intervals": 1,
    "load": 1,
    "predict": 1,
    "start": 2,
    "records": 1,
}


def test_every_suite_is_tested():
    assert {*TINY} == {*ROWS} == {*bench.SUITES} - {"graph"}


@pytest.mark.skipif(torch.cuda.is_available(), reason="for machines without a GPU")
def test_a_suite_of_a_gpu_says_that_there_is_none(capsys):
    assert bench.main(["suite=graph"]) == 2
    assert "sees no GPU" in capsys.readouterr().err


@pytest.mark.parametrize("suite", TINY)
def test_leaves_ratios_with_their_spread(suite, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("MLBENCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("MLBENCH_DATA", raising=False)
    assert bench.main([f"suite={suite}", f"paths.outputs={tmp_path}", *TINY[suite]]) == 0
    left = json.loads((tmp_path / "bench" / f"{suite}.json").read_text())
    repeats = left["settings"]["repeats"]
    assert left["suite"] == suite and f"repeats={repeats}" in TINY[suite]
    assert {"machine", "versions", "revision", "when"} <= set(left)
    assert len(left["rows"]) == ROWS[suite]
    printed = capsys.readouterr().out
    for row in left["rows"]:
        ours, other, ratio = row["ours"], row["other"], row["ratio"]
        assert row["name"] in printed and row["against"] in printed
        assert len(ours["seconds"]) == len(other["seconds"]) == repeats
        for spread in (ours, other, ratio):
            assert 0 < spread["min"] <= spread["median"] <= spread["max"] < math.inf
        assert ratio["max"] == max(a / b for a, b in zip(ours["seconds"], other["seconds"]))
        single = row["against"] in (
            "torchmetrics",
            "a loop by hand",
            "a DataLoader of JPEG",
        )  # their precision
        rounding = 1e-6 if single else 1e-9
        assert row["notes"].get("largest_difference", 0) < rounding


def test_the_first_step_is_the_last(command, folder):
    done = command("method._target_=mlbench.bench.start.FirstStep")
    assert (done.status, done.out, done.err) == (0, "", "")
    assert not list(folder.rglob("record.json"))


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (
            ["suite=stp"],
            "suite=stp: choose step, chain, many, enhancement, contrastive, multimodal, encoders, graph,",
        ),
        (
            ["suite=step", "epoch=3"],
            "epoch: no such key; there are suite, page, paths.outputs, repeats, epochs",
        ),
        (["suite=step", "epochs=0"], "epochs=0: a whole number, 1 or more"),
        (["step"], "step: write suite=step"),
        (["suite=start", "commands=hlp"], "commands=hlp: choose import, help, first_step"),
    ],
)
def test_a_mistake_is_one_line_and_status_2(arguments, words, tmp_path, capsys):
    assert bench.main([*arguments, f"paths.outputs={tmp_path}"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"mlbench: {words}")


def test_help_names_the_suites_and_their_keys(capsys):
    assert bench.main(["--help"]) == 0
    printed = capsys.readouterr().out
    assert all(f"suite={suite} repeats=5" in printed for suite in bench.SUITES)


def test_the_page_shows_what_was_measured(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("MLBENCH_CACHE", str(tmp_path / "cache"))
    shown = tmp_path / "page.md"
    assert bench.main([f"page={shown}", f"paths.outputs={tmp_path}"]) == 2
    assert "has no results" in capsys.readouterr().err
    run = ["suite=load", *TINY["load"], f"page={shown}", f"paths.outputs={tmp_path}"]
    assert bench.main(run) == 0
    (row,) = json.loads((tmp_path / "bench" / "load.json").read_text())["rows"]
    text = shown.read_text()
    assert row["name"] in text and f"| {row['ratio']['median']:.2f} |" in text
    others = ", ".join(suite for suite in bench.SUITES if suite != "load")
    assert f"Not run: {others}." in text
    first = shown.read_bytes()
    assert bench.main([f"page={shown}", f"paths.outputs={tmp_path}"]) == 0
    assert shown.read_bytes() == first


def test_flem_by_hand_is_flem():
    """In double precision, step by step: what is measured beside ours does the same work."""
    config = configure(FLEM_D)
    method, data = built(config)
    method, rows = method.double(), data["train"]
    by_hand = Descent(by_hand_of(method).double())
    groups = [{"params": [own for own in method.parameters() if own.ndim > 1], "weight_decay": 0.0001}]
    groups += [{"params": [own for own in method.parameters() if own.ndim < 2], "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, lr=0.001, amsgrad=True)
    for batch in (rows.batch(torch.arange(start, start + 30)) for start in range(0, 240, 30)):
        batch = batch.map(lambda part: part.double() if part.is_floating_point() else part)
        loss = method.loss(batch)
        loss.backward()
        method.before_step()
        optimizer.step()
        optimizer.zero_grad()
        assert by_hand.step(batch.x, batch.targets) == pytest.approx(loss.item(), rel=1e-6)
    for ours, theirs in zip(method.parameters(), by_hand.model.parameters(), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-6)  # of steps of .001


def test_m3la_by_hand_is_m3la():
    """In double precision, loss and gradients; what is measured beside ours does the same work."""
    torch.manual_seed(0)
    config = configure(["method=m3la", "method.hidden=5"])
    modalities = tuple(Modality(str(start), start, start + 3) for start in (0, 3, 6))
    method = assemble(config).method(Task("t", ("a", "b", "c"), modalities, 9, (3, 3, 3))).double()
    torch.nn.init.normal_(method.correlations)
    by_hand = m3la_by_hand.by_hand_of(method).double()
    with torch.no_grad():
        by_hand.correlations.copy_(method.correlations)
    x, targets = torch.randn(9, 9).double(), (torch.rand(9, 3) < 0.5).double()
    loss, other = method.loss(Batch(x, targets, torch.arange(9))), by_hand.loss(x, targets)
    assert loss.item() == pytest.approx(other.item(), abs=1e-6)
    loss.backward()
    other.backward()
    for ours, theirs in (
        (method.modal.weight, by_hand.modal.weight),
        (method.correlations, by_hand.correlations),
        (torch.cat([own.grad for own in method.inputs.weights], 1)[:15], by_hand.encoder.weight_ih_l0),
    ):
        gradient = ours if ours.grad is None else ours.grad
        torch.testing.assert_close(gradient, theirs.grad, rtol=1e-5, atol=1e-6)
