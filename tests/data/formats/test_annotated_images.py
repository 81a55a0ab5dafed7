"""Images of one's own with a table, with COCO's annotations, with VOC's: a tiny made-up set of each."""

import json

import pytest

from mlbench.data.datasets import OwnFiles
from mlbench.data.formats import coco, image_folder, voc
from mlbench.errors import UserError
from pictures import encoded, foldered, pixels, tarred, zipped

MADE = {"folder": foldered, "tar": tarred, "zip": zipped}
PICTURES = {f"{name}.png": encoded(pixels(seed=seed)) for seed, name in enumerate("abcd")}


def loaded(folder, name, path, **options):
    dataset = OwnFiles(f"mlbench.data.formats.{name}.read", "none", str(path), **options)
    return dataset, dataset.load(folder / "cache")


def contents(found):
    return [*found.raw["image"].contents()]


# A table


@pytest.fixture
def table(tmp_path):
    """photos/labels.csv beside a.png to d.png, in another order."""
    foldered(tmp_path / "photos", PICTURES)
    path = tmp_path / "photos" / "labels.csv"
    path.write_text(
        "file,what,cat,dog,tags,part,house\n"
        "b.png,a cat,1,0,cat,train,1\n"
        'd.png,"both, here",1,1,cat;dog,train,1\n'
        "a.png,none,0,0,,test,2\n"
    )
    return path


@pytest.mark.parametrize("labels", [{"labels": ["dog", "cat"]}, {"label_list": "tags"}])
def test_a_table_names_images_and_labels(tmp_path, table, labels):
    dataset, found = loaded(tmp_path, "image_folder", table, image="file", **labels)
    assert dataset.kind == "image" and dataset.name == "labels"
    rows = found.instances
    assert rows.labels == ("cat", "dog") and rows.targets.tolist() == [[1, 0], [1, 1], [0, 0]]
    assert contents(rows) == [PICTURES[name] for name in ("b.png", "d.png", "a.png")]
    assert rows.words["id"] == ("line 2", "line 3", "line 4")


def test_a_folder_stands_for_its_only_table(tmp_path, table):
    given = {"image": "file", "labels": ["cat"]}
    whole, found = loaded(tmp_path, "image_folder", table.parent, **given)
    assert whole.name == "photos" and len(found.instances) == 3
    assert whole.identity() == loaded(tmp_path, "image_folder", table, **given)[0].identity()
    (table.parent / "other.tsv").write_text("file\n")
    with pytest.raises(UserError, match=r"2 tables lie in .*photos: name the one that lists the images"):
        loaded(tmp_path, "image_folder", table.parent, **given)


@pytest.mark.parametrize("made", ["tar", "zip"])
def test_a_table_of_an_archive_with_texts_parts_and_groups(tmp_path, table, made):
    images = MADE[made](tmp_path / f"photos.{made}", PICTURES)
    columns = {"image": "file", "text": ["what", "tags"], "id": "file", "split": "part", "group": "house"}
    dataset, found = loaded(tmp_path, "image_folder", table, images=str(images), labels=["cat"], **columns)
    assert dataset.kind == "text and image" and dataset.official == ("train", "test")
    rows = found.instances
    assert rows.raw["text"].rows == ("a cat\ncat", "both, here\ncat;dog", "none\n")
    assert found.official["train"].tolist() == [0, 1] and found.official["test"].tolist() == [2]
    assert rows.words["house"] == ("1", "1", "2") and rows.words["id"] == ("b.png", "d.png", "a.png")
    assert contents(rows)[2] == PICTURES["a.png"]


def test_an_image_counts_in_the_identity_and_its_place_does_not(tmp_path, table):
    def identity(path):
        return OwnFiles(
            "mlbench.data.formats.image_folder.read", "none", str(path), image="file", labels=["cat"]
        ).identity()

    moved = foldered(tmp_path / "moved", PICTURES | {"labels.csv": table.read_bytes()}) / "labels.csv"
    assert identity(moved) == identity(table)
    (moved.parent / "d.png").write_bytes(PICTURES["a.png"])
    assert identity(moved) != identity(table)


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ("e.png,1", r"row line 3: image e.png is not there"),
        ("../above.png,1", r"row line 3: image ../above.png lies outside of that folder"),
        ("/etc/hostname,1", r"row line 3: image /etc/hostname lies outside of that folder"),
        (",1", r"line 3: file is empty: it names an image file"),
        ("a.png,2", r"line 3: label 'cat' is 2; a label is 0 or 1"),
    ],
)
def test_a_wrong_row_is_named(tmp_path, row, said):
    foldered(tmp_path / "photos", PICTURES)
    (tmp_path / "above.png").write_bytes(PICTURES["a.png"])
    path = tmp_path / "photos" / "labels.csv"
    path.write_text(f"file,cat\nb.png,1\n{row}\n")
    with pytest.raises(UserError, match=said):
        contents(image_folder.read(path, "file", labels=["cat"]))


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (
            {"image": "fil", "labels": ["cat"]},
            "no column 'fil', which dataset.image names; did you mean file",
        ),
        ({"labels": ["cat"]}, "dataset.image=... says which column"),
        ({"image": "file"}, "the labels are not given: say one of dataset.labels="),
        ({"image": "file", "labels": ["cat"], "label_list": "tags"}, "say one of dataset.labels="),
        ({"image": "file", "labels": ["cat"], "split": "house"}, "line 2: house is '1'; it may be train"),
    ],
)
def test_a_table_without_what_is_asked_for(tmp_path, table, options, said):
    with pytest.raises(UserError, match=said):
        loaded(tmp_path, "image_folder", table, **options)


