"""The board's files: what the records say, the same bytes twice; nothing is chosen on test labels."""

import json
import shutil

import numpy as np
import pandas
import pytest
import sklearn.metrics

from mlbench.board import columns
from mlbench.board.harvest import harvest, state_of
from mlbench.board.splits import write_splits
from mlbench.data import published
from mlbench.errors import UserError
from mlbench.results.record import Record

TABLE = """
title: A small board
axes:
  dataset: {digits: [dataset=multidigits]}
  method:
    prior: [method=prior]
    br: [backbone=linear]
    tied: {overrides: [backbone=linear], choose: {train.optimizer.lr: [0.001, 0.01]}}
    broken: [method=mlknn, method.k=2000]
    absent: {not_run: method}
overrides:
  - split=published
  - split.path=own.json
  - train.epochs=2
  - threshold=cardinality_beside
  - selection.rule=best
metrics: [f1_macro]
seeds: 1
folds: 5
rule: best
layout: {rows: method, columns: metric}
"""


@pytest.fixture(scope="module")
def board(tmp_path_factory):
    """A folder with the runs of a small board, and where its files are."""
    folder = tmp_path_factory.mktemp("board")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        (folder / "mine.yaml").write_text(TABLE)
        write_splits(["dataset=multidigits"], folder / "own.json")
        from mlbench.commands.reproduce import main

        assert main(["table=mine.yaml"]) == 2  # broken
        tables = {"mine.yaml": "default"}
        harvest(folder / "outputs", folder / "out", tables)
        harvest(folder / "outputs", folder / "again", tables)
    return folder


def frame(board, name):
    return pandas.read_parquet(board / "out" / name)


def test_twice_the_same_bytes(board):
    for name in columns.FILES:
        assert (board / "out" / name).read_bytes() == (board / "again" / name).read_bytes(), name


def test_runs_of_another_machine_keep_their_lines(board, tmp_path, monkeypatch):
    """All of them, or those of one method; that of pairs, too, whose scores are not here together."""
    monkeypatch.chdir(board)
    tables = {"mine.yaml": "default"}
    for runs in ("none", "others"):
        outputs, out = tmp_path / runs / "outputs", tmp_path / runs / "out"
        shutil.copytree(board / "out", out)
        if runs == "others":
            gone = set(frame(board, columns.RECORDS_FILE).query("method == 'br'")["key"])
            shutil.copytree(board / "outputs", outputs)
            for folder in [path for path in outputs.glob("*/*/*") if path.name in gone]:
                shutil.rmtree(folder)
        harvest(outputs, out, tables, keep=True)
        for name in columns.FILES:
            assert (out / name).read_bytes() == (board / "out" / name).read_bytes(), (runs, name)
    harvest(tmp_path / "none" / "outputs", tmp_path / "none" / "out", tables)
    left = pandas.read_parquet(tmp_path / "none" / "out" / columns.RECORDS_FILE)
    assert set(left["state"]) == {"not_run"}
    with pytest.raises(UserError, match="has no board to keep"):
        harvest(board / "outputs", tmp_path / "empty", tables, keep=True)


def test_a_row_that_is_not_run_has_as_many_lines_as_the_table_has_folds(board, tmp_path, monkeypatch):
    monkeypatch.chdir(board)
    two = (
        TABLE.replace("folds: 5", "folds: 2")
        .replace("k=2000", "k=20")
        .replace("split.path=own.json", "split.validation=0.2")
    )
    (board / "two.yaml").write_text(two.replace("split=published", "split=kfold"))
    harvest(tmp_path / "outputs", tmp_path / "out", {"two.yaml": "default"})
    found = pandas.read_parquet(tmp_path / "out" / columns.RECORDS_FILE)
    assert found.groupby("method")["split"].apply(list).to_dict() == {
        name: [0, 1] for name in ("absent", "br", "broken", "prior", "tied")
    }


