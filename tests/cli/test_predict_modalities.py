"""mlbench predict of a run on several files, a modality each: new files, joined by id or by their order."""

import numpy as np
import pandas as pd
import pytest
import torch

from mlbench.data.rows import Batch
from mlbench.predict import Trained

ROWS, TEST = 40, 30
LABELS = ["rain", "sun"]
FILES = "dataset.files={audio: audio.csv, text: my text.csv}"
TESTS = "dataset.test={audio: audio test.csv, text: text test.npz}"


@pytest.fixture
def clips(folder):
    """Forty clips: audio with numbers and words, text with numbers; labels in a file of their own."""
    rng = np.random.default_rng(0)
    table = pd.DataFrame({"clip": [f"clip {row}" for row in range(ROWS)]})
    table["x"], table["beat"] = rng.normal(size=ROWS).round(3), rng.choice(["slow", "fast", "none"], ROWS)
    table["feature1"], table["feature2"] = rng.normal(size=(2, ROWS)).round(3)
    table["rain"], table["sun"] = (table.x > 0).astype(int), (table.feature2 > 0).astype(int)
    parts = {"": table[:TEST], " test": table[TEST:]}
    for part, rows in parts.items():
        rows[["clip", "x", "beat"]].to_csv(folder / f"audio{part}.csv", index=False)
        rows[["clip", *LABELS]].to_csv(folder / f"labels{part}.csv", index=False)
        back = rows[::-1]
        numbers = back[["feature1", "feature2"]]
        if part:
            np.savez(folder / "text test.npz", features=numbers, clip=back["clip"].to_numpy(str))
        else:
            back[["clip", "feature1", "feature2"]].to_csv(folder / "my text.csv", index=False)
    return table


@pytest.fixture
def trained(command, folder, clips):
    def train(*words, id=True):
        labels = ["dataset.labels_from=labels.csv", "dataset.test_labels_from=labels test.csv"]
        how = ["dataset.id=clip"] if id else []
        given = ["dataset=multimodal", FILES, TESTS, *labels, *how, "split=official"]
        done = command(*given, "dataset.scaling=zscore", "train.epochs=3", *words)
        assert (done.status, done.err) == (0, ""), done
        return (folder / done.out.split()[-1]).parent

    return train


def scores_of(run):
    with np.load(run / "scores.npz") as kept:
        return kept["last"]


def written(folder, clips, audio=range(TEST, ROWS), text=range(TEST, ROWS)):
    """New files that have these rows, in this order."""
    clips.iloc[[*audio]][["beat", "clip", "x"]].to_csv(folder / "a.csv", index=False)
    clips.iloc[[*text]][["clip", "feature2", "feature1"]].to_csv(folder / "t.csv", index=False, sep="\t")
    return "path={audio: a.csv, text: t.csv}"


def one_by_one(run, clips, audio, text, ids):
    """The scores of each row by itself: features put together cell by cell, those of what it lacks zero."""
    trained = Trained.of_run(run)
    state, found = trained.scaler.state, []
    for clip in ids:
        row = int(clip.split()[1])
        cells = clips.iloc[row]
        values = {"audio x": cells.x, "text feature1": cells.feature1, "text feature2": cells.feature2}
        values |= {f"audio beat={word}": float(cells.beat == word) for word in ("fast", "none", "slow")}
        there = {"audio": row in audio, "text": row in text}
        x = []
        for name, shift, spread in zip(trained.schema.features, state["shift"], state["spread"]):
            x.append((values[name] - shift) / spread if there[name.split()[0]] else 0.0)
        extra = {} if all(there.values()) else {"present": torch.tensor([[*map(float, there.values())]])}
        batch = Batch(torch.tensor([x], dtype=torch.float32), torch.zeros(1, 2), torch.zeros(1).long(), extra)
        with torch.no_grad():
            found.append(trained.method.scores(batch)[0].numpy())
    return np.stack(found)


@pytest.mark.parametrize("method", ["erm", "fusion", "m3la", "dmp"])
def test_the_files_of_the_test_part_give_the_runs_scores(method, trained, predict, clips, folder):
    run = trained(f"method={method}")
    given = [
        "path={audio: audio test.csv, text: text test.npz}",
        written(folder, clips, text=range(39, 29, -1)),
    ]
    for path in given:
        done = predict(f"run={run}", path, "out=p.csv")
        assert (done.status, done.err) == (0, ""), done
        found = pd.read_csv(folder / "p.csv")
        assert found.id.tolist() == clips["clip"][TEST:].tolist()
        np.testing.assert_allclose(found[LABELS], scores_of(run), atol=1e-6)


def test_labels_in_a_file_of_a_modality_are_measured(trained, predict, clips, folder):
    run, path = trained(), written(folder, clips)
    clips[TEST:][["clip", "sun", "rain", "beat", "x"]].to_csv(folder / "a.csv", index=False)
    done = predict(f"run={run}", path, "out=p.csv")
    assert (done.status, done.err) == (0, "") and done.out.startswith("subset_accuracy="), done


