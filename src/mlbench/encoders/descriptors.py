"""Descriptors at many points of an image, and how encoders learn from them."""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np

from mlbench.data.instances import Features
from mlbench.data.raw import Images, Raw
from mlbench.encoders.base import Plain, check_needs, options
from mlbench.encoders.pictures import pictures
from mlbench.errors import UserError

if TYPE_CHECKING:
    from PIL.Image import Image

# DAISY (Tola, Lepetit & Fua, PAMI 2010), as SIFT histograms of oriented gradients around a place, without its
# search for places: with scikit-image's rings, 104 numbers.
RADIUS, RINGS, HISTOGRAMS, ORIENTATIONS = 15, 2, 6, 8
NUMBERS = (RINGS * HISTOGRAMS + 1) * ORIENTATIONS


def grey(image: "Image", size: int) -> np.ndarray:
    from PIL.Image import Resampling

    return np.asarray(image.convert("L").resize((size, size), Resampling.BILINEAR))


def descriptors(image: np.ndarray, step: int) -> np.ndarray:
    """(n, 104): a descriptor every `step` pixels of a grey image; roots of shares, so that products compare
    histograms (Arandjelović & Zisserman, CVPR 2012).
    """
    from skimage.feature import daisy

    rings: dict[str, Any] = {
        "radius": RADIUS,
        "rings": RINGS,
        "histograms": HISTOGRAMS,
        "orientations": ORIENTATIONS,
    }
    found: Any = daisy(image, step=step, normalization="l1", **rings)
    return np.sqrt(found.reshape(-1, NUMBERS)).astype(np.float32)


@dataclass(kw_only=True)
class Described:
    """A subclass learns from a sample of descriptors, and makes a vector of an image's descriptors."""

    size: int
    step: int
    sample: int
    seed: int
    learned: dict[str, np.ndarray] = field(init=False, default_factory=dict, repr=False)
    learns: ClassVar[bool] = True
    needs: ClassVar[tuple[str, ...]] = ("PIL", "skimage")

    def __post_init__(self):
        if self.size <= 2 * RADIUS or self.step < 1 or self.sample < 1:
            raise UserError(
                f"encoder.image: size={self.size} is to be more than {2 * RADIUS} pixels, the width of a "
                f"descriptor, and step={self.step} and sample={self.sample} 1 or more"
            )

    def check(self) -> None:
        check_needs(self.needs)

    def weights(self) -> str | None:
        return None

    def fit(self, rows: Raw) -> None:
        """Learns from equally many descriptors of each image, which `seed` draws."""
        assert isinstance(rows, Images)
        random, each = np.random.default_rng(self.seed), max(self.sample // len(rows), 1)
        found = pictures(rows, lambda image: descriptors(grey(image, self.size), self.step))
        chosen = [all_[random.permutation(len(all_))[:each]] for all_ in found]
        self.learn(np.concatenate(chosen)[: max(self.sample, len(rows))])

    def learn(self, sample: np.ndarray) -> None:
        raise NotImplementedError

    def vector(self, found: np.ndarray) -> np.ndarray:
        raise NotImplementedError

    def of_image(self, image: "Image") -> np.ndarray:
        return self.vector(descriptors(grey(image, self.size), self.step))

    def encode(self, rows: Raw, device: str) -> Features:
        assert isinstance(rows, Images)
        return np.stack([*pictures(rows, self.of_image)]).astype(np.float32)

    @property
    def width(self) -> int:
        raise NotImplementedError

    def feature_names(self) -> list[str]:
        return [f"{type(self).__name__.lower()}{number}" for number in range(1, self.width + 1)]

    def state(self) -> Plain:
        return {"options": options(self), **self.learned}

    @classmethod
    def from_state(cls, state: Plain) -> Self:
        made: Any = cls(**state["options"])
        made.learned = {name: each for name, each in state.items() if name != "options"}
        return made


def refuse_fewer(sample: np.ndarray, option: str, wanted: int) -> None:
    if len(sample) < wanted:
        raise UserError(
            f"encoder.image.{option}={wanted}: the training images gave {len(sample)} descriptors to learn "
            f"from: choose a larger encoder.image.sample, or a smaller {option}"
        )
