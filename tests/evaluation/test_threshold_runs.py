"""Runs under the threshold rules beyond the plain ones: their metrics and cuts are those of their scores."""

import numpy as np
import pytest
import torch

from mlbench.compose import configure
from mlbench.errors import UserError
from mlbench.evaluation import oracle
from mlbench.evaluation.frequency import Frequencies
from mlbench.evaluation.suite import ALL, evaluate
from mlbench.experiment import run
from mlbench.methods.build import opened, unpacked
from mlbench.results.record import Record
from scored import random_part


@pytest.fixture
def threshold_run(tmp_path):
    """threshold_run("threshold=oracle") is the record of a short run, and its folder."""
    scores, targets = random_part(60, 3)
    np.savez(tmp_path / "small.npz", features=scores.numpy(), targets=targets.numpy().astype(np.uint8))

    def threshold_run(*overrides):
        small = ["dataset=npz", f"dataset.path={tmp_path}/small.npz", "backbone.widths=[4]", "train.epochs=2"]
        places = [
            f"paths.outputs={tmp_path}/outputs",
            f"paths.cache={tmp_path}/cache",
            "train.progress=false",
        ]
        _, path = run(configure([*small, *places, "train.threads=1", *overrides]))
        return Record.read(path), path.parent

    return threshold_run


def frequencies_of(folder):
    """Of the labels in training, as the run's model.pt tells the task."""
    path = folder / "model.pt"
    _, task = unpacked(path, opened(path))
    return Frequencies(torch.tensor(task.positives), task.instances)


def test_a_run_with_oracle(threshold_run):
    record, folder = threshold_run("threshold=oracle", "split.validation=0.2", "selection.rule=best")
    names = {f"{name}_oracle" if metric.needs == "label_sets" else name for name, metric in ALL.items()}
    assert set(record.metrics["best"]) == set(record.metrics["last"]) == names
    assert set(record.thresholds["best"]) == {name for name in names if name.endswith("_oracle")}
    with np.load(folder / "scores.npz") as archive:
        scores, targets = torch.from_numpy(archive["best"]), torch.from_numpy(archive["targets"])
    cuts = torch.arange(1, 20) / 20
    every = [evaluate(scores, scores > cut, targets) for cut in cuts]
    assert record.metrics["best"]["f1_micro_oracle"] == max(each["f1_micro"] for each in every)
    assert record.metrics["best"]["hamming_loss_oracle"] == min(each["hamming_loss"] for each in every)
    assert record.metrics["best"]["ap_macro"] == every[0]["ap_macro"]
    assert set(record.per_label) == {"label", "support", "f1_oracle", "ap", "auc"}
    assert np.mean(record.per_label["f1_oracle"]) == pytest.approx(record.metrics["best"]["f1_macro_oracle"])


def test_a_run_with_validation_per_metric(threshold_run):
    with pytest.raises(UserError, match="threshold=validation_per_metric needs a validation part: add split"):
        threshold_run("threshold=validation_per_metric")
    selected = ["selection.rule=best", "selection.metric=recall_macro_tail"]
    record, folder = threshold_run(
        "threshold=validation_per_metric", "split.validation=0.2", "selection.every=1", *selected
    )
    assert 0 <= record.selected["best"]["recall_macro_tail"] <= 1
    cuts = record.thresholds["last"]
    assert set(record.metrics["last"]) == set(ALL)
    assert set(cuts) == {name for name, metric in ALL.items() if metric.needs == "label_sets"}
    with np.load(folder / "scores.npz") as archive:
        scores, targets = torch.from_numpy(archive["last"]), torch.from_numpy(archive["targets"])
    known = frequencies_of(folder)
    for name in ("f1_micro", "hamming_loss", "recall_macro_tail"):
        found = evaluate(None, scores > cuts[name], targets, [name], known)[name]
        assert record.metrics["last"][name] == found


def test_a_run_with_top_k(threshold_run):
    record, folder = threshold_run("threshold=top_k", "threshold.k=2")
    assert set(record.metrics["last"]) == set(ALL) and record.thresholds == {"last": []}
    with np.load(folder / "scores.npz") as archive:
        scores, targets = torch.from_numpy(archive["last"]), torch.from_numpy(archive["targets"])
    two = scores >= scores.sort(dim=1, descending=True).values[:, 1:2]
    expected = evaluate(scores, two, targets, None, frequencies_of(folder))
    assert record.metrics["last"] == pytest.approx(expected, nan_ok=True)
    with pytest.raises(UserError, match=r"threshold\.k=4: there are 3 labels; choose as many or fewer"):
        threshold_run("threshold=top_k", "threshold.k=4")


def test_oracle_is_the_only_one_to_see_test_targets(threshold_run, monkeypatch):
    monkeypatch.setattr(oracle.Oracle, "suffix", "")
    with pytest.raises(AssertionError, match="sees test targets"):
        threshold_run("threshold=oracle", "method=prior")
