"""Images in a folder, a tar or a zip: read where they lie, and nothing else is."""

import io
import os
import tarfile

import numpy as np
import pytest

from mlbench.data import cache, raw
from mlbench.data.instances import Instances, concatenate
from mlbench.data.raw import Images, Texts
from mlbench.errors import UserError
from pictures import foldered, tarred, zipped

FILES = {"a/1.png": b"first", "2.png": b"the second", "3.png": b""}


def images(source, *members):
    return Images(source, members, tuple(f"row{number}" for number, _ in enumerate(members)))


@pytest.mark.parametrize("made", [tarred, zipped, foldered])
def test_contents_in_order_wherever_they_lie(tmp_path, made):
    source = made(tmp_path / "images", FILES)
    before = sorted(tmp_path.rglob("*"))
    found = images(source, "3.png", "2.png", "a/1.png", "2.png")
    assert [*found.contents()] == [b"", b"the second", b"first", b"the second"]
    assert [*found[np.array([2])].contents()] == [b"first"] and found[np.array([2])].ids == ("row2",)
    assert sorted(tmp_path.rglob("*")) == before, "nothing is unpacked"


@pytest.mark.parametrize("made", [tarred, zipped, foldered])
def test_a_file_that_is_not_there_is_named_with_its_row(tmp_path, made):
    source = made(tmp_path / "images", FILES)
    with pytest.raises(UserError, match=r"row row1: image 4.png is no"):
        [*images(source, "2.png", "4.png").contents()]


def hostile(path):
    """A tar with a link, a device, a fifo and a file above it."""
    with tarfile.open(path, "w") as archive:
        for name, kind in [("link.png", tarfile.SYMTYPE), ("hard.png", tarfile.LNKTYPE)]:
            member = tarfile.TarInfo(name)
            member.type, member.linkname = kind, "/etc/hostname"
            archive.addfile(member)
        for name, kind in [
            ("device.png", tarfile.CHRTYPE),
            ("fifo.png", tarfile.FIFOTYPE),
            ("d", tarfile.DIRTYPE),
        ]:
            member = tarfile.TarInfo(name)
            member.type = kind
            archive.addfile(member)
        member = tarfile.TarInfo("../above.png")
        member.size = 5
        archive.addfile(member, io.BytesIO(b"above"))
        member = tarfile.TarInfo("good.png")
        member.size = 4
        archive.addfile(member, io.BytesIO(b"good"))
    return path


@pytest.mark.parametrize("name", ["link.png", "hard.png", "device.png", "fifo.png", "d"])
def test_a_link_or_a_device_in_a_tar_is_no_image(tmp_path, name):
    source = hostile(tmp_path / "images.tar")
    assert [*images(source, "good.png").contents()] == [b"good"]
    with pytest.raises(UserError, match=f"row row0: image {name} is no regular file"):
        [*images(source, name).contents()]


def test_a_name_above_a_tar_is_only_a_name(tmp_path):
    (tmp_path / "in").mkdir()
    source = hostile(tmp_path / "in" / "images.tar")
    (tmp_path / "above.png").write_bytes(b"of another")
    assert [*images(source, "../above.png").contents()] == [b"above"], (
        "what the tar holds, not what lies beside it"
    )
    assert (tmp_path / "above.png").read_bytes() == b"of another"


def test_a_folder_is_not_left(tmp_path):
    (tmp_path / "above.png").write_bytes(b"above")
    source = foldered(tmp_path / "images", FILES)
    (source / "link.png").symlink_to(tmp_path / "above.png")
    (source / "inside.png").symlink_to(source / "2.png")
    assert [*images(source, "inside.png").contents()] == [b"the second"]
    for name in ("../above.png", str(tmp_path / "above.png"), "link.png"):
        with pytest.raises(UserError, match=r"row row0: .* lies outside of that folder"):
            [*images(source, name).contents()]


@pytest.mark.parametrize(("made", "cut"), [(tarred, 700), (zipped, 40)])
def test_a_damaged_archive(tmp_path, made, cut):
    source = made(tmp_path / "images", {"1.png": os.urandom(5000)})
    source.write_bytes(source.read_bytes()[:cut])
    with pytest.raises(UserError, match=r"is no whole tar or zip|row row0: .* cannot be read"):
        [*images(source, "1.png").contents()]


def test_the_checksum_of_a_folder_follows_its_images(tmp_path):
    source = foldered(tmp_path / "images", FILES)
    first = raw.checksum(images(source, "2.png", "a/1.png"), tmp_path / "cache")
    assert raw.checksum(images(source, "2.png", "a/1.png"), tmp_path / "cache") == first
    assert raw.checksum(images(source, "2.png", "a/1.png"), None) == first
    (source / "3.png").write_bytes(b"not named")
    assert raw.checksum(images(source, "2.png", "a/1.png"), tmp_path / "cache") == first
    (source / "2.png").write_bytes(b"THE SECOND")
    assert raw.checksum(images(source, "2.png", "a/1.png"), tmp_path / "cache") != first


def some(first=0):
    texts = Texts(("über", ""), (f"t{first}", f"t{first + 1}"))
    return Instances(
        features=np.zeros((2, 0), np.float32),
        targets=np.array([[1], [0]], np.uint8),
        labels=("x",),
        feature_names=(),
        raw={"text": texts, "image": Images("place", ("1.png", "2.png"), texts.ids)},
        words={"folder": ("a", "b")},
    )


def test_parsed_rows_are_kept_with_their_texts(tmp_path):
    built = cache.cached(tmp_path / "set.npz", lambda: concatenate([some(), some(2)]))
    found = cache.load(tmp_path / "set.npz")
    assert [*found.raw["text"].rows] == ["über", "", "über", ""] and found.words == {
        "folder": ("a", "b", "a", "b")
    }
    assert [*found.raw["image"].ids] == ["t0", "t1", "t2", "t3"] == [*built.raw["image"].ids]
