"""Files of rows for a trained method that are no tables: archives of NumPy's, in pieces; ARFF, LIBSVM."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from mlbench.data.columns import LATER
from mlbench.data.files import content
from mlbench.data.formats import arff, libsvm, npz
from mlbench.data.instances import Instances
from mlbench.data.schema import Schema
from mlbench.data.sheets import ids_in, words_in
from mlbench.errors import UserError


class Whole(NamedTuple):
    instances: Instances
    header: Sequence[str]  # the names of the file's columns
    ids: np.ndarray | None  # of the column that names the rows, if there is one
    first: int = 0  # the number of the first row: not 0 for a later part of a file


def read_npz(path: Path, schema: Schema, id: str | None, at_once: int) -> Iterator[Whole]:
    by_row = {"targets", "ids", *([id] if id else schema.beside.get("id", ()))}
    for first, arrays in npz.in_pieces(path, "features", at_once, by_row):
        yield npz_part(path, schema, id, first, arrays)


def npz_part(path: Path, schema: Schema, id: str | None, first: int, arrays: dict[str, np.ndarray]) -> Whole:
    features: Any = npz.matrix_in(path, arrays, "features")
    rows = features.shape[0]
    targets: Any = np.zeros((rows, 1), np.uint8)
    if "targets" in arrays:
        targets = npz.matrix_in(path, arrays, "targets")
    elif "targets_data" in arrays:
        targets = npz.matrix_in(path, arrays, "targets")
        targets = targets if targets.shape[0] == rows else targets[first : first + rows]
    instances = npz.instances_of(path, arrays, features, targets)
    if "feature_names" not in arrays and len(instances.feature_names) == len(schema.features):
        instances = replace(instances, feature_names=schema.features, modalities={})
    if "labels" not in arrays and len(instances.labels) == len(schema.labels):
        instances = replace(instances, labels=schema.labels)
    id = id or next((name for name in schema.beside.get("id", ()) if name in arrays), None)
    ids = None if id is None else np.array(ids_in(path, arrays, id, rows), dtype=object)
    return Whole(instances, instances.feature_names, ids, first)


def read_arff(path: Path, schema: Schema, id: str | None, at_once: int) -> Iterator[Whole]:
    """Attributes with the names of labels, if there are any, are the targets. Texts are left out."""
    data = content(path)
    head = arff.header(path, data)
    names = [attribute.name for attribute in head.attributes]
    if id is not None and id not in names:
        raise UserError(f"{path} has no column {id!r}, which id names")
    id = id or next((name for name in schema.beside.get("id", ()) if name in names), None)
    wanted = {*schema.columns, *schema.labels}
    texts = {each.name for each in head.attributes if each.kind == "text"}
    instances = arff.read(
        path,
        lambda _: [column for column, name in enumerate(names) if name in schema.labels],
        LATER if schema.fills else "refuse",
        [*({*texts, *schema.beside.get("drop", ()), *([id] if id else ())} & {*names} - wanted)],
        schema.values,
    )
    words = None if id is None else [*words_in(data, head, names.index(id))]
    ids = None if words is None else np.array(words, dtype=object)
    yield Whole(instances, names, ids)


def read_libsvm(path: Path, schema: Schema, id: str | None, at_once: int) -> Iterator[Whole]:
    """Features are numbers there: those of the training, or the columns in order if it knew names. A file in
    which no row has a label is one without labels.
    """
    if id is not None:
        raise UserError(f"{path} is in LIBSVM's format, which names no rows: leave out id")
    lowest = schema.features[0].removeprefix("feature")  # as one among several files calls its columns
    first = "auto" if not lowest.isdecimal() else lowest == "0"
    parsed = libsvm.read(path, schema.labels, len(schema.features), first)
    labels = parsed.labels if parsed.targets.any() else tuple(f"no {name}" for name in parsed.labels)
    instances = Instances(parsed.features, parsed.targets, labels, schema.features)
    yield Whole(instances, schema.features, None)


READERS: dict[str, Callable[[Path, Schema, str | None, int], Iterator[Whole]]] = {
    ".npz": read_npz,
    ".arff": read_arff,
    ".svm": read_libsvm,
    ".libsvm": read_libsvm,
}
