"""Runs whose scores a validation part has calibrated: kept, predicted, exported and interrupted."""

import functools
import signal

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

from commands import records, result, signalled_at_rename
from mlbench import Classifier, experiment
from mlbench.compose import configure
from mlbench.errors import UserError
from mlbench.evaluation.calibration import Isotonic, Temperature
from mlbench.export.graph import Graph
from mlbench.export.write import onnx_of, session_of
from mlbench.predict import Trained, predictions

LABELS = ["rain", "snow", "sun"]
CALIBRATIONS = ["temperature", "isotonic"]
VALIDATED = "split.validation=0.4"


@pytest.fixture(scope="module")
def weather(tmp_path_factory):
    """Files of a training part, of a test part and of one with other labels, a label without negatives."""
    folder, rng = tmp_path_factory.mktemp("weather"), np.random.default_rng(0)
    x = rng.normal(size=(240, 4)).astype(np.float32)
    columns = [x[:, 0] + rng.normal(size=240) > 0, x[:, 1] > 1, np.ones(240, bool)]
    table = pd.DataFrame(x, columns=["wet", "cold", "wind", "high"])
    table[LABELS] = np.stack(columns, 1).astype(int)
    table[:160].to_csv(folder / "train.csv", index=False)
    table[160:].to_csv(folder / "test.csv", index=False)
    (table[160:].assign(**{label: 1 - table[label] for label in LABELS})).to_csv(
        folder / "false.csv", index=False
    )
    return folder


@pytest.fixture(scope="module")
def trained(weather):
    """trained("calibration=isotonic") is the record of a run and its folder."""

    @functools.cache
    def trained(*words, test="test.csv"):
        data = ["dataset=csv", f"dataset.path={weather}/train.csv", f"dataset.test={weather}/{test}"]
        data += [f"dataset.labels=[{','.join(LABELS)}]", "split=official", "dataset.name=weather"]
        train = ["backbone=linear", "train.epochs=4", "train.optimizer.lr=0.1", "train.progress=false"]
        places = [f"paths.outputs={weather}/outputs-{test}", f"paths.cache={weather}/cache"]
        record, path = experiment.run(configure([*data, *train, *places, *words]))
        return record, path.parent

    return trained


def scores_of(folder, rule="last"):
    with np.load(folder / "scores.npz") as archive:
        return archive[rule]


@pytest.mark.parametrize("calibration", CALIBRATIONS)
def test_what_is_kept_and_measured_is_predicted_and_exported(calibration, trained, weather):
    record, folder = trained(VALIDATED, f"calibration={calibration}", "threshold=per_label")
    plain, raw = trained(VALIDATED, "threshold=per_label")
    scores = scores_of(folder)
    assert np.abs(scores - scores_of(raw)).max() > 0.01
    assert record.metrics["last"]["brier"] < plain.metrics["last"]["brier"]
    assert record.calibration["last"]["left"] == ["sun"] and plain.calibration == {}

    run = Trained.of_run(folder)
    (piece,) = predictions([run], str(weather / "test.csv"))
    np.testing.assert_allclose(piece.scores, scores, rtol=0, atol=1e-6)
    assert torch.equal(piece.sets, torch.from_numpy(scores) > torch.tensor(record.thresholds["last"]))


class Both(nn.Module):
    """Two runs in one graph: an export takes most of its time whatever is in it."""

    def __init__(self, runs):
        super().__init__()
        self.runs, self.outputs = nn.ModuleList(map(Graph, runs)), ["one", "its sets", "other", "others sets"]

    def forward(self, x):
        return tuple(each for run in self.runs for each in run(x))


def test_onnxruntime_finds_calibrated_scores(trained, weather):
    folders = [trained(VALIDATED, f"calibration={name}", "threshold=per_label")[1] for name in CALIBRATIONS]
    both = Both([Trained.of_run(folder) for folder in folders]).eval()
    session = session_of(onnx_of(both, torch.randn(3, 4), weather, optimize=False).SerializeToString())
    x = pd.read_csv(weather / "test.csv").iloc[:, :4].to_numpy(np.float32)
    one, its_sets, other, other_sets = session.run(None, {"x": x})
    for found, sets, folder in ((one, its_sets, folders[0]), (other, other_sets, folders[1])):
        scores = scores_of(folder)
        np.testing.assert_allclose(found, scores, rtol=0, atol=1e-5)
        cuts = np.array(Trained.of_run(folder).cuts, np.float32)
        assert np.array_equal(sets, found > cuts) and 0 < sets.mean() < 1


@pytest.mark.parametrize(
    "words", [[f"calibration={name}"] for name in CALIBRATIONS] + [["threshold=conformal"]]
)
def test_test_labels_are_not_looked_at(words, trained):
    right, false = (trained(VALIDATED, *words, test=test) for test in ("test.csv", "false.csv"))
    np.testing.assert_array_equal(scores_of(right[1]), scores_of(false[1]))
    assert right[0].thresholds == false[0].thresholds and right[0].calibration == false[0].calibration
    assert right[0].metrics["last"]["ap_macro"] != false[0].metrics["last"]["ap_macro"]


