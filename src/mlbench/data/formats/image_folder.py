"""A folder, tar or zip of images, and a table with their names and labels."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from mlbench.data import columns
from mlbench.data.formats import csv
from mlbench.data.formats.delimited import rows_in
from mlbench.data.formats.jsonl import PARTS
from mlbench.data.formats.label_lists import label_lists, label_sets
from mlbench.data.instances import Instances
from mlbench.data.raw import Images, Raw, Texts
from mlbench.errors import UserError, did_you_mean

Column = Callable[[str, str | int], list[str]]  # an option and the column that it names → the column's cells


def read(
    path: Path,
    image: str | int | None = None,
    text: str | int | Sequence[str | int] | None = None,
    labels: Sequence[str | int] | str | int | None = None,
    label_list: str | int | None = None,
    label_separator: str | None = None,
    names: Sequence[str] | None = None,
    separator: str | None = None,
    id: str | int | None = None,
    split: str | int | None = None,
    group: str | int | Sequence[str | int] | None = None,
    images: Path | None = None,
) -> Instances:
    """The options name columns. `image` holds names of files in `images`, by default the folder of the table.
    Labels are as in a csv: columns of zeros and ones, or one that lists them. Other columns are left out.
    """
    path = Path(path)
    csv.refuse_options(label_list, ".", label_separator, names)
    if image is None and text is None:
        raise UserError(f"{path}: dataset.image=... says which column holds the names of the images")
    rows, lines = rows_in(path, separator)
    header, lines = [name.strip() for name in rows[0]], lines[1:]

    beside: dict[str, tuple[str, ...]] = {}

    def column(option: str, wanted: str | int) -> list[str]:
        (chosen,) = csv.label_columns(path, header, [wanted], option)
        beside[option] = (*beside.get(option, ()), header[chosen])
        return [row[chosen].strip() for row in rows[1:]]

    ids = [f"line {line}" for line in lines]
    ids = tuple(ids if id is None else column("id", id))
    raw: dict[str, Raw] = {}
    if text is not None:
        bodies = [column("text", each) for each in several(text)]
        raw["text"] = Texts(tuple("\n".join(cells) for cells in zip(*bodies)), ids)
    if image is not None:
        members = column("image", image)
        if "" in members:
            raise UserError(
                f"{path}, line {lines[members.index('')]}: {image} is empty: it names an image file"
            )
        raw["image"] = Images(Path(images or path.parent), tuple(members), ids)
    words = {"id": ids} | {str(name): tuple(column("group", name)) for name in several(group)}
    if split is not None:
        words["split"] = tuple(
            part_in(path, line, split, word) for line, word in zip(lines, column("split", split))
        )
    if label_list is not None:
        lists = label_lists(path, column("label_list", label_list), lines, label_separator)
        targets, label_names = label_sets(path, lists, names)
    else:
        targets, label_names = zeros_and_ones(path, header, rows, lines, several(labels))
    features = np.zeros((len(ids), 0), np.float32)
    return Instances(features, targets, label_names, feature_names=(), raw=raw, words=words, beside=beside)


read.one_of = csv.read.one_of


def index_in(folder: Path) -> Path:
    """The only table of a folder."""
    tables = sorted(path for path in folder.iterdir() if path.suffix.lower() in (".csv", ".tsv"))
    if len(tables) != 1:
        lie = f"{len(tables)} tables lie" if tables else "no table, .csv or .tsv, lies"
        raise UserError(f"{lie} in {folder}: name the one that lists the images, dataset.path={folder}/...")
    return tables[0]


read.within = index_in


def several(wanted: str | int | Sequence[str | int] | None) -> list[str | int]:
    return [wanted] if isinstance(wanted, str | int) else [*(wanted or ())]


def part_in(path: Path, line: int, split: str | int, word: str) -> str:
    if word.lower() not in PARTS:
        near = did_you_mean(word, PARTS)
        raise UserError(f"{path}, line {line}: {split} is {word[:40]!r}; it may be {', '.join(PARTS)}{near}")
    return PARTS[word.lower()]


def zeros_and_ones(
    path: Path, header: Sequence[str], rows: Sequence[Sequence[str]], lines: Sequence[int], wanted: Sequence
) -> tuple[np.ndarray, tuple[str, ...]]:
    """(N, L) and the names of the columns `wanted`, in the order of the file."""
    chosen = csv.label_columns(path, header, wanted, "labels")
    texts = [[row[column].strip() for row in rows[1:]] for column in chosen]
    if len(chosen) == 1:
        csv.refuse_list(path, header[chosen[0]], texts[0])
    table = csv.table_of(path, [header[column] for column in chosen], texts, lines, ".")
    targets = columns.label_sets(table, np.asarray(table.cells), range(len(chosen)))
    return targets, tuple(header[column] for column in chosen)
