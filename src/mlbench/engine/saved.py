"""Files of a training: tensors and plain types, written whole, read without calling anything in them."""

import sys
import warnings
from collections.abc import Collection
from pathlib import Path
from typing import Any

import torch

from mlbench.errors import UserError
from mlbench.files import whole


def write(path: Path, content: Any) -> None:
    """Writes tensors and plain types; refuses whatever else `read` could not read."""
    with whole(path) as file:
        try:
            torch.save(content, file)
        except RuntimeError as error:
            if isinstance(full := error.__context__, OSError):
                raise OSError(full.errno, full.strerror) from error
            raise
        foreign = torch.serialization.get_unsafe_globals_in_checkpoint(file.name)
        if foreign:
            raise UserError(
                f"{path} is to hold tensors and plain types alone, and what was trained has a "
                f"{foreign[0]} in its state; make a tensor of it, or a list"
            )


def read(path: Path, names: Collection[str] = ()) -> dict[str, Any] | None:
    """The content that `write` wrote; None if there is no file.

    A damaged file is removed, and so is a file without these `names`, which is another one of a training,
    renamed by hand. A file may come from anybody: only tensors and plain types are read, nothing is called.
    """
    if not path.exists():
        return None
    with path.open("rb") as file, warnings.catch_warnings(action="ignore"):
        try:
            content = torch.load(file, map_location="cpu", weights_only=True)
        except Exception:  # a damaged file fails in as many ways as it has bytes, in words for programmers
            what = f"{path} is damaged, or holds more than tensors and plain types"
        else:
            if isinstance(content, dict) and {*names} <= {*content}:
                return content
            what = f"{path} is not what its name says"
    print(f"mlbench: {what}; its stage starts again", file=sys.stderr)
    path.unlink()
    return None
