"""Parsed instances kept on disk, so that a file is parsed once."""

import contextlib
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
from scipy import sparse

from mlbench.data import arrays
from mlbench.data.formats import npz
from mlbench.data.instances import Instances
from mlbench.files import whole

FORMAT = "mlbench instances 1"  # raise the number when readers change what they return


def cached(path: Path, build: Callable[[], Instances]) -> Instances:
    """What `path` holds if it is whole and ours, else what `build` returns, which is then kept there.

    Processes may do this at once. A disk that is full or read-only costs the next run its time, and this one
    nothing.
    """
    path = Path(path)
    kept = load(path)
    if kept is not None:
        return kept
    built = build()
    with contextlib.suppress(OSError):
        save(path, built)
    return built


def load(path: Path) -> Instances | None:
    """None when there is no such file, or not all of it, or it is something else."""
    try:
        found = npz.arrays_in(path)
        about = json.loads(found["about"].tobytes())
        if about["format"] != FORMAT:
            return None
        if about["sparse"]:
            parts = {part: found[part] for part in ("data", "indices", "indptr")}
            features = arrays.csr(path, "features", **parts, shape=about["shape"])
        else:
            features = found["features"]
        return Instances(
            features=features,
            targets=found["targets"],
            labels=tuple(about["labels"]),
            feature_names=tuple(about["feature_names"]),
            modalities={name: (start, stop) for name, (start, stop) in about["modalities"].items()},
            attributes=about["attributes"],
        )
    except Exception:  # a damaged archive fails in as many ways as there are bytes; all of them mean: build
        return None


def save(path: Path, instances: Instances) -> None:
    """Not compressed: reading it must cost nothing."""
    features = instances.features
    is_sparse = sparse.issparse(features)
    about = {
        "format": FORMAT,
        "sparse": is_sparse,
        "shape": features.shape,
        "labels": instances.labels,
        "feature_names": instances.feature_names,
        "modalities": instances.modalities,
        "attributes": instances.attributes,
    }
    parts = {
        "about": np.frombuffer(json.dumps(about, default=int).encode(), dtype=np.uint8),
        "targets": instances.targets,
    }
    if is_sparse:
        parts |= {"data": features.data, "indices": features.indices, "indptr": features.indptr}
    else:
        parts["features"] = features
    with whole(path) as file:
        np.savez(file, **parts)
