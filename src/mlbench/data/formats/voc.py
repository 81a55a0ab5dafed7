"""PASCAL VOC: Annotations/*.xml say what JPEGImages show, ImageSets/Main which part an image is of."""

import re
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import Any
from xml.etree.ElementTree import Element, TreeBuilder
from xml.parsers import expat

import numpy as np

from mlbench.data.formats.label_lists import label_sets
from mlbench.data.instances import Instances
from mlbench.data.raw import Images, listing
from mlbench.errors import UserError

LISTS = ("train", "val", "trainval", "test")


def read(
    path: Path,
    image: str = "filename",
    difficult: bool = True,
    names: Sequence[str] | None = None,
    split: str | None = None,
    images: Path | None = None,
) -> Instances:
    """`path` is VOC2007 or its like, a folder, a tar or a zip. A row is an annotated image, the names of its
    objects are its labels. `difficult`: whether an object counts that is marked so. With `split`, rows are
    those of the lists in ImageSets/Main: trainval and test, or train and val where there is no test.
    `images` is where the images are, by default JPEGImages; `image` the element that names an image's file.
    """
    path = Path(path)
    files = annotations_in(path)
    parts = parts_in(path) if split else {}
    if lost := [name for name in parts if name not in files]:
        raise UserError(f"{path}: ImageSets/Main lists {lost[0]}, and there is no Annotations/{lost[0]}.xml")
    rows = [name for name in files if not parts or name in parts]
    if not rows:
        raise UserError(f"{path} has no Annotations/*.xml: name the folder that has them, as VOC2007")
    wanted = Images(path, tuple(files[name] for name in rows), tuple(rows))
    trees = [parsed(f"{path}: {files[name]}", data) for name, data in zip(rows, wanted.contents())]
    lists = [objects_in(tree, difficult) for tree in trees]
    targets, labels = label_sets(path, lists, names)
    source = Path(images or path)
    root = files[rows[0]].removesuffix(f"Annotations/{rows[0]}.xml")
    folder = f"{root}JPEGImages/" if source == path else ""
    members = tuple(f"{folder}{file_of(path, name, tree, image)}" for name, tree in zip(rows, trees))
    words = {"id": tuple(rows)} | ({"split": tuple(parts[name] for name in rows)} if parts else {})
    return Instances(
        features=np.zeros((len(rows), 0), np.float32),
        targets=targets,
        labels=labels,
        feature_names=(),
        raw={"image": Images(source, members, tuple(rows))},
        words=words,
    )


def annotations_in(path: Path) -> dict[str, str]:
    """The files Annotations/*.xml by their names, sorted."""
    files = [
        name for name in listing(path, "Annotations") if re.search(r"(^|/)Annotations/[^/]+\.xml$", name)
    ]
    return {PurePosixPath(name).stem: name for name in sorted(files)}


def files_of(path: Path) -> list[str]:
    """The files that say what the rows are, images aside."""
    return [*annotations_in(path).values(), *sorted(lists_in(path).values())]


read.within = lambda folder: folder
read.files = files_of


def lists_in(path: Path) -> dict[str, str]:
    """The lists of ImageSets/Main that name parts; others there belong to one class."""
    files = [name for name in listing(path, "ImageSets") if re.search(r"ImageSets/Main/[^/]+\.txt$", name)]
    by_name = {PurePosixPath(name).stem: name for name in files}
    return {name: by_name[name] for name in LISTS if name in by_name}


def parts_in(path: Path) -> dict[str, str]:
    """The part of each image, by name."""
    lists = lists_in(path)
    chosen = ["trainval" if "trainval" in lists else "train", "test"] if "test" in lists else ["train", "val"]
    if missing := [name for name in chosen if name not in lists]:
        raise UserError(
            f"{path} has no ImageSets/Main/{missing[0]}.txt: leave out dataset.split, and choose "
            "split=holdout"
        )
    parts: dict[str, str] = {}
    contents = Images(path, tuple(lists[name] for name in chosen), tuple(chosen)).contents()
    for name, part, data in zip(chosen, ("train", "test"), contents):
        for line in data.decode("utf-8", errors="replace").splitlines():
            image = line.split()[0] if line.strip() else ""
            if image and parts.setdefault(image, part) != part:
                raise UserError(
                    f"{path}: {image} is in ImageSets/Main/{name}.txt and in that of another part"
                )
    return parts


def parsed(where: str, data: bytes) -> Element:
    """The tree of an XML file; refused if it may declare entities, which make gigabytes of a few bytes."""
    builder, parser = TreeBuilder(), expat.ParserCreate()

    def refuse(*_: Any) -> None:
        raise UserError(f"{where} declares a document type, which annotations do not: it is not read")

    parser.StartDoctypeDeclHandler = parser.EntityDeclHandler = refuse
    parser.StartElementHandler, parser.EndElementHandler = builder.start, builder.end
    parser.CharacterDataHandler = builder.data
    try:
        parser.Parse(data, True)
        return builder.close()
    except (expat.ExpatError, LookupError, ValueError, AssertionError) as error:
        raise UserError(f"{where} is no XML: {error}") from None


def objects_in(tree: Element, difficult: bool) -> list[str]:
    """The different names of the objects of an image."""
    objects = [
        each
        for each in tree.iter("object")
        if difficult or (each.findtext("difficult") or "0").strip() != "1"
    ]
    return [
        *dict.fromkeys((each.findtext("name") or "").strip() for each in objects if each.findtext("name"))
    ]


def file_of(path: Path, name: str, tree: Element, image: str) -> str:
    file = (tree.findtext(image) or "").strip()
    if not file:
        raise UserError(
            f"{path}: row {name}: Annotations/{name}.xml has no {image}, which names its image's file"
        )
    return file
