"""C-GMVAE: every label has a Gaussian of its own over latents, those of a row's labels are a mixture, and
decoded latents are pulled towards the embeddings of these labels (Bai, Kong and Gomes, Gaussian Mixture
Variational Autoencoder with Contrastive Learning for Multi-Label Classification, 2022).
"""

from collections.abc import Iterator
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mlbench.backbones.mlp import layers_of
from mlbench.data.rows import Batch
from mlbench.data.task import Task
from mlbench.errors import UserError
from mlbench.layers import Dropout, Linear, linear, product
from mlbench.methods.base import Backbone, Parts, Stage
from mlbench.methods.generative.latent import Gaussian, Latent, Positive, Share, Weight, Widths

CLOSED = -1e30  # added to a logit: its exponential is 0 in single precision


class CGMVAE(Latent):
    discarded = ("label_encoder",)
    nll: Tensor
    divergence: Tensor
    contrast: Tensor

    def __init__(
        self,
        task: Task,
        backbone: Backbone,
        latent: Positive,
        embedding: Positive,
        label_widths: Widths,
        dropout: Share,
        decoder_widths: Widths,
        nll: Weight,
        divergence: Weight,
        contrast: Weight,
        test_latent: Literal["mean"] | Positive,
    ):
        super().__init__(task, backbone, latent, test_latent)
        # Its weight, (E, L), has the embeddings of the labels.
        self.embedding = Linear(len(task.labels), embedding)
        self.label_encoder = nn.Sequential(
            nn.ReLU(),
            Dropout(dropout),
            *layers_of(embedding, label_widths, "relu", dropout),
            Linear(label_widths[-1], 2 * latent),
        )
        self.decoder = nn.Sequential(
            *layers_of(task.features + latent, decoder_widths, "relu", 0.0),
            Linear(decoder_widths[-1], embedding),
            nn.LeakyReLU(),
        )
        # A weight is a tensor, so that replicas with weights of their own are one module.
        for name, weight in {"nll": nll, "divergence": divergence, "contrast": contrast}.items():
            self.register_buffer(name, torch.tensor(weight), persistent=False)

    def stages(self, data: Parts) -> Iterator[Stage]:
        """Trains on rows with labels: a row without labels has no mixture."""
        labelled = data["train"].targets.any(-1)
        if not labelled.any():
            raise UserError(
                "no label is positive in any training row, and method=cgmvae learns from rows that have "
                "labels: use other data, or another split"
            )
        yield Stage(
            "train", self, data["train"] if labelled.all() else data["train"].rows(labelled.nonzero()[:, 0])
        )

    def label_gaussians(self) -> Gaussian:
        """Each label's Gaussian over latents, (..., L, K)."""
        rows = self.embedding.weight.mT.contiguous() + self.embedding.bias.unsqueeze(-2)  # of the identity
        return Gaussian(*self.label_encoder(rows).chunk(2, -1))

    def decoded(self, x: Tensor, z: Tensor) -> Tensor:
        """(..., B, E), of length 1."""
        return F.normalize(self.decoder(torch.cat([x, z], -1)), dim=-1)

    def probabilities(self, x: Tensor, z: Tensor) -> Tensor:
        return product(self.decoded(x, z), self.embedding.weight).sigmoid()

    def loss(self, batch: Batch) -> Tensor:
        x, labels = batch.x, batch.targets
        by_label, by_feature = self.label_gaussians(), self.encoded(x)
        noise = self.noise(by_feature.mean.detach().unsqueeze(-3).expand(*x.shape[:-2], 3, -1, -1))
        first, second, third = (by_feature.at(draw) for draw in noise.unbind(-3))
        z = torch.cat([product(shares(labels), by_label.mean), first, second], -2)
        logits = product(self.decoded(torch.cat([x, x, x], -2), z), self.embedding.weight)
        apart = divergence(third, noise[..., 2, :, :], by_feature, by_label, labels)
        return (
            self.nll * mean(entropies(logits, labels), labels)
            + self.divergence * mean(apart, labels)
            + self.contrast * mean(contrasts(logits[..., : 2 * labels.shape[-2], :], labels), labels)
        )


def shares(targets: Tensor) -> Tensor:
    """The labels of a row, each with the same share; 0 in a row without."""
    return targets / targets.sum(-1, keepdim=True).clamp(min=1)


def mean(values: Tensor, targets: Tensor) -> Tensor:
    """The mean over rows that have labels, (...)."""
    labelled = targets.any(-1)
    return (values * labelled).sum(-1) / labelled.sum(-1).clamp(min=1)


def entropies(logits: Tensor, targets: Tensor) -> Tensor:
    """−log p(labels) of each row, summed over branches, which stand one after the other: (..., B)."""
    branches = logits.unflatten(-2, (-1, targets.shape[-2]))
    truth = targets.unsqueeze(-3).expand_as(branches)
    return F.binary_cross_entropy_with_logits(branches, truth, reduction="none").sum(-1).sum(-2)


def contrasts(logits: Tensor, targets: Tensor) -> Tensor:
    """−log softmax over labels, mean over a row's labels and over the branches, (..., B)."""
    ratios = logits.unflatten(-2, (-1, targets.shape[-2])).log_softmax(-1)
    return -(shares(targets).unsqueeze(-3) * ratios).sum(-1).mean(-2)


def divergence(s: Tensor, noise: Tensor, feature: Gaussian, label: Gaussian, targets: Tensor) -> Tensor:
    """log q(s) − log of the mixture of the row's labels at s, (..., B), where s is q at `noise`.

    The constant K/2 · log 2π of both densities cancels and is left out.
    """
    log_q = -0.5 * (feature.log_variance + noise.square()).sum(-1)
    densities = log_densities(s, label) + CLOSED * (1 - targets)
    return log_q - densities.logsumexp(-1) + targets.sum(-1).clamp(min=1).log()


def log_densities(s: Tensor, label: Gaussian) -> Tensor:
    """Log density of every row's s under every label's Gaussian, (..., B, L), by products of matrices.

    Both are taken relative to the labels' centre, so that squares lose little where Gaussians are narrow.
    """
    centre = label.mean.mean(-2, keepdim=True)
    s, mean, precision = s - centre, label.mean - centre, (-label.log_variance).exp()
    crossed = linear(s.square(), precision) - 2 * linear(s, mean * precision)
    by_label = (mean.square() * precision + label.log_variance).sum(-1)
    return -0.5 * (crossed + by_label.unsqueeze(-2))