def test_a_run_that_is_here_replaces_its_line(board, tmp_path, monkeypatch):
    monkeypatch.chdir(board)
    out = tmp_path / "out"
    shutil.copytree(board / "out", out)
    lines = frame(board, columns.RECORDS_FILE)
    lines.loc[lines["method"] == "br", ["f1_macro", "key"]] = [0.0, "other"]
    lines.to_parquet(out / columns.RECORDS_FILE, index=False)
    harvest(board / "outputs", out, {"mine.yaml": "default"}, keep=True)
    assert (out / columns.RECORDS_FILE).read_bytes() == (board / "out" / columns.RECORDS_FILE).read_bytes()


def test_every_run_has_a_line_and_says_what_became_of_it(board):
    found = frame(board, columns.RECORDS_FILE)
    assert list(found) == list(columns.RECORDS) and len(found) == 5 * 5
    states = found.groupby("method")["state"].unique().map(list).to_dict()
    done, lost = ["finished"], {"broken": ["failed"], "absent": ["not_run"]}
    assert states == {"prior": done, "br": done, "tied": done} | lost
    reasons = found.groupby("method")["reason"].first()
    assert "each of the" in reasons["broken"] and reasons["absent"] == "method" and reasons["br"] == ""
    assert found.loc[found["method"] == "tied", "options"].str.startswith("train.optimizer.lr=").all()
    numbers = [*columns.METRICS, *columns.HALF_METRICS]
    assert found.loc[found["state"] != "finished", numbers].isna().all().all()
    assert (
        found.loc[found["state"] == "finished", [*columns.METRICS, "train_seconds", "predict_seconds"]]
        .notna()
        .all()
        .all()
    )


def test_numbers_are_those_of_scikit_learn_on_the_scores_that_are_kept(board):
    found = frame(board, columns.RECORDS_FILE)
    for line in found[found["method"] == "br"].itertuples():
        (path,) = (board / "outputs").glob(f"*/*/{line.key}/record.json")
        kept, record = np.load(path.with_name("scores.npz")), Record.read(path)
        scores, targets = kept["best"], kept["targets"]
        for sets, end in ((scores > np.float32(record.thresholds["best"]), ""), (scores > 0.5, "_half")):
            for name in ("micro", "macro"):
                theirs = sklearn.metrics.f1_score(targets, sets, average=name, zero_division=0)
                assert getattr(line, f"f1_{name}{end}") == pytest.approx(theirs, abs=1e-6)
            assert getattr(line, f"subset_accuracy{end}") == pytest.approx((sets == targets).all(1).mean())
            assert getattr(line, f"hamming_loss{end}") == pytest.approx((sets != targets).mean(), abs=1e-7)
        assert line.auc_macro == pytest.approx(
            sklearn.metrics.roc_auc_score(targets, scores, average="macro")
        )
        assert line.brier == pytest.approx(((scores - targets) ** 2).mean(), abs=1e-6)
        assert line.parameters == 256 * 10 + 10 and line.peak_memory_mb > 50


def test_labels_are_means_over_the_splits(board):
    labels = frame(board, columns.LABELS_FILE)
    assert list(labels) == list(columns.LABELS)
    (mine,) = [group for name, group in labels.groupby("method") if name == "br"]
    records = [Record.read(path) for path in (board / "outputs").glob("*/erm/*/record.json")]
    keys = set(frame(board, columns.RECORDS_FILE).query("method == 'br'")["key"])
    f1 = np.mean([record.per_label["f1"] for record in records if record.key in keys], axis=0)
    names = next(iter(records)).per_label["label"]
    assert mine.set_index("label")["f1"].reindex(names).to_numpy() == pytest.approx(f1)
    said = json.loads((board / "out" / columns.DATASETS_FILE).read_text())["digits"]
    rows = np.array([said["frequencies"][name] for name in names])
    supports = mine.set_index("label")["support"].reindex(names).to_numpy()
    assert supports == pytest.approx(0.64 * rows, rel=0.05)  # 80 % of 80 % train
    together = said["cooccurrence"]
    assert [together["counts"][i][i] for i in range(10)] == [
        said["frequencies"][n] for n in together["labels"]
    ]


