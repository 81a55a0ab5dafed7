"""MPVAE: latents of features and of labels share a decoder, and a probit with one covariance for all rows
makes labels of what is decoded (Bai, Kong and Gomes, Disentangled Variational Autoencoder based Multi-Label
Classification with Covariance-Aware Multivariate Probit Model, 2021).
"""

import math
from typing import Literal

import torch
from torch import Tensor, nn

from mlbench.backbones.mlp import layers_of
from mlbench.data.rows import Batch
from mlbench.data.task import Task
from mlbench.layers import Linear, Noise, linear
from mlbench.methods.base import Backbone
from mlbench.methods.generative.latent import Gaussian, Latent, Positive, Share, Weight, Widths

LEAST = 0.5e-6  # below and above which no probability goes; the authors' code
STEEPNESS = 5.0  # of the rank term; the authors' code
CELLS = 1 << 24  # numbers that scoring holds at once: draws × rows × labels


class MPVAE(Latent):
    discarded = ("label_encoder", "label_head")
    nll: Tensor
    ranking: Tensor
    divergence: Tensor

    def __init__(
        self,
        task: Task,
        backbone: Backbone,
        latent: Positive,
        label_widths: Widths,
        dropout: Share,
        decoder_widths: Widths,
        draws: Positive,
        nll: Weight,
        ranking: Weight,
        divergence: Weight,
        test_latent: Literal["mean"] | Positive,
        test_draws: Literal["all"] | Positive,
    ):
        super().__init__(task, backbone, latent, test_latent)
        labels = len(task.labels)
        self.label_encoder = nn.Sequential(
            *layers_of(task.features + labels, label_widths, "relu", dropout),
            Linear(label_widths[-1], 2 * latent),
        )
        self.decoder = layers_of(task.features + latent, decoder_widths, "relu", 0.0)
        self.label_head = Linear(decoder_widths[-1], labels)
        self.feature_head = Linear(decoder_widths[-1], labels)
        bound = math.sqrt(6 / (2 * labels))
        self.root = nn.Parameter(torch.empty(labels, labels).uniform_(-bound, bound))  # R
        self.draws, self.test_draws = draws, test_draws
        # A weight is a tensor, so that replicas with weights of their own are one module.
        for name, weight in {"nll": nll, "ranking": ranking, "divergence": divergence}.items():
            self.register_buffer(name, torch.tensor(weight), persistent=False)

    def findings(self) -> dict[str, dict[str, Tensor]]:
        return {"correlations": {"root": self.root, "correlations": correlations(self.root.detach())}}

    def loss(self, batch: Batch) -> Tensor:
        x, labels = batch.x, batch.targets
        encoded = self.label_encoder(torch.cat([x, labels], -1))
        by_label, by_feature = Gaussian(*encoded.chunk(2, -1)), self.encoded(x)
        both = Gaussian(*(torch.cat(parts, -2) for parts in zip(by_label, by_feature)))
        z = both.at(self.noise(both.mean))
        decoded = self.decoder(torch.cat([torch.cat([x, x], -2), z], -1))
        # Copies: a product has other bits where its rows do not begin with a line of the cache.
        label_part, feature_part = (part.clone() for part in decoded.chunk(2, -2))
        heads = torch.stack([self.label_head(label_part), self.feature_head(feature_part)], -3)
        likelihood, rank = terms(heads, self.noises(self.noise, heads[..., 0, :, :], self.draws), labels)
        return (
            self.nll * likelihood.sum(-1)
            + self.ranking * rank.sum(-1)
            + self.divergence * divergence(by_label, by_feature)
        )

    def noises(self, noise: Noise, head: Tensor, draws: int) -> Tensor:
        """Rε of each draw and row, (..., S, B, L)."""
        shape = *head.shape[:-2], draws, *head.shape[-2:]
        return linear(noise(head.detach().unsqueeze(-3).expand(shape)), self.root)

    def probabilities(self, x: Tensor, z: Tensor) -> Tensor:
        head = self.feature_head(self.decoder(torch.cat([x, z], -1)))
        if isinstance(self.test_draws, str):
            # The mean of Φ(h + Rε) over ε ~ N(0, I) is Φ(h / √(1 + |r|²)), r the label's row of R.
            return probit(head / (1 + self.root.square().sum(-1)).sqrt().unsqueeze(-2))
        once, total = max(1, CELLS // max(head.numel(), 1)), torch.zeros_like(head)
        for first in range(0, self.test_draws, once):
            noises = self.noises(self.test_noise, head, min(once, self.test_draws - first))
            total += probit(head.unsqueeze(-3) + noises).sum(-3)
        return total / self.test_draws


def probit(inputs: Tensor) -> Tensor:
    """Φ, kept off 0 and 1."""
    return 0.5 * torch.erfc(inputs * -math.sqrt(0.5)) * (1 - 2 * LEAST) + LEAST


def terms(heads: Tensor, noises: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
    """NLL and rank term of each branch, (..., 2), of the heads, (..., 2, B, L), and of Rε, (..., S, B, L).

    p = Φ(±(head + Rε)) is the probability of the truth: E of a positive label, 1 − E of a negative one. So
    the rank term, a sum over pairs of exp(−5(E_p − E_n)), is a product of two sums of exp(−5p), times e⁵.
    """
    truth = (2 * targets - 1)[..., None, None, :, :]
    p = probit(truth * (heads.unsqueeze(-3) + noises.unsqueeze(-4)))  # (..., 2, S, B, L)
    log_draws = p.log().sum(-1).logsumexp(-2) - math.log(p.shape[-3])
    wrong = (-STEEPNESS * p).exp()
    means = [
        (wrong * (kind / kind.sum(-1, keepdim=True).clamp(min=1))[..., None, None, :, :]).sum(-1)
        for kind in (targets, 1 - targets)
    ]
    rank = math.exp(STEEPNESS) / STEEPNESS * (means[0] * means[1]).mean((-2, -1))
    return -log_draws.mean(-1), rank


def divergence(label: Gaussian, feature: Gaussian) -> Tensor:
    """KL(label ‖ feature), mean over rows; to the variance that divides 1e-6 is added, as in the code."""
    apart = label.log_variance - feature.log_variance
    far = (feature.mean - label.mean).square() / (feature.log_variance.exp() + 1e-6)
    return 0.5 * (apart.exp() - apart - 1 + far).sum(-1).mean(-1)


def correlations(root: Tensor) -> Tensor:
    """Correlations of the probit's utilities head + Rε + η, η ~ N(0, I), whose signs are the labels."""
    covariance = root @ root.mT + torch.eye(len(root)).to(root)
    deviations = covariance.diagonal().sqrt()
    return covariance / deviations.outer(deviations)
