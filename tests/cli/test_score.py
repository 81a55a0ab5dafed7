"""`mlbench score`: predictions of any tool, matched by id and name, measured as runs are."""

import csv
from io import BytesIO
from zipfile import ZipFile

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import average_precision_score, f1_score
from sklearn.multioutput import MultiOutputClassifier

from mlbench.commands import score
from mlbench.evaluation.suite import METRICS, evaluate

draw = np.random.default_rng(0)
TRUTH = (draw.random((40, 3)) < 0.4).astype(int)
SCORES = draw.random((40, 3))
IDS = [f"i{number}" for number in range(40)]
LABELS = ["sea", "sky", "tree"]


def write(path, values, ids=IDS, labels=LABELS):
    with path.open("w", newline="") as file:
        csv.writer(file).writerows(
            [["id", *labels], *([one, *row] for one, row in zip(ids, values.tolist()))]
        )
    return str(path)


@pytest.fixture
def truth(tmp_path):
    return "truth=" + write(tmp_path / "truth.csv", TRUTH)


def values_of(out):
    return {name: float(value) for name, value in (line.split() for line in out.splitlines()[1:])}


def expected(scores, sets, names=None):
    tensors = (torch.as_tensor(array) for array in (scores, sets, TRUTH))
    return pytest.approx(evaluate(*tensors, names), abs=6e-7, nan_ok=True)


def names_of(*families):
    return [name for name, metric in METRICS.items() if metric.family in families]


def test_every_metric_of_any_order_of_rows_and_columns(tmp_path, truth, capsys):
    rows, columns = draw.permutation(40), [2, 0, 1]
    shuffled = SCORES[rows][:, columns]
    ids, labels = [IDS[row] for row in rows], [LABELS[column] for column in columns]
    np.savez(tmp_path / "a.npz", ids=ids, labels=labels, scores=shuffled)
    for path in (write(tmp_path / "a.csv", shuffled, ids, labels), str(tmp_path / "a.npz")):
        assert score.main([path, truth, "threshold=0.3"]) == 0
        assert values_of(capsys.readouterr().out) == expected(SCORES, SCORES > 0.3)


def test_label_sets_are_measured_as_scores_only_if_asked(tmp_path, truth, capsys):
    sets = (SCORES > 0.5).astype(int)
    path = write(tmp_path / "sets.csv", sets)
    assert score.main([path, truth]) == 0
    out = capsys.readouterr().out
    assert "treat=scores" in out
    assert values_of(out) == expected(sets, sets, names_of("label_sets"))
    assert score.main([path, truth, "treat=scores"]) == 0
    assert values_of(capsys.readouterr().out) == expected(sets, sets)


def test_logits_are_cut_as_probabilities_and_ranked_as_they_are(tmp_path, truth, capsys):
    logits = (SCORES - 0.5) * 2000  # a sigmoid makes most of them 0 or 1
    path = write(tmp_path / "logits.csv", logits)
    assert score.main([path, truth]) == 0
    out = capsys.readouterr().out
    assert "scores=logits" in out
    assert values_of(out) == expected(logits, SCORES > 0.5, names_of("ranking", "curves"))
    assert score.main([path, truth, "scores=logits"]) == 0
    found = values_of(capsys.readouterr().out)
    assert list(found) == list(METRICS)
    ranked = names_of("label_sets", "ranking", "curves")
    assert {name: found[name] for name in ranked} == expected(logits, SCORES > 0.5, ranked)


def test_a_path_may_have_an_equals_sign(tmp_path, truth, capsys):
    (tmp_path / "seed=0").mkdir()
    assert score.main([write(tmp_path / "seed=0" / "a.csv", SCORES), truth]) == 0
    assert values_of(capsys.readouterr().out) == expected(SCORES, SCORES > 0.5)


def test_multi_output_classifier_of_scikit_learn(tmp_path, truth, capsys):
    features = TRUTH + draw.normal(size=TRUTH.shape)
    model = MultiOutputClassifier(LogisticRegression()).fit(features, TRUTH)
    theirs = np.stack([of_label[:, 1] for of_label in model.predict_proba(features)], 1)
    assert score.main([write(tmp_path / "theirs.csv", theirs), truth]) == 0
    found = values_of(capsys.readouterr().out)
    assert found["f1_macro"] == pytest.approx(f1_score(TRUTH, theirs > 0.5, average="macro"), abs=6e-7)
    assert found["ap_macro"] == pytest.approx(average_precision_score(TRUTH, theirs), abs=6e-7)


@pytest.mark.parametrize(
    ("ids", "labels", "said"),
    [
        (["other", *IDS[1:]], LABELS, "lacks ids that"),
        (["i1", *IDS[1:]], LABELS, "ids are there more than once: i1"),
        (IDS, ["sea", "sea", "tree"], "labels are there more than once: sea"),
        (IDS, ["sea", "sky", "bush"], "lacks labels that"),
        ([f"x{one}" for one in IDS], LABELS, "i0, i1, i2 and 37 more"),
    ],
)
def test_what_does_not_match_is_said_in_a_line(tmp_path, truth, capsys, ids, labels, said):
    assert score.main([write(tmp_path / "a.csv", SCORES, ids, labels), truth]) == 2
    err = capsys.readouterr().err
    assert said in err and err.count("\n") == 1


