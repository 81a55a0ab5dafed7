"""What encoders with a network share: batches on a device, and weights found in a folder or on the hub."""

import contextlib
import hashlib
import os
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from mlbench.data import sources
from mlbench.errors import UserError

if TYPE_CHECKING:
    from torch import Tensor

Item = TypeVar("Item")
BATCH = 32
FILES = ["*.json", "*.safetensors", "*.txt", "*.model"]  # of a model on the hub: no code, nothing pickled


def batches(items: Iterable[Item], size: int = BATCH) -> Iterator[list[Item]]:
    rest = iter(items)
    while batch := list(islice(rest, size)):
        yield batch


def all_cores() -> contextlib.AbstractContextManager[None]:
    """torch on as many threads as it has at its start: a run uses one while its own operations are small."""
    return threads(int(os.environ.get("OMP_NUM_THREADS") or os.cpu_count() or 1))


@contextlib.contextmanager
def threads(count: int) -> Iterator[None]:
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def features_of(parts: Iterable[Any], forward: Callable[[Any], "Tensor"]) -> np.ndarray:
    """A network's outputs for all batches, as one matrix (N, d)."""
    import torch

    with torch.inference_mode(), all_cores():
        features = [forward(part).float().cpu().numpy() for part in parts]
    return np.concatenate(features)


def hashed(folder: Path) -> str:
    """SHA-256 over all files of a model's folder that its features depend on."""
    names = sorted({path for pattern in FILES for path in folder.glob(pattern)})
    if not any(path.suffix == ".safetensors" for path in names):
        raise UserError(
            f"{folder} holds no weights in a .safetensors file; weights of other kinds are not opened"
        )
    digest = hashlib.sha256()
    for path in names:
        if path.name != "README.md":
            digest.update(f"{path.name}\0{sources.checksum(path, sources.default_cache())}\0".encode())
    return digest.hexdigest()


def model_folder(path: str, revision: str | None) -> Path:
    """The folder of a model: a local one, or the hub's files of that name, fetched once."""
    local = Path(path).expanduser()
    if local.is_dir():
        return local
    if path.startswith((".", "/", "~")) or path.count("/") > 1:
        raise UserError(f"{path}: there is no such folder")
    import huggingface_hub
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError

    asked: dict[str, Any] = {"repo_id": path, "revision": revision, "allow_patterns": FILES}
    with contextlib.suppress(Exception):  # not here yet, or not whole
        return Path(huggingface_hub.snapshot_download(**asked, local_files_only=True))
    try:
        return Path(huggingface_hub.snapshot_download(**asked))
    except (HfHubHTTPError, HFValidationError) as error:
        raise UserError(f"the hub has no model {path} to give: {first_line(error)}") from error
    except Exception as error:  # a network fails in as many ways as there are libraries below it
        raise UserError(
            f"{path} is no folder here, and the hub cannot be reached ({first_line(error)}): fetch the model "
            f"where there is a network and give its folder"
        ) from error


def pretrained(path: str, load: Callable[[], Any]) -> Any:
    """What transformers loads, without its bars and warnings; code that comes with a model is never run."""
    import transformers

    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    try:
        return load()
    except Exception as error:  # transformers raises whatever a foreign folder leads it to
        raise UserError(f"{path} cannot be loaded by transformers: {first_line(error)}") from error


def first_line(error: Exception) -> str:
    return next(iter(str(error).strip().splitlines()), type(error).__name__)
