"""Data sets as Hugging Face's hub has them: Parquet files and folders that the test makes, and no network."""

import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as parquet
import pytest

from mlbench.data.formats import hub
from mlbench.data.hub import Hub
from mlbench.errors import UserError
from pictures import encoded, pixels

READER = "mlbench.data.formats.hub.read"
NAMES = ["joy", "fear", "anger"]
CLASSES = {"feature": {"names": NAMES, "_type": "ClassLabel"}, "_type": "Sequence"}
TEXTS = [f"text {row}" for row in range(6)]
NUMBERS = [[0], [2, 0], [], [2], [0, 2], [0]]
SETS = [[1, 0, 0], [1, 0, 1], [0, 0, 0], [0, 0, 1], [1, 0, 1], [1, 0, 0]]
IMAGES = [encoded(pixels(seed=seed)) for seed in range(6)]


def table(rows=range(6), features=None, **columns):
    """Columns as they are given, of these rows; `features` is what `datasets` writes into a schema."""
    made = pa.table({name: pa.array(values).take(pa.array(rows)) for name, values in columns.items()})
    if features:
        made = made.replace_schema_metadata({"huggingface": json.dumps({"info": {"features": features}})})
    return made


def laid(folder, name, made, **options):
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    parquet.write_table(made, path, **options)
    return path


@pytest.fixture
def folder(tmp_path):
    """emotions/data/: six rows in three parts, of which the training part has two files."""
    made = tmp_path / "emotions"
    whole = {"text": TEXTS, "labels": NUMBERS, "features": {"labels": CLASSES}}
    for name, rows in (
        ("train-00000-of-00002", [0, 1]),
        ("train-00001-of-00002", [2]),
        ("validation-00000-of-00001", [3]),
        ("test-00000-of-00001", [4, 5]),
    ):
        laid(made, f"data/{name}.parquet", table(rows, **whole))
    return made


def loaded(path, cache, **options):
    dataset = Hub(READER, str(path), **{"scaling": "none", "text": "text"} | options)
    return dataset, dataset.load(cache)


def said_by(call, *arguments, **options):
    with pytest.raises(UserError) as raised:
        call(*arguments, **options)
    assert "\n" not in str(raised.value)
    return str(raised.value)


def test_numbers_of_labels_get_the_names_in_the_schema_and_files_are_parts(tmp_path, folder):
    dataset, found = loaded(folder, tmp_path / "cache")
    assert dataset.name == "emotions" and dataset.kind == "text"
    assert dataset.official == ("train", "validation", "test")
    rows = found.instances
    assert rows.labels == ("joy", "fear", "anger")  # in their order; fear is nowhere
    parts = {part: [rows.raw["text"].rows[row] for row in index] for part, index in found.official.items()}
    assert parts == {"train": TEXTS[:3], "validation": TEXTS[3:4], "test": TEXTS[4:]}
    by_text = dict(zip(rows.raw["text"].rows, rows.targets.tolist()))
    assert by_text == dict(zip(TEXTS, SETS))
    assert loaded(folder, tmp_path / "cache")[1].instances.targets.tolist() == rows.targets.tolist()


def test_a_folder_counts_by_its_content(tmp_path, folder):
    first = loaded(folder, tmp_path / "cache")[0].identity()
    moved = folder.rename(tmp_path / "moved")
    assert loaded(moved, tmp_path / "cache")[0].identity() == first
    laid(moved, "data/test-00000-of-00001.parquet", table([5, 4], text=TEXTS, labels=NUMBERS))
    assert loaded(moved, tmp_path / "cache")[0].identity() != first


@pytest.mark.parametrize("form", ["file", "stream"])
def test_what_save_to_disk_left(tmp_path, form):
    """A folder a part, with Arrow files that state.json lists; a cache beside them is none of the rows."""
    for part, rows in (("train", [0, 1, 2]), ("test", [3, 4, 5])):
        place = tmp_path / "saved" / part
        place.mkdir(parents=True)
        made = table(rows, text=TEXTS, labels=NUMBERS)
        for name in ("data-00000-of-00001.arrow", "cache-1.arrow"):
            opens = pa.ipc.new_file if form == "file" else pa.ipc.new_stream
            with opens(str(place / name), made.schema) as writer:
                writer.write_table(made, max_chunksize=2)
        state = {"_data_files": [{"filename": "data-00000-of-00001.arrow"}]}
        (place / "state.json").write_text(json.dumps(state))
        (place / "dataset_info.json").write_text(json.dumps({"features": {"labels": CLASSES}}))
    found = loaded(tmp_path / "saved", tmp_path / "cache")[1]
    assert {part: len(rows) for part, rows in found.official.items()} == {"train": 3, "test": 3}
    assert dict(zip(found.instances.raw["text"].rows, found.instances.targets.tolist())) == dict(
        zip(TEXTS, SETS)
    )
    (tmp_path / "saved/test/data-00000-of-00001.arrow").unlink()
    assert "test/data-00000-of-00001.arrow, which its state.json names, is not there" in said_by(
        Hub, READER, str(tmp_path / "saved"), scaling="none", text="text"
    )


