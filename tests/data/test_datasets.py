"""Data sets in files: roles, checksums, parsed copies, modalities, statistics, and a person's own files."""

import functools
import gzip
import hashlib
import sys
import types

import numpy as np
import pytest
from scipy import sparse

from mlbench.data import datasets
from mlbench.data.datasets import label_file
from mlbench.data.instances import Instances
from mlbench.errors import UserError

READER = "mlbench_test_reader.read"
FEATURES = "@relation x\n@attribute a numeric\n@attribute b numeric\n"
HEADER = FEATURES + "@attribute l1 {0,1}\n@attribute l2 {0,1}\n@data\n"
XML = '<labels xmlns="http://mulan.sourceforge.net/labels"><label name="l1"/><label name="l2"/></labels>'
MULAN = "mlbench.data.formats.mulan.read"
Files = functools.partial(datasets.Files, scaling="none")
OwnFiles = functools.partial(datasets.OwnFiles, scaling="none")


def read_rows(path, xml=None, names="abcd", sparsely=False, views=None, attributes=None, note=None):
    """Rows of four digits: two features, then two labels."""
    READ.append((path.name, xml and xml.name, note))
    content = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    rows = np.array([[int(digit) for digit in line] for line in content.decode().split()])
    features = rows[:, :2].astype(np.float32)
    return Instances(
        features=sparse.csr_matrix(features) if sparsely else features,
        targets=rows[:, 2:].astype(np.uint8),
        labels=tuple(names[2:]),
        feature_names=tuple(names[:2]),
        modalities=views or {},
        attributes=attributes,
    )


READ = []


