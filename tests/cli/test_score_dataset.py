"""`mlbench score dataset=...`: predictions beside a data set's own labels, by any rule, kept as a record."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.special import expit

from mlbench import experiment
from mlbench.commands import export, predict, report, reproduce, score, serve
from mlbench.compose import configure
from mlbench.evaluation.f1_cuts import F1PerLabel
from mlbench.evaluation.frequency import Frequencies
from mlbench.evaluation.measure import measure
from mlbench.evaluation.oracle import Oracle
from mlbench.evaluation.suite import evaluate
from mlbench.evaluation.thresholds import Fixed
from mlbench.evaluation.transductive import LabelCardinality
from mlbench.results.record import Record
from mlbench.results.store import records
from mlbench.submissions.known import known
from mlbench.tables.report import content

draw = np.random.default_rng(0)
TARGETS = (draw.random((90, 3)) < [0.5, 0.3, 0.15]).astype(int)
FEATURES = TARGETS + draw.normal(size=TARGETS.shape)
LABELS = ["sea", "sky", "old tree"]
DATA = ["dataset=csv", "dataset.path=shore.csv", f"dataset.labels=[{','.join(LABELS)}]"]


@pytest.fixture
def shore(tmp_path, monkeypatch, cache):
    """A working directory with a data set of 90 rows; what score knows of it with split=holdout."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLBENCH_CACHE", str(cache))
    rows = [[*features, *labels] for features, labels in zip(FEATURES.round(3).tolist(), TARGETS.tolist())]
    lines = [",".join(map(str, row)) for row in [["a", "b", "c", *LABELS], *rows]]
    Path("shore.csv").write_text("\n".join(lines))
    return known(DATA)


def saved(name, data, part="test", seed=1, targets=False):
    """Scores of a part, its rows shuffled; returned in their own order."""
    rows = data.rows(part)
    noise = np.random.default_rng(seed).normal(size=(len(rows), 3))
    scores = expit(TARGETS[rows] + noise - 0.5)
    order = np.random.default_rng(seed).permutation(len(rows))
    more = {"targets": TARGETS[rows][order]} if targets else {}
    np.savez(name, ids=rows[order], labels=LABELS, scores=scores[order], **more)
    return torch.from_numpy(scores)


def scored(capsys, *words, status=0):
    assert score.main([*words]) == status
    out, err = capsys.readouterr()
    if status:
        assert out == "" and err.count("\n") == 1
        return err
    first, *lines = out.splitlines()
    kept = [line for line in lines if line.startswith("outputs/")]
    values = {name: float(value) for name, value in (line.split() for line in lines if line not in kept)}
    return first, values, kept


def near(values):
    return pytest.approx(values, abs=6e-7, nan_ok=True)


def targets_of(data, part):
    return torch.from_numpy(TARGETS[data.rows(part)])


def frequencies(data):
    rows = data.rows("training")
    return Frequencies.of(TARGETS[rows].sum(0).tolist(), len(rows))


def test_a_run_scored_as_a_file_has_its_own_metrics(shore, capsys):
    words = [*DATA, "backbone=linear", "train.epochs=3", "train.progress=false"]
    record, path = experiment.run(configure(words))
    first, values, _ = scored(capsys, str(path.parent), *DATA, "part=test")
    assert "selection last" in first and "psp_at_1" in values and "f1_macro_tail" in values
    assert values == near(record.metrics["last"])


def test_parts_seeds_and_folds_are_the_splits_own(shore, capsys):
    for words in (["part=train"], ["seed=3"], ["split=kfold", "split.folds=5", "split.fold=2"]):
        data = known([*DATA, *(word for word in words if not word.startswith("part"))])
        part = "train" if words == ["part=train"] else "test"
        scores = saved("a.npz", data, part)
        _, values, _ = scored(capsys, "a.npz", *DATA, *words)
        expected = measure(Fixed(0.5), scores, targets_of(data, part), frequencies=frequencies(data))
        assert values == near(expected.metrics)
    assert "lacks ids that dataset=csv" in scored(capsys, "a.npz", *DATA, "seed=4", status=2)
    said = scored(capsys, "a.npz", *DATA, "part=tset", status=2)
    assert "part=tset: dataset=csv with split=holdout has train, test; did you mean test?" in said
    assert "split.validation=0.2 makes one" in scored(capsys, "a.npz", *DATA, "part=validation", status=2)


