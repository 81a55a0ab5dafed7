"""`fisher_vector`: how an image's descriptors would change a mixture of Gaussians that describes those of the
training images (Perronnin, Sánchez & Mensink, ECCV 2010), scikit-image's.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from mlbench.encoders.descriptors import NUMBERS, Described, refuse_fewer
from mlbench.errors import UserError


@dataclass(kw_only=True)
class FisherVector(Described):
    """(2 · components + 1) numbers a Gaussian: of its weight, its mean and its deviation."""

    gaussians: int
    components: int

    def __post_init__(self):
        super().__post_init__()
        if self.gaussians < 1 or not 1 <= self.components <= NUMBERS:
            raise UserError(
                f"encoder.image: gaussians={self.gaussians} is to be 1 or more, "
                f"components={self.components} 1 to {NUMBERS}"
            )

    @property
    def width(self) -> int:
        return self.gaussians * (2 * self.components + 1)

    def learn(self, sample: np.ndarray) -> None:
        """The principal components of the descriptors, and the Gaussians in them."""
        from skimage.feature import learn_gmm

        refuse_fewer(sample, "gaussians", self.gaussians)
        mean = sample.mean(0)
        _, directions = np.linalg.eigh(np.cov(sample - mean, rowvar=False, dtype=np.float64))
        chosen = directions[:, ::-1][:, : self.components]  # by falling variance
        chosen = chosen * np.sign(chosen[abs(chosen).argmax(0), range(self.components)])
        options = {"random_state": self.seed, "covariance_type": "diag"}
        made: Any = learn_gmm([(sample - mean) @ chosen], n_modes=self.gaussians, gm_args=options)
        self.learned = {"mean": mean, "directions": chosen, "weights": made.weights_}
        self.learned |= {"means": made.means_, "variances": made.covariances_}
        self.__dict__.pop("mixture", None)

    @cached_property
    def mixture(self) -> Any:
        """The fitted mixture of scikit-learn, from its weights, means and deviations."""
        from sklearn.mixture import GaussianMixture

        made: Any = GaussianMixture(self.gaussians, covariance_type="diag")
        made.weights_, made.means_ = self.learned["weights"], self.learned["means"]
        made.covariances_ = self.learned["variances"]
        made.precisions_cholesky_ = 1 / np.sqrt(made.covariances_)
        return made

    def vector(self, found: np.ndarray) -> np.ndarray:
        """The Fisher vector of an image's descriptors: its signed root, scaled to length 1."""
        from skimage.feature import fisher_vector

        within = (found - self.learned["mean"]) @ self.learned["directions"]
        return fisher_vector(within, self.mixture, improved=True)
