"""What readers and data sets return: instances, with the names of their features and labels."""

import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from scipy import sparse

from mlbench.data.raw import Raw
from mlbench.data.task import Kind

Features = np.ndarray | sparse.csr_matrix
DTYPES: dict[Kind, Any] = {"vector": np.float32, "image": np.uint8, "text": np.int32}  # of what a row is


@dataclass(frozen=True)
class Instances:
    """Instances in the order of their file.

    `features` is float32, dense or CSR; a data set that comes sparse stays sparse. Of images it is uint8,
    (N, C, H, W), and no feature has a name; of texts in tokens it is a Tokens of mlbench.data.tokens, and
    `vocabulary` says what each token's number means. `targets` is a dense
    uint8 matrix of zeros and ones, its columns in the order of the file's label columns. `modalities` maps
    a name to a range of feature columns (first, last + 1); empty when the features are one block.
    `attributes` is the number of feature attributes the file declares, which is the d that papers print:
    a nominal attribute may be several feature columns and a row id none. None: as many as the columns.
    `raw` are the texts and images, by field, of which an encoder is still to make features. `words` is what
    the file says of each row besides: `id`, `split` and the fields that group rows. `values` are those that a
    column of words may have, by the column's name; each is a feature column, of two only the second.
    `present` says which modalities an instance has (1) and which it lacks (0), in the order of `modalities`;
    None: each has all. None lacks all. `known` says of which labels it is known whether an instance carries
    them (1), and of which it is not (0), where `targets` is 0; None: of all. `gaps` has, by column of the
    file, the rows where the file has no value, and the features one that was put in (mlbench.data.gaps).
    `beside` has, by the option that says so, the names of the columns that are no features: id, drop, ...
    """

    features: Features  # (N, d), or (N, C, H, W)
    targets: np.ndarray  # (N, L)
    labels: tuple[str, ...]
    feature_names: tuple[str, ...]
    modalities: dict[str, tuple[int, int]] = field(default_factory=dict)
    attributes: int | None = None
    raw: dict[str, Raw] = field(default_factory=dict)
    words: dict[str, tuple[str, ...]] = field(default_factory=dict)
    values: dict[str, tuple[str, ...]] = field(default_factory=dict)
    present: np.ndarray | None = None  # (N, m) uint8
    known: np.ndarray | None = None  # (N, L) uint8
    vocabulary: tuple[str, ...] = ()
    gaps: dict[str, np.ndarray] = field(default_factory=dict)
    beside: dict[str, tuple[str, ...]] = field(default_factory=dict)

    def __post_init__(self):
        shape = len(self), len(self.feature_names)
        if self.kind == "vector":
            assert self.features.shape == shape, (self.features.shape, shape)
        assert self.features.dtype == DTYPES[self.kind]
        assert self.targets.shape == (len(self), len(self.labels)), (self.targets.shape, len(self.labels))
        assert self.targets.dtype == np.uint8
        assert all(len(each) == len(self) for each in (*self.raw.values(), *self.words.values()))
        if self.present is not None:
            assert self.present.shape == (len(self), len(self.modalities)) and self.present.dtype == np.uint8
            assert self.present.any(axis=1).all(), "an instance has a modality"
        if self.known is not None:
            assert self.known.shape == self.targets.shape and self.known.dtype == np.uint8
            assert not self.targets[self.known == 0].any(), "what is not known is no positive"

    def __len__(self) -> int:
        return self.targets.shape[0]

    @property
    def kind(self) -> Kind:
        """What a row of the features is."""
        if self.features.dtype == np.int32:
            return "text"
        return "image" if self.features.ndim == 4 else "vector"

    @property
    def row(self) -> tuple[int, ...]:
        """The shape of a row of the features."""
        shape: tuple[int, ...] = self.features.shape or (0, 0)
        return shape[1:]

    @property
    def width(self) -> int:
        """How many numbers a row of the features has."""
        return math.prod(self.row)


@dataclass(frozen=True)
class Loaded:
    """All rows of a data set, and which of them its official split names, if it has one."""

    instances: Instances
    official: dict[str, np.ndarray] | None  # train, validation, test → row numbers


def concatenate(parts: Sequence[Instances]) -> Instances:
    """The rows of several files of one data set, in order. Labels and features must have the same names."""
    first = parts[0]
    for part in parts[1:]:
        assert part.labels == first.labels, "parts of one data set must have the same labels in one order"
        assert part.feature_names == first.feature_names, "parts of one data set must have the same features"
    if len(parts) == 1:
        return first
    features: list[Any] = [part.features for part in parts]
    thin = sparse.issparse(first.features)
    return Instances(
        features=sparse.csr_matrix(sparse.vstack(features)) if thin else np.concatenate(features),
        targets=np.concatenate([part.targets for part in parts]),
        labels=first.labels,
        feature_names=first.feature_names,
        modalities=first.modalities,
        attributes=first.attributes,
        raw={name: functools.reduce(joined, [part.raw[name] for part in parts]) for name in first.raw},
        words={name: sum([part.words[name] for part in parts], ()) for name in first.words},
        values=first.values,
        present=stacked([part.present for part in parts], [(len(p), len(p.modalities)) for p in parts]),
        known=stacked([part.known for part in parts], [(len(p), len(p.labels)) for p in parts]),
        gaps=gaps_of(parts),
        beside=beside_of(parts),
    )


def beside_of(parts: Sequence[Instances]) -> dict[str, tuple[str, ...]]:
    """The columns beside the features of several files, which may call them otherwise."""
    options = dict.fromkeys(option for part in parts for option in part.beside)
    return {
        option: tuple(dict.fromkeys(name for part in parts for name in part.beside.get(option, ())))
        for option in options
    }


def gaps_of(parts: Sequence[Instances]) -> dict[str, np.ndarray]:
    """The gaps of several files, whose rows are counted on."""
    firsts = np.cumsum([0, *map(len, parts)])
    names = dict.fromkeys(name for part in parts for name in part.gaps)
    none = np.empty(0, np.int64)
    return {
        name: np.concatenate([part.gaps.get(name, none) + first for part, first in zip(parts, firsts)])
        for name in names
    }


def stacked(masks: Sequence[np.ndarray | None], shapes: Sequence[tuple[int, int]]) -> np.ndarray | None:
    """The masks of several parts; a part without one has all. None where no part lacks anything."""
    if all(mask is None for mask in masks):
        return None
    return np.concatenate(
        [np.ones(shape, np.uint8) if mask is None else mask for mask, shape in zip(masks, shapes)]
    )


def joined(left: Any, right: Any) -> Any:
    """Texts or images, one below the other."""
    return left.joined(right)


def statistics(instances: Instances) -> dict[str, int | float]:
    """N, d, L, mean labels per instance, distinct label sets and label-less rows, as papers print them."""
    targets = instances.targets
    packed = np.packbits(targets, axis=1)
    return {
        "instances": len(instances),
        "features": instances.width if instances.attributes is None else instances.attributes,
        "labels": len(instances.labels),
        "cardinality": round(float(targets.sum()) / max(len(instances), 1), 4) if targets.size else math.nan,
        "label_sets": len(np.unique(packed, axis=0)),
        "unlabelled": int((targets.sum(axis=1) == 0).sum()),
    }
