"""All stages of a method, and a model for each selection rule that applies."""

import json

import numpy as np
import pytest
import torch

import outside
from mlbench.compose import configure
from mlbench.errors import UserError
from mlbench.evaluation.suite import evaluate
from mlbench.experiment import run
from mlbench.methods.base import Stage


@pytest.fixture
def experiment(tmp_path, problem):
    """experiment("seed=1") is the record of a small run, its history, and its scores by rule."""
    data = problem.vectors(150)
    path = tmp_path / "small.npz"
    np.savez(path, features=data.x.numpy(), targets=data.targets.numpy().astype(np.uint8))

    def experiment(*overrides):
        config = configure(
            [
                "dataset=npz",
                f"dataset.path={path}",
                "split.test=0.3",
                "backbone.widths=[8]",
                "backbone.dropout=0.5",
                "train.optimizer.lr=0.3",
                "train.batch_size=20",
                "train.epochs=6",
                f"paths.outputs={tmp_path}/outputs",
                f"paths.cache={tmp_path}/cache",
                *overrides,
            ]
        )
        record, at = run(config)
        history = [json.loads(line) for line in at.with_name("history.jsonl").read_text().splitlines()]
        with np.load(at.with_name("scores.npz")) as archive:
            return record, history, dict(archive)

    return experiment


VALIDATION = "split.validation=0.3"


@pytest.mark.parametrize(
    "overrides, rules",
    [
        ([], {"last"}),
        ([VALIDATION], {"last", "best"}),
        ([VALIDATION, "selection.rule=best"], {"last", "best"}),
        (["selection.rule=oracle"], {"last", "oracle"}),
        ([VALIDATION, "selection.rule=oracle"], {"last", "best", "oracle"}),
        ([VALIDATION, "selection.rule=best", "method=prior"], {"last", "best"}),
    ],
    ids=lambda words: " ".join(sorted(words)),
)
def test_the_record_has_every_rule_that_applies(overrides, rules, experiment):
    record, history, scores = experiment(*overrides)
    assert set(record.metrics) == set(record.thresholds) == set(scores) - {"ids", "targets"} == rules
    assert record.rule in rules
    columns = {name for row in history for name in row}
    for rule, part in (("best", "validation"), ("oracle", "test")):
        column = f"{part}_f1_macro"
        assert (column in columns) == (rule in record.selected) == (rule in rules and bool(history))
        if rule in record.selected:
            values = [row[column] for row in history]
            selected = {"epoch": values.index(max(values)) + 1, "f1_macro": max(values)}
            assert record.selected[rule] == selected
    for rule in rules:
        ours, targets = torch.from_numpy(scores[rule]), torch.from_numpy(scores["targets"]).float()
        again = evaluate(ours, ours > 0.5, targets)
        found = {name: record.metrics[rule][name] for name in again}  # others need the labels' counts
        assert found == pytest.approx(again, abs=0, nan_ok=True)
    if "oracle" in record.selected:
        assert record.metrics["oracle"]["f1_macro"] == record.selected["oracle"]["f1_macro"]
        assert all(record.metrics["oracle"]["f1_macro"] >= record.metrics[rule]["f1_macro"] for rule in rules)


def test_the_best_epochs_model_is_what_training_until_then_gives(experiment):
    record, _, scores = experiment(VALIDATION, "selection.rule=best", "seed=2")
    epoch = record.selected["best"]["epoch"]
    _, _, shorter = experiment(VALIDATION, "selection.rule=best", "seed=2", f"train.epochs={epoch}")
    assert np.array_equal(scores["best"], shorter["last"])
    assert np.array_equal(scores["best"], scores["last"]) == (epoch == 6)


@pytest.mark.parametrize("metric, best", [("hamming_loss", min), ("bce", min), ("recall_at_2", max)])
def test_a_metric_and_its_best_epoch(metric, best, experiment):
    record, history, _ = experiment(VALIDATION, "selection.rule=best", f"selection.metric={metric}")
    values = [row[f"validation_{metric}"] for row in history]
    assert record.selected["best"] == {"epoch": values.index(best(values)) + 1, metric: best(values)}
    assert "recall_at_2" not in record.metrics["best"]


def test_stages_follow_each_other(experiment):
    """The teacher's epochs, then the student's; only the student selects."""
    record, history, _ = experiment(VALIDATION, "method._target_=outside.TwoStages")
    assert [(row["stage"], row["epoch"]) for row in history] == [
        *(("teacher", epoch) for epoch in (1, 2)),
        *(("student", epoch) for epoch in range(1, 7)),
    ]
    assert all(("validation_f1_macro" in row) == (row["stage"] == "student") for row in history)
    assert {"teacher", "student", "scoring"} <= set(record.seconds)
    assert history[1]["loss"] < history[0]["loss"]


