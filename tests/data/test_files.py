"""The bytes of a file, unpacked within bounds, and the numbers in them."""

import bz2
import codecs
import gzip
import itertools
import lzma
import random
import re

import pytest

from mlbench.data import files
from mlbench.data.files import content, lines, numbers_in
from mlbench.data.sources import checksum
from mlbench.errors import UserError

ROOM = 1 << 20
PACKERS = [gzip.compress, bz2.compress, lzma.compress]


@pytest.fixture(autouse=True)
def less_room(monkeypatch):
    monkeypatch.setattr(files, "ROOM", ROOM)


@pytest.mark.parametrize("pack", PACKERS)
def test_what_was_packed_comes_back(tmp_path, pack):
    path = tmp_path / "file"
    path.write_bytes(pack(b"first,") + pack(b"second"))
    assert content(path) == b"first,second"
    path.write_bytes(pack(bytes(ROOM)))
    assert len(content(path)) == ROOM


@pytest.mark.parametrize("pack", PACKERS)
def test_what_unpacks_to_far_more_than_there_is(tmp_path, pack):
    path = tmp_path / "file"
    path.write_bytes(pack(bytes(ROOM + 1)))
    words = re.escape(
        f"unpacks to more than {ROOM:,} bytes, out of {path.stat().st_size:,}: if that is right"
    )
    for use in (content, checksum):
        with pytest.raises(UserError, match=words):
            use(path)


@pytest.mark.parametrize("pack", PACKERS)
def test_damaged_is_said_with_a_reason(tmp_path, pack):
    path = tmp_path / "file"
    path.write_bytes(pack(b"first, second")[:-3])
    with pytest.raises(UserError, match=r"file is truncated or damaged \(\w.*\): fetch it again"):
        content(path)


@pytest.mark.parametrize(
    "text", [b"1 2\0", b"1 2\x003", b"1 2 3", b"1", b"1 2_0", b"1 x", b"1 0x2", b"1 \xa02"]
)
def test_two_numbers_and_nothing_else(text):
    assert numbers_in(text, " ", 2) is None
    assert numbers_in(b" 1\t2e0\n", " ", 2).tolist() == [1, 2]


@pytest.mark.parametrize("suffix", ["", ".gz"])
def test_lines_are_those_of_the_content(suffix, tmp_path):
    """Also of lines that are longer than what is read at once, and of none at the end."""
    opens = gzip.open if suffix else open
    long = random.Random(0).randbytes(3_000_000)  # which no packer makes short
    for number, text in enumerate([b"a", b"a\n", b"\na\r\n\nb", long, long.replace(b"\n", b"") + b"\nb\n"]):
        path = tmp_path / f"{number}{suffix}"
        with opens(path, "wb") as file:
            file.write(codecs.BOM_UTF8 + text)
        assert [*lines(path)] == content(path).split(b"\n") == text.split(b"\n")
    (tmp_path / "empty").write_bytes(b"")
    with pytest.raises(UserError, match="is empty"):
        [*lines(tmp_path / "empty")]


@pytest.mark.parametrize("pack", [bytes, gzip.compress])
@pytest.mark.parametrize("most", [None, 1, 3])
def test_blocks_are_the_lines_of_the_content(tmp_path, monkeypatch, pack, most):
    """From any line on, with its number; a line longer than a block is one."""
    rng = random.Random(0)
    wanted = [b"x" * rng.choice([0, 1, 5, 70]) for _ in range(60)]
    monkeypatch.setattr(files, "PIECE", 32)
    for end in (b"", b"\n", b"\n\n"):
        path = tmp_path / "file"
        path.write_bytes(pack(codecs.BOM_UTF8 + b"\n".join(wanted) + end))
        whole = content(path)
        for line in (1, 2, 30):
            start = sum(len(each) + 1 for each in wanted[: line - 1])
            found = [*files.blocks(path, start, line, most)]
            assert b"".join(block.data for block in found) == whole[start:] and len(found) > 5
            for block, later in itertools.pairwise(found):
                assert block.data.endswith(b"\n")
                assert block.line + block.data.count(b"\n") == later.line
                assert len(block.data) < 32 + 71 + 32 and (not most or block.data.count(b"\n") <= most)
            assert found[0].line == line
    path.write_bytes(b"")
    with pytest.raises(UserError, match="is empty"):
        [*files.blocks(path)]
    path.write_bytes(gzip.compress(whole)[:-9])
    with pytest.raises(UserError, match="truncated or damaged"):
        [*files.blocks(path)]
