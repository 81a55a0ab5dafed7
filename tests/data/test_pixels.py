"""Images as x: the bytes that were decoded, read from a map of which memory holds no more than it must."""

import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageOps

from mlbench.data import pixels
from mlbench.data.instances import Instances
from mlbench.data.pixels import Pixels
from mlbench.data.raw import Images
from mlbench.data.rows import Rows
from mlbench.encoders import pixels as encoder
from mlbench.errors import UserError
from pictures import encoded, tarred
from pictures import pixels as picture

SHAPES = [(12, 20), (20, 12), (16, 16), (9, 40)]


@pytest.fixture
def images(tmp_path):
    """Four images, of no one shape, in a tar."""
    arrays = [picture(*shape, seed=number) for number, shape in enumerate(SHAPES)]
    names = tuple(f"{number}.png" for number in range(len(arrays)))
    path = tarred(tmp_path / "images.tar", {name: encoded(each) for name, each in zip(names, arrays)})
    return arrays, Images(path, names, names)


def instances(features):
    return Instances(
        features, np.eye(len(features), dtype=np.uint8), tuple(map(str, range(len(features)))), ()
    )


@pytest.mark.parametrize("square", ["crop", "squeeze"])
def test_a_batch_is_what_the_files_hold(square, images, tmp_path, monkeypatch):
    arrays, rows = images
    monkeypatch.setattr(encoder, "BYTES", 3 * 192)
    made = encoder.Pixels(size=8, square=square)
    path = tmp_path / "cache" / "it.npy"
    features = encoder.once(path, made, rows)
    kept = Rows.from_instances(instances(features), np.array([3, 1, 2]))
    assert kept.x.shape == (3, 3, 8, 8) and kept.described["x"] == ["Pixels", 3, 3, 8, 8]
    batch = kept.batch(torch.tensor([0, 2, 0]))
    for row, place in zip(batch.x, (3, 2, 3)):
        image = Image.fromarray(arrays[place])
        if square == "crop":  # the middle of the longer side
            height, width = arrays[place].shape[:2]
            side = min(height, width)
            left, top = (width - side) / 2, (height - side) / 2
            expected = image.resize((8, 8), Image.Resampling.BICUBIC, (left, top, left + side, top + side))
            assert np.array_equal(expected, ImageOps.fit(image, (8, 8)))
        else:
            expected = image.resize((8, 8), Image.Resampling.BICUBIC)
        assert row.dtype == torch.float32
        assert torch.equal(row, torch.from_numpy(np.array(expected)).permute(2, 0, 1).float() / 255)


def test_files_are_decoded_once_and_again_after_damage(images, tmp_path, capsys):
    _, rows = images
    made, path = encoder.Pixels(size=8, square="crop"), tmp_path / "it.npy"
    first = np.array(encoder.once(path, made, rows))
    rows.source.write_bytes(b"")
    assert np.array_equal(encoder.once(path, made, rows), first)
    assert capsys.readouterr().err.count("4 images are decoded, once") == 1
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(UserError, match=r"images\.tar"):
        encoder.once(path, made, rows)
    assert not [*tmp_path.glob("*.tmp")]


@given(st.lists(st.integers(0, 4), min_size=1, max_size=9), st.data())
def test_rows_are_those_of_an_array(places, data):
    held = np.random.default_rng(0).integers(0, 256, (5, 3, 2, 4), np.uint8)
    rows, plain = Pixels(held, torch.tensor(places)), torch.from_numpy(held[places]).float() / 255
    index = torch.tensor(data.draw(st.lists(st.integers(0, len(places) - 1), max_size=9)), dtype=torch.int64)
    assert torch.equal(rows.index_select(0, index), plain[index])
    assert rows[index].shape == plain[index].shape
    every = torch.arange(len(places))
    both, apart = Pixels.joined([rows, rows[index]]), Pixels(held.copy(), rows.places)
    assert torch.equal(both.index_select(0, torch.arange(both.shape[0])), torch.cat([plain, plain[index]]))
    assert rows.equal(apart) and Pixels.joined([rows, apart]).equal(Pixels.joined([rows, rows]))
    if places != places[::-1]:
        assert not rows.equal(rows[every.flip(0)]) and not apart.equal(rows[every.flip(0)])


def made_file(path, count, side=256):
    """An .npy file of so many images, all black, which takes no room on the disk."""
    header = {"descr": "|u1", "fortran_order": False, "shape": (count, 3, side, side)}
    with path.open("wb") as file:
        np.lib.format.write_array_header_1_0(file, header)
        file.truncate(file.tell() + count * 3 * side * side)
    return path


def test_a_map_goes_to_another_process_by_name(tmp_path):
    rows = Pixels(pixels.mapped(made_file(tmp_path / "it.npy", 40)), torch.tensor([1, 3]))
    sent = pickle.dumps(rows)
    assert len(sent) < 2000 and pickle.loads(sent).equal(rows)


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="Linux says what of files is in memory")
def test_a_large_map_does_not_fill_memory(tmp_path, monkeypatch):
    """200 MB; a map below LARGE stays, which shows that the measure measures."""
    rows = Pixels(pixels.mapped(made_file(tmp_path / "it.npy", 1000)), torch.arange(1000))

    def most():
        before, seen = in_memory(), 0
        for part in torch.arange(1000).flip(0).split(50):
            rows.index_select(0, part)
            seen = max(seen, in_memory() - before)
        return seen

    monkeypatch.setattr(pixels, "LARGE", 2**20)
    assert most() < 50_000
    monkeypatch.setattr(pixels, "LARGE", 2**30)
    assert most() > 150_000


def in_memory():
    """Kilobytes of files that are in this process's memory."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("RssFile"))


TRAINING = """
import resource, sys, tempfile
from pathlib import Path
import torch
from mlbench.backbones.augment import Changes
from mlbench.backbones.convnet import ConvNet
from mlbench.bench.chain import run
from mlbench.compose import configure
from mlbench.data.pixels import Pixels, mapped
from mlbench.data.rows import Rows
from mlbench.data.task import Modality, Task
from mlbench.losses.bce import bce
from mlbench.methods.base import Stage
from mlbench.methods.erm import ERM
held = mapped(Path(sys.argv[1]))
count, *shape = held.shape
task = Task("large", ("a", "b"), (Modality("image", 0, 3),), count, (1, 1), "image", tuple(shape))
nothing = Changes(crop=0, flip=False, jitter=0, cutout=0)
method = ERM(task, lambda task: ConvNet(task, [8], 4, 1.0, nothing), lambda x, y, known: bce(x, y, None))
rows = Rows(Pixels(held, torch.arange(count)), torch.zeros(count, 2), torch.arange(count))
run(Stage("train", method, rows, epochs=1), configure(["train.progress=false"]))
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


def test_training_on_more_than_memory_takes_two_gigabytes_at_most(tmp_path, pytestconfig):
    """A file of 6 GB; it takes minutes, so `--thorough` asks for it."""
    if not pytestconfig.option.thorough:
        pytest.skip("--thorough trains on 6 GB")
    path = made_file(tmp_path / "large.npy", 6 * 2**30 // (3 * 64 * 64), side=64)
    done = subprocess.run([sys.executable, "-c", TRAINING, path], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) < 2_000_000
