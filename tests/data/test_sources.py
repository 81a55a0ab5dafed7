"""Where files are looked for, when they are hashed, and what is said when they are nowhere."""

import bz2
import gzip
import hashlib
import lzma
import os

import pytest

from mlbench.data import sources
from mlbench.data.sources import File, checksum, find, obtain
from mlbench.errors import UserError

CONTENT = b"@relation small\n@data\n1,0\n"
SHA256 = hashlib.sha256(CONTENT).hexdigest()
SMALL = File("small.arff", SHA256, len(CONTENT))


@pytest.fixture
def roots(tmp_path, monkeypatch):
    """Two folders named in MLBENCH_DATA."""
    both = [tmp_path / "first", tmp_path / "second"]
    for root in both:
        (root / "small").mkdir(parents=True)
    monkeypatch.setenv("MLBENCH_DATA", os.pathsep.join(map(str, both)))
    return both


@pytest.fixture
def cache(tmp_path):
    return tmp_path / "cache"


def put(path, content=CONTENT):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def count_hashes(monkeypatch):
    hashed = []
    real = sources.raw_checksum
    monkeypatch.setattr(sources, "raw_checksum", lambda path: hashed.append(path.name) or real(path))
    return hashed


@pytest.mark.parametrize(
    ("suffix", "compress"),
    [("", bytes), (".gz", gzip.compress), (".bz2", bz2.compress), (".xz", lzma.compress)],
)
def test_finds_a_file_compressed_or_not(roots, cache, suffix, compress):
    path = put(roots[1] / "small" / f"small.arff{suffix}", compress(CONTENT))
    assert find(SMALL, "small", cache) == path


def test_searches_the_folders_in_order_and_then_the_downloads(roots, cache):
    downloaded = put(cache / "downloads" / "small" / "small.arff")
    assert find(SMALL, "small", cache) == downloaded
    second = put(roots[1] / "small" / "small.arff")
    assert find(SMALL, "small", cache) == second
    first = put(roots[0] / "small" / "small.arff")
    assert find(SMALL, "small", cache) == first


@pytest.mark.parametrize(
    "content", [b"another version", gzip.compress(CONTENT, mtime=0)[:-9], b"\x1f\x8bdamaged"]
)
def test_passes_over_a_file_with_other_content(roots, cache, content):
    put(roots[0] / "small" / "small.arff", content)
    assert find(SMALL, "small", cache) is None
    second = put(roots[1] / "small" / "small.arff")
    assert find(SMALL, "small", cache) == second


def test_a_file_of_unknown_checksum_is_taken_as_it_is(roots, cache):
    path = put(roots[0] / "small" / "small.arff", b"anything")
    assert find(File("small.arff"), "small", cache) == path


def test_a_file_is_hashed_once_until_it_changes(tmp_path, cache, monkeypatch):
    hashed = count_hashes(monkeypatch)
    path = put(tmp_path / "small.arff")
    assert checksum(path, cache) == checksum(path, cache) == SHA256
    assert len(hashed) == 1
    put(path, b"longer content than before, by far")
    assert checksum(path, cache) != SHA256 and len(hashed) == 2
    path.write_bytes(CONTENT[::-1])
    os.utime(path, ns=(1, 1))
    assert checksum(path, cache) == hashlib.sha256(CONTENT[::-1]).hexdigest()


def test_a_spoilt_note_or_a_cache_that_is_no_folder_only_costs_time(tmp_path, cache):
    path = put(tmp_path / "small.arff")
    checksum(path, cache)
    for note in (cache / "checksums").iterdir():
        note.write_text("{")
    assert checksum(path, cache) == SHA256
    assert checksum(path, put(tmp_path / "a file")) == SHA256
    assert checksum(path) == SHA256


def test_a_file_that_went_away_is_a_sentence(tmp_path, cache):
    with pytest.raises(UserError, match="cannot be read"):
        checksum(tmp_path / "gone", cache)


def test_obtains_what_is_there_without_a_network(roots, cache):
    path = put(roots[0] / "small" / "small.arff")
    file = File("small.arff", SHA256, len(CONTENT), ("http://127.0.0.1:1/small.arff",))
    assert obtain("small", {"all": file}, "small", cache) == {"all": path}


def test_one_sentence_says_all_when_there_is_neither_file_nor_network(roots, cache, monkeypatch):
    monkeypatch.setenv("NO_PROXY", "*")
    wrong = put(roots[1] / "small" / "small.xml", b"other")
    files = {
        "all": File("small.arff", SHA256, len(CONTENT), ("http://127.0.0.1:1/small.arff",)),
        "xml": File("small.xml", SHA256, len(CONTENT), ("http://127.0.0.1:1/small.xml",)),
    }
    with pytest.raises(UserError) as error:
        obtain("tiny", files, "small", cache)
    said = str(error.value)
    for words in (
        "data set tiny: small.arff, small.xml not found",
        *map(str, roots),
        str(cache / "downloads" / "small"),
        "127.0.0.1:1: no connection",
        f"{wrong} is there, but has other content",
        "get http://127.0.0.1:1/small.arff, http://127.0.0.1:1/small.xml; put them into",
        "dataset=multidigits needs no download",
    ):
        assert words in said
    assert "\n" not in said and "is not set" not in said


def test_what_a_person_must_get_is_said_in_the_words_of_the_data_set(cache, monkeypatch):
    monkeypatch.delenv("MLBENCH_DATA", raising=False)
    with pytest.raises(UserError) as error:
        obtain("tiny", {"all": File("small.arff")}, "small", cache, where="get it from its authors.")
    place = cache / "downloads" / "small"
    assert f"get it from its authors; put it into {place}" in str(error.value)
    assert "MLBENCH_DATA is not set" in str(error.value)
    with pytest.raises(UserError, match=r"get small\.arff, for which no address is known"):
        obtain("tiny", {"all": File("small.arff")}, "small", cache)
