"""What variational autoencoders of label sets share: a Gaussian over latents for every row of features, of
which a decoder makes probabilities.
"""

from typing import Annotated, Literal, NamedTuple

import torch
from pydantic import Field
from torch import Tensor

from mlbench.data.rows import Batch
from mlbench.data.task import Task
from mlbench.errors import UserError
from mlbench.layers import Linear, Noise
from mlbench.methods.base import Backbone, Learner, Method

Positive = Annotated[int, Field(ge=1)]
Share = Annotated[float, Field(ge=0, lt=1)]
Weight = Annotated[float, Field(ge=0)]
Widths = Annotated[list[Positive], Field(min_length=1)]


class Gaussian(NamedTuple):
    """Independent Gaussians of K latents."""

    mean: Tensor  # (..., K)
    log_variance: Tensor  # (..., K)

    def at(self, noise: Tensor) -> Tensor:
        """The latents that standard normal noise (..., K) stands for."""
        return self.mean + (self.log_variance / 2).exp() * noise


class Latent(Method):
    """The feature encoder is the backbone with a linear layer on it."""

    def __init__(
        self, task: Task, backbone: Backbone, latent: Positive, test_latent: Literal["mean"] | Positive
    ):
        super().__init__()
        self.backbone = backbone(task)
        self.feature_gaussian = Linear(self.backbone.width, 2 * latent)
        self.noise, self.test_noise = Noise(), Noise()
        self.test_latent = test_latent

    def as_graph(self) -> Learner:
        if self.test_latent != "mean":
            raise UserError("its scores are of drawn latents; with method.test_latent=mean they are not")
        return self

    def encoded(self, x: Tensor) -> Gaussian:
        """The Gaussian over latents that the features give."""
        return Gaussian(*self.feature_gaussian(self.backbone(x)).chunk(2, -1))

    def probabilities(self, x: Tensor, z: Tensor) -> Tensor:
        """Probabilities of the labels given features and latents, (..., B, L)."""
        raise NotImplementedError(f"{type(self).__name__} decodes nothing")

    def scores(self, batch: Batch) -> Tensor:
        """Drawn latents are the same at every call: the noise begins anew."""
        for draws in self.test_noise.draws:
            draws.begin(0)
        gaussian = self.encoded(batch.x)
        if isinstance(self.test_latent, str):
            return self.probabilities(batch.x, gaussian.mean)
        total = torch.zeros_like(batch.targets)
        for _ in range(self.test_latent):
            total += self.probabilities(batch.x, gaussian.at(self.test_noise(gaussian.mean)))
        return total / self.test_latent
