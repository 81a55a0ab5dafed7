"""LEVI: a variational autoencoder recovers label distributions, then a classifier learns them, too (Xu, Shu,
Geng, Variational Label Enhancement, 2020, in the multilayer form of its code).

The first stage is that of the authors' code, the second is FLEM's (IJCAI 2022), which compares with it.
docs/flem.md says what neither settles.
"""

from collections.abc import Generator
from typing import Any

import torch
import torch.nn.functional as F
from pydantic import BaseModel, ConfigDict
from torch import Tensor, nn

from mlbench.data.rows import Batch, Rows
from mlbench.data.sparse import SparseRows
from mlbench.data.task import Task
from mlbench.layers import ELU, Dropout, Linear, Noise, beside
from mlbench.methods.base import Backbone, Loss, Stage
from mlbench.methods.enhancement.classifier import Positive, Share, Weight, blocks
from mlbench.methods.enhancement.recovered import (
    Recovered,
    Recovering,
    entropies,
    xavier,
)


class LEVISettings(BaseModel):
    """Options of the first stage."""

    model_config = ConfigDict(extra="forbid")

    epochs: Positive
    batch_size: Positive | None
    optimizer: dict[str, Any]
    hidden: Positive
    latent: Positive
    dropout: Share
    information: Weight
    features: Weight


class LEVI(Recovered):
    settings: LEVISettings

    def __init__(
        self,
        task: Task,
        backbone: Backbone,
        loss: Loss,
        recovery: LEVISettings,
        w_ld: Share,
        bias_decay: Weight,
    ):
        super().__init__(task, backbone, loss, w_ld, bias_decay)
        self.settings = LEVISettings.model_validate(recovery)
        self.shape = task.features, len(task.labels)

    def recover(self, data: Rows) -> Generator[Stage, None, Tensor]:
        settings = self.settings
        recovery = LEVIRecovery(*self.shape, settings, *extent(data.x))
        yield self.stage("recover", recovery, data, settings.epochs, settings.batch_size or len(data))
        return recovery.to(data.device).log_distributions(data)


class LEVIRecovery(Recovering):
    """`low` and `high` bound the features; `binary`: features have no value between these two."""

    low: Tensor
    span: Tensor

    def __init__(
        self, features: int, labels: int, settings: LEVISettings, low: float, high: float, binary: bool
    ):
        super().__init__(settings.optimizer)
        self.labels, self.binary = labels, binary
        self.information, self.features = settings.information, settings.features
        latent, hidden, dropout = max(settings.latent, labels), settings.hidden, settings.dropout
        self.encoder = nn.Sequential(
            Linear(features + labels, hidden),
            ELU(),
            Dropout(dropout),
            Linear(hidden, hidden),
            nn.Tanh(),
            Dropout(dropout),
            Linear(hidden, 2 * latent),
        )
        self.decoder = nn.Sequential(
            Linear(latent, hidden),
            nn.Tanh(),
            Dropout(dropout),
            Linear(hidden, hidden),
            ELU(),
            Dropout(dropout),
            Linear(hidden, features),
        )
        self.noise = Noise()
        self.register_buffer("low", torch.tensor([low]))
        self.register_buffer("span", torch.tensor([high - low or 1.0]))
        xavier(self)

    def scaled(self, x: Tensor) -> Tensor:
        return (x - beside(self.low, x)) / beside(self.span, x)

    def encoded(self, x: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        """μ and standard deviation, (B, K) each, of scaled features."""
        mu, raw = self.encoder(torch.cat([x, targets], -1)).chunk(2, -1)
        return mu, -F.logsigmoid(-raw) + 1e-8

    def loss(self, batch: Batch) -> Tensor:
        x = self.scaled(batch.x)
        labels, information, features = self.terms(x, batch.targets)
        return labels + self.information * information + self.features * features

    def terms(self, x: Tensor, targets: Tensor) -> list[Tensor]:
        """Cross-entropy of the labels, KL divergence, error of the features: each a mean over all entries."""
        mu, std = self.encoded(x, targets)
        z, variance = mu + std * self.noise(std), std.square()
        labels = entropies(z[..., -self.labels :], targets)
        information = 0.5 * (mu.square() + variance - (variance + 1e-12).log() - 1)
        decoded = self.decoder(z)
        features = entropies(decoded, x) if self.binary else (decoded - x).square()
        return [entries.mean((-2, -1)) for entries in (labels, information, features)]

    @torch.no_grad()
    def log_distributions(self, data: Rows) -> Tensor:
        """log d of all rows, (N, L), where d = softmax(d*) and d* are the last L entries of μ."""
        self.eval()
        means = [self.encoded(self.scaled(batch.x), batch.targets)[0] for batch in blocks(data)]
        return torch.cat(means)[:, -self.labels :].log_softmax(-1)


def extent(x: Any) -> tuple[float, float, bool]:
    """The least and the greatest entry of the whole matrix, and whether there is no third value."""
    held = x.values if isinstance(x, SparseRows) else x
    if held.numel() < x.shape[0] * x.shape[1]:
        held = torch.cat([held, held.new_zeros(1)])
    least, most = held.aminmax()
    return least.item(), most.item(), bool(((held == least) | (held == most)).all())