@pytest.fixture(autouse=True)
def reader(monkeypatch):
    module = types.ModuleType("mlbench_test_reader")
    module.read = read_rows
    monkeypatch.setitem(sys.modules, "mlbench_test_reader", module)
    READ.clear()


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """tiny/ in MLBENCH_DATA with a training and a test part."""
    monkeypatch.setenv("MLBENCH_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("MLBENCH_CACHE", str(tmp_path / "default"))
    folder = tmp_path / "data" / "tiny"
    folder.mkdir(parents=True)
    (folder / "train.txt").write_text("1010\n2001\n3011\n")
    (folder / "test.txt").write_text("4010\n5100\n")
    (folder / "names.xml").write_text("names")
    return folder


def described(folder, *names, **more):
    """Entries as a YAML has them: roles are the stems of the files."""
    files = {}
    for name in names:
        content = (folder / name).read_bytes()
        sha256 = hashlib.sha256(content).hexdigest()
        files[name.split(".")[0]] = {"name": name, "sha256": sha256, "bytes": len(content), **more}
    return files


def tiny(folder, *names, **options):
    names = names or ("train.txt", "test.txt")
    return Files(name="tiny", files=described(folder, *names), reader=READER, **options)


def as_lists(official):
    return {role: rows.tolist() for role, rows in official.items()}


def test_parts_are_read_in_order_and_make_the_official_split(folder, tmp_path):
    dataset = tiny(folder, "test.txt", "train.txt")
    assert (dataset.name, dataset.kind, dataset.official) == ("tiny", "vector", ("train", "test"))
    assert dataset.modality_names == ()
    loaded = dataset.load(tmp_path / "cache")
    assert loaded.instances.features[:, 0].tolist() == [1, 2, 3, 4, 5]
    assert as_lists(loaded.official) == {"train": [0, 1, 2], "test": [3, 4]}


def test_a_validation_part_stands_between_them(folder, tmp_path):
    (folder / "validation.txt").write_text("9011\n")
    loaded = tiny(folder, "train.txt", "test.txt", "validation.txt").load(tmp_path / "cache")
    assert loaded.instances.features[:, 0].tolist() == [1, 2, 3, 9, 4, 5]
    assert as_lists(loaded.official) == {"train": [0, 1, 2], "validation": [3], "test": [4, 5]}


def test_one_file_has_no_official_split(folder, tmp_path):
    files = {"all": described(folder, "train.txt")["train"]}
    dataset = Files(name="tiny", files=files, reader=READER)
    assert not dataset.official and dataset.load(tmp_path / "cache").official is None


def test_other_roles_and_options_go_to_the_reader(folder, tmp_path):
    files = described(folder, "train.txt", "test.txt") | {"xml": {"name": "names.xml"}}
    Files(name="tiny", files=files, reader=READER, note="hello").load(tmp_path / "cache")
    assert READ == [("train.txt", "names.xml", "hello"), ("test.txt", "names.xml", "hello")]


def test_a_parsed_part_needs_no_file_any_more(folder, tmp_path):
    first = tiny(folder).load(tmp_path / "cache")
    files = described(folder, "train.txt", "test.txt")
    for path in folder.iterdir():
        path.unlink()
    again = Files(name="tiny", files=files, reader=READER).load(tmp_path / "cache")
    assert len(READ) == 2 and (again.instances.features == first.instances.features).all()
    with pytest.raises(UserError, match="not found"):
        Files(name="tiny", files=files, reader=READER, note="other options").load(tmp_path / "cache")


def test_a_corrupted_copy_is_parsed_again(folder, tmp_path):
    tiny(folder).load(tmp_path / "cache")
    for path in (tmp_path / "cache" / "parsed").iterdir():
        path.write_bytes(path.read_bytes()[:50])
    assert len(tiny(folder).load(tmp_path / "cache").instances) == 5 and len(READ) == 4


def test_identity_is_of_the_content_alone(folder, tmp_path):
    dataset = tiny(folder, note="x", modalities={"one": [0, 0], "two": [1, 1]}, scaling="zscore")
    identity = dataset.identity()
    moved = Files(
        name="tiny",
        files=described(folder, "train.txt", "test.txt", urls=["http://127.0.0.1:1/elsewhere"]),
        reader=READER,
        modalities={"one": [0, 0], "two": [1, 1]},
        scaling="zscore",
        note="x",
        folder="elsewhere",
        where="ask",
        citation="us",
        notes="none",
        statistics={"instances": 5},
    )
    assert moved.identity() == identity
    assert str(tmp_path) not in str(identity) and not READ
    assert list(identity["files"]) == ["train", "test"]
    others = [
        tiny(folder, note="y", modalities={"one": [0, 0], "two": [1, 1]}, scaling="zscore"),
        tiny(folder, note="x", scaling="zscore"),
        tiny(folder, note="x", modalities={"one": [0, 0], "two": [1, 1]}),
    ]
    assert all(other.identity() != identity for other in others)


def test_an_unknown_checksum_is_that_of_the_file(folder, tmp_path):
    files = {
        role: {"name": entry["name"]} for role, entry in described(folder, "train.txt", "test.txt").items()
    }
    packed = folder / "train.txt.gz"
    packed.write_bytes(gzip.compress((folder / "train.txt").read_bytes()))
    (folder / "train.txt").unlink()
    dataset = Files(name="tiny", files=files, reader=READER)
    expected = {
        "train": hashlib.sha256(gzip.decompress(packed.read_bytes())).hexdigest(),
        "test": hashlib.sha256((folder / "test.txt").read_bytes()).hexdigest(),
    }
    assert dataset.identity()["files"] == expected
    assert len(dataset.load(tmp_path / "cache").instances) == 5
    (folder / "test.txt").unlink()
    with pytest.raises(UserError, match=r"data set tiny: test\.txt not found"):
        Files(name="tiny", files=files, reader=READER).identity(tmp_path / "cache")


def test_modalities_become_ranges(folder, tmp_path):
    dataset = tiny(folder, modalities={"one": [0, 0], "two": [1, 1]})
    assert dataset.modality_names == ("one", "two")
    assert dataset.load(tmp_path / "cache").instances.modalities == {"one": (0, 1), "two": (1, 2)}


@pytest.mark.parametrize(
    ("modalities", "words"),
    [
        ({"one": [0, 0], "two": [2, 3]}, "two=[2, 3] must begin at column 1"),
        ({"one": [1, 1]}, "one=[1, 1] must begin at column 0"),
        ({"one": [0, 0], "two": [0, 1]}, "two=[0, 1] must begin at column 1"),
        ({"one": [1, 0]}, "one=[1, 0] must be [first column, last column]"),
        ({"one": 3}, "one=3 must be [first column, last column]"),
        ({"one": [0, 0]}, "it has 2 feature columns, but its modalities cover 1"),
        ({"one": [0, 2]}, "it has 2 feature columns, but its modalities cover 3"),
    ],
)
def test_modalities_cover_all_columns_in_order(folder, tmp_path, modalities, words):
    with pytest.raises(UserError) as error:
        tiny(folder, modalities=modalities).load(tmp_path / "cache")
    assert words in str(error.value)


def test_modalities_of_a_file_may_be_renamed_but_not_moved(folder, tmp_path):
    views = {"view1": (0, 1), "view2": (1, 2)}
    assert tiny(folder, views=views).load(tmp_path / "cache").instances.modalities == views
    renamed = tiny(folder, views=views, modalities={"one": [0, 0], "two": [1, 1]})
    assert list(renamed.load(tmp_path / "cache").instances.modalities) == ["one", "two"]
    with pytest.raises(UserError, match="its file has the modalities"):
        tiny(folder, views=views, modalities={"one": [0, 1]}).load(tmp_path / "cache")


def test_modalities_are_refused_where_attributes_are_not_columns(folder, tmp_path):
    with pytest.raises(UserError, match="its 7 attributes became 2 columns"):
        tiny(folder, attributes=7, modalities={"one": [0, 1]}).load(tmp_path / "cache")


def test_statistics_are_verified(folder, tmp_path):
    right = {"instances": 5, "features": 2, "labels": 2, "cardinality": 1, "label_sets": 4, "unlabelled": 1}
    tiny(folder, statistics=right | {"train": 3, "test": 2}).load(tmp_path / "cache")
    tiny(folder, statistics={"cardinality": 1.0}).load(tmp_path / "cache")
    for name, wrong in (("instances", 6), ("cardinality", 1.1), ("train", 4), ("label_sets", 2)):
        with pytest.raises(UserError, match=rf"data set tiny: {name} is .*, but {wrong} was expected"):
            tiny(folder, statistics=right | {name: wrong}).load(tmp_path / "cache")
    with pytest.raises(UserError, match="no statistic is called labelsets; did you mean label_sets"):
        tiny(folder, statistics={"labelsets": 4}).load(tmp_path / "cache")


def test_cardinality_is_compared_to_the_digits_that_are_stated(folder, tmp_path):
    (folder / "test.txt").write_text("4010\n5100\n6000\n")  # 5 labels, 6 rows
    for digits in (0.8, 0.83, 0.8333):
        tiny(folder, statistics={"cardinality": digits}).load(tmp_path / "cache")
    with pytest.raises(UserError, match=r"cardinality is 0\.833, but 0\.834 was expected"):
        tiny(folder, statistics={"cardinality": 0.834}).load(tmp_path / "cache")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"scaling": "zscor"}, "dataset.scaling=zscor: choose none, zscore, minmax; did you mean zscore?"),
        ({"kind": "sound"}, "dataset.kind=sound: choose vector, image, text"),
        ({"reader": "mlbench.data.formats.nothing.read"}, "cannot be imported"),
        ({"reader": "mlbench_test_reader.write"}, "cannot be imported"),
        ({"nam": "abcd"}, "has no option nam; it takes xml, names"),
        ({"reader": MULAN}, "needs to know dataset.xml=..."),
        ({"files": {}}, "its files are none; needed are all"),
        ({"files": {"train": {"name": "x"}}}, "its files are train; needed are all"),
        ({"files": {"all": {"name": "x"}, "test": {"name": "x"}}}, "needed are all, or train and test"),
        ({"files": {"all": {"name": "x", "sha": "0"}}}, "files.all has no sha"),
        ({"files": {"all": {"sha256": "0"}}}, "files.all needs a name"),
        ({"files": {"all": {"name": "x", "urls": ["http://x"]}}}, "only with a sha256"),
    ],
)
def test_a_wrong_description_is_one_sentence(folder, change, words):
    arguments = {"name": "tiny", "files": described(folder, "train.txt", "test.txt"), "reader": READER}
    with pytest.raises(UserError) as error:
        Files(**arguments | change)
    assert words in str(error.value) and "\n" not in str(error.value)


