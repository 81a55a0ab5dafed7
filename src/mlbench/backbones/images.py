"""What backbones for images share: augmentation."""

from typing import ClassVar

from torch import Tensor

from mlbench.backbones.augment import Augment, Changes
from mlbench.backbones.base import Rate, Rated
from mlbench.data.task import Kind


class OfImages(Rated):
    """A subclass has `features`, (B, C, H, W) → (B, width)."""

    kinds: ClassVar[frozenset[Kind]] = frozenset({"image"})

    def __init__(self, augment: Changes, rate: Rate):
        super().__init__(rate)
        self.augment = Augment(Changes.model_validate(augment))

    def features(self, x: Tensor) -> Tensor:
        raise NotImplementedError

    def forward(self, x: Tensor) -> Tensor:
        return self.features(self.augment(x))