@pytest.mark.parametrize("method", ["fusion", "m3la"])
def test_rows_that_lack_a_modality_are_masked(method, trained, predict, clips, folder):
    """Ids of the first file come first, those that the second alone has last."""
    run = trained(f"method={method}", "method.fusion=late" if method == "fusion" else "method.hidden=8")
    audio, text = [35, 31, 30, 33], [36, 33, 35, 37]
    done = predict(f"run={run}", written(folder, clips, audio, text), "out=p.csv")
    assert (done.status, done.err) == (0, ""), done
    found = pd.read_csv(folder / "p.csv")
    assert found.id.tolist() == [f"clip {row}" for row in (35, 31, 30, 33, 36, 37)]
    np.testing.assert_allclose(found[LABELS], one_by_one(run, clips, audio, text, found.id), atol=1e-6)
    done = predict(f"run={run}", "path={text: t.csv}", "out=p.csv")
    assert (done.status, done.err) == (0, ""), "a file may be lacking as a whole"
    found = pd.read_csv(folder / "p.csv")
    np.testing.assert_allclose(found[LABELS], one_by_one(run, clips, [], text, found.id), atol=1e-6)


def test_rows_go_by_their_order_where_the_training_named_no_id(trained, predict, clips, folder):
    np.savez(folder / "text test.npz", features=clips[TEST:][["feature1", "feature2"]])
    clips[:TEST][["feature1", "feature2"]].to_csv(folder / "my text.csv", index=False)
    for part, rows in (("", clips[:TEST]), (" test", clips[TEST:])):
        rows[["x", "beat"]].to_csv(folder / f"audio{part}.csv", index=False)
        rows[LABELS].to_csv(folder / f"labels{part}.csv", index=False)
    run = trained(id=False)
    path = "path={text: text test.npz, audio: audio test.csv}"
    done = predict(f"run={run}", path, "out=p.csv")
    assert (done.status, done.err) == (0, ""), done
    np.testing.assert_allclose(pd.read_csv(folder / "p.csv")[LABELS], scores_of(run), atol=1e-6)
    clips[:4][["x", "beat"]].to_csv(folder / "a.csv", index=False)
    done = predict(f"run={run}", "path={text: text test.npz, audio: a.csv}")
    assert done.status == 2 and "text test.npz has 10 rows, a.csv 4: rows are joined by" in done.err, done


def test_runs_on_some_of_the_modalities_go_together(trained, predict, clips, folder):
    """The second has the rows of its file in another order, and its own scaler."""
    runs = [trained("method=fusion"), trained("dataset.use=[text]", "seed=1")]
    path = written(folder, clips, text=range(39, 29, -1))
    done = predict(f"run=[{runs[0]},{runs[1]}]", path, "out=p.csv")
    assert (done.status, done.err) == (0, ""), done
    found = pd.read_csv(folder / "p.csv")
    assert found.id.tolist() == clips["clip"][TEST:].tolist()
    np.testing.assert_allclose(found[LABELS], sum(map(scores_of, runs)) / 2, atol=1e-6)
    done = predict(f"run=[{runs[0]},{runs[1]}]", written(folder, clips, text=range(31, ROWS)))
    assert done.status == 2 and "files, of which some lack 'clip 30': they cannot be" in done.err, done


def test_one_file_with_the_columns_of_all(trained, predict, clips, folder):
    run = trained()
    names = {"x": "audio x", "beat": "audio beat", "feature1": "text feature1", "feature2": "text feature2"}
    clips[TEST:].rename(columns=names).to_csv(folder / "all.csv", index=False)
    done = predict(f"run={run}", "path=all.csv", "out=p.csv")
    assert (done.status, done.err) == (0, ""), done
    np.testing.assert_allclose(pd.read_csv(folder / "p.csv")[LABELS], scores_of(run), atol=1e-6)


def test_modalities_of_one_file_may_come_in_several(trained, predict, command, clips, folder):
    """Simulated in training, real in new files; the columns are called as in the training's file."""
    clips.drop(columns=["beat"]).to_csv(folder / "all.csv", index=False)
    given = ["dataset=csv", "dataset.path=all.csv", "dataset.labels=[rain,sun]", "dataset.id=clip"]
    given += ["dataset.modalities={audio:[0,0],text:[1,2]}", "dataset.missing_modalities=0.3"]
    done = command(*given, "method=fusion", "train.epochs=3")
    assert (done.status, done.err) == (0, ""), done
    run = (folder / done.out.split()[-1]).parent
    clips[["clip", "x"]].to_csv(folder / "a.csv", index=False)
    clips[::-1][["feature2", "clip", "feature1"]].to_csv(folder / "t.csv", index=False)
    whole = predict(f"run={run}", "path=all.csv", "out=whole.csv")
    parts = predict(f"run={run}", "path={text: t.csv, audio: a.csv}", "out=parts.csv")
    assert (whole.status, parts.status, whole.err, parts.err) == (0, 0, "", ""), parts
    found = pd.read_csv(folder / "parts.csv").set_index("id").loc[clips["clip"]]
    np.testing.assert_allclose(found, pd.read_csv(folder / "whole.csv")[LABELS], atol=1e-6)
    done = predict(f"run={run}", "path={text: t.csv}", "out=parts.csv")
    assert (done.status, done.err) == (0, ""), done
    lacking = pd.read_csv(folder / "parts.csv").set_index("id").loc[clips["clip"]]
    assert not np.allclose(lacking, found, atol=1e-3)


