"""`pixels`: the images themselves, all of one size, for a backbone that learns from them."""

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal

import numpy as np

from mlbench.data.instances import Features
from mlbench.data.pixels import mapped
from mlbench.data.raw import Images, Raw
from mlbench.data.task import Kind
from mlbench.encoders.base import Frozen
from mlbench.encoders.pictures import pictures
from mlbench.errors import UserError
from mlbench.files import whole
from mlbench.locks import lock

if TYPE_CHECKING:
    from PIL.Image import Image

BYTES = 2**26  # bytes of images that are decoded before they are written


@dataclass(kw_only=True)
class Pixels(Frozen):
    """Red, green and blue of every pixel, in bytes: (N, 3, size, size)."""

    size: int
    square: Literal["crop", "squeeze"]
    gives: ClassVar[Kind] = "image"
    needs: ClassVar[tuple[str, ...]] = ("PIL",)

    def __post_init__(self):
        if not 8 <= self.size <= 1024:
            raise UserError(f"encoder.image.size={self.size}: pixels a side, 8 to 1024")

    def encode(self, rows: Raw, device: str) -> Features:
        assert isinstance(rows, Images)
        return np.stack([*pictures(rows, self.squared)])

    def squared(self, image: "Image") -> np.ndarray:
        from PIL import ImageOps
        from PIL.Image import Resampling

        side = self.size, self.size
        if self.square == "crop":
            image = ImageOps.fit(image, side, Resampling.BICUBIC)
        else:
            image = image.resize(side, Resampling.BICUBIC)
        return np.asarray(image).transpose(2, 0, 1)

    def feature_names(self) -> list[str]:
        return []


def once(path: Path, encoder: Pixels, rows: Images) -> np.ndarray:
    """The images in a map of the file `path`, which is written if it is not there. Processes that want the
    same wait for the first.
    """
    if (found := opened(path)) is not None:
        return found
    path.parent.mkdir(parents=True, exist_ok=True)
    with lock(path.with_suffix(".lock")):
        if (found := opened(path)) is None:
            print(f"mlbench: {len(rows):,} images are decoded, once", file=sys.stderr)
            keep(path, (len(rows), 3, encoder.size, encoder.size), blocks(encoder, rows))
            found = mapped(path)
    return found


def opened(path: Path) -> np.ndarray | None:
    """The images in the file, as a map; None where the file is missing or damaged."""
    try:
        found = mapped(path)
    except (OSError, ValueError, EOFError):
        return None
    return found if found.dtype == np.uint8 and found.ndim == 4 else None


def blocks(encoder: Pixels, rows: Images) -> Iterator[np.ndarray]:
    count = max(BYTES // (3 * encoder.size**2), 1)
    for numbers in np.split(np.arange(len(rows)), range(count, len(rows), count)):
        yield np.asarray(encoder.encode(rows[numbers], "cpu"))


def keep(path: Path, shape: tuple[int, ...], parts: Iterator[np.ndarray]) -> None:
    """An .npy file of images, of which never more than a part is in memory."""
    with whole(path) as file:
        header = {"descr": "|u1", "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(file, header)
        for part in parts:
            file.write(np.ascontiguousarray(part).data)