def test_rows_without_ids_go_by_their_order(shore, capsys):
    rows = shore.rows("test")
    np.savez("a.npz", ids=np.arange(len(rows)), labels=LABELS, scores=TARGETS[rows] * 0.5 + 0.25)
    assert "ids=order takes them so" in scored(capsys, "a.npz", *DATA, status=2)
    first, values, _ = scored(capsys, "a.npz", *DATA, "ids=order")
    assert "rows by their order" in first and values["subset_accuracy"] == 1


@pytest.mark.parametrize(
    ("words", "rule", "part"),
    [
        (["threshold=f1_per_label"], F1PerLabel("training"), "training"),
        (["threshold=f1_per_label", "threshold.fit_on=validation"], F1PerLabel("validation"), "validation"),
        (["threshold=lcard_per_label"], LabelCardinality(0.5, 0.5, "test"), None),
        (["threshold=oracle", "threshold.cuts=[0.3,0.6]"], Oracle([0.3, 0.6]), "test"),
    ],
)
def test_rules_are_fitted_where_they_say(shore, capsys, words, rule, part):
    given = [*DATA, "split.validation=0.3"]
    data = known(given)
    scores, fitting = saved("a.npz", data), None
    if part in ("training", "validation"):
        fitting = saved("fit.npz", data, part, seed=2), targets_of(data, part)
        said = scored(capsys, "a.npz", *given, *words, status=2)
        assert f"is fitted on scores of the {part} part: give them, fit=FILE" in said
        words = [*words, "fit=fit.npz"]
    elif part is None:
        fitting = torch.zeros(len(data.rows("training")), 3), targets_of(data, "training")
    else:
        fitting = scores, targets_of(data, "test")
    first, values, _ = scored(capsys, "a.npz", *given, *words)
    known_by = {"test": "the very labels that are measured", None: "by these scores"}
    assert known_by.get(part, "fitted on fit.npz") in first
    expected = measure(rule, scores, targets_of(data, "test"), fitting, frequencies=frequencies(data))
    assert values == near(expected.metrics)


def test_a_rule_is_fitted_without_a_data_set(shore, capsys):
    """Beside truth=: the scores' true labels stand in the file, or in another."""
    data = known([*DATA, "split.validation=0.3"])
    scores, fit = saved("a.npz", data), saved("fit.npz", data, "validation", 2, targets=True)
    saved("bare.npz", data, "validation", 2)
    for name, part in (("truth", "test"), ("fit_truth", "validation")):
        rows, order = data.rows(part), [2, 0, 1]
        labels = [LABELS[place] for place in order]
        np.savez(f"{name}.npz", ids=rows, labels=labels, scores=TARGETS[rows][:, order])
    words = ["a.npz", "truth=truth.npz", "threshold=f1_per_label", "threshold.fit_on=validation"]
    fitting = fit, targets_of(data, "validation")
    expected = measure(F1PerLabel("validation"), scores, targets_of(data, "test"), fitting)
    for more in (["fit=fit.npz"], ["fit=bare.npz", "fit_truth=fit_truth.npz"]):
        assert scored(capsys, *words, *more)[1] == near(expected.metrics)
    assert "needs true labels of the validation part: fit_truth=FILE" in scored(
        capsys, *words, "fit=bare.npz", status=2
    )


def test_intervals_of_rare_and_of_frequent_labels(shore, capsys):
    saved("a.npz", shore)
    assert score.main(["a.npz", *DATA, "intervals=40", "threshold=oracle"]) == 0
    lines = {line.split()[0]: line for line in capsys.readouterr().out.splitlines()}
    for name in ("f1_macro_oracle", "ap_macro_head", "brier_tail"):
        value, low, high = (float(cell.strip("[],")) for cell in lines[name].split()[1:])
        assert low <= value <= high and low < high
    assert "have no interval" in lines["psp_at_1,"]