def test_what_cannot_be_is_one_sentence(trained, predict, command, clips, folder):
    run, fusion = trained(), trained("method=fusion")
    path = written(folder, clips, audio=range(TEST, ROWS - 2))
    clips[:4].to_csv(folder / "nameless.csv", index=False, columns=["x", "beat"])
    clips.iloc[[30, 31, 30]].to_csv(folder / "twice.csv", index=False, columns=["clip", "x", "beat"])
    clips[["x", *LABELS]].to_csv(folder / "one.csv", index=False)
    single = command("dataset=csv", "dataset.path=one.csv", "dataset.labels=[rain,sun]", "train.epochs=1")
    single = (folder / single.out.split()[-1]).parent
    needs = "its method needs all modalities of a row; fusion and m3la do without"
    for words, said in (
        ([f"run={run}", path], f"a.csv lacks 2 of the 10 ids, such as 'clip 38': {needs}"),
        ([f"run={run}", "path={audio: a.csv}"], f"path names no file for text: {needs}"),
        ([f"run={fusion}", "path={adio: a.csv}"], "there is no modality adio, but audio, text; did you mean"),
        ([f"run={run}", "path={audio: a.csv, text}"], "are written {audio: a.csv, text: t.npz}"),
        ([f"run={run}", "path={audio: no.csv, text: t.csv}"], "path=no.csv: no such file"),
        (
            [f"run={run}", "path={audio: nameless.csv, text: t.csv}"],
            "nameless.csv has no column 'clip', which id",
        ),
        ([f"run={fusion}", "path={audio: twice.csv, text: t.csv}"], "twice.csv has the id 'clip 30' 2 times"),
        (
            [f"run={run}", "path={audio: t.csv, text: a.csv}"],
            "t.csv: 2 of the 2 columns of the training are not",
        ),
        ([f"run={run}", "path=a.csv"], "it learned from several files: 'path={audio: ..., text: ...}'"),
        ([f"run={single}", path], "its columns are of one modality, and path= names a file for each"),
    ):
        done = predict(*words)
        assert done.status == 2 and said in done.err and done.err.count("\n") == 1, (words, done)


def test_rows_without_a_modality_in_training_too(trained, predict, command, clips, folder):
    """Files that lack ids, of training, of the test part and new ones: the run's scores come back."""
    for name, lost in (("audio", [3, 7, 8]), ("audio test", [31, 34])):
        rows = pd.read_csv(folder / f"{name}.csv")
        rows[~rows["clip"].isin([f"clip {row}" for row in lost])].to_csv(folder / f"{name}.csv", index=False)
    given = ["dataset=multimodal", FILES, TESTS, "dataset.labels_from=labels.csv", "dataset.id=clip"]
    given += ["dataset.test_labels_from=labels test.csv", "split=official", "dataset.scaling=zscore"]
    refused = command(*given, "dataset.incomplete=true", "train.epochs=1")
    said = (
        "method=erm needs all modalities of an instance, and dataset.incomplete=true lets some be lacking; "
    )
    assert refused.status == 2 and said in refused.err and refused.err.count("\n") == 1, refused
    refused = command(*given, "method=fusion", "train.epochs=1")
    assert refused.status == 2 and "audio.csv lacks 3 of the 30 ids of" in refused.err, refused
    for method in ("fusion", "m3la"):
        done = command(*given, "dataset.incomplete=true", f"method={method}", "train.epochs=3")
        assert done.status == 0, done
        run = (folder / done.out.split()[-1]).parent
        done = predict(f"run={run}", "path={text: text test.npz, audio: audio test.csv}", "out=p.csv")
        assert (done.status, done.err) == (0, ""), done
        found = pd.read_csv(folder / "p.csv").set_index("id").loc[clips["clip"][TEST:]]
        np.testing.assert_allclose(found[LABELS], scores_of(run), atol=1e-6)
        there = [row for row in range(TEST, ROWS) if row not in (31, 34)]
        by_row = one_by_one(run, clips, there, range(TEST, ROWS), found.index)
        np.testing.assert_allclose(found[LABELS], by_row, atol=1e-6)