def test_the_map_is_the_one_that_the_validation_part_fits(trained, weather):
    """By hand, from the scores of the same run without calibration."""
    _, folder = trained(VALIDATED, "calibration=temperature", "calibration.bias=true")
    run = Trained.of_run(folder)
    rows = pd.read_csv(weather / "train.csv")
    held_out = experiment_rows(len(rows))
    x, y = rows.iloc[held_out, :4].to_numpy(np.float32), rows.iloc[held_out, 4:].to_numpy()
    raw = Trained.of_run(trained(VALIDATED)[1]).scores(x)
    found = Temperature(False, True).fit(raw, torch.from_numpy(y).float())
    torch.testing.assert_close(run.calibrated.slope, found.slope, rtol=1e-5, atol=0)
    torch.testing.assert_close(run.scores(x), found(raw), rtol=0, atol=1e-6)


def experiment_rows(count):
    from mlbench.data.splits import training_parts

    rows = np.arange(count)
    return training_parts(rows, 0.4, np.zeros((count, 3)), 0, False)["validation"]


def test_an_ensemble_averages_calibrated_scores(trained, weather):
    folders = [trained(VALIDATED, f"calibration={name}", "seed=1")[1] for name in CALIBRATIONS]
    (piece,) = predictions([Trained.of_run(folder) for folder in folders], str(weather / "test.csv"))
    mean = sum(scores_of(folder) for folder in folders) / 2
    np.testing.assert_allclose(piece.scores, mean, rtol=0, atol=1e-6)


def test_an_estimator_has_the_scores_of_the_run(trained, weather):
    train, test = (pd.read_csv(weather / f"{part}.csv") for part in ("train", "test"))
    _, folder = trained(VALIDATED, "calibration=isotonic")
    how = {"calibration": "isotonic", "validation": 0.4, "epochs": 4, "options": ["train.optimizer.lr=0.1"]}
    ours = Classifier(backbone="linear", **how).fit(train.iloc[:, :4], train[LABELS])
    np.testing.assert_array_equal(ours.predict_proba(test.iloc[:, :4]), scores_of(folder))
    assert isinstance(ours.calibration_, type(Isotonic().fit(*torch.eye(2).repeat(2, 1, 1))))


def test_what_a_rule_promises_and_its_part_may_not_be_looked_at(trained, capsys):
    record, _ = trained(VALIDATED, "threshold=conformal", "threshold.level=0.2")
    assert isinstance(record.thresholds["last"], float) and capsys.readouterr().err == ""
    trained(VALIDATED, "threshold=conformal", "calibration=isotonic", "selection.rule=best")
    told = capsys.readouterr().err.splitlines()
    assert [line.split(": ")[2].split()[0] for line in told] == [
        "selection.rule=best",
        "calibration=isotonic",
    ]
    trained(VALIDATED, "threshold=conformal", "calibration=temperature", "calibration.shared=true")
    assert capsys.readouterr().err == ""  # one cut of all labels is one cut before such a map, too


@pytest.mark.parametrize(
    "words, sentence",
    [
        (["calibration=isotonic"], "calibration=isotonic needs a validation part: add split.validation=0.1"),
        (["threshold=conformal"], "threshold=conformal needs a validation part: add split.validation=0.1"),
        (
            [VALIDATED, "calibration=isotonic", "method=br", "method.scores=hard"],
            "calibration=isotonic: the scores of method=br are yes and no; method.scores=probability goes",
        ),
        (
            [VALIDATED, "calibration=temperature", "method=rakel"],
            "the scores of method=rakel are shares of votes, whose logits may be infinite; calibration=",
        ),
        (
            [VALIDATED, "threshold=conformal", "threshold.level=0.01"],
            "level=0.01 needs 99 instances with labels in the validation part, which has 64: raise split",
        ),
    ],
)
def test_what_cannot_be_calibrated(words, sentence, trained):
    with pytest.raises(UserError) as refused:
        trained(*words)
    assert sentence in str(refused.value)


def test_a_killed_run_ends_with_the_same_bytes(command, folder):
    words = ["backbone=linear", "train.epochs=2", "split.validation=0.2", "calibration=isotonic"]
    words += ["selection.rule=best", "threshold=per_label"]
    killed = command(*words, first=functools.partial(signalled_at_rename, 1, "model.pt", "before"))
    assert killed.status == -signal.SIGKILL
    assert command(*words).status == 0
    (record,) = records(folder / "outputs")
    resumed = result(record)
    assert command(*words, "paths.outputs=again").status == 0
    (record,) = records(folder / "again")
    assert result(record) == resumed
