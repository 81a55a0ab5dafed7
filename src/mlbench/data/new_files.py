"""Files of rows for a trained method that are no tables, in pieces: archives of NumPy's, ARFF, LIBSVM."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from mlbench.data.arrays import shape_of
from mlbench.data.columns import LATER, Attribute
from mlbench.data.formats import arff, libsvm, npz
from mlbench.data.formats.arff_rows import words_in
from mlbench.data.instances import Instances
from mlbench.data.pieces import SCORED
from mlbench.data.schema import Schema
from mlbench.data.sheets import ids_in
from mlbench.errors import UserError

LABELS = 1_000_000  # cells of a label matrix at once


class Part(NamedTuple):
    """Some rows of a file."""

    instances: Instances
    header: Sequence[str]  # the names of the file's columns, but for the one that names the rows
    ids: np.ndarray | None  # of the column that names the rows, if there is one
    first: int = 0  # the number of the first row: not 0 for a later part of a file


def read_npz(path: Path, schema: Schema, id: str | None, at_once: int) -> Iterator[Part]:
    by_row = {"targets", "ids", *([id] if id else schema.beside.get("id", ()))}
    for first, arrays in npz.in_pieces(path, "features", at_once, by_row):
        yield npz_part(path, schema, id, first, arrays)


def npz_part(path: Path, schema: Schema, id: str | None, first: int, arrays: dict[str, np.ndarray]) -> Part:
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
    return Part(instances, instances.feature_names, ids, first)


def read_arff(path: Path, schema: Schema, id: str | None, at_once: int) -> Iterator[Part]:
    """Attributes with the names of labels, if there are any, are the targets. One that the method does not
    know may hold anything.
    """
    head = arff.header_at(path)
    names = [attribute.name for attribute in head.attributes]
    if id is not None and id not in names:
        raise UserError(f"{path} has no column {id!r}, which id names")
    id = id or next((name for name in schema.beside.get("id", ()) if name in names), None)
    labels = [column for column, name in enumerate(names) if name in schema.labels]
    missing = LATER if schema.fills else "refuse"
    others = [name for name in names if name != id]
    strange = strangers(head.attributes, schema)
    reading = arff.Reading(path, head, labels, missing, strange, schema.values)
    first = 0
    for data, instances in arff.in_pieces(reading, lines_at_once(schema)):
        ids = None
        if id is not None:
            ids = np.array([*words_in(data.decode(head.encoding), names.index(id))], dtype=object)
        yield Part(instances, others, ids, first)
        first += len(instances)


def strangers(attributes: Sequence[Attribute], schema: Schema) -> list[str]:
    """The attributes that are no feature or label of the training, and none of whose values is one."""
    wanted = {*schema.columns, *schema.labels, *schema.features}
    return [
        each.name
        for each in attributes
        if each.name not in wanted and not any(f"{each.name}={value}" in wanted for value in each.values)
    ]


def read_libsvm(path: Path, schema: Schema, id: str | None, at_once: int) -> Iterator[Part]:
    """Features are numbers there: those of the training, or the columns in order if it knew names. A file in
    which no row has a label is one without labels.
    """
    if id is not None:
        raise UserError(f"{path} is in LIBSVM's format, which names no rows: leave out id")
    lowest = schema.features[0].removeprefix("feature")  # as one among several files calls its columns
    zero_based = "auto" if not lowest.isdecimal() else lowest == "0"
    first, width = 0, len(schema.features)
    for features, targets in libsvm.in_pieces(path, schema.labels, width, zero_based, lines_at_once(schema)):
        rows = shape_of(features)[0]
        labels = () if targets is None else schema.labels
        targets = np.zeros((rows, 0), np.uint8) if targets is None else targets
        yield Part(Instances(features, targets, labels, schema.features), schema.features, None, first)
        first += rows


def lines_at_once(schema: Schema) -> int:
    """So many that their labels, which are dense, are few."""
    return max(LABELS // len(schema.labels) // SCORED, 1) * SCORED


READERS: dict[str, Callable[[Path, Schema, str | None, int], Iterator[Part]]] = {
    ".npz": read_npz,
    ".arff": read_arff,
    ".svm": read_libsvm,
    ".libsvm": read_libsvm,
}
