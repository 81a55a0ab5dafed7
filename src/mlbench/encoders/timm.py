"""`timm`: a vision network in the form of the library timm, frozen; a folder, or a name on the hub."""

import importlib
import json
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from mlbench.data.instances import Features
from mlbench.data.raw import Images, Raw
from mlbench.encoders.networks import Located, batches, features_of, first_line
from mlbench.encoders.pictures import pictures
from mlbench.errors import UserError

if TYPE_CHECKING:
    from PIL.Image import Image
    from torch import Tensor

MODES = ("center", "squash")  # how an image is brought into the square, as timm calls it
CONFIG, WEIGHTS = "config.json", "model.safetensors"


@dataclass(kw_only=True)
class Timm(Located):
    """What the network gives before the layer that names classes; images are prepared as its folder says."""

    needs: ClassVar[tuple[str, ...]] = ("timm", "safetensors", "PIL")

    def encode(self, rows: Raw, device: str) -> Features:
        assert isinstance(rows, Images)
        import torch

        said, network = self.loaded()
        network = network.to(device).eval()
        prepared = Preparation.of(said)
        mean, deviation = (torch.tensor(each, device=device)[:, None, None] for each in prepared.scale)

        def forward(batch: list[np.ndarray]) -> "Tensor":
            given = torch.from_numpy(np.stack(batch)).to(device).permute(0, 3, 1, 2)
            return network((given.float() / 255 - mean) / deviation)

        features = features_of(batches(pictures(rows, prepared)), forward)
        self.width = features.shape[1]
        return features

    def loaded(self) -> tuple[dict[str, Any], Any]:
        """The preparation that the folder's configuration states, and the network without its last layer."""
        try:
            timm: Any = importlib.import_module("timm")
            from safetensors.torch import load_file

            said = json.loads((self.folder() / CONFIG).read_text())
            classes, options = said.get("num_classes", 1000), said.get("model_args") or {}
            network = timm.create_model(said["architecture"], num_classes=classes, **options)
            network.load_state_dict(load_file(self.folder() / WEIGHTS))
            network.reset_classifier(0)
            return said.get("pretrained_cfg") or {}, network
        except Exception as error:  # timm, and torchvision below it, raise whatever a folder leads them to
            raise UserError(f"{self.path} cannot be loaded by timm: {first_line(error)}") from error


@dataclass(frozen=True)
class Preparation:
    """An image as the network was trained to see it: timm's own preparation for evaluation."""

    height: int
    width: int
    share: float  # the share of a resized image's side that is kept
    mode: str
    interpolation: str
    scale: tuple[list[float], list[float]]  # mean and deviation of red, green and blue

    @classmethod
    def of(cls, said: dict[str, Any]) -> "Preparation":
        _, height, width = said.get("input_size", (3, 224, 224))
        mode = said.get("crop_mode", "center")
        if mode not in MODES:
            raise UserError(f"encoder.image: crop_mode={mode} is not among those known: {', '.join(MODES)}")
        scale = said.get("mean", [0.485, 0.456, 0.406]), said.get("std", [0.229, 0.224, 0.225])
        share = said.get("crop_pct") or 0.875
        return cls(height, width, share, mode, said.get("interpolation", "bicubic"), scale)

    def __call__(self, image: "Image") -> np.ndarray:
        """(height, width, 3) in bytes: resized, then the middle of it."""
        from PIL.Image import Resampling

        height, width = (math.floor(side / self.share) for side in (self.height, self.width))
        if self.mode == "center":  # the sides keep their ratio
            times = max(height / image.height, width / image.width)
            height, width = int(image.height * times + 1e-6), int(image.width * times + 1e-6)
        resized = np.asarray(image.resize((width, height), Resampling[self.interpolation.upper()]))
        top, left = round((height - self.height) / 2), round((width - self.width) / 2)
        return resized[top : top + self.height, left : left + self.width]
