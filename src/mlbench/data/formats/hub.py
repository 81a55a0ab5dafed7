"""A data set as the hub of Hugging Face has it: a folder of Parquet files, or what `save_to_disk` left there.

Its files are read. A program that lies beside them is never run.
"""

import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from mlbench.data import arrow
from mlbench.data.formats import jsonl
from mlbench.data.formats.jsonl import PARTS, several
from mlbench.data.hub_files import class_names, in_parts, shards
from mlbench.data.instances import Instances
from mlbench.data.raw import Embedded, Images
from mlbench.errors import UserError, did_you_mean

PART = "the part of the file"  # no column's name


def read(
    path: Path,
    text: str | Sequence[str] | None = None,
    image: str | None = None,
    labels: str | Sequence[str] = "labels",
    names: Sequence[str] | None = None,
    ignore: Sequence[str] = (),
    id: str | int | None = None,
    split: str | None = None,
    group: str | Sequence[str] | None = None,
    levels: str | None = None,
    min_positives: int | None = None,
    labelled_only: bool | None = None,
    subset: str | None = None,
) -> Instances:
    """The options name columns, and are those of JSON lines. `labels` is one column that lists a row's
    labels, or has one of them, or several columns of zeros and ones. `image` holds images, not their names.
    Without `split` a row is in the part that its file's name, or the card, says.
    """
    path = Path(path)
    id = None if id is None else str(id)
    root = path if path.is_dir() else path.parent
    files = files_of(path, subset)
    by_file = split is None and set(files.values()) != {None}
    columns = [*several(text), *several(image), *several(labels), *several(group), *several(split)]
    declared = class_names(path, files, several(labels), subset)
    named = declared if isinstance(labels, str) else labels
    all_labels = names
    if names is None and named and not (levels or min_positives):
        all_labels = [name for name in named if name not in ignore]
    listed = labels if isinstance(labels, str) else ", ".join(labels)

    def rows() -> Iterator[tuple[str, dict[str, Any]]]:
        for file, part in files.items():
            refuse_other_than_images(root / file, image)
            for where, row in objects(root / file, id, columns, root):
                row[listed] = label_list(f"{path}: row {where}", row, labels, declared, names, labelled_only)
                yield where, row | ({PART: part} if by_file else {})

    made = jsonl.of_objects(
        path,
        rows(),
        text,
        image,
        listed,
        root,
        names=all_labels,
        ignore=ignore,
        id=id,
        split=PART if by_file else split,
        group=group,
        levels=levels,
        min_positives=min_positives,
        labelled_only=labelled_only,
        size=sum((root / file).stat().st_size for file in files),
    )
    if image:
        images = made.raw["image"]
        assert isinstance(images, Images), "jsonl made them"
        made.raw["image"] = Embedded(root, images.members, images.ids, image)
    return made


read.within = lambda folder: folder


def files_of(path: Path, subset: str | None) -> dict[str, str | None]:
    """The files with rows and their parts; says in a line which ones are left out."""
    parts = shards(path, subset)
    files = in_parts(parts)
    if strange := parts.keys() - files.keys():
        message = f"{len(strange)} files are of no part and left out, such as {min(strange)}"
        print(f"mlbench: {path}: {message}; parts are {', '.join(PARTS)}", file=sys.stderr)
    return files


def objects(
    file: Path, id: str | None, columns: Sequence[str], root: Path | None = None
) -> Iterator[tuple[str, dict[str, Any]]]:
    """The rows of a file, each with its place for messages. A cell that is an image becomes that place."""
    schema = arrow.schema_of(file)
    columns = [*dict.fromkeys([*columns, *several(id)])]
    for name in columns:
        if name not in schema.names:
            has = f"it has {', '.join(schema.names)}{did_you_mean(name, schema.names)}"
            raise UserError(f"{file} has no column {name!r}; {has}")
    images = [name for name in columns if arrow.holds_images(schema.field(name).type)]
    others = [name for name in columns if name not in images]
    place = file.relative_to(root or file.parent).as_posix()
    for number, row in enumerate(arrow.rows_of(file, others)):
        where = f"{place}{arrow.ROW}{number}"
        yield where, row | dict.fromkeys(images, where)


def embedded(file: Path, images: Images, column: str) -> Images:
    """The images of new rows: those in the file itself, where its column holds them."""
    inside = arrow.holds_images(arrow.schema_of(file).field(column).type)
    return Embedded(file.parent, images.members, images.ids, column) if inside else images


def refuse_other_than_images(file: Path, image: str | None) -> None:
    schema = arrow.schema_of(file)
    if image in schema.names and not arrow.holds_images(schema.field(image).type):
        raise UserError(
            f"{file}: column {image!r} is of the type {schema.field(image).type}, and dataset.image names "
            f"one that holds images; names of files are read by dataset=jsonl and dataset=image_folder"
        )


def label_list(
    where: str,
    row: Mapping[str, Any],
    labels: str | Sequence[str],
    declared: Sequence[str],
    names: Sequence[str] | None,
    labelled_only: bool | None,
) -> Any:
    """The labels of a row by name; what is no such thing is handed on, for `jsonl` to refuse."""
    if not isinstance(labels, str):
        return [name for name in labels if is_one(where, name, row[name])]
    cell = row[labels]
    items = [cell] if isinstance(cell, int) and declared else cell
    if not isinstance(items, list):
        return items
    if labelled_only:
        items = [item for item in items if item != -1]
    if is_indicator(items):
        known = declared or names or [str(number) for number in range(len(items))]
        if len(known) != len(items):
            raise UserError(f"{where}: {labels} has {len(items)} zeros and ones, for {len(known)} labels")
        return [name for name, item in zip(known, items) if item]
    if not declared or not all(isinstance(item, int) for item in items):
        return items
    if strange := [item for item in items if not 0 <= item < len(declared)]:
        secret = "; -1 is a label that is kept secret: dataset.labelled_only=true leaves out such rows"
        more = secret if strange[0] == -1 else ""
        raise UserError(f"{where}: {labels} has the label {strange[0]}, of 0 to {len(declared) - 1}{more}")
    return [declared[item] for item in items]


def is_one(where: str, name: str, value: Any) -> bool:
    if value not in (0, 1):
        raise UserError(f"{where}: label {name!r} is {jsonl.shown(value)}; a label is 0 or 1")
    return bool(value)


def is_indicator(items: Sequence[Any]) -> bool:
    """Whether a list says of each label whether a row has it: by fractions or truths, or by numbers 0 and 1
    that repeat, which numbers of labels do not.
    """
    if not items or not all(isinstance(item, bool | float | int) and item in (0, 1) for item in items):
        return False
    return not all(type(item) is int for item in items) or len(items) > len(set(items))