@pytest.mark.parametrize("name", ["a/b", "..", "/tmp/x"])
def test_what_a_stage_leaves_lies_nowhere_but_in_the_runs_folder(name, experiment, monkeypatch):
    def stages(self, data):
        yield Stage(name, self, data["train"])

    monkeypatch.setattr(outside.TwoStages, "stages", stages)
    with pytest.raises(UserError, match=r"stage 0 of method twostages.* one name, not a path"):
        experiment("method._target_=outside.TwoStages")


@pytest.mark.parametrize(
    "split, parts",
    [
        (["split=holdout"], ["train"]),
        (["split=kfold", VALIDATION], ["train", "validation"]),
        (
            ["split=amalgamation", "split.student=0.5"],
            ["train", "teacher_0", "teacher_0_aside", "teacher_1", "teacher_1_aside"],
        ),
    ],
    ids=["holdout", "kfold", "amalgamation"],
)
@pytest.mark.parametrize("rule", ["last", "oracle"])
def test_no_stage_sees_the_test_part(split, parts, rule, tmp_path, problem, monkeypatch):
    monkeypatch.setattr(outside.Nosy, "seen", [])
    data = problem.vectors(150)
    np.savez(tmp_path / "small.npz", features=data.x.numpy(), targets=data.targets.numpy())
    run(
        configure(
            [
                "dataset=npz",
                f"dataset.path={tmp_path}/small.npz",
                *split,
                "method._target_=outside.Nosy",
                f"selection.rule={rule}",
                "train.epochs=1",
                f"paths.outputs={tmp_path}/outputs",
                f"paths.cache={tmp_path}/cache",
            ]
        )
    )
    assert outside.Nosy.seen == [parts]


def test_scores_that_are_no_probabilities_are_refused(experiment):
    with pytest.raises(UserError, match=r"method=logits gave scores that are no probabilities"):
        experiment("method._target_=outside.Logits")


def test_what_a_method_does_not_take_is_not_run_again_and_not_recorded(experiment, tmp_path, capsys):
    first, _, _ = experiment("method=prior")
    again, _, _ = experiment("method=prior", "loss=focal", "train.epochs=9", "backbone=mlp")
    assert (again.key, again.finished) == (first.key, first.finished)
    assert len(list(tmp_path.glob("outputs/*/*/*/record.json"))) == 1
    assert "method=prior takes no loss: loss=focal changes nothing" in capsys.readouterr().err
    assert (first.choices["loss"], first.choices["backbone"]) == ("–", "–")
    assert first.config["loss"] is None and "epochs" not in first.config["train"]


@pytest.mark.parametrize(
    "said, company",
    [
        ("train.clip_by=value", []),
        ("train.drop_last=true", ["train.walk=endless"]),
        ("train.drop_last=true", ["train.walk=3"]),
        ("train.schedule_every=step", []),
        ("train.decay_on=weights", []),
        ("train.decay_on=weights", ["train/optimizer=sgd"]),
        ("train.decay_on=weights", ["train.ema=0.9", "train.gradient_clip=0.1"]),
        ("selection.metric=one_error", []),
        ("selection.every=7", []),
    ],
)
def test_an_option_that_makes_no_run_of_its_own_leaves_every_bit_as_it_is(experiment, said, company):
    """Run again with it, the run with the same key has the same scores and the same history."""
    first, history, scores = experiment(*company)
    again, history_again, scores_again = experiment(*company, said, "force=true")
    assert again.key == first.key and again.seconds != first.seconds
    assert history_again == history
    assert scores_again.keys() == scores.keys()
    assert all((scores_again[name] == scores[name]).all() for name in scores)
    assert again.config == first.config | {"force": True}


def test_a_method_that_takes_more_of_conf_train_than_it_says_is_refused(experiment, monkeypatch):
    monkeypatch.setattr(outside.TwoStages, "train_options", frozenset({"shuffle"}))
    refused = r"train_options leaves out .*accumulate.* its stage teacher takes"
    with pytest.raises(UserError, match=refused):
        experiment("method._target_=outside.TwoStages")


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        ("OneTooMany", r"OneTooMany\.scores gave something of shape \(\d+, 4\) for \d+ instances and 3 "),
        (
            "Summed",
            r"Summed\.scores gave something of shape \(\d+,\) for .* it is to give a tensor of shape \(",
        ),
        ("Listed", r"Listed\.scores gave something of type list for "),
    ],
)
@pytest.mark.parametrize("looks", [[], ["split.validation=0.1", "selection.rule=best"]], ids=["", "best"])
def test_scores_of_another_shape_are_refused(kind, said, looks, experiment):
    with pytest.raises(UserError, match=said):
        experiment(f"method._target_=outside.{kind}", *looks)