@pytest.mark.parametrize("form", ["bytes", "struct", "arrow"])
def test_images_are_read_out_of_their_column(tmp_path, form):
    """In any order, out of several groups of rows, with the folder moved since it was parsed."""
    cells = (
        IMAGES if form == "bytes" else [{"bytes": data, "path": f"{n}.png"} for n, data in enumerate(IMAGES)]
    )
    for part, rows in (("train", [0, 1, 2, 3]), ("test", [4, 5])):
        made = table(rows, picture=cells, labels=NUMBERS)
        path = laid(tmp_path, f"set/{part}.parquet", made, row_group_size=3)
        if form == "arrow":
            path.unlink()
            (tmp_path / "set" / part).mkdir()
            with pa.ipc.new_stream(str(tmp_path / "set" / part / "data.arrow"), made.schema) as writer:
                writer.write_table(made, max_chunksize=2)
            state = {"_data_files": [{"filename": "data.arrow"}]}
            (tmp_path / "set" / part / "state.json").write_text(json.dumps(state))
    dataset, found = loaded(tmp_path / "set", tmp_path / "cache", text=None, image="picture")
    assert dataset.kind == "image" and found.instances.labels == ("0", "2")
    (tmp_path / "set").rename(tmp_path / "moved")
    images = loaded(tmp_path / "moved", tmp_path / "cache", text=None, image="picture")[1].instances.raw[
        "image"
    ]
    train, test = ([*images[found.official[part]].contents()] for part in ("train", "test"))
    assert train == IMAGES[:4] and test == IMAGES[4:]
    order = np.array([5, 0, 3, 2, 4, 1, 1])
    everything = [*images.contents()]
    assert [*images[order].contents()] == [everything[row] for row in order]
    assert [*images.joined(images).contents()] == everything * 2


def test_an_image_that_is_elsewhere_is_named_by_its_row(tmp_path):
    cells = [{"bytes": IMAGES[0], "path": None}, {"bytes": None, "path": "/etc/hostname"}]
    path = laid(tmp_path, "set.parquet", pa.table({"image": cells, "labels": [["a"], ["b"]]}))
    images = hub.read(path, image="image").raw["image"]
    said = said_by(lambda: [*images.contents()])
    assert "row set.parquet, row 1" in said and "it holds no bytes, only the path /etc/hostname" in said


FOUR = {
    "toxic": [1, 0, 0, 1],
    "insult": [True, False, True, False],
    "threat": [0.0, 0.0, 1.0, 0.0],
    "spam": [0, 0, 0, 0],
}
XY, XYZ = ("x", "y"), ("x", "y", "z")
LISTS = [[1, 0], [0, 0], [1, 1], [0, 1]]


@pytest.mark.parametrize(
    ("cells", "labels", "names", "expected", "targets"),
    [
        (FOUR, [*FOUR], None, (*FOUR,), [[1, 1, 0, 0], [0, 0, 0, 0], [0, 1, 1, 0], [1, 0, 0, 0]]),
        ([["b", "a"], [], ["b"], ["a"]], "labels", None, ("a", "b"), [[1, 1], [0, 0], [0, 1], [1, 0]]),
        ([[1.0, 0.0], [0.0, 0.0], [1.0, 1.0], [0.0, 1.0]], "labels", [*XY], XY, LISTS),
        ([[*row, 0] for row in LISTS], "labels", [*XYZ], XYZ, [[*row, 0] for row in LISTS]),
        ([[4], [], [7, 4], [7]], "labels", None, ("4", "7"), LISTS),
    ],
    ids=["columns", "strings", "fractions", "zeros and ones", "numbers"],
)
def test_labels_in_every_form(tmp_path, cells, labels, names, expected, targets):
    columns = cells if isinstance(cells, dict) else {"labels": cells}
    path = laid(tmp_path, "set.parquet", table(range(4), text=TEXTS, **columns))
    found = hub.read(path, text="text", labels=labels, names=names)
    assert found.labels == expected and found.targets.tolist() == targets


