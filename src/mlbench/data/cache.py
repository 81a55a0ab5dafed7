"""Keeps parsed instances on disk, so that a file is parsed once."""

import contextlib
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np

from mlbench.data import arrays
from mlbench.data.formats import npz
from mlbench.data.instances import Instances
from mlbench.data.raw import raw_from
from mlbench.files import whole

FORMAT = "mlbench instances 4"  # raise the number when readers change what they return


def cached(path: Path, build: Callable[[], Instances]) -> Instances:
    """The instances that `path` holds if `save` wrote them, else those that `build` returns, saved there.

    Several processes may do this at once. If the disk is full or read-only, the next run builds again.
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
    """The instances that `save` wrote to `path`; None if the file is missing, damaged or of another kind."""
    try:
        parts = npz.arrays_in(path)
        about = json.loads(parts["about"].tobytes())
        if about["format"] != FORMAT:
            return None
        if about["sparse"]:
            data, indices, indptr = (parts[name] for name in ("data", "indices", "indptr"))
            features = arrays.csr(path, "features", data, indices, indptr, about["shape"])
        else:
            features = parts["features"]
        return Instances(
            features=features,
            targets=parts["targets"],
            labels=tuple(about["labels"]),
            feature_names=tuple(about["feature_names"]),
            modalities={name: (start, stop) for name, (start, stop) in about["modalities"].items()},
            attributes=about["attributes"],
            raw={name: raw_from(name, plain) for name, plain in about.get("raw", {}).items()},
            words={name: tuple(words) for name, words in about.get("words", {}).items()},
            values={name: tuple(values) for name, values in about["values"].items()},
            present=parts.get("present"),
            gaps={name: parts[f"gaps {number}"] for number, name in enumerate(about["gaps"])},
            beside={option: tuple(names) for option, names in about["beside"].items()},
        )
    except Exception:  # a damaged archive fails in as many ways as there are bytes; all of them mean: build
        return None


def save(path: Path, instances: Instances) -> None:
    """Writes instances without compression, so that reading is quick."""
    features = instances.features
    about = {
        "format": FORMAT,
        "sparse": not isinstance(features, np.ndarray),
        "shape": features.shape,
        "labels": instances.labels,
        "feature_names": instances.feature_names,
        "modalities": instances.modalities,
        "attributes": instances.attributes,
        "raw": {name: each.plain for name, each in instances.raw.items()},
        "words": instances.words,
        "values": instances.values,
        "gaps": [*instances.gaps],
        "beside": instances.beside,
    }
    parts = {
        "about": np.frombuffer(json.dumps(about, default=int).encode(), dtype=np.uint8),
        "targets": instances.targets,
    }
    if isinstance(features, np.ndarray):
        parts["features"] = features
    else:
        parts |= {"data": features.data, "indices": features.indices, "indptr": features.indptr}
    if instances.present is not None:
        parts["present"] = instances.present
    parts |= {f"gaps {number}": rows for number, rows in enumerate(instances.gaps.values())}
    with whole(path) as file:
        np.savez(file, **parts)