# COCO


def annotations(path, crowd=1, **changed):
    found = {
        "images": [
            {"id": 9, "file_name": "b.png"},
            {"id": 4, "file_name": "a.png"},
            {"id": 7, "file_name": "c.png"},
        ],
        "categories": [{"id": 18, "name": "dog"}, {"id": 1, "name": "person"}, {"id": 3, "name": "car"}],
        "annotations": [
            {"id": 1, "image_id": 4, "category_id": 18, "iscrowd": 0},
            {"id": 2, "image_id": 4, "category_id": 18, "iscrowd": 0},
            {"id": 3, "image_id": 9, "category_id": 1, "iscrowd": crowd},
            {"id": 4, "image_id": 4, "category_id": 1},
        ],
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(found | changed))
    return path


@pytest.mark.parametrize("crowd", [True, False])
def test_categories_in_an_image_are_its_labels(tmp_path, crowd):
    """Also of categories and images without annotations; labels by number, as papers have them."""
    found = coco.read(annotations(foldered(tmp_path, PICTURES) / "instances_mine.json"), crowd=crowd)
    assert found.labels == ("person", "car", "dog")
    assert found.targets.tolist() == [[int(crowd), 0, 0], [1, 0, 1], [0, 0, 0]]
    assert found.words["id"] == ("9", "4", "7")
    assert contents(found) == [PICTURES[name] for name in ("b.png", "a.png", "c.png")]


@pytest.mark.parametrize("made", MADE)
def test_the_parts_of_coco_have_folders_of_their_own(tmp_path, made):
    files = {f"{part}2017/{name}": data for part in ("train", "val") for name, data in PICTURES.items()}
    files["val2017/a.png"] = b"another"
    images = MADE[made](tmp_path / f"coco.{made}", files)
    train, val = (
        annotations(tmp_path / "annotations" / f"instances_{part}2017.json") for part in ("train", "val")
    )
    dataset, found = loaded(tmp_path, "coco", train, test=str(val), images=str(images), image="file_name")
    assert dataset.official == ("train", "test") and found.official["test"].tolist() == [3, 4, 5]
    assert contents(found.instances)[1] == PICTURES["a.png"] and contents(found.instances)[4] == b"another"


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"images": None}, "has no list of images: it is to be COCO's annotations"),
        ({"categories": [3]}, "has no list of categories"),
        (
            {"annotations": [{"id": 5, "image_id": 4, "category_id": 2}]},
            "annotation 5 is of image 4 and category 2",
        ),
        ({"annotations": [{"id": 5, "image_id": [4], "category_id": 1}]}, r"annotation 5 is of image \[4\]"),
        (
            {"images": [{"id": 4, "file_name": "a"}, {"id": 4, "file_name": "b"}]},
            "two of its images with the id 4",
        ),
        (
            {"images": [{"id": "x", "file_name": "a"}]},
            "one of its images has no whole number id and file_name",
        ),
        ({"categories": [{"id": 1, "name": "x"}, {"id": 2, "name": "x"}]}, "two categories of one name"),
        ({"images": []}, "has 0 images and 3 categories: nothing to learn"),
    ],
)
def test_wrong_annotations(tmp_path, changed, said):
    with pytest.raises(UserError, match=said):
        coco.read(annotations(tmp_path / "instances.json", **changed))


def test_no_annotations_at_all(tmp_path):
    for text in ("[1]", "{", "[" * 100_000):
        (tmp_path / "a.json").write_text(text)
        with pytest.raises(UserError, match=r"no list of images|is no JSON"):
            coco.read(tmp_path / "a.json")


# VOC

