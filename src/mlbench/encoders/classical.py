"""`classical`: three modalities of an image, as of M3LA's ML2000: visual words, HOG, a Fisher vector."""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from mlbench.encoders.descriptors import Described, descriptors, grey
from mlbench.encoders.fisher_vector import FisherVector
from mlbench.encoders.hog import HOG
from mlbench.encoders.visual_words import VisualWords

if TYPE_CHECKING:
    from PIL.Image import Image


@dataclass(kw_only=True)
class Classical(Described):
    """Its options are those of the three; words and Gaussians are learned from the same descriptors."""

    words: int
    gaussians: int
    components: int
    cell: int
    block: int
    orientations: int
    made: dict[str, Any] = field(init=False, default_factory=dict, repr=False)
    modalities: ClassVar[tuple[str, ...]] = ("visual_words", "hog", "fisher_vector")

    def __post_init__(self):
        super().__post_init__()
        shared = {name: getattr(self, name) for name in ("size", "step", "sample", "seed")}
        gradients = {"cell": self.cell, "block": self.block, "orientations": self.orientations}
        mixture = {"gaussians": self.gaussians, "components": self.components}
        words, fisher = VisualWords(words=self.words, **shared), FisherVector(**mixture, **shared)
        self.made = dict(zip(self.modalities, (words, HOG(size=self.size, **gradients), fisher)))

    def blocks(self) -> dict[str, int]:
        """The modalities and their widths."""
        cells = self.size // self.cell - self.block + 1
        gradients = cells**2 * self.block**2 * self.orientations
        widths = self.made["visual_words"].width, gradients, self.made["fisher_vector"].width
        return dict(zip(self.modalities, widths))

    @property
    def width(self) -> int:
        return sum(self.blocks().values())

    def feature_names(self) -> list[str]:
        return [f"{name}{number}" for name, width in self.blocks().items() for number in range(1, width + 1)]

    def learn(self, sample: np.ndarray) -> None:
        for name in ("visual_words", "fisher_vector"):
            self.made[name].learn(sample)
            self.learned |= {f"{name} {part}": each for part, each in self.made[name].learned.items()}

    def of_image(self, image: "Image") -> np.ndarray:
        found = descriptors(grey(image, self.size), self.step)
        words, fisher = (self.made[name].vector(found) for name in ("visual_words", "fisher_vector"))
        return np.concatenate([words, self.made["hog"].gradients(image), fisher])

    @classmethod
    def from_state(cls, state: dict[str, Any]) -> "Classical":
        again = super().from_state(state)
        for key, each in again.learned.items():
            name, _, part = key.partition(" ")
            again.made[name].learned[part] = each
        return again
