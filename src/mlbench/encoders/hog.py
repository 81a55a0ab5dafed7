"""`hog`: histograms of oriented gradients (Dalal & Triggs, CVPR 2005), scikit-image's."""

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
class HOG(Frozen):
    size: int
    cell: int
    block: int
    orientations: int
    needs: ClassVar[tuple[str, ...]] = ("PIL", "skimage")

    def __post_init__(self):
        if not 1 <= self.block * self.cell <= self.size or self.orientations < 1:
            raise UserError(
                f"encoder.image: a block of {self.block} × {self.block} cells of {self.cell} pixels is to "
                f"fit into {self.size} pixels, with 1 orientation or more"
            )

    def encode(self, rows: Raw, device: str) -> Features:
        assert isinstance(rows, Images)
        features = np.stack([*pictures(rows, self.gradients)])
        self.width = features.shape[1]
        return features

    def gradients(self, image: "Image") -> np.ndarray:
        from PIL.Image import Resampling
        from skimage.feature import hog

        grey = np.asarray(image.convert("L").resize((self.size, self.size), Resampling.BILINEAR))
        histograms = hog(
            grey,
            orientations=self.orientations,
            pixels_per_cell=(self.cell, self.cell),
            cells_per_block=(self.block, self.block),
        )
        return histograms.astype(np.float32)
