"""`visual_words`: how often an image shows each of some hundred typical descriptors (Csurka et al., 2004)."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from mlbench.encoders.descriptors import Described, refuse_fewer
from mlbench.errors import UserError


@dataclass(kw_only=True)
class VisualWords(Described):
    words: int

    def __post_init__(self):
        super().__post_init__()
        if self.words < 2:
            raise UserError(f"encoder.image.words={self.words}: 2 or more")

    @property
    def width(self) -> int:
        return self.words

    def learn(self, sample: np.ndarray) -> None:
        """Words are the means of clusters of descriptors."""
        from sklearn.cluster import MiniBatchKMeans

        refuse_fewer(sample, "words", self.words)
        options: dict[str, Any] = {"random_state": self.seed, "n_init": 1, "batch_size": 4096}
        clusters: Any = MiniBatchKMeans(self.words, **options)
        self.learned = {"centres": clusters.fit(sample).cluster_centers_.astype(np.float32)}

    def vector(self, found: np.ndarray) -> np.ndarray:
        """The share of each word among the image's descriptors, of which each is its nearest word."""
        centres = self.learned["centres"]
        distances = (centres**2).sum(1) - 2 * found @ centres.T  # squared, but for what all words share
        return np.bincount(distances.argmin(1), minlength=self.words) / len(found)
