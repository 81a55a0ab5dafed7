"""Encoded features on disk, beside the state of the encoder that made them."""

import inspect
import json
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from scipy import sparse

from mlbench.data import arrays
from mlbench.data.formats import npz
from mlbench.data.instances import Features
from mlbench.data.pixels import mapped
from mlbench.data.tokens import Tokens
from mlbench.encoders.base import Encoder, Plain
from mlbench.errors import UserError
from mlbench.files import whole
from mlbench.trust import is_named, located, within


def save(path: Path, features: Features, names: list[str], state: Plain) -> None:
    """Writes features without compression, so that reading is quick; tokens into an .npy file beside."""
    learned = {f"state_{name}": each for name, each in state.items() if isinstance(each, np.ndarray)}
    rest = {name: each for name, each in state.items() if not isinstance(each, np.ndarray)}
    about = {"names": names, "state": rest, "shape": features.shape}
    parts: dict[str, Any] = {"about": np.frombuffer(json.dumps(about).encode(), np.uint8)} | learned
    if isinstance(features, Tokens):
        texts: Any = features
        parts["lengths"] = texts.lengths.numpy()
        with whole(path.with_suffix(".npy")) as file:
            np.save(file, texts.flat().numpy())
    elif isinstance(features, sparse.csr_matrix):
        parts |= {"data": features.data, "indices": features.indices, "indptr": features.indptr}
    else:
        parts["features"] = features
    with whole(path) as file:
        np.savez(file, **parts)


def described(encoder: Encoder) -> Plain:
    """A fitted encoder in plain types and tensors, as `again` takes it."""
    state = {
        name: torch.from_numpy(each) if isinstance(each, np.ndarray) else each
        for name, each in encoder.state().items()
    }
    kind = type(encoder)
    return {"_target_": f"{kind.__module__}.{kind.__qualname__}", "state": state}


def again(content: Plain) -> Encoder:
    """The encoder that was described. Anybody may have written the file: a class of other authors counts
    only if the person named its module.
    """
    kind = located(content["_target_"])
    ours = (
        inspect.isclass(kind) and within(kind.__module__, ("mlbench.encoders",)) and hasattr(kind, "encode")
    )
    if not (ours or is_named(kind)):
        raise UserError(f"it names {content['_target_']} for an encoder, which is none")
    state = {
        name: each if isinstance(each, str | int | float | list | dict | None) else each.numpy()
        for name, each in content["state"].items()
    }
    made: Encoder = cast(Any, kind).from_state(state)
    made.check()
    return made


def load(path: Path, kind: type[Encoder]) -> tuple[Features, list[str], Encoder] | None:
    """What `save` wrote to `path`; None if the file is missing or damaged."""
    try:
        parts = npz.arrays_in(path)
        about = json.loads(parts.pop("about").tobytes())
        learned = {name.removeprefix("state_"): each for name, each in parts.items() if name[:6] == "state_"}
        features: Any
        if "lengths" in parts:
            features = read_tokens(path.with_suffix(".npy"), parts["lengths"])
        elif "features" in parts:
            features = parts["features"]
        else:
            data, indices, indptr = (parts[name] for name in ("data", "indices", "indptr"))
            features = arrays.csr(path, "features", data, indices, indptr, about["shape"])
        return features, about["names"], kind.from_state(about["state"] | learned)
    except Exception:  # a damaged archive fails in as many ways as there are bytes; all of them mean: encode
        return None


def read_tokens(path: Path, lengths: np.ndarray) -> Tokens:
    held = mapped(path)
    if held.dtype != np.int32 or held.shape != (lengths.sum(),):
        raise ValueError(f"{path} holds other tokens")
    return Tokens.one_after_the_other(held, torch.from_numpy(lengths))
