"""JSON lines: an object a row, or one list of objects, with texts, images or both to make features of."""

import contextlib
import json
from collections.abc import Iterable, Iterator, Sequence
from itertools import compress
from pathlib import Path
from typing import Any

import numpy as np

from mlbench.data.files import content, lines, reason
from mlbench.data.formats.label_lists import frequent, label_sets, levels_of
from mlbench.data.instances import Instances
from mlbench.data.raw import Images, Raw, Texts
from mlbench.errors import UserError, did_you_mean

PARTS = {
    **{"train": "train", "training": "train", "test": "test"},
    **dict.fromkeys(("validation", "valid", "val", "dev"), "validation"),
}
Objects = list[tuple[str, dict[str, Any]]]  # what a message calls the row, and the row


def read(
    path: Path,
    text: str | Sequence[str] | None = None,
    image: str | None = None,
    labels: str = "labels",
    names: Sequence[str] | None = None,
    ignore: Sequence[str] = (),
    id: str | int | None = None,
    split: str | None = None,
    group: str | Sequence[str] | None = None,
    images: Path | None = None,
    levels: str | None = None,
    min_positives: int | None = None,
    labelled_only: bool | None = None,
) -> Instances:
    """The options name fields of the objects. Texts of several fields are joined by line ends, the items of
    a list by blanks. `labels` holds a list, or lists in a list, of labels. Labels are those of `names`, by
    default all that occur, sorted, without those of `ignore`. `image` holds the name of a file in `images`, a
    folder, a tar or a zip, by default the folder of `path`.

    `levels` separates the levels of a label, each of which is a label. `labelled_only` leaves out rows
    without any label of the file, `min_positives` then labels that fewer rows have.
    """
    path = Path(path)
    id = None if id is None else str(id)
    source = Path(images or path.parent)
    chosen = {"names": names, "ignore": ignore, "id": id, "split": split, "group": group, "levels": levels}
    least = {"min_positives": min_positives, "labelled_only": labelled_only}
    return of_objects(path, objects(path, id), text, image, labels, source, **chosen, **least)


def of_objects(
    path: Path,
    found: Iterable[tuple[str, dict[str, Any]]],
    text: str | Sequence[str] | None,
    image: str | None,
    labels: str,
    images: Path,
    names: Sequence[str] | None = None,
    ignore: Sequence[str] = (),
    id: str | None = None,
    split: str | None = None,
    group: str | Sequence[str] | None = None,
    levels: str | None = None,
    min_positives: int | None = None,
    labelled_only: bool | None = None,
    size: int | None = None,
) -> Instances:
    """As `read`, of objects that were found in files of `size` bytes at `path`."""
    if not (text or image):
        raise UserError(
            f"{path}: say which field holds what is to be learned from: dataset.text=... or image"
        )
    rows = [(row_id(where, row, id), row) for where, row in found]
    lists = [[name for name in label_list(path, each, labels) if name not in ignore] for each in rows]
    if labelled_only:
        rows, lists = [*compress(rows, lists)], [*filter(None, lists)]
    if not rows:
        raise UserError(f"{path} has no rows: nothing to learn")
    ids = tuple(name for name, _ in rows)
    raw: dict[str, Raw] = {}
    if text:
        raw["text"] = Texts(tuple(text_of(path, each, several(text)) for each in rows), ids)
    if image:
        raw["image"] = Images(images, tuple(name_in(path, each, image) for each in rows), ids)
    lists = frequent([levels_of(names_of_row, levels) for names_of_row in lists], min_positives or 0)
    targets, label_names = label_sets(path, lists, names, size)
    words = {"id": ids} | {name: tuple(name_in(path, each, name) for each in rows) for name in several(group)}
    if split:
        words["split"] = tuple(part_in(path, each, split) for each in rows)
    features = np.zeros((len(rows), 0), np.float32)
    return Instances(features, targets, label_names, feature_names=(), raw=raw, words=words)


def several(names: str | Sequence[str] | None) -> list[str]:
    return [names] if isinstance(names, str) else [*(names or ())]


