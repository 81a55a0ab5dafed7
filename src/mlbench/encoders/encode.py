"""Texts and images of a data set to vector modalities; what frozen encoders give is kept on disk."""

import dataclasses
import functools
import hashlib
import json
import sys
from collections.abc import Callable
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import numpy as np
from scipy import sparse

from mlbench.data.instances import Features, Instances
from mlbench.data.raw import Images, Raw, Texts
from mlbench.data.tokens import Tokens
from mlbench.encoders import kept, pixels, tokens
from mlbench.encoders.base import Encoder, widths_of
from mlbench.locks import lock

BLOCK = 1000  # rows: a minute or so of a network on one core
FORMAT = 1  # raise the number when an encoder gives other features for the same options
UNSEEN = ("encoders", "scaling", "name", "use", "missing_modalities")  # of an identity, by an encoder


def encoded(
    instances: Instances,
    labelled: np.ndarray,
    encoders: dict[str, Encoder],
    identity: dict[str, Any],
    cache: Path,
    device: str,
    train: Callable[..., None] | None = None,
) -> Instances:
    """The instances with a modality for each encoder, named as its field; `encoders` holds afterwards those
    that are fitted. `identity` says what the data set and each encoder is. An encoder that learns is fitted
    on the rows `labelled` alone. Images that stay images, and texts that stay texts, are all there is of an
    instance. `train` is the Training of encoders that learn from labels, too; it keeps a state at `path`.
    """
    data = {name: value for name, value in identity.items() if name not in UNSEEN}
    parts: dict[str, Features] = {}
    names: list[str] = []
    modalities, start = {}, 0
    for field, encoder in encoders.items():
        depends: dict[str, Any] = {
            "format": FORMAT,
            "encoder": identity["encoders"][field],
            "data": data,
            "field": field,
        }
        if encoder.learns:
            depends["fitted on"] = hashlib.sha256(np.ascontiguousarray(labelled).tobytes()).hexdigest()
        key = hashlib.sha256(json.dumps(depends, sort_keys=True, default=str).encode()).hexdigest()[:16]
        path = cache / "encoded" / f"{type(encoder).__name__.lower()}-{field}-{key}.npz"
        if isinstance(encoder, pixels.Pixels):
            rows = instances.raw[field]
            assert len(encoders) == 1 and isinstance(rows, Images)
            return as_images(instances, pixels.once(path.with_suffix(".npy"), encoder, rows))
        fit: Callable[[Raw], None] = encoder.fit
        if getattr(encoder, "supervised", False):
            training = path.with_name(f"{path.stem}-training")
            assert train is not None, "an encoder that learns from labels is trained by somebody"
            train_here = functools.partial(train, path=training)
            supervised: Callable[..., None] = encoder.fit
            fit = functools.partial(supervised, targets=instances.targets[labelled], train=train_here)
        rows = instances.raw[field]
        features, columns, encoders[field] = once(path, encoder, rows, labelled, device, fit)
        if isinstance(features, Tokens):
            assert len(encoders) == 1
            return as_tokens(instances, features, encoders[field])
        parts[field] = features
        names += columns if len(encoders) == 1 else [f"{field} {name}" for name in columns]
        for name, width in widths_of(encoders[field], field, len(columns)).items():
            modalities[name] = (start, start + width)
            start += width
    features = beside([*parts.values()])
    return dataclasses.replace(
        instances, features=features, feature_names=tuple(names), modalities=modalities, raw={}
    )


def as_images(instances: Instances, held: np.ndarray) -> Instances:
    """The instances with images (N, C, H, W) for features."""
    modalities = {"image": (0, held[:1].size)}
    return dataclasses.replace(instances, features=held, feature_names=(), modalities=modalities, raw={})


def as_tokens(instances: Instances, held: Tokens, encoder: Any) -> Instances:
    """The instances with texts in tokens for features."""
    features: Any = held
    return dataclasses.replace(
        instances,
        features=features,
        feature_names=(),
        modalities={"text": (0, held.longest)},
        raw={},
        vocabulary=tuple(encoder.names),
    )


def once(
    path: Path,
    encoder: Encoder,
    rows: Raw,
    labelled: np.ndarray,
    device: str,
    fit: Callable[[Raw], None],
) -> tuple[Features, list[str], Encoder]:
    """Features, their names and the fitted encoder, from `path` or else made and saved there. Processes that
    need the same features wait for the first one.
    """
    with ExitStack() as stack:
        if (saved := kept.load(path, type(encoder))) is None:
            with suppress(OSError):  # a cache that cannot be written to is none
                path.parent.mkdir(parents=True, exist_ok=True)
                stack.enter_context(lock(path.with_suffix(".lock")))
            saved = kept.load(path, type(encoder))
        if saved is not None:
            return saved
        if encoder.learns:
            fit(rows[labelled])
            features, names = encoder.encode(rows, device), encoder.feature_names()
        else:
            print(f"mlbench: {len(rows):,} rows go through {type(encoder).__name__}, once", file=sys.stderr)
            features, names = by_blocks(path, encoder, rows, device)
        if isinstance(features, Tokens):
            assert isinstance(rows, Texts) and isinstance(encoder, tokens.Tokens)
            tokens.tell(rows, features, encoder)
        else:
            assert features.shape == (len(rows), len(names)) and features.dtype == np.float32
        with suppress(OSError):
            kept.save(path, features, names, encoder.state())
            for pattern in (f"{path.stem}.*.np[yz]", f"{path.stem}-training.*"):
                for left in path.parent.glob(pattern):
                    left.unlink()
        return features, names, encoder


def by_blocks(path: Path, encoder: Encoder, rows: Raw, device: str) -> tuple[Features, list[str]]:
    """The features of a frozen encoder and their names. Every block of rows is saved until all are encoded:
    after an interrupt the same command goes on with the first block that is missing.
    """
    parts: list[Any] = []
    names: list[str] = []
    for start in range(0, len(rows), BLOCK):
        block = path.with_name(f"{path.stem}.{start}.npz")
        if saved := kept.load(block, type(encoder)):
            features, names, _ = saved
        else:
            features = encoder.encode(rows[np.arange(start, min(start + BLOCK, len(rows)))], device)
            names = encoder.feature_names()
            with suppress(OSError):
                kept.save(block, features, names, encoder.state())
        parts.append(features)
    if isinstance(parts[0], Tokens):
        joined: Any = Tokens.joined(parts)
        return joined, names
    if any(sparse.issparse(part) for part in parts):
        return sparse.csr_matrix(sparse.vstack(parts)), names
    return np.concatenate(parts), names


def beside(parts: list[Features]) -> Features:
    """The columns of all parts; sparse if one of them is."""
    if len(parts) == 1:
        return parts[0]
    if any(sparse.issparse(part) for part in parts):
        return sparse.csr_matrix(sparse.hstack(parts, dtype=np.float32))
    return np.concatenate([np.asarray(part) for part in parts], axis=1)
