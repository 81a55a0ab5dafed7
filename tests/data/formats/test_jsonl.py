"""JSON lines: texts, names of images, lists of labels."""

import gzip
import json
import lzma

import numpy as np
import pytest

from mlbench.data.formats import jsonl
from mlbench.errors import UserError

ROWS = [
    {"id": "a", "title": "Rain", "body": "It rains.", "labels": ["wet", "cold"], "part": "train", "dir": "x"},
    {"id": "b", "title": "Sun", "body": "", "labels": [], "part": "dev", "dir": "y"},
    {"id": 3, "title": "Ice", "body": None, "labels": ["cold", "cold"], "part": "test", "dir": "x"},
]


def file_of(folder, rows=ROWS, name="set.jsonl"):
    path = folder / name
    path.write_text("\n".join(map(json.dumps, rows)) + "\n\n")
    return path


def test_texts_and_labels(tmp_path):
    found = jsonl.read(file_of(tmp_path), text=["title", "body"], id="id", group="dir", split="part")
    assert found.raw["text"].rows == ("Rain\nIt rains.", "Sun\n", "Ice\n")
    assert found.raw["text"].ids == ("a", "b", "3")
    assert found.labels == ("cold", "wet") and found.features.shape == (3, 0)
    np.testing.assert_array_equal(found.targets, [[1, 1], [0, 0], [1, 0]])
    assert found.words == {
        "id": ("a", "b", "3"),
        "dir": ("x", "y", "x"),
        "split": ("train", "validation", "test"),
    }


def test_lists_of_sentences_and_of_their_labels(tmp_path):
    rows = [{"s": ["One .", "Two ."], "l": [["a", "NULL"], []]}, {"s": ["Three ."], "l": [["b", "b"]]}]
    found = jsonl.read(file_of(tmp_path, rows), text="s", labels="l", ignore=["NULL"])
    assert found.raw["text"].rows == ("One . Two .", "Three .")
    assert found.labels == ("a", "b") and found.targets.tolist() == [[1, 0], [0, 1]]
    assert found.raw["text"].ids == ("line 1", "line 2")


@pytest.mark.parametrize("pack", [gzip.compress, lzma.compress, bytes])
def test_compressed_or_one_list(tmp_path, pack):
    lines, listed = file_of(tmp_path), tmp_path / "list.json"
    lines.write_bytes(pack(lines.read_bytes()))
    listed.write_bytes(pack(json.dumps(ROWS).encode()))
    for path in (lines, listed):
        assert jsonl.read(path, text="title").raw["text"].rows == ("Rain", "Sun", "Ice")


def test_images_are_named_and_not_opened(tmp_path):
    rows = [{"file": "a/1.png", "labels": ["x"]}]
    found = jsonl.read(file_of(tmp_path, rows), image="file")
    assert found.raw["image"].members == ("a/1.png",) and found.raw["image"].source == tmp_path
    assert (
        jsonl.read(file_of(tmp_path, rows), image="file", images="my.tar").raw["image"].source.name
        == "my.tar"
    )


TREE = [
    {"id": "a", "title": "1", "labels": ["cell--growth--", "cell--death"]},
    {"id": "b", "title": "2", "labels": ["Cell"]},
    {"id": "c", "title": "3", "labels": []},
    {"id": "d", "title": "4", "labels": ["gene -- growth"]},
]


@pytest.mark.parametrize(
    ("options", "ids", "labels", "targets"),
    [
        (
            {"levels": "--"},
            "abcd",
            ["Cell", "cell", "death", "gene", "growth"],
            ["01101", "10000", "00000", "00011"],
        ),
        ({"levels": "--", "min_positives": 2}, "abcd", ["growth"], ["1", "0", "0", "1"]),
        # A row whose labels are all rare stays without one; a row to which the file gives none goes.
        ({"levels": "--", "min_positives": 2, "labelled_only": True}, "abd", ["growth"], ["1", "0", "1"]),
        (
            {
                "labelled_only": True,
                "names": ["Cell", "gene -- growth"],
                "ignore": ["cell--growth--", "cell--death"],
            },
            "bd",
            ["Cell", "gene -- growth"],
            ["10", "01"],
        ),
    ],
)
def test_levels_of_labels_rare_labels_and_rows_without(tmp_path, options, ids, labels, targets):
    found = jsonl.read(file_of(tmp_path, TREE), text="title", id="id", **options)
    assert found.raw["text"].ids == tuple(ids) and found.labels == tuple(labels)
    assert ["".join(map(str, row)) for row in found.targets.tolist()] == targets


def test_no_row_has_a_label_of_the_file(tmp_path):
    with pytest.raises(UserError, match="has no rows"):
        jsonl.read(file_of(tmp_path, TREE[2:3]), text="title", labelled_only=True)


@pytest.mark.parametrize(
    ("content", "options", "words"),
    [
        (b'{"t": "x"}', {"text": "t"}, "row line 1 has no field 'labels'; it has t"),
        (b'{"text": "x", "labels": []}', {"text": "txt"}, "did you mean text?"),
        (b'{"t": 7, "labels": []}', {"text": "t"}, "row line 1: t is 7, neither a text nor a list"),
        (b'{"t": "x", "labels": "a;b"}', {"text": "t"}, 'labels is "a;b", not a list of labels'),
        (b'{"t": "x", "labels": [1.5]}', {"text": "t"}, "labels is \\[1.5\\], not a list of labels"),
        (b'{"t": "x"', {"text": "t"}, "line 1 is no JSON"),
        (b'"x"', {"text": "t"}, 'line 1: "x" is no object'),
        (b"\n\n", {"text": "t"}, "has no rows"),
        (b'{"t": "x", "labels": []}', {}, "dataset.text=... or image"),
        (
            b'{"n": "r7", "t": "caf\xe9", "labels": []}',
            {"text": "t", "id": "n"},
            "line 1 \\(row r7\\) is not UTF-8",
        ),
        (
            b'{"n": "r7", "t": "\\ud800", "labels": []}',
            {"text": "t", "id": "n"},
            "row r7 holds half a character",
        ),
        (b'{"t": "x", "labels": [], "p": "fit"}', {"text": "t", "split": "p"}, "p is 'fit'; it may be train"),
        (b'{"i": "", "labels": []}', {"image": "i"}, 'i is "", not a name'),
        (b'{"t": "x", "labels": ["q"]}', {"text": "t", "names": ["p"]}, "label 'q', not among names"),
        (b"[" * 5000, {"text": "t"}, "is no JSON"),
    ],
)
def test_what_is_wrong_is_said_with_the_row(tmp_path, content, options, words):
    path = tmp_path / "set.jsonl"
    path.write_bytes(content)
    with pytest.raises(UserError, match=words):
        jsonl.read(path, **options)


def test_a_text_of_a_million_characters_and_an_empty_one_are_texts(tmp_path):
    rows = [{"t": "word " * 200_000, "labels": ["a"]}, {"t": "", "labels": ["b"]}]
    assert [len(text) for text in jsonl.read(file_of(tmp_path, rows), text="t").raw["text"].rows] == [
        1_000_000,
        0,
    ]