def test_the_top_k_of_a_k_that_a_person_names(shore, capsys):
    scores = saved("a.npz", shore)
    names = ["precision_at_2", "psp_at_2"]
    _, values, _ = scored(capsys, "a.npz", *DATA, f"also=[{','.join(names)},f1_macro]")
    _, usual, _ = scored(capsys, "a.npz", *DATA)
    assert {*values} - {*usual} == {*names}
    expected = evaluate(scores, None, targets_of(shore, "test"), names, frequencies(shore))
    assert values == near(usual | expected)
    assert score.main(["a.npz", *DATA, "also=precision_at_2", "intervals=40"]) == 0
    lines = {line.split()[0]: line for line in capsys.readouterr().out.splitlines()}
    assert len(lines["precision_at_2"].split()) == 4
    said = scored(capsys, "a.npz", *DATA, "also=precision_at_0", status=2)
    assert "unknown metric 'precision_at_0'; did you mean precision_at_" in said
    np.savez("truth.npz", ids=shore.rows("test"), labels=LABELS, scores=TARGETS[shore.rows("test")])
    said = scored(capsys, "a.npz", "truth=truth.npz", "also=psp_at_2", status=2)
    assert "also=psp_at_2: needs how often training shows each label, which dataset= knows" in said


def test_a_table_has_the_top_k_of_any_k_of_kept_scores(shore, capsys):
    scores = saved("a.npz", shore)
    scored(capsys, "a.npz", *DATA, "as=theirs")
    table(1, metrics="[ndcg_at_2, ap_macro]", method="{prior: [method=prior], theirs: {imported: theirs}}")
    assert reproduce.main(["table=mine.yaml"]) == 0
    capsys.readouterr()
    text = Path("outputs/tables/mine/table.md").read_text()
    rows = {line.split("|")[1].strip(" *"): line for line in text.splitlines() if line.startswith("| **")}
    expected = evaluate(scores, None, targets_of(shore, "test"), ["ndcg_at_2"])["ndcg_at_2"]
    assert f"{expected:.4f}" in rows["theirs (imported)"]
    (path,) = Path("outputs/shore/prior").glob("*/record.json")
    with np.load(path.parent / "scores.npz") as kept:
        ours = evaluate(
            torch.from_numpy(kept["last"]), None, torch.from_numpy(kept["targets"]), ["ndcg_at_2"]
        )
    assert f"{ours['ndcg_at_2']:.4f}" in rows["prior"]
    assert "ndcg_at_2" not in json.loads(path.read_text())["metrics"]["last"]
    table(1, metrics="[ndcg_at_0]")
    assert reproduce.main(["table=mine.yaml"]) == 2
    assert "unknown metric 'ndcg_at_0'; did you mean ndcg_at_" in capsys.readouterr().err


def test_decision_values_are_cut_at_zero_and_have_no_likelihood(shore, capsys):
    rows = shore.rows("test")
    values = np.random.default_rng(3).normal(size=(len(rows), 3)) + TARGETS[rows]
    np.save("svm.npy", values)
    np.save("sets.npy", values > 0)
    found = scored(capsys, "svm.npy", *DATA, "scores=decisions")[1]
    sets = scored(capsys, "sets.npy", *DATA)[1]
    assert {name: found[name] for name in sets} == sets
    assert "ap_macro" in found and not {"bce", "brier", "ece_micro", "brier_tail"} & found.keys()


# Kept as a record