def objects(path: Path, id: str | None) -> Iterator[tuple[str, dict[str, Any]]]:
    """The objects of a file, each with its line or item number for messages; of lines one after the other."""
    first = next((line for line in lines(path) if line.strip()), b"")
    if first.lstrip()[:1] == b"[":
        listed = parsed(f"{path}", decoded(path, "", content(path), id))
        found = ((f"item {number}", item) for number, item in enumerate(listed, 1))
    else:
        found = (
            (f"line {number}", parsed(f"{path}, line {number}", decoded(path, f", line {number}", line, id)))
            for number, line in enumerate(lines(path), 1)
            if line.strip()
        )
    for where, item in found:
        if not isinstance(item, dict):
            raise UserError(f"{path}, {where}: {shown(item)} is no object of fields and values")
        yield where, item


def decoded(path: Path, where: str, line: bytes, id: str | None) -> str:
    try:
        return line.decode()
    except UnicodeDecodeError as error:
        row = ""
        # Where there is no such field, or no JSON, the line alone says where it is.
        with contextlib.suppress(ValueError, TypeError, KeyError, IndexError, RecursionError):
            row = f" (row {json.loads(line.decode(errors='replace'))[id]})"
        raise UserError(f"{path}{where}{row} is not UTF-8: {error.reason} at byte {error.start}") from None


def parsed(where: str, line: str) -> Any:
    try:
        return json.loads(line)
    except (ValueError, RecursionError) as error:
        raise UserError(f"{where} is no JSON: {reason(error)}") from None


def row_id(where: str, row: dict[str, Any], id: str | None) -> str:
    """The row's id in the file; without an id, its line or item."""
    return str(row[id]) if id and isinstance(row.get(id), str | int) else where


def value_of(path: Path, each: tuple[str, dict[str, Any]], field: str) -> Any:
    name, row = each
    if field not in row:
        has = f"it has {', '.join(row) or 'none'}{did_you_mean(field, row)}"
        raise UserError(f"{path}: row {name} has no field {field!r}; {has}")
    return row[field]


def text_of(path: Path, each: tuple[str, dict[str, Any]], fields: Sequence[str]) -> str:
    values = [value_of(path, each, field) for field in fields]
    text = "\n".join(" ".join(strings(path, each, field, value)) for field, value in zip(fields, values))
    return whole(path, each, text)


def strings(path: Path, each: tuple[str, dict[str, Any]], field: str, value: Any) -> list[str]:
    """The strings of a field: one, a list of them, or null, which is none."""
    listed = [value] if isinstance(value, str) else value or []
    if not isinstance(listed, list) or not all(isinstance(item, str) for item in listed):
        raise UserError(
            f"{path}: row {each[0]}: {field} is {shown(value)}, neither a text nor a list of them"
        )
    return listed


def whole(path: Path, each: tuple[str, dict[str, Any]], text: str) -> str:
    """The text, refused if it holds half a character, which JSON can spell and no encoding has."""
    try:
        text.encode()
    except UnicodeEncodeError as error:
        half = text[error.start].encode("unicode_escape").decode()
        raise UserError(f"{path}: row {each[0]} holds half a character, {half}: mend the text") from None
    return text


def name_in(path: Path, each: tuple[str, dict[str, Any]], field: str) -> str:
    value = value_of(path, each, field)
    if not isinstance(value, str | int) or value == "":
        raise UserError(f"{path}: row {each[0]}: {field} is {shown(value)}, not a name")
    return whole(path, each, str(value))


def part_in(path: Path, each: tuple[str, dict[str, Any]], field: str) -> str:
    value = name_in(path, each, field)
    if value.lower() not in PARTS:
        raise UserError(f"{path}: row {each[0]}: {field} is {value!r}; it may be {', '.join(PARTS)}")
    return PARTS[value.lower()]


def label_list(path: Path, each: tuple[str, dict[str, Any]], field: str) -> list[str]:
    """The labels of a row; those of lists in a list count once."""
    value = value_of(path, each, field)
    items = value if isinstance(value, list) else None
    if items and all(isinstance(item, list) for item in items):
        items = [name for item in items for name in item]
    if items is None or not all(isinstance(item, str | int) for item in items):
        raise UserError(f"{path}: row {each[0]}: {field} is {shown(value)}, not a list of labels")
    return [whole(path, each, str(item)) for item in dict.fromkeys(items)]


def shown(value: Any) -> str:
    return f"{json.dumps(value, default=str)[:40]}"