# Own files


def write(path, text):
    path.write_text(text)
    return path


def test_an_own_file_is_found_from_the_working_directory(tmp_path, monkeypatch):
    write(tmp_path / "mine.txt", "1010\n2001\n")
    monkeypatch.chdir(tmp_path)
    dataset = OwnFiles(reader=READER, path="mine.txt", note=None)
    assert (dataset.name, dataset.official) == ("mine", ())
    monkeypatch.chdir("/")
    assert len(dataset.load(tmp_path / "cache").instances) == 2


def test_a_second_file_makes_an_official_split(tmp_path):
    train, test = write(tmp_path / "a.txt", "1010\n2001\n"), write(tmp_path / "b.txt", "3010\n")
    dataset = OwnFiles(reader=READER, path=str(train), test=str(test), name="mine")
    assert (dataset.name, dataset.official) == ("mine", ("train", "test"))
    assert as_lists(dataset.load(tmp_path / "cache").official) == {"train": [0, 1], "test": [2]}


def test_an_own_file_is_known_by_its_content(tmp_path):
    one = OwnFiles(reader=READER, path=str(write(tmp_path / "one.txt", "1010\n")))
    two = OwnFiles(reader=READER, path=str(write(tmp_path / "two.txt", "1010\n")))
    assert one.identity() == two.identity() == one.identity(tmp_path / "cache")
    changed = OwnFiles(reader=READER, path=str(write(tmp_path / "one.txt", "1011\n")))
    assert changed.identity() != two.identity()
    changed.load(tmp_path / "cache")
    two.load(tmp_path / "cache")
    assert len(READ) == 2


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({}, "dataset=csv reads a file of your own: say which with dataset.path=..."),
        ({"path": "gone.csv", "labels": ["y"]}, "dataset.path=gone.csv: there is no file"),
        ({"path": ".", "labels": ["y"]}, "dataset.path=. is a folder"),
        ({"path": "my.csv"}, "the labels are not given: say one of dataset.labels=[one,another]"),
        ({"path": "gone.csv", "labels": []}, "the labels are not given"),
        (
            {"path": "my.csv", "labels": ["y"], "label_list": "x"},
            "dataset.labels and dataset.label_list: say",
        ),
        ({"path": "my.csv", "labels": ["y"], "test": "gone.csv"}, "dataset.test=gone.csv: there is no file"),
        ({"path": "my.csv", "labels": ["y"], "lables": ["y"]}, "has no option lables"),
    ],
)
def test_a_wrong_own_file_is_one_sentence(tmp_path, monkeypatch, arguments, words):
    write(tmp_path / "my.csv", "x,y\n1,0\n")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError) as error:
        OwnFiles(reader="mlbench.data.formats.csv.read", **arguments)
    assert words in str(error.value) and "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("content", "labels"),
    [
        ("x,rain,storm\n1,0,0\n2,0,0\n", {"labels": ["rain", "storm"]}),
        ("x,tags\n1,\n2,\n", {"label_list": "tags"}),
    ],
)
def test_a_file_without_any_label_is_refused(tmp_path, content, labels):
    write(tmp_path / "my.csv", content)
    reader = "mlbench.data.formats.csv.read"
    dataset = OwnFiles(reader=reader, path=str(tmp_path / "my.csv"), **labels)
    with pytest.raises(UserError, match=r"data set my: no row has any label, of [02] .*nothing to learn"):
        dataset.load(tmp_path / "cache")


