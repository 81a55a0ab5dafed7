"""Several files of one data set, a modality each: joined by the order of their rows or by an id."""

import json
from pathlib import Path

import numpy as np
import pytest
from scipy import sparse

from mlbench.data.multimodal import Multimodal
from mlbench.errors import UserError

ROWS = 12
IDS = [f"c{row:02d}" for row in range(ROWS)]
X, Z = np.arange(ROWS) / 4, np.arange(ROWS)[::-1] % 5
TARGETS = np.stack([np.arange(ROWS) % 2, np.arange(ROWS) % 3 == 0], axis=1).astype(int)


def written(path, header, *columns, order=range(ROWS)):
    mark = "\t" if path.suffix == ".tsv" else ","
    rows = [[str(column[row]) for column in columns] for row in order]
    path.write_text("\n".join(mark.join(row) for row in [header, *rows]) + "\n")
    return path


def arff(path, order=range(ROWS), thin=False):
    """An id, a number and a word of two."""
    rows = [
        f"{{0 '{IDS[row]}',1 {Z[row]}" + (",2 loud}" if row % 2 else "}")
        if thin
        else f"'{IDS[row]}',{Z[row]},{'loud' if row % 2 else 'calm'}"
        for row in order
    ]
    head = ["@relation r", "@attribute clip string", "@attribute z numeric", "@attribute k {calm,loud}"]
    path.write_text("\n".join([*head, "@data", *rows]) + "\n")
    return path


def npz(path, order=range(ROWS), **more):
    rows = [*order]
    matrix = sparse.csr_matrix(np.stack([Z[rows], np.zeros(ROWS)], axis=1)[: len(rows)])
    parts = {f"features_{part}": getattr(matrix, part) for part in ("data", "indices", "indptr", "shape")}
    np.savez(path, clip=np.array(IDS)[rows], **parts, **more)
    return path


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """audio.csv and the label file in the order of IDS; text in another order, in four formats."""
    monkeypatch.chdir(tmp_path)
    back = [*range(ROWS)][::-1]
    written(tmp_path / "audio.csv", ["clip", "x"], IDS, X)
    written(tmp_path / "labels.csv", ["clip", "a", "b"], IDS, *TARGETS.T)
    written(tmp_path / "text.tsv", ["clip", "z", "x"], IDS, Z, X, order=back)
    arff(tmp_path / "text.arff", back)
    arff(tmp_path / "thin.arff", back, thin=True)
    npz(tmp_path / "text.npz", back)
    return tmp_path


def dataset(**options):
    """With what its file in conf/ says."""
    defaults = {"decimal": ".", "drop": [], "missing": "refuse", "scaling": "none"}
    return Multimodal(**(defaults | options))


def files(audio="audio.csv", text="text.tsv"):
    return {"audio": audio, "text": text}


def given(**options):
    return {"files": files(), "labels_from": "labels.csv", "id": "clip"} | options


def loaded(cache=Path("cache"), **options):
    return dataset(**options).load(cache).instances


@pytest.mark.parametrize(
    ("text", "names", "thin"),
    [
        ("text.tsv", ("text z", "text x"), False),
        ("text.arff", ("text z", "text k=loud"), False),
        ("thin.arff", ("text z", "text k=loud"), True),
        ("text.npz", ("text feature1", "text feature2"), True),
    ],
)
def test_rows_are_joined_by_their_ids(folder, text, names, thin):
    found = loaded(**given(files=files(text=text)))
    assert found.feature_names == ("audio x", *names) and sparse.issparse(found.features) == thin
    assert found.modalities == {"audio": (0, 1), "text": (1, 3)} and found.words["id"] == tuple(IDS)
    assert found.attributes == 3 and found.labels == ("a", "b")
    features = found.features.toarray() if thin else found.features
    assert np.array_equal(features[:, :2], np.stack([X, Z], axis=1)) and np.array_equal(
        found.targets, TARGETS
    )
    last = {"text.tsv": X, "text.npz": np.zeros(ROWS)}.get(text, np.arange(ROWS) % 2)
    assert np.array_equal(features[:, 2], last)


def test_the_order_is_that_of_the_labels(folder):
    order = np.random.default_rng(0).permutation(ROWS)
    written(folder / "labels.csv", ["b", "clip", "a"], TARGETS[:, 1], IDS, TARGETS[:, 0], order=order)
    found = loaded(**given())
    assert found.labels == ("b", "a") and np.array_equal(found.targets, TARGETS[order][:, ::-1])
    assert found.words["id"] == tuple(np.array(IDS)[order])
    assert np.array_equal(found.features, np.stack([X, Z, X], axis=1)[order].astype(np.float32))


def test_rows_go_by_their_order_where_no_id_is_named(folder):
    lines = [f"{','.join(map(str, np.flatnonzero(y)))} 0:{x + 1}" for x, y in zip(X, TARGETS)]
    (folder / "a.txt").write_text(f"{ROWS} 1 2\n" + "\n".join(lines))
    npz(folder / "text.npz")
    found = loaded(files=files("a.txt", "text.npz"))
    assert np.array_equal(found.features.toarray()[:, :2], np.stack([X + 1, Z], axis=1))
    assert np.array_equal(found.targets, TARGETS) and found.modalities == {"audio": (0, 1), "text": (1, 3)}


