"""The embedded data set: canvases of handwritten digits, made on the spot from scikit-learn's, offline.

A canvas has four cells, each empty or holding one 8 × 8 digit; its labels are the digits on it. How a
canvas comes about:

1. it holds 1, 2, 3 or 4 digits with probability 1/6, 1/3, 1/3, 1/6, no digit twice;
2. the first digit is d with a probability in proportion to 10 − d: `zero` is common, `nine` rare;
3. each further digit is, with probability 1/2, the successor of the one before (0 follows 9), else drawn
   as the first. Digits that differ by five never meet; a digit that is there already, or may not be,
   is drawn again as the first;
4. the digits fall on cells at random, each as one of its images at random.

So neighbours attract each other, d and d + 5 exclude each other, and no label can be read off one cell
alone. The cells are the modalities, 64 columns each: `x.reshape(2, 2, 8, 8).transpose(0, 2, 1, 3).reshape(16,
16)` is the canvas. Images number 2, 5, 8, ... of scikit-learn's make the test rows, the others the training
rows: no image is in both.

Every random choice is a remainder of the raw stream of PCG64, which numpy promises to keep the same (of the
methods of `Generator` it does not, NEP 19), and pixels are sixteenths: the same bytes everywhere, verified.
"""

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from mlbench.data import modalities
from mlbench.data.instances import Instances, Loaded
from mlbench.data.missing import Share
from mlbench.data.scaling import scaler
from mlbench.errors import UserError
from mlbench.names import one_name

LABELS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
CELLS = ("top_left", "top_right", "bottom_left", "bottom_right")
PIXELS = 64  # of one cell
MODALITIES = {cell: (PIXELS * position, PIXELS * (position + 1)) for position, cell in enumerate(CELLS)}
ROWS = {"train": 1600, "test": 800}
COUNTS = (1, 2, 2, 3, 3, 4)  # digits on a canvas, equally likely
COMMON = tuple(digit for digit in range(10) for _ in range(10 - digit))  # equally likely
SEED = 0


def draw_digits(draws: Iterator[int]) -> list[int]:
    """The digits of one canvas, in the order they were drawn."""
    count = COUNTS[next(draws) % len(COUNTS)]
    digits = []
    while len(digits) < count:
        follows = bool(digits) and next(draws) % 2 == 0
        digit = (digits[-1] + 1) % 10 if follows else COMMON[next(draws) % len(COMMON)]
        while digit in digits or (digit + 5) % 10 in digits:
            digit = COMMON[next(draws) % len(COMMON)]
        digits.append(digit)
    return digits


def paint(
    images: np.ndarray, shown: np.ndarray, rows: int, draws: Iterator[int]
) -> tuple[np.ndarray, np.ndarray]:
    """Features (rows, 256) and targets (rows, 10) of canvases; `shown` says which digit an image is of."""
    features = np.zeros((rows, len(CELLS), PIXELS), np.float32)
    targets = np.zeros((rows, len(LABELS)), np.uint8)
    choices = [np.flatnonzero(shown == digit) for digit in range(10)]
    for row in range(rows):
        cells = list(range(len(CELLS)))
        for digit in draw_digits(draws):
            cell = cells.pop(next(draws) % len(cells))
            features[row, cell] = images[choices[digit][next(draws) % len(choices[digit])]]
            targets[row, digit] = 1
    return features.reshape(rows, -1), targets


def raw_draws(seed: int) -> Iterator[int]:
    bits = np.random.PCG64(seed)
    while True:
        yield bits.random_raw()


def checksum(features: np.ndarray, targets: np.ndarray) -> str:
    """SHA-256 over the little-endian bytes of both arrays."""
    return hashlib.sha256(features.astype("<f4").tobytes() + targets.tobytes()).hexdigest()


def make() -> tuple[np.ndarray, np.ndarray]:
    """Features and targets of all rows, the training rows first."""
    from sklearn.datasets import load_digits  # its import is slow, and few commands need it

    pixels, shown = map(np.asarray, load_digits(return_X_y=True))
    images = (pixels / 16).astype(np.float32)
    tests = np.arange(len(images)) % 3 == 2
    draws = raw_draws(SEED)
    train = paint(images[~tests], shown[~tests], ROWS["train"], draws)
    test = paint(images[tests], shown[tests], ROWS["test"], draws)
    return np.concatenate([train[0], test[0]]), np.concatenate([train[1], test[1]])


class MultiDigits:
    kind = "vector"
    official = tuple(ROWS)
    modality_names = CELLS  # as shipped

    def __init__(
        self,
        name: str,
        sha256: str,
        scaling: str,
        statistics: dict[str, int | float],
        citation: str,
        use: list[str] | None = None,
        missing_modalities: Share | None = None,
    ):
        scaler(scaling)  # refuses one that there is not
        self.name, self.sha256, self.scaling = one_name("dataset.name", name), sha256, scaling
        self.statistics, self.citation = statistics, citation
        self.use = modalities.chosen(name, use, CELLS)
        self.modality_names, self.missing_modalities = self.use or CELLS, missing_modalities

    def identity(self, cache: Path | None = None) -> dict[str, Any]:
        """What the data are: a part of a run's key."""
        return {
            "name": self.name,
            "sha256": self.sha256,
            "modalities": {cell: list(columns) for cell, columns in MODALITIES.items()},
            "scaling": self.scaling,
        } | modalities.identity(self.use, self.missing_modalities)

    def load(self, cache: Path) -> Loaded:
        """Makes the canvases anew: that takes hundredths of a second, and nothing is put into `cache`."""
        features, targets = make()
        sha256 = checksum(features, targets)
        if sha256 != self.sha256:
            raise UserError(
                f"{self.name}: the canvases made have SHA-256 {sha256}, not {self.sha256}; has scikit-learn "
                "changed its digits? Install another version of it, or choose another data set"
            )
        instances = Instances(
            features=features,
            targets=targets,
            labels=LABELS,
            feature_names=tuple(f"{cell}_{pixel}" for cell in CELLS for pixel in range(PIXELS)),
            modalities=dict(MODALITIES),
        )
        train = np.arange(ROWS["train"])
        instances = modalities.kept(self.name, instances, self.use)
        return Loaded(instances, {"train": train, "test": ROWS["train"] + np.arange(ROWS["test"])})