XML = "<annotation><filename>{name}.png</filename>{objects}</annotation>"
SHOWN = {"a": [("dog", 0), ("dog", 0)], "b": [("cat", 1), ("dog", 0)], "c": [("cat", 1)], "d": [("cow", 0)]}


def voc_files(root="", lists=(("trainval", "ab"), ("test", "c")), shown=SHOWN):
    files = {f"{root}JPEGImages/{name}": data for name, data in PICTURES.items()}
    for name, objects in shown.items():
        said = "".join(
            f"<object><name>{label}</name><difficult>{hard}</difficult><part><name>head</name></part></object>"
            for label, hard in objects
        )
        files[f"{root}Annotations/{name}.xml"] = XML.format(name=name, objects=said).encode()
    for name, rows in lists:
        files[f"{root}ImageSets/Main/{name}.txt"] = "\n".join(rows).encode() + b"\n"
    files[f"{root}ImageSets/Main/dog_trainval.txt"] = b"a  1\nb -1\n"
    return files


@pytest.mark.parametrize("made", MADE)
def test_objects_of_an_image_are_its_labels(tmp_path, made):
    files = voc_files("" if made == "folder" else "VOCdevkit/VOC2007/")
    path = MADE[made](tmp_path / f"VOC2007.{made}", files)
    before = sorted(tmp_path.rglob("*"))
    dataset = OwnFiles("mlbench.data.formats.voc.read", "none", str(path), image="filename", split="main")
    found = dataset.load(tmp_path / "cache")
    assert dataset.official == ("train", "test") and dataset.identity()["files"].keys() == {"all", "images"}
    assert found.official["train"].tolist() == [0, 1] and found.official["test"].tolist() == [2]
    rows = found.instances
    assert rows.labels == ("cat", "dog") and rows.targets.tolist() == [[0, 1], [1, 1], [1, 0]]
    assert rows.words["id"] == ("a", "b", "c")
    assert contents(rows) == [PICTURES[f"{name}.png"] for name in "abc"]
    assert {*before} == {p for p in tmp_path.rglob("*") if "cache" not in p.parts}, "nothing is unpacked"


def test_without_parts_every_annotated_image_is_a_row_and_difficult_objects_may_count_for_nothing(tmp_path):
    path = foldered(tmp_path / "voc", voc_files())
    found = voc.read(path, difficult=False, names=["cat", "cow", "dog"])
    assert found.words == {"id": ("a", "b", "c", "d")}
    assert found.targets.tolist() == [[0, 0, 1], [0, 0, 1], [0, 0, 0], [0, 1, 0]]


def test_without_a_test_list_val_is_the_test_part(tmp_path):
    path = foldered(tmp_path / "voc", voc_files(lists=[("train", "a"), ("val", "bd"), ("trainval", "abd")]))
    found = voc.read(path, split="main")
    assert found.words == {"id": ("a", "b", "d"), "split": ("train", "test", "test")}


def test_what_is_annotated_counts_in_the_identity(tmp_path):
    def identity(path):
        return OwnFiles("mlbench.data.formats.voc.read", "none", str(path), image="filename").identity()

    first, second = (foldered(tmp_path / name, voc_files()) for name in ("one", "two"))
    assert identity(first) == identity(second)
    (second / "Annotations" / "d.xml").write_text(XML.format(name="d", objects=""))
    assert identity(first) != identity(second)


BOMB = (
    '<!DOCTYPE a [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]><annotation><filename>&b;</filename></annotation>'
)


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("Annotations/a.xml", BOMB, "Annotations/a.xml declares a document type"),
        ("Annotations/a.xml", BOMB.encode("utf-16"), "Annotations/a.xml declares a document type"),
        ("Annotations/a.xml", "<annotation>", "Annotations/a.xml is no XML"),
        ("Annotations/a.xml", "<annotation/>", "row a: Annotations/a.xml has no filename"),
        ("ImageSets/Main/test.txt", "c\nx\n", "lists x, and there is no Annotations/x.xml"),
        ("ImageSets/Main/test.txt", "a\n", "a is in ImageSets/Main/test.txt and in that of another part"),
    ],
)
def test_wrong_files_of_voc(tmp_path, name, text, said):
    path = foldered(tmp_path / "voc", voc_files())
    (path / name).write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(UserError, match=said):
        voc.read(path, split="main")


def test_no_annotations_and_no_lists(tmp_path):
    with pytest.raises(UserError, match=r"has no Annotations/\*.xml: name the folder that has them"):
        voc.read(foldered(tmp_path / "none", PICTURES))
    with pytest.raises(UserError, match=r"has no ImageSets/Main/train.txt: leave out dataset.split"):
        voc.read(foldered(tmp_path / "unlisted", voc_files(lists=())), split="main")