@pytest.mark.parametrize("labels_from", [None, "audio", "own.csv", "./own.csv"])
def test_labels_may_stand_in_a_file_of_a_modality(folder, labels_from):
    written(folder / "own.csv", ["a", "clip", "x", "b"], TARGETS[:, 0], IDS, X, TARGETS[:, 1])
    options = {"files": files("own.csv"), "labels_from": labels_from, "labels": ["b", "a"], "id": "clip"}
    found = loaded(**options)
    assert found.feature_names == ("audio x", "text z", "text x") and found.labels == ("a", "b")
    assert np.array_equal(found.targets, TARGETS)


def test_labels_may_be_listed_and_other_columns_of_their_file_are_nothing(folder):
    tags = ["|".join(name for name, on in zip("ab", y) if on) for y in TARGETS]
    titles = [f"title {row} of clip" for row in range(ROWS)]
    written(folder / "labels.csv", ["title", "clip", "tags"], titles, IDS, tags)
    found = loaded(**given(label_list="tags", names=["b", "a"]))
    assert found.labels == ("b", "a") and np.array_equal(found.targets, TARGETS[:, ::-1])
    written(folder / "labels.csv", ["title", "clip", "a", "b"], titles, IDS, *TARGETS.T)
    assert np.array_equal(loaded(**given(labels=["b"])).targets, TARGETS[:, 1:])


def test_labels_of_an_archive(folder):
    np.savez(folder / "labels.npz", targets=TARGETS, ids=np.array(IDS), labels=np.array(["a", "b"]))
    found = loaded(**given(labels_from="labels.npz"))
    assert found.labels == ("a", "b") and np.array_equal(found.targets, TARGETS)
    assert loaded(**given(labels_from="labels.npz", labels=["b"])).labels == ("b",)


def test_a_row_without_labels_is_left_out_and_said(folder, capsys):
    written(folder / "labels.csv", ["clip", "a", "b"], IDS, *TARGETS.T, order=range(3, ROWS))
    found = loaded(**given())
    assert np.array_equal(found.features[:, 0], X[3:].astype(np.float32))
    assert "audio.csv: 3 rows left out, whose ids" in capsys.readouterr().err


def test_an_official_test_part(folder):
    half, rest = range(0, 8), range(8, ROWS)
    for name, rows in (("train", half), ("test", rest)):
        (folder / name).mkdir()
        written(folder / name / "audio.csv", ["clip", "x"], IDS, X, order=rows)
        written(folder / name / "text.csv", ["clip", "z"], IDS, Z, order=[*rows][::-1])
        written(folder / name / "labels.csv", ["clip", "a", "b"], IDS, *TARGETS.T, order=rows)
    found = dataset(
        files=files("train/audio.csv", "train/text.csv"),
        test={"text": "test/text.csv", "audio": "test/audio.csv"},  # in any order
        labels_from="train/labels.csv",
        test_labels_from="test/labels.csv",
        id="clip",
    )
    assert found.official == ("train", "test") and found.modality_names == ("audio", "text")
    rows = found.load(folder / "cache")
    assert rows.official["train"].tolist() == [*half] and rows.official["test"].tolist() == [*rest]
    assert np.array_equal(rows.instances.features, np.stack([X, Z], axis=1).astype(np.float32))
    assert np.array_equal(rows.instances.targets, TARGETS)


def test_rows_that_are_kept_have_the_names_and_labels_that_are_asked_for(folder):
    written(folder / "one.csv", ["x", "a"], X, TARGETS[:, 0])
    written(folder / "two.csv", ["z", "a"], Z, TARGETS[:, 1])
    for names in (("audio", "text"), ("sound", "words")):
        for holder, column in zip(names, (0, 1)):
            options = {"labels": ["a"], "labels_from": holder, "name": "same"}
            files = dict(zip(names, ("one.csv", "two.csv")))
            other = names[1 - column]
            with pytest.raises(UserError, match=f"modality {other}: .* has the column 'a', which is a label"):
                loaded(files=files, **options)
            written(folder / "three.csv", ["z"], Z)
            found = loaded(files={**files, other: "three.csv"}, **options)
            assert [*found.modalities] == [*names] and np.array_equal(found.targets[:, 0], TARGETS[:, column])


def test_some_modalities_in_place_of_all(folder):
    whole, part = dataset(**given()), dataset(**given(use=["text"]))
    assert part.modality_names == ("text",) and part.identity() == whole.identity() | {"use": ["text"]}
    found = part.load(folder / "cache").instances
    assert found.feature_names == ("text z", "text x") and found.modalities == {"text": (0, 2)}
    with pytest.raises(UserError, match=r"dataset.use=\[txt\]: .* has no modality txt; .* did you mean text"):
        dataset(**given(use=["txt"]))


