"""`colour_histogram`: which share of an image's pixels has each colour."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from mlbench.data.instances import Features
from mlbench.data.raw import Images, Raw
from mlbench.encoders.base import Frozen
from mlbench.encoders.pictures import pictures
from mlbench.errors import UserError

if TYPE_CHECKING:
    from PIL.Image import Image


@dataclass(kw_only=True)
class ColourHistogram(Frozen):
    bins: int
    needs: ClassVar[tuple[str, ...]] = ("PIL",)

    def __post_init__(self):
        if not 1 <= self.bins <= 32:
            raise UserError(f"encoder.image.bins={self.bins}: 1 to 32 of each of red, green and blue")

    def encode(self, rows: Raw, device: str) -> Features:
        assert isinstance(rows, Images)
        self.width = self.bins**3
        return np.stack([*pictures(rows, self.histogram)])

    def histogram(self, image: "Image") -> np.ndarray:
        """Shares of `bins` × `bins` × `bins` equal boxes of red, green and blue."""
        levels = np.asarray(image, np.int64).reshape(-1, 3) * self.bins // 256
        box = levels @ [self.bins**2, self.bins, 1]
        return (np.bincount(box, minlength=self.bins**3) / len(box)).astype(np.float32)
