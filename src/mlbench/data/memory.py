"""A data set in memory: matrices that a program hands over."""

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from scipy import sparse

from mlbench.data.instances import Features, Instances, Loaded
from mlbench.data.modalities import ranges
from mlbench.data.scaling import scaler
from mlbench.data.task import Kind
from mlbench.errors import UserError


class InMemory:
    """All rows are for training. An official split of a file with the same rows trains on the same bytes."""

    name = "memory"
    kind: Kind = "vector"
    official = ("train", "test")

    def __init__(self, instances: Instances, scaling: str):
        scaler(scaling)  # refuses an unknown name
        self.instances, self.scaling = instances, scaling
        self.statistics = {"instances": len(instances), "labels": len(instances.labels)}

    @property
    def modality_names(self) -> tuple[str, ...]:
        return tuple(self.instances.modalities)

    def identity(self, cache: Path | None = None) -> dict[str, Any]:
        features, digest = self.instances.features, hashlib.sha256(self.instances.targets.tobytes())
        thin = isinstance(features, sparse.csr_matrix)
        known = () if self.instances.known is None else (self.instances.known,)
        for part in (*((features.data, features.indices, features.indptr) if thin else (features,)), *known):
            digest.update(np.ascontiguousarray(part).tobytes())
        return {"name": self.name, "content": digest.hexdigest(), "scaling": self.scaling}

    def load(self, cache: Path) -> Loaded:
        return Loaded(self.instances, {"train": np.arange(len(self.instances)), "test": np.arange(0)})


def instances(
    features: Features,
    targets: np.ndarray,
    labels: Sequence[str],
    feature_names: Sequence[str],
    modalities: Mapping[str, Sequence[int]] | None,
    known: np.ndarray | None = None,
) -> Instances:
    """`modalities` gives the first and last column of each, as a data set's configuration does."""
    given = ranges(InMemory.name, {name: [*columns] for name, columns in (modalities or {}).items()})
    if given and (last := max(stop for _, stop in given.values())) != len(feature_names):
        raise UserError(f"modalities cover {last} columns, and there are {len(feature_names)}")
    return Instances(
        features=features,
        targets=targets,
        labels=tuple(labels),
        feature_names=tuple(feature_names),
        modalities=given,
        known=known,
    )
