"""A folder of images, learned from as they are, as a person types it."""

import functools
import io
import json
import signal

import numpy as np
import pandas as pd
import pytest

from commands import records, result, signalled_at_step
from pictures import encoded, foldered

WORDS = (
    "dataset=image_folder",
    "dataset.path=photos",
    "dataset.image=file",
    "dataset.labels=[left,red]",
    "backbone=convnet",
    "backbone.widths=[8,16]",
    "encoder.image.size=8",
    "train.batch_size=16",
    "train.progress=false",
)
LONG = ("train.epochs=30", "train.optimizer.lr=0.02", "backbone.augment.flip=false")
CHANGED = ("train.epochs=8", "train.checkpoint_seconds=0", "backbone.augment.jitter=0.2", "backbone.rate=0.5")


@pytest.fixture
def photos(folder):
    """Sixty images: one half is bright, left or right; the image is red or not."""
    rows, files, rng = ["file,left,red"], {}, np.random.default_rng(0)
    for number in range(60):
        left, red = number % 2, number // 2 % 2
        image = rng.integers(0, 90, (10, 12, 3), np.uint8)
        image[:, slice(6) if left else slice(6, None)] += 90
        image[..., 0] += 70 * red
        files[f"{number}.png"] = encoded(image)
        rows.append(f"{number}.png,{left},{red}")
    foldered(folder / "photos", files)
    (folder / "photos" / "labels.csv").write_text("\n".join(rows))
    return folder / "photos"


def test_it_learns_is_kept_and_predicts(at_once, start, folder, photos):
    done = at_once(*WORDS, *LONG)
    assert done.status == 0, done.err
    (path,) = records(folder / "outputs")
    record = json.loads(path.read_text())
    assert record["metrics"]["last"]["f1_macro"] > 0.9
    assert record["data"]["statistics"]["features"] == 192
    assert record["config"]["encoder"]["image"]["size"] == 8
    with np.load(path.with_name("scores.npz")) as kept:
        ids, scores = kept["ids"], kept["last"]
    (folder / "new.csv").write_text("\n".join(["file", *(f"{row}.png" for row in ids)]))
    given = (f"run={path.parent}", "path=new.csv", "images=photos")
    done = start(*given, program="mlbench.commands.predict").wait()
    assert (done.status, done.err) == (0, ""), done
    found = pd.read_csv(io.StringIO(done.out))
    np.testing.assert_allclose(found[["left", "red"]], scores, atol=1e-6)


def test_killed_and_resumed_it_has_the_same_bytes(at_once, command, folder, photos):
    killed = command(*WORDS, *CHANGED, first=functools.partial(signalled_at_step, 13, signal.SIGKILL))
    assert killed.status == -signal.SIGKILL
    done = at_once(*WORDS, *CHANGED)
    assert done.status == 0 and "decoded" not in done.err, done.err
    (path,) = records(folder / "outputs")
    interrupted = result(path)
    assert at_once(*WORDS, *CHANGED, "force=true").status == 0
    assert result(path) == interrupted


def test_two_seeds_side_by_side_have_what_each_has_alone(at_once, folder, photos):
    words = (*WORDS, "train.epochs=2")
    assert at_once("-m", "seed=0,1", *words).status == 0
    together = {path.parent.name: result(path) for path in records(folder / "outputs")}
    assert at_once(*words, "seed=1", "engine=single", "paths.outputs=alone").status == 0
    (path,) = records(folder / "alone")
    assert result(path) == together[path.parent.name]


def test_two_views_of_an_image(at_once, folder, photos):
    """MulSupCon draws each by the augmentation of its backbone."""
    more = ("epochs=1", "batch_size=16", "queue=32", "mask=0", "walk=passes")
    words = (*WORDS, "method=mulsupcon", "paper=none", *(f"method.pretrain.{word}" for word in more))
    done = at_once(*words, "train.epochs=1")
    assert done.status == 0, done.err