def test_one_label_a_row_and_labels_that_are_kept_secret(tmp_path):
    kind = {"label": {"names": NAMES, "_type": "ClassLabel"}}
    made = table(range(4), kind, text=TEXTS, label=[2, 0, -1, 1])
    path = laid(tmp_path, "set.parquet", made)
    assert "row set.parquet, row 2: label has the label -1, of 0 to 2; -1 is a label that is kept" in said_by(
        hub.read, path, text="text", labels="label"
    )
    found = hub.read(path, text="text", labels="label", labelled_only=True)
    assert found.raw["text"].rows == ("text 0", "text 1", "text 3")
    assert found.targets.tolist() == [[0, 0, 1], [1, 0, 0], [0, 1, 0]]


def test_ids_parts_and_groups_of_columns(tmp_path):
    columns = {"key": [7, 8, 9], "part": ["train", "dev", "test"], "home": ["x", "y", "x"]}
    made = table(range(3), text=TEXTS, labels=[["a"], ["b"], ["a"]], **columns)
    path = laid(tmp_path, "my.parquet", made)
    dataset, found = loaded(path, tmp_path / "cache", id="key", split="part", group="home")
    assert dataset.name == "my" and dataset.groups == ("home",)
    assert {part: rows.tolist() for part, rows in found.official.items()} == {
        "train": [0],
        "validation": [1],
        "test": [2],
    }
    assert found.instances.words["home"] == ("x", "y", "x") and found.instances.raw["text"].ids == (
        "7",
        "8",
        "9",
    )


CARD = """---
dataset_info:
- config_name: small
  features:
  - name: text
    dtype: string
  - name: labels
    sequence:
      class_label:
        names:
          '0': joy
          '1': fear
          '2': anger
- config_name: raw
  features:
  - name: labels
    dtype: int64
configs:
- config_name: small
  data_files:
  - split: train
    path: some/a-*
  - split: test
    path: [some/b-*, some/c-*]
- config_name: raw
  data_files: some/d-*
---
# Emotions
"""


def test_a_card_says_subsets_parts_and_names(tmp_path):
    place = tmp_path / "set"
    for name, rows in (("a-1", [0, 1, 2]), ("b-1", [3]), ("c-1", [4]), ("d-1", [5])):
        laid(place, f"some/{name}.parquet", table(rows, text=TEXTS, labels=NUMBERS))
    (place / "README.md").write_text(CARD)
    said = said_by(Hub, READER, str(place), scaling="none", text="text")
    assert "has 2 subsets, raw, small: say which with dataset.subset=..." in said
    assert "has no subset smal; it has raw, small; did you mean small" in said_by(
        Hub, READER, str(place), scaling="none", text="text", subset="smal"
    )
    found = loaded(place, tmp_path / "cache", subset="small")[1]
    assert {part: len(rows) for part, rows in found.official.items()} == {"train": 3, "test": 2}
    assert found.instances.labels == (*NAMES,) and found.instances.targets.tolist() == SETS[:5]
    raw, found = loaded(place, tmp_path / "cache", subset="raw")
    assert raw.official == () and found.instances.labels == ("0",) and len(found.instances) == 1


def test_names_of_folders_say_subsets_and_parts(tmp_path, capsys):
    """As the hub lays out the files that it converts: subset/part/0000.parquet."""
    for name in ("plain/train/0000", "plain/test/0000", "plain/unsupervised/0000", "other/train/0000"):
        laid(tmp_path, f"set/{name}.parquet", table(range(2), text=TEXTS, labels=[["a"], ["b"]]))
    assert "has 2 subsets, other, plain" in said_by(
        Hub, READER, str(tmp_path / "set"), scaling="none", text="text"
    )
    dataset, found = loaded(tmp_path / "set", tmp_path / "cache", subset="plain")
    assert dataset.official == ("train", "test") and len(found.instances) == 4
    said = capsys.readouterr().err
    assert "1 files are of no part and left out, such as plain/unsupervised/0000.parquet" in said


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"text": "txt"}, "has no column 'txt'; it has text, labels; did you mean text"),
        ({"labels": "label"}, "has no column 'label'; it has text, labels; did you mean labels"),
        ({"labels": ["text", "joy"]}, "has no column 'joy'"),
        ({"labels": "text"}, 'text is "text 4", not a list of labels'),
        ({"text": None, "image": "text"}, "column 'text' is of the type string, and dataset.image names one"),
        ({"text": None}, "say which field holds what is to be learned from"),
        ({"names": ["joy"]}, "has the label 'anger', not among names"),
        ({"labels": ["text"]}, "label 'text' is \"text 4\"; a label is 0 or 1"),
    ],
)
def test_a_wrong_name_is_said_in_a_line(folder, options, said):
    assert said in said_by(hub.read, folder, **{"text": "text"} | options)


