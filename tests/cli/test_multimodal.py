"""Several files of one's own, a modality each, as a person types them."""

import json

import numpy as np

from commands import records

QUICK = ("train.epochs=2", "train.progress=false")


def write(folder):
    """Sixty clips: audio.csv, `my data/text (1).npz` in another order, and labels.csv."""
    rng = np.random.default_rng(0)
    ids = np.array([f"clip {row}" for row in range(60)])
    targets = np.stack([np.arange(60) % 2, np.arange(60) % 3 == 0], axis=1).astype(int)
    rows = [
        f"{name},{value:.3f},{row % 2}" for row, (name, value) in enumerate(zip(ids, rng.normal(size=60)))
    ]
    (folder / "audio.csv").write_text("\n".join(["clip,x,beat", *rows]))
    (folder / "my data").mkdir()
    order = rng.permutation(60)
    features = np.stack([rng.normal(size=60), targets[:, 1]], axis=1)
    np.savez(folder / "my data" / "text (1).npz", features=features[order], ids=ids[order])
    lines = [f"{name},{a},{b}" for name, (a, b) in zip(ids, targets)]
    (folder / "labels.csv").write_text("\n".join(["clip,rain,sun", *lines]))


FILES = "dataset.files={audio: audio.csv, text: my data/text (1).npz}"
OWN = ("dataset=multimodal", FILES, "dataset.labels_from=labels.csv", "dataset.id=clip")


def test_several_modalities_in_one_command(at_once, folder):
    """What the labels follow from stands in two files of different order."""
    write(folder)
    done = at_once(
        *OWN, "backbone=linear", "train.epochs=60", "train.optimizer.lr=0.1", "train.progress=false"
    )
    assert done.status == 0, done.err
    (path,) = records(folder / "outputs")
    record = json.loads(path.read_text())
    assert path.parents[2].name == "audio_text" and record["metrics"]["last"]["subset_accuracy"] == 1
    assert record["per_label"]["label"] == ["rain", "sun"]


def test_a_method_of_several_modalities_and_one_that_lacks_them(at_once, folder):
    write(folder)
    done = at_once(*OWN, "method=m3la", *QUICK)
    assert done.status == 0, done.err
    one = ["dataset.files={audio: audio.csv}", *(word for word in OWN if word != FILES)]
    done = at_once(*one, "method=m3la", *QUICK)
    assert done.status == 2 and "needs 2 modalities or more, dataset=audio has 1" in done.err


def test_what_is_wrong_is_said_in_one_line(at_once, folder):
    write(folder)
    for words, said in (
        (["dataset=multimodal"], "dataset.files is needed and not given"),
        (["dataset=multimodal", "dataset.files=audio.csv"], "dataset.files=audio.csv"),
        ([*OWN, "dataset.idd=clip"], "dataset.idd: no such key"),
        (
            [*OWN[:3], "dataset.id=clips"],
            "labels.csv has no column 'clips', which dataset.id names; did you mean clip?",
        ),
        (OWN[:3], "say dataset.id=clip"),
    ):
        done = at_once(*words, *QUICK)
        assert done.status == 2 and done.err.count("\n") == 1 and said in done.err, (words, done.err)