def test_imported_predictions_are_a_record_that_is_no_run(shore, capsys):
    scores = saved("a.npz", shore)
    first = scored(capsys, "a.npz", *DATA, "as=theirs")
    (path,) = first[2]
    record = Record.read(Path(path))
    assert record.imported and record.key == Path(path).parent.name and record.key.startswith("imported-")
    assert record.choices["method"] == "theirs" and record.choices["loss"] == "–"
    assert record.metrics["last"] == near(first[1])
    assert record.parts == {"train": 63, "test": 27} and record.source["file"] == "a.npz"
    with np.load(Path(path).with_name("scores.npz")) as archive:
        np.testing.assert_array_equal(archive["last"], scores)
        np.testing.assert_array_equal(archive["targets"], TARGETS[archive["ids"]])
    assert scored(capsys, path.removesuffix("/record.json"), *DATA)[1] == near(first[1])

    assert "was there already" in scored(capsys, "a.npz", *DATA, "as=theirs")[2][0]
    saved("b.npz", shore, seed=5)
    said = scored(capsys, "b.npz", *DATA, "as=theirs", status=2)
    assert "holds other predictions, of a.npz" in said and "force=true" in said
    assert Record.read(Path(path)).source == record.source
    assert scored(capsys, "b.npz", *DATA, "as=theirs", "force=true")[2] == [path]
    assert Record.read(Path(path)).source["file"] == "b.npz"
    np.save("sets.npy", TARGETS[shore.rows("test")])
    assert "holds other predictions" in scored(capsys, "sets.npy", *DATA, "as=theirs", status=2)
    cut = scored(capsys, "b.npz", *DATA, "as=theirs", "threshold=0.3")[2]
    assert cut != [path] and Path(path).is_file()


def test_what_is_imported_has_no_model_to_go_on_with(shore, capsys):
    saved("a.npz", shore)
    (path,) = scored(capsys, "a.npz", *DATA, "as=theirs")[2]
    for program, more in (
        (predict, ["path=shore.csv"]),
        (export, ["out=model.onnx"]),
        (serve, ["port=0"]),
        (predict, ["path=shore.csv"]),
    ):
        assert program.main([f"run={Path(path).parent}", *more]) == 2
        (line,) = capsys.readouterr().err.splitlines()
        assert "its predictions were imported from a.npz, and no model with them" in line


def test_folds_of_one_seed_are_one_result(shore, capsys):
    values = []
    for fold in range(3):
        words = ["split=kfold", "split.folds=3", f"split.fold={fold}"]
        saved("a.npz", known([*DATA, *words]), seed=fold)
        values.append(scored(capsys, "a.npz", *DATA, *words, "as=theirs")[1]["f1_macro"])
    frame = records(Path("outputs"))
    assert len(frame) == 3 and frame["result"].nunique() == 1
    (group,) = content(report.records_in(Path("outputs")))["groups"]
    assert group["count"] == "1 seed × 3 folds"

    table(1, "folds: 3", "overrides: [split=kfold]")
    assert reproduce.main(["table=mine.yaml"]) == 0
    text = Path("outputs/tables/mine/table.md").read_text()
    (row,) = (line for line in text.splitlines() if line.startswith("| **theirs"))
    assert f"{np.mean(values):.4f} ± {np.std(values, ddof=1):.4f}" in row


def test_names_that_could_be_mistaken_are_refused(shore, capsys):
    saved("a.npz", shore)
    said = scored(capsys, "a.npz", *DATA, "as=erm", status=2)
    assert "a method of mlbench is called so" in said
    assert "one word" in scored(capsys, "a.npz", *DATA, "as=my/method", status=2)
    run = Path("outputs/shore/mine/0123456789abcdef")
    run.mkdir(parents=True)
    (run / "record.json").write_text("{}")
    assert "is a run of a method of that name" in scored(capsys, "a.npz", *DATA, "as=mine", status=2)


THREE = "{prior: [method=prior], theirs: {imported: theirs}, other: {imported: other}}"


def table(seeds, *more, metrics="[f1_macro, ap_macro, brier]", method=THREE):
    lines = [
        "title: Theirs",
        "axes:",
        f"  dataset: {{shore: {json.dumps(DATA)}}}",
        f"  method: {method}",
        f"metrics: {metrics}",
        f"seeds: {seeds}",
        *more,
    ]
    Path("mine.yaml").write_text("\n".join(lines))