def test_a_truncated_own_file_is_refused_before_it_is_read(tmp_path):
    path = tmp_path / "mine.txt.gz"
    path.write_bytes(gzip.compress(b"1010\n" * 1000)[:-12])
    with pytest.raises(UserError, match="truncated or damaged"):
        OwnFiles(reader=READER, path=str(path)).identity()


def test_an_own_table_is_read(tmp_path):
    table = write(tmp_path / "my.csv", "x,w,p,q\n1,2,1,0\n3,4,0,1\n5,6,1,1\n")
    reader = "mlbench.data.formats.csv.read"
    dataset = OwnFiles(reader=reader, path=str(table), labels=["p", "q"], separator=None, drop=[])
    instances = dataset.load(tmp_path / "cache").instances
    assert instances.labels == ("p", "q") and instances.features.tolist() == [[1, 2], [3, 4], [5, 6]]
    assert dataset.identity()["options"] == {"labels": ["p", "q"], "drop": []}


def test_parts_that_disagree_are_refused(tmp_path):
    train, test = write(tmp_path / "a.csv", "x,p\n1,0\n"), write(tmp_path / "b.csv", "z,p\n1,0\n")
    dataset = OwnFiles(reader="mlbench.data.formats.csv.read", path=str(train), test=str(test), labels=["p"])
    with pytest.raises(UserError, match=r"test has other features \(1\) than train \(1\), such as 'x'"):
        dataset.load(tmp_path / "cache")


def test_a_sparse_and_a_dense_part_make_a_sparse_whole(tmp_path):
    dense, thin = HEADER + "1,0,1,0\n", HEADER + "{0 5,3 1}\n"
    train, test = write(tmp_path / "x-train.arff", dense), write(tmp_path / "x-test.arff", thin)
    write(tmp_path / "x.xml", XML)
    loaded = OwnFiles(reader=MULAN, path=str(train), test=str(test)).load(tmp_path / "cache")
    assert sparse.issparse(loaded.instances.features)
    assert loaded.instances.features.toarray().tolist() == [[1, 0], [5, 0]]


@pytest.mark.parametrize(
    ("beside", "expected"),
    [
        (["my-train.xml", "my.xml", "z.xml"], "my-train.xml"),
        (["my.xml", "z.xml"], "my.xml"),
        (["z.xml"], "z.xml"),
    ],
)
def test_the_label_file_is_the_one_beside(tmp_path, beside, expected):
    for name in beside:
        write(tmp_path / name, XML)
    assert label_file(tmp_path / "my-train.arff.gz").name == expected


def test_a_label_file_that_cannot_be_guessed_is_asked_for(tmp_path):
    path = write(tmp_path / "my.arff", HEADER + "1,2,0,1\n")
    with pytest.raises(UserError, match=r"no XML file lies beside .*; say which .* dataset\.xml="):
        OwnFiles(reader=MULAN, path=str(path), xml=None)
    for name in ("a.xml", "b.xml"):
        write(tmp_path / name, XML)
    with pytest.raises(UserError, match="2 XML files lie beside"):
        OwnFiles(reader=MULAN, path=str(path))
    dataset = OwnFiles(reader=MULAN, path=str(path), xml=str(tmp_path / "b.xml"))
    assert dataset.load(tmp_path / "cache").instances.labels == ("l1", "l2")
    assert list(dataset.identity()["files"]) == ["all", "xml"]
