"""Files of rows in any format, by their suffix: features, labels and ids, those that are asked for."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np

from mlbench.data import arrays, columns
from mlbench.data.files import content
from mlbench.data.formats import arff, csv, libsvm, npz
from mlbench.data.formats.arff_rows import words_in
from mlbench.data.formats.delimited import rows_in
from mlbench.data.instances import Instances
from mlbench.errors import UserError, did_you_mean

PACKED = (".gz", ".bz2", ".xz")


class Labels(NamedTuple):
    """How a person names the labels: columns of zeros and ones, or one that lists them; else all."""

    columns: Sequence[str | int] = ()
    listed: str | int | None = None

    @property
    def named(self) -> list[str | int]:
        return [*self.columns] if self.listed is None else [self.listed]


class Sheet(Protocol):
    """An opened file. `header` is empty where columns have no names."""

    @property
    def path(self) -> Path: ...

    @property
    def header(self) -> Sequence[str]: ...

    def holds(self, labels: Labels) -> bool:
        """Whether the file has these labels."""
        ...

    def features(self, labels: Labels | None, id: str | None, drop: Sequence[str | int]) -> Instances:
        """All columns but id and dropped ones, and the labels if asked for; ids are in `words`."""
        ...

    def labels(self, labels: Labels, id: str | None, drop: Sequence[str | int]) -> Instances:
        """The labels alone, in the order that the file has them."""
        ...


def opened(path: Path, **options: Any) -> Sheet:
    """`options` are those of a table: separator, decimal, label_separator, names, missing."""
    suffixes = [suffix.lower() for suffix in path.suffixes if suffix.lower() not in PACKED]
    suffix = suffixes[-1] if suffixes else ""
    if suffix == ".txt":
        suffix = ".libsvm" if is_pairs(path) else ".csv"
    if suffix not in OPENERS:
        known = ", ".join([*OPENERS, ".txt"])
        raise UserError(f"{path}: its suffix is to say what it holds, and may be {known}")
    return OPENERS[suffix](path, options)


@dataclass(frozen=True)
class NamedColumns:
    """Columns with names. `read` is called with labels, label_list, id and drop."""

    path: Path
    header: Sequence[str]
    read: Callable[..., Instances]

    def holds(self, labels: Labels) -> bool:
        matches = [bool(columns.matching(self.header, label)) for label in labels.named]
        return bool(matches) and all(matches)

    def features(self, labels: Labels | None, id: str | None, drop: Sequence[str | int]) -> Instances:
        labels = labels or Labels()
        return self.read(labels=[*labels.columns], label_list=labels.listed, id=id, drop=drop)

    def labels(self, labels: Labels, id: str | None, drop: Sequence[str | int]) -> Instances:
        none = {*csv.INDEX_NAMES, str(id), *map(str, drop)}
        labels = labels if labels.named else Labels([name for name in self.header if name not in none])
        taken = {column for label in labels.named for column in columns.matching(self.header, label)}
        others = [name for column, name in enumerate(self.header) if column not in taken and name != str(id)]
        return self.features(labels, id, [name for name in others if name])


def table(path: Path, options: Mapping[str, Any]) -> NamedColumns:
    rows, lines = rows_in(path, options.get("separator"))
    given = {name: value for name, value in options.items() if name != "separator"}

    def read(**chosen: Any) -> Instances:
        listing = {} if chosen["label_list"] is not None else {"names": None, "label_separator": None}
        return csv.of_rows(path, rows, lines, **{**given, **listing, **chosen})

    return NamedColumns(path, [name.strip() for name in rows[0]], read)


def arff_table(path: Path, options: Mapping[str, Any]) -> NamedColumns:
    data = content(path)
    head = arff.header(path, data)
    names = [attribute.name for attribute in head.attributes]

    def read(
        labels: Sequence[str | int], label_list: str | int | None, id: str | None, drop: Sequence[str | int]
    ) -> Instances:
        if label_list is not None:
            raise UserError(
                f"{path} is an ARFF file: name its columns of zeros and ones, dataset.labels=[...]"
            )
        chosen = csv.label_columns(path, names, labels, "labels")
        ids = [] if id is None else csv.label_columns(path, names, [id], "id")
        instances = arff.read(path, lambda _: chosen, options["missing"], [*drop, *(names[c] for c in ids)])
        if not ids:
            return instances
        attributes = None if instances.attributes is None else instances.attributes - 1
        words = words_in(data[head.start :].decode(head.encoding), ids[0])
        return replace(instances, words={"id": tuple(words)}, attributes=attributes)

    return NamedColumns(path, names, read)


@dataclass(frozen=True)
class UnnamedColumns:
    """Columns without names. `read` gives features, targets or both, as its first two arguments say."""

    path: Path
    read: Callable[[bool, bool, str | None], Instances]  # with features, with labels, id
    has_labels: bool
    header: Sequence[str] = ()

    def holds(self, labels: Labels) -> bool:
        return self.has_labels

    def features(self, labels: Labels | None, id: str | None, drop: Sequence[str | int]) -> Instances:
        instances = self.read(True, labels is not None, id)
        return instances if labels is None else self.chosen(instances, labels)

    def labels(self, labels: Labels, id: str | None, drop: Sequence[str | int]) -> Instances:
        return self.chosen(self.read(False, True, id), labels)

    def chosen(self, instances: Instances, labels: Labels) -> Instances:
        """The instances with the named labels alone."""
        if labels.listed is not None:
            raise UserError(f"{self.path} has no columns with names: leave out dataset.label_list")
        if not labels.columns:
            return instances
        names = [
            instances.labels[n] if isinstance(n, int) and n < len(instances.labels) else n
            for n in labels.columns
        ]
        if strange := [name for name in names if name not in instances.labels]:
            near = did_you_mean(str(strange[0]), instances.labels)
            raise UserError(
                f"{self.path} has {len(instances.labels)} labels, of which none is {strange[0]!r}, which "
                f"dataset.labels names{near}"
            )
        kept = [column for column, name in enumerate(instances.labels) if name in names]
        return replace(
            instances,
            targets=instances.targets[:, kept],
            labels=tuple(instances.labels[column] for column in kept),
        )


def archive(path: Path, options: Mapping[str, Any]) -> UnnamedColumns:
    arrays_there = npz.arrays_in(path)

    def read(with_features: bool, with_labels: bool, id: str | None) -> Instances:
        first = "features" if with_features else "targets"
        matrix = npz.matrix_in(path, arrays_there, first)
        rows = arrays.shape_of(matrix)[0]
        features = matrix if with_features else np.zeros((rows, 0), np.float32)
        targets = (
            npz.matrix_in(path, arrays_there, "targets") if with_labels else np.zeros((rows, 1), np.uint8)
        )
        without = {"modalities", *(() if with_features else ("feature_names",))}
        without |= set() if with_labels else {"labels"}
        there = {name: array for name, array in arrays_there.items() if name not in without}
        instances = npz.instances_of(path, there, features, targets)
        if not with_labels:
            instances = replace(instances, targets=np.zeros((rows, 0), np.uint8), labels=())
        return (
            instances
            if id is None
            else replace(instances, words={"id": ids_in(path, arrays_there, id, rows)})
        )

    has_labels = {"targets", "targets_data"} & arrays_there.keys()
    return UnnamedColumns(path, read, bool(has_labels))


def ids_in(path: Path, arrays_there: Mapping[str, np.ndarray], id: str, rows: int) -> tuple[str, ...]:
    """The ids in the array called as the id column is, or in the array `ids`."""
    name = id if id in arrays_there else "ids"
    if name not in arrays_there:
        has = f"it has {', '.join(arrays_there)}"
        raise UserError(f"{path} has no array {id!r}, which dataset.id names, nor one called ids; {has}")
    ids = arrays_there[name]
    if ids.shape != (rows,) or ids.dtype.kind not in "uiU":
        raise UserError(
            f"{path}: {name} is a {' x '.join(map(str, ids.shape)) or 'single'} array of {ids.dtype}; the "
            f"ids of its {rows} rows are whole numbers or words"
        )
    return tuple(map(str, ids.tolist()))


def is_pairs(path: Path) -> bool:
    """Whether the first line is one of LIBSVM's: sizes, or labels and pairs 2:0.5."""
    line = content(path).partition(b"\n")[0].decode("latin-1").strip()
    if libsvm.SIZES.fullmatch(line):
        return True
    _, pairs = libsvm.ROW.findall(line)[0]
    return ":" in pairs and bool(libsvm.PAIRS.fullmatch(pairs.strip()))


def pairs(path: Path, options: Mapping[str, Any]) -> UnnamedColumns:
    instances = libsvm.read(path)
    instances = replace(instances, feature_names=tuple(f"feature{name}" for name in instances.feature_names))

    def read(with_features: bool, with_labels: bool, id: str | None) -> Instances:
        if id is not None:
            raise UserError(
                f"{path} is in LIBSVM's format, which names no rows: leave out dataset.id, so that rows are "
                "joined by their order"
            )
        kept = instances
        if not with_features:
            kept = replace(kept, features=instances.features[:, :0], feature_names=())
        if not with_labels:
            kept = replace(kept, targets=instances.targets[:, :0], labels=())
        return kept

    return UnnamedColumns(path, read, bool(instances.labels))


OPENERS: dict[str, Callable[[Path, Mapping[str, Any]], Sheet]] = {
    ".csv": table,
    ".tsv": table,
    ".arff": arff_table,
    ".npz": archive,
    ".svm": pairs,
    ".libsvm": pairs,
}
