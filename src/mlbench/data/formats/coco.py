"""COCO's annotations, instances_*.json: the categories that an image shows are its labels."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from mlbench.data.files import content, reason, refuse_more_than_room
from mlbench.data.instances import Instances
from mlbench.data.raw import Images, holds
from mlbench.errors import UserError


def read(path: Path, image: str = "file_name", crowd: bool = True, images: Path | None = None) -> Instances:
    """A row an image, in the order of the file, and a label a category, in the order of their numbers; images
    and categories without annotations count. `crowd`: whether annotations with iscrowd, such as crowds of
    people, give an image their category. `image` is the field that names a file in `images`, or in the
    folder `images`/<name> if the annotations are instances_<name>.json.
    """
    path = Path(path)
    document = parsed(path)
    rows, names = by_number(path, document, "images", image), by_number(path, document, "categories", "name")
    if not rows or not names:
        raise UserError(f"{path} has {len(rows)} images and {len(names)} categories: nothing to learn")
    announced = f"{len(rows):,} images of {len(names):,} categories"
    refuse_more_than_room(path, path.stat().st_size, len(rows) * len(names), announced)
    columns = sorted(names)
    column = {number: cell_of for cell_of, number in enumerate(columns)}
    row = {number: cell_of for cell_of, number in enumerate(rows)}
    targets = np.zeros((len(rows), len(columns)), np.uint8)
    at = [cell_of(path, each, row, column, crowd) for each in document["annotations"]]
    if pairs := [pair for pair in at if pair]:
        targets[tuple(np.array(pairs).T)] = 1
    ids = tuple(map(str, rows))
    source = Path(images or path.parent)
    members = tuple(f"{folder_of(path, source, rows)}{name}" for name in rows.values())
    return Instances(
        features=np.zeros((len(rows), 0), np.float32),
        targets=targets,
        labels=tuple(names[number] for number in columns),
        feature_names=(),
        raw={"image": Images(source, members, ids)},
        words={"id": ids},
    )


def parsed(path: Path) -> dict[str, Any]:
    try:
        document = json.loads(content(path))
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path} is no JSON: {reason(error)}") from None
    for name in ("images", "annotations", "categories"):
        listed = document.get(name) if isinstance(document, dict) else None
        if not isinstance(listed, list) or not all(isinstance(each, dict) for each in listed):
            raise UserError(
                f"{path} has no list of {name}: it is to be COCO's annotations of instances, "
                "instances_train2017.json and its like"
            )
    return document


def by_number(path: Path, document: Mapping[str, Any], what: str, field: str) -> dict[int, str]:
    """The names of all images or categories, by number."""
    named: dict[int, str] = {}
    for each in document[what]:
        number, name = each.get("id"), each.get(field)
        if not isinstance(number, int) or not isinstance(name, str) or not name:
            raise UserError(f"{path}: one of its {what} has no whole number id and {field}: {str(each)[:60]}")
        if number in named:
            raise UserError(f"{path} has two of its {what} with the id {number}")
        named[number] = name
    if what == "categories" and len({*named.values()}) < len(named):
        raise UserError(f"{path} has two categories of one name: give each a name of its own")
    return named


def cell_of(
    path: Path, each: Mapping[str, Any], row: Mapping[int, int], column: Mapping[int, int], crowd: bool
) -> tuple[int, int] | None:
    """The row and column of an annotation; None for a crowd's annotation if crowds do not count."""
    image, category = each.get("image_id"), each.get("category_id")
    if not (isinstance(image, int) and isinstance(category, int) and image in row and category in column):
        raise UserError(
            f"{path}: annotation {each.get('id')} is of image {image!s:.20} and category {category!s:.20}, "
            "and the file does not have both"
        )
    return None if each.get("iscrowd") and not crowd else (row[image], column[category])


def folder_of(path: Path, source: Path, rows: Mapping[int, str]) -> str:
    """train2017/ for instances_train2017.json if the first image lies in that folder; else nothing."""
    folder = path.name.split(".")[0].partition("_")[2]
    return f"{folder}/" if folder and holds(source, f"{folder}/{next(iter(rows.values()))}") else ""
