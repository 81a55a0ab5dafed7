"""Images as x, out of a map of a file that need not fit into memory."""

import mmap
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

HOST = torch.device("cpu")
LARGE = 2**30  # bytes: pages of a larger map are given back as soon as they are read
FREE = 0.5  # of a GPU's free memory, which the images of a part may take


@dataclass(frozen=True)
class Pixels:
    """N images, each one of `held`, which may be repeated and in any order.

    A batch is float32 from 0 to 1. On a GPU the images lie there, as bytes, where they fit; where they do
    not, a batch is read from the map and sent.
    """

    held: np.ndarray | Tensor  # (M, C, H, W) uint8: most often a map of a file; on a GPU a tensor
    places: Tensor  # (N,) int64, on the device of `held`
    device: torch.device = HOST

    @property
    def shape(self) -> tuple[int, ...]:
        return len(self.places), *self.held.shape[1:]

    @property
    def nbytes(self) -> int:
        _, *image = self.shape
        return len(self.places) * int(np.prod(image))

    def to(self, device: torch.device | str) -> "Pixels":
        device = torch.device(device)
        if device == self.device:
            return self
        if isinstance(self.held, Tensor):
            return Pixels(self.held.to(device), self.places.to(device), device)
        if device.type == "cuda" and self.nbytes < FREE * torch.cuda.mem_get_info(device)[0]:
            held = torch.cat([self.read(part).to(device) for part in self.places.split(1024)])
            return Pixels(held, torch.arange(len(held), device=device), device)
        return Pixels(self.held, self.places, device)

    def __getitem__(self, index: Tensor) -> "Pixels":
        return Pixels(self.held, self.places[index.to(self.places.device)], self.device)

    def index_select(self, dim: int, index: Tensor) -> Tensor:
        """(B, C, H, W) float32, from 0 to 1."""
        assert dim == 0
        places = self.places.index_select(0, index.to(self.places.device))
        return self.read(places).to(self.device).float().div_(255)

    def read(self, places: Tensor) -> Tensor:
        """Some of `held`, as bytes."""
        if isinstance(self.held, Tensor):
            return self.held.index_select(0, places)
        found = torch.from_numpy(self.held[places.numpy()])
        if self.held.nbytes > LARGE and isinstance(self.held.base, mmap.mmap):
            self.held.base.madvise(mmap.MADV_DONTNEED)  # the file keeps them; this process need not
        return found

    @staticmethod
    def joined(parts: Sequence["Pixels"]) -> "Pixels":
        """The rows of all parts, one part after the other."""
        first = parts[0]
        if all(same(part.held, first.held) for part in parts):
            return Pixels(first.held, torch.cat([part.places for part in parts]), first.device)
        held = torch.cat([part.read(part.places) for part in parts])
        return Pixels(held if first.device.type != "cpu" else held.numpy(), torch.arange(len(held)))

    def equal(self, other: "Pixels") -> bool:
        if same(self.held, other.held):
            return torch.equal(self.places, other.places)
        return torch.equal(self.read(self.places), other.read(other.places))

    def __reduce__(self) -> tuple[Any, ...]:
        return again, (Pixels, by_name(self.held), self.places, self.device)


def by_name(held: np.ndarray | Tensor) -> Path | np.ndarray | Tensor:
    """What goes to another process: of a map the name of its file."""
    return Path(str(held.filename)) if isinstance(held, np.memmap) else held


def again(kind: type, held: Any, *rest: Any) -> Any:
    """In that process, rows of this kind."""
    return kind(mapped(held) if isinstance(held, Path) else held, *rest)


def same(one: np.ndarray | Tensor, other: np.ndarray | Tensor) -> bool:
    """Whether both are one array, or maps of one file."""
    if isinstance(one, np.memmap) and isinstance(other, np.memmap):
        return one.filename == other.filename
    return one is other


def mapped(path: Path) -> np.ndarray:
    """The images (M, C, H, W) uint8 of an .npy file, which is not read yet."""
    return np.load(path, mmap_mode="r", allow_pickle=False)