def test_every_file_counts_in_the_identity_and_no_path_does(folder):
    first = dataset(**given()).identity()
    assert str(folder) not in json.dumps(first) and "labels.csv" not in json.dumps(first)
    (folder / "moved").mkdir()
    for name in ("audio.csv", "text.tsv", "labels.csv"):
        (folder / "moved" / name).write_bytes((folder / name).read_bytes())
    moved = given(files=files("moved/audio.csv", "moved/text.tsv"), labels_from="moved/labels.csv")
    assert dataset(**moved).identity() == first
    for name in ("audio.csv", "text.tsv", "labels.csv"):
        before = (folder / "moved" / name).read_text()
        (folder / "moved" / name).write_text(before + "\n")
        assert dataset(**moved).identity() != first
        (folder / "moved" / name).write_text(before)
    assert dataset(**given(files={"text": "text.tsv", "audio": "audio.csv"})).identity() != first


def short(folder):
    written(folder / "audio.csv", ["clip", "x"], IDS, X, order=range(ROWS - 1))


def twice(folder):
    written(folder / "audio.csv", ["clip", "x"], [*IDS[:-1], IDS[3]], X)


def strange(folder):
    written(folder / "audio.csv", ["clip", "x"], [f"{name}.wav" for name in IDS], X)


def empty(folder):
    written(folder / "audio.csv", ["clip"], IDS)


def leaking(folder):
    written(folder / "audio.csv", ["clip", "x", "b"], IDS, X, TARGETS[:, 1])


def nothing(folder):
    pass


@pytest.mark.parametrize(
    ("before", "options", "said"),
    [
        (short, {}, "audio.csv lacks 1 of the 12 ids of .*labels.csv, such as 'c11'"),
        (
            short,
            {"id": None, "drop": ["clip"], "labels": ["a"]},
            "audio.csv has 11 rows, .*text.tsv 12: rows are",
        ),
        (twice, {}, "audio.csv has the id 'c03' 2 times, in its rows 4 and 12"),
        (
            nothing,
            {"id": None},
            "column 'clip', as the modalities have: if it names the rows, say dataset.id=clip",
        ),
        (strange, {}, r"audio.csv has none of the ids of .*: here 'c00.wav' and others, there 'c00'"),
        (empty, {}, "modality audio: .*audio.csv has no column left to be a feature"),
        (leaking, {}, r"modality audio: .* has the column 'b', which is a label: .*drop=\[b\]"),
        (
            leaking,
            {"labels": ["a", "b"], "labels_from": None},
            "no file of a modality has a, b: dataset.labels_from",
        ),
        (nothing, {"labels_from": None}, "no file of a modality has labels: dataset.labels_from=... names"),
        (nothing, {"id": "clp"}, "labels.csv has no column 'clp', which dataset.id names; did you mean clip"),
        (nothing, {"files": files(text="text.npz"), "id": "x"}, "no column 'x'|no array 'x'"),
        (nothing, {"files": files(text="audio.csv")}, "audio.csv is given for audio and text"),
        (nothing, {"files": files(text="none.csv")}, "dataset.files.text=none.csv: there is no file"),
        (nothing, {"files": files(text="cache")}, "dataset.files.text=cache: there is no file"),
        (nothing, {"labels": ["a", "c"]}, "labels.csv has no column 'c', which dataset.labels names"),
        (nothing, {"drop": ["y"]}, "dataset.drop names 'y', and no file of a modality has such a column"),
        (nothing, {"names": ["a"]}, "dataset.names is for a column that lists labels"),
        (nothing, {"test": {"audio": "audio.csv"}}, "the modalities of both must be the same"),
        (
            nothing,
            {"test": files(), "test_labels_from": "labels.csv"},
            "is given for train audio and test audio",
        ),
        (nothing, {"test_labels_from": "labels.csv"}, "is for dataset.test"),
        (nothing, {"files": {"a/b": "audio.csv"}}, "a/b: .* not a path"),
        (nothing, {"files": {}}, "name a file for each modality"),
        (nothing, {"labels": ["a"], "label_list": "b"}, "both given"),
    ],
)
def test_what_cannot_be_meant_is_one_sentence(folder, before, options, said):
    before(folder)
    with pytest.raises(UserError, match=said):
        loaded(**given(**options))


def test_a_suffix_that_says_nothing_and_a_format_that_names_no_rows(folder):
    (folder / "text.xyz").write_text("1")
    with pytest.raises(UserError, match=r"its suffix is to say what it holds, and may be .csv, .tsv"):
        loaded(**given(files=files(text="text.xyz")))
    (folder / "text.svm").write_text("0 1:2\n" * ROWS)
    with pytest.raises(UserError, match=r"names no rows: leave out dataset.id"):
        loaded(**given(files=files(text="text.svm")))


def test_both_files_have_the_labels(folder):
    for name in ("audio.csv", "text.csv"):
        written(folder / name, ["x", "a"], X, TARGETS[:, 0])
    both = {"files": files(text="text.csv"), "labels": ["a"]}
    with pytest.raises(UserError, match=r"have a: say with dataset.labels_from=... which counts"):
        loaded(**both)
    with pytest.raises(UserError, match=r"modality text: .* has the column 'a', which is a label"):
        loaded(**both, labels_from="audio")