def test_extra_instances_nan_and_bad_words_are_refused(tmp_path, truth, capsys):
    more = write(tmp_path / "more.csv", np.vstack([SCORES, SCORES[:1]]), [*IDS, "new"])
    holed = write(tmp_path / "nan.csv", np.where(SCORES[4, 1] == SCORES, np.nan, SCORES))
    good = write(tmp_path / "good.csv", SCORES)
    (tmp_path / "bad.npz").write_bytes(b"no archive")
    for words, said in [
        ([more, truth], "has ids that"),
        ([holed, truth], "the first at id i4, label sky"),
        ([good], "truth= is missing"),
        ([good, f"truth={good}"], "true labels are 0 or 1"),
        ([good, truth, "threshold=2"], "a number from 0 to 1"),
        ([good, truth, "scores=odds"], "choose logits"),
        ([str(tmp_path / "bad.npz"), truth], "no whole .npz archive"),
        ([str(tmp_path / "gone.csv"), truth], "gone.csv"),
        ([good, good, good, truth], "3 files of predictions"),
        ([good, truth, "intervals=some"], "should be a whole number, 1 or more"),
        ([good, truth, "treshold=0.5"], "did you mean threshold?"),
    ]:
        assert score.main(words) == 2
        err = capsys.readouterr().err
        assert said in err and err.count("\n") == 1


def announcing(rows):
    """An archive whose scores are said to have so many rows."""
    archive = BytesIO()
    np.savez(archive, ids=np.array(IDS), labels=np.array(LABELS), scores=SCORES)
    shape = f"'shape': ({len(IDS)}, 3), ".encode()
    larger = f"'shape': ({rows}, 3), ".encode()
    changed = BytesIO()
    with ZipFile(archive) as whole, ZipFile(changed, "w") as forged:
        for name in whole.namelist():
            content = whole.read(name)
            padding = b" " * (len(larger) - len(shape))
            forged.writestr(name, content.replace(shape + b"}" + padding, larger + b"}"))
    return changed.getvalue()


def directory_moved():
    """An archive that says its list of members begins before the file."""
    content = bytearray(announcing(len(IDS)))
    end = content.rindex(b"PK\x05\x06")
    content[end + 16 : end + 20] = b"\xff" * 3 + b"\x7f"
    return bytes(content)


@pytest.mark.parametrize(
    "content", [announcing(10**12), directory_moved()], ids=["too many rows", "directory"]
)
def test_a_damaged_archive_is_refused_in_a_line_with_its_name(tmp_path, truth, capsys, content):
    bad = tmp_path / "bad.npz"
    bad.write_bytes(content)
    assert score.main([str(bad), truth]) == 2
    err = capsys.readouterr().err
    assert f"{bad} is no whole .npz archive" in err and err.count("\n") == 1


def test_a_missing_archive_is_called_missing(tmp_path, truth, capsys):
    assert score.main([str(tmp_path / "gone.npz"), truth]) == 2
    assert "No such file" in capsys.readouterr().err


def test_intervals_stand_beside_the_values_and_are_those_of_the_seed(tmp_path, truth, capsys):
    path = write(tmp_path / "a.csv", SCORES)
    printed = {}
    for words in (["intervals=50"], ["intervals=50"], ["intervals=50", "seed=1"]):
        assert score.main([path, truth, *words]) == 0
        lines = capsys.readouterr().out.splitlines()
        assert "95 % of 50 bootstrap resamples" in lines[1]
        without = [line.split()[0] for line in lines[2:] if " has no interval: " in line]
        assert without == ["ap_macro_array_order", "ece_micro", "ece_macro"]
        printed.setdefault(words[-1], []).append(lines[5:])
    first, again = printed["intervals=50"]
    assert first == again and first != printed["seed=1"][0]
    found = {line.split()[0]: line.split()[1:] for line in first}
    undefined = {"precision_at_5", "recall_at_5", "ndcg_at_5"}  # of 3 labels
    alone = {name for name in found if len(found[name]) == 1}
    assert list(found) == list(METRICS) and alone == {*without} | undefined
    for name, (value, *interval) in found.items():
        if interval:
            low, high = (float(end.strip("[],")) for end in interval)
            assert low <= float(value) <= high, name


def test_two_files_differ_by_each_metric(tmp_path, truth, capsys):
    good, bad = TRUTH * 0.5 + 0.25, SCORES
    paths = [write(tmp_path / f"{name}.csv", values) for name, values in (("good", good), ("bad", bad))]
    assert score.main([*paths, truth, "intervals=99"]) == 0
    out = capsys.readouterr().out
    assert "first: " + paths[0] in out
    lines = {line.split()[0]: line.split()[1:] for line in out.splitlines()}
    first, second, difference, low, _, *p = lines["f1_micro"]
    assert first == "1.000000" and float(difference) == pytest.approx(1 - float(second), abs=1e-6)
    assert float(low.strip("[,")) > 0 and p == ["0.0200", "0.0100"]
    assert score.main([paths[0], paths[0], truth, "intervals=20"]) == 0
    out = capsys.readouterr().out
    assert (
        out.count("1.0000  1.0000\n") == len(METRICS) - 6
    )  # three of five labels, of 3; three without intervals


def test_two_files_are_compared_by_what_both_allow(tmp_path, truth, capsys):
    sets = write(tmp_path / "sets.csv", (SCORES > 0.4).astype(int))
    assert score.main([write(tmp_path / "a.csv", SCORES), sets, truth, "intervals=20"]) == 0
    out = capsys.readouterr().out
    assert f"{sets}: label sets; metrics of scores are left out" in out
    assert "f1_micro" in out and "ap_macro" not in out