@pytest.mark.parametrize("kind", ["parquet", "arrow"])
def test_a_damaged_file_is_named(tmp_path, kind):
    path = tmp_path / f"set.{kind}"
    for content in (b"", b"PAR1", b"ARROW1\0\0 and no more", bytes(100)):
        path.write_bytes(content)
        assert f"{path} is no whole" in said_by(hub.read, path, text="text")


@pytest.mark.parametrize("form", ["of texts", "of few values"])
def test_rows_that_take_far_more_room_than_their_file_are_refused(tmp_path, form):
    """A kilobyte of Parquet can say a million times the same."""
    column = pa.array(["x" * 1000]).take(pa.array(np.zeros(100_000, np.int32)))
    column = column.dictionary_encode() if form == "of few values" else column
    path = laid(tmp_path, "set.parquet", pa.table({"text": column, "labels": column}), compression="zstd")
    assert path.stat().st_size < 100_000
    assert "far more than is in it" in said_by(hub.read, path, text="text", labels="labels")


# The hub


@pytest.fixture
def far(monkeypatch, folder):
    """What the hub answers, and what was asked of it; no network."""
    import huggingface_hub

    answers = {
        "files": ["README.md", "data/train-00000-of-00002.parquet"],
        "folder": str(folder),
        "asked": [],
    }

    def downloaded(repo_id, **options):
        answers["asked"].append((repo_id, options))
        if options.get("local_files_only"):
            raise FileNotFoundError("not here yet")
        return answers["folder"]

    def listed(**options):
        if isinstance(answers["files"], Exception):
            raise answers["files"]
        return answers["files"]

    monkeypatch.setattr(huggingface_hub, "snapshot_download", downloaded)
    monkeypatch.setattr(huggingface_hub, "list_repo_files", listed)
    return answers


def test_the_parquet_files_of_a_name_on_the_hub_are_fetched(tmp_path, far, capsys):
    dataset, found = loaded("somebody/emotions", tmp_path / "cache", revision="v2")
    assert dataset.name == "emotions" and len(found.instances) == 6
    name, options = far["asked"][-1]
    assert name == "somebody/emotions" and options["repo_type"] == "dataset" and options["revision"] == "v2"
    assert options["allow_patterns"] == ["*.parquet", "README.md"]
    assert "fetching the Parquet files of somebody/emotions" in capsys.readouterr().err


def test_a_hub_that_cannot_be_reached_is_said_in_a_line(far):
    far["files"] = OSError("[Errno -2] Name or service not known\nand a long story")
    said = said_by(Hub, READER, "somebody/emotions", scaling="none", text="text")
    assert said.startswith("dataset.path=somebody/emotions is no folder here, and the hub cannot be reached")
    assert "Name or service not known" in said and "give its folder" in said


@pytest.mark.parametrize("path", ["./emotions", "/data/emotions", "a/b/c", "emotions.parquet"])
def test_a_path_is_not_looked_for_on_the_hub(far, path):
    assert f"dataset.path={path}: there is no such folder or file" in said_by(
        Hub, READER, path, scaling="none", text="text"
    )
    assert not far["asked"]


SCRIPT = "from pathlib import Path\nPath({!r}).touch()\nraise SystemExit\n"


def test_a_program_in_a_data_set_is_never_run(tmp_path, folder, far):
    """Neither beside Parquet files nor alone, neither in a folder nor on the hub."""
    ran = tmp_path / "ran"
    (folder / "emotions.py").write_text(SCRIPT.format(str(ran)))
    assert len(loaded(folder, tmp_path / "cache")[1].instances) == 6
    alone = tmp_path / "alone" / "emotions.py"
    alone.parent.mkdir()
    alone.write_text(SCRIPT.format(str(ran)))
    far["files"] = [".gitattributes", "README.md", "emotions.py", "data.csv"]
    for path in (str(alone.parent), "somebody/emotions"):
        said = said_by(Hub, READER, path, scaling="none", text="text")
        assert "no Parquet files but emotions.py, a program, and programs of a data set are never run" in said
        assert "dataset.revision=refs/convert/parquet has those" in said
    assert not ran.exists() and all("*.py" not in asked[1]["allow_patterns"] for asked in far["asked"])