def test_pairs_are_of_all_test_rows_together(board):
    pairs = frame(board, columns.PAIRS_FILE)
    assert list(pairs) == list(columns.PAIRS)
    assert set(zip(pairs["first"], pairs["second"])) == {("br", "prior"), ("br", "tied"), ("prior", "tied")}
    records = frame(board, columns.RECORDS_FILE).query("state == 'finished'")
    sizes = {r.key: r.parts["test"] for r in map(Record.read, (board / "outputs").glob("*/*/*/record.json"))}
    records = records.assign(rows=records["key"].map(sizes))
    pooled = {
        method: np.average(group["hamming_loss"], weights=group["rows"])
        for method, group in records.groupby("method")
    }
    line = pairs.query("metric == 'hamming_loss' and first == 'br' and second == 'prior'").iloc[0]
    assert line["difference"] == pytest.approx(pooled["br"] - pooled["prior"], abs=2e-6)
    assert line["low"] < line["difference"] < line["high"] and 0 < line["p"] <= 1
    assert line["p"] < 0.01 and line["high"] < 0


def test_why_a_run_has_no_numbers():
    states = {
        "not_run": [{}, {"type": "DoesNotFit", "reason": "one modality"}, {"type": "DataMissing"}],
        "timeout": [{"type": "OutOfTime", "reason": "took more than 9 processor seconds"}],
        "memory": [
            {"type": "MemoryError"},
            {"type": "RuntimeError", "reason": "DefaultCPUAllocator: not enough"},
        ],
        "failed": [{"type": "UserError", "reason": "diverged"}],
    }
    assert all(state_of(failure) == state for state, failures in states.items() for failure in failures)


CHOSEN = """
title: A choice
axes:
  dataset: {mine: [dataset=npz, "dataset.path=NAME.npz"]}
  method:
    chosen: {overrides: [backbone=linear], choose: {train.optimizer.lr: [0.0001, 0.03, 0.3]}}
overrides:
  - split=published
  - split.path=NAME.json
  - train.epochs=3
  - threshold=cardinality_beside
  - selection.rule=best
metrics: [f1_macro]
seeds: 1
folds: 5
rule: best
layout: {rows: method, columns: metric}
"""


def test_other_test_labels_change_no_epoch_no_cut_and_no_tuned_choice(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    from mlbench.commands.reproduce import main

    generator = np.random.default_rng(0)
    features = generator.normal(size=(120, 6)).astype(np.float32)
    targets = (features[:, :3] + 0.5 * generator.normal(size=(120, 3)) > 0.3).astype(np.uint8)
    index = published.made("mine", targets)
    tested = published.unpacked(index["parts"], 5)[0] == published.PARTS.index("test")
    flipped = np.where(tested[:, None], 1 - targets, targets)
    found = {}
    for name, labels in {"given": targets, "corrupted": flipped}.items():
        np.savez(f"{name}.npz", features=features, targets=labels)
        content = index | {"labels_sha256": published.checksum(labels)}
        (tmp_path / f"{name}.json").write_text(json.dumps(content))
        (tmp_path / f"{name}.yaml").write_text(CHOSEN.replace("NAME", name))
        assert main([f"table={name}.yaml", f"paths.outputs={name}"]) == 0
        harvest(tmp_path / name, tmp_path / name / "out", {f"{name}.yaml": "tuned"})
        line = pandas.read_parquet(tmp_path / name / "out" / columns.RECORDS_FILE).iloc[0]
        records = [Record.read(path) for path in sorted(tmp_path.glob(f"{name}/*/*/*/record.json"))]
        first = {
            r.config["train"]["optimizer"]["lr"]: (r.selected, r.thresholds)
            for r in records
            if r.config["split"]["fold"] == 0
        }
        found[name] = line["options"], first, line["f1_macro"]
    assert found["given"][:2] == found["corrupted"][:2]
    assert found["given"][2] > 0.5 > found["corrupted"][2]