def test_a_table_has_them_beside_our_runs(shore, capsys):
    """Two seeds are a mean; label sets have no scores; what is not imported is never run."""
    means = []
    for seed in (0, 1):
        data = known([*DATA, f"seed={seed}"])
        saved("a.npz", data, seed=seed)
        means.append(scored(capsys, "a.npz", *DATA, f"seed={seed}", "as=theirs")[1]["f1_macro"])
    np.save("sets.npy", TARGETS[shore.rows("test")])
    scored(capsys, "sets.npy", *DATA, "as=other")
    table(2)
    assert reproduce.main(["table=mine.yaml"]) == 0
    text = Path("outputs/tables/mine/table.md").read_text()
    rows = {line.split("|")[1].strip(" *"): line for line in text.splitlines() if line.startswith("| **")}
    assert f"{np.mean(means):.4f} ± {np.std(means, ddof=1):.4f}" in rows["theirs (imported)"]
    assert "1.0000" in rows["other (imported)"] and "not in what is imported" in rows["other (imported)"]
    assert "| imported | theirs, other: predictions of other programs |" in text
    assert "runs | 5 of 5" in text
    keys = [path.parent.name for path in Path("outputs/shore").glob("*/*/record.json")]
    assert len(keys) == 5 and sum(key.startswith("imported-") for key in keys) == 3
    capsys.readouterr()

    table(2, "overrides: [threshold=top_k]")
    assert reproduce.main(["table=mine.yaml", "dry_run=true"]) == 0
    out = capsys.readouterr().out
    assert "not run: theirs is not imported" in out and "shore other   ✓" in out and "2 missing" in out
    Path("mine.yaml").write_text(
        Path("mine.yaml").read_text().replace("imported: theirs", "imported: theirs, overrides: [loss=asl]")
    )
    assert reproduce.main(["table=mine.yaml"]) == 2
    assert "imported predictions are not run: loss=asl says nothing of them" in capsys.readouterr().err


def test_the_page_and_the_data_frame_mark_them(shore, capsys):
    for seed in (0, 1):
        saved("a.npz", known([*DATA, f"seed={seed}"]), seed=seed)
        scored(capsys, "a.npz", *DATA, f"seed={seed}", "as=theirs")
    experiment.run(configure([*DATA, "method=prior", "train.progress=false"]))
    drawn = content(report.records_in(Path("outputs")))
    ours, theirs = sorted(drawn["groups"], key=lambda group: group["method"])
    assert theirs["method"] == "theirs (imported)" and theirs["count"] == "2 seeds"
    assert theirs["seconds"] is None and ours["seconds"] is not None
    assert theirs["rivals"] == ours["rivals"]
    frame = records(Path("outputs")).set_index("method")
    assert frame["imported"].to_dict() == {"prior": False, "theirs": True}
    assert frame.loc["theirs", "result"].nunique() == 1
    assert report.main([]) == 0


def test_words_that_do_not_go_together_are_answered_in_a_line(shore, capsys):
    saved("a.npz", shore)
    for words, said in [
        (["truth=a.npz", *DATA], "truth= and dataset= exclude each other"),
        (["truth=a.npz", "split=holdout"], "split=holdout: needs a data set"),
        (["truth=a.npz", "as=theirs"], "as=theirs: needs a data set"),
        ([*DATA, "as=theirs", "part=train"], "a record is of part=test"),
        (["a.npz", *DATA, "as=theirs"], "two files are given"),
        ([*DATA, "force=true"], "as= names none"),
        ([*DATA, "fit=a.npz"], "threshold 0.5 is not fitted on other scores"),
        (
            [*DATA, "threshold=0.3", "threshold.fit_on=validation"],
            "a number from 0 to 1, or a rule's name",
        ),
        ([*DATA, "threshold=per_lable"], "did you mean per_label?"),
        ([*DATA, "threshold=per_label", "threshold.fit=x"], "threshold.fit: no such key"),
        ([*DATA, "threshold=top_k", "threshold.k=9"], "9"),
        ([*DATA, "split=kfold", "split.fold=12"], "numbered 0 to 9"),
        (["dataset=shroe"], "no such dataset"),
        ([*DATA, "loss=asl"], "no such key"),
        ([*DATA, "treat=labels"], "choose scores or sets"),
    ]:
        assert said in scored(capsys, "a.npz", *words, status=2), words
