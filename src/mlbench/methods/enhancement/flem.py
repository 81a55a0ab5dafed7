"""FLEM: a classifier and an estimator of label distributions learn together (Fusion Label Enhancement for
Multi-Label Learning, IJCAI 2022).

The estimator g sees an instance and its labels; the classifier f learns from g's distributions and g from
what f predicts, neither through the other. Only f is needed to predict.
"""

from collections.abc import Iterator
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mlbench.data.rows import Batch, Rows
from mlbench.data.task import Task
from mlbench.layers import BatchNorm1d, Linear
from mlbench.methods.base import Backbone, Loss, Parts, Stage
from mlbench.methods.enhancement.classifier import (
    EnhancementMethod,
    Positive,
    Share,
    Weight,
    blocks,
    divergence,
    kaiming,
    products,
)

SLOPE = 0.01  # of the leaky rectifier; the authors' code
LIMIT = 16.118096  # logit of 1 − 1e-7, beyond which L_IN does not look at p*; the authors' code
REMEMBERED = 5  # norms that the clipping looks back on; the authors' code


class FLEM(EnhancementMethod):
    discarded = ("estimator", "norms")
    w_le: Tensor
    norms: Tensor

    def __init__(
        self,
        task: Task,
        backbone: Backbone,
        loss: Loss,
        strategy: Literal["S", "T", "D"],
        w_ld: Share,
        w_le: Share,
        interaction: bool,
        gamma_positive: Weight,
        gamma_negative: Weight,
        margin: float,
        reduction: Literal["mean", "sum"],
        hidden: Positive,
        clipping: bool,
        bias_decay: Weight,
    ):
        super().__init__(task, backbone, loss, w_ld, bias_decay)
        self.strategy = strategy
        self.interaction = interaction
        self.gamma_positive = gamma_positive
        self.gamma_negative = gamma_negative
        self.margin = margin
        self.reduction = reduction
        self.clipping = clipping
        self.estimator = Estimator(task.features, len(task.labels), hidden)
        kaiming(self.estimator)
        self.register_buffer("w_le", torch.tensor(w_le), persistent=False)
        # The gradient's last norms, the newest at the end. While the ∞ is among them, nothing is clipped.
        self.register_buffer("norms", torch.tensor([0.0] * (REMEMBERED - 1) + [torch.inf]))

    def learn(self, data: Parts) -> Iterator[Stage]:
        yield from super().learn(data)
        self.recovered = self.to(data["train"].device).degrees(data["train"])

    @torch.no_grad()
    def degrees(self, data: Rows) -> Tensor:
        """g's label distributions of all rows, (N, L); its batch norms see a block of rows at a time."""
        return torch.cat([self.estimator(batch.x, batch.targets).softmax(-1) for batch in blocks(data)])

    def loss(self, batch: Batch) -> Tensor:
        logits = self.logits(batch)
        log_p = logits.log_softmax(-1)
        raw = self.estimator(batch.x, batch.targets)
        log_d = raw.log_softmax(-1)
        enhancement = self.w_le * self.enhancement(batch, log_p.detach(), raw, log_d)
        if self.interaction:
            gammas = self.gamma_positive, self.gamma_negative
            seen = interaction(logits.detach(), raw, batch.targets, *gammas)
            enhancement = enhancement + (1 - self.w_le) * seen  # L_LDE, Eq. 8
        return self.classification(logits, log_p, batch.targets, log_d) + enhancement

    def enhancement(self, batch: Batch, log_p: Tensor, raw: Tensor, log_d: Tensor) -> Tensor:
        """L_LE by the strategy (Eq. 2 to 6)."""
        if self.strategy == "S":
            return similarity(batch.x, raw)
        if self.strategy == "T":
            rows = threshold(raw, batch.targets, self.margin)
            return rows.mean(-1) if self.reduction == "mean" else rows.sum(-1)
        return divergence(log_p, log_d)  # Eq. 6

    @torch.no_grad()
    def before_step(self) -> None:
        """Clips the gradient of f and g, as one vector, to five times the largest of its last norms."""
        if self.clipping:
            gradients = [parameter.grad for parameter in self.parameters() if parameter.grad is not None]
            clip(gradients, self.norms)


class Estimator(nn.Module):
    """g (Eq. 1): (x, l) → d*, whose softmax is the label distribution."""

    def __init__(self, features: int, labels: int, hidden: int):
        super().__init__()
        self.feature = Residual(features, hidden)
        self.label = Residual(labels, hidden)
        self.decoder = Residual(2 * hidden, labels)

    def forward(self, x: Tensor, targets: Tensor) -> Tensor:
        return self.decoder(torch.cat([self.feature(x), self.label(targets)], -1))


class Residual(nn.Module):
    """u + W u + b, where u is a layer's output, rectified, then normalised over the batch."""

    def __init__(self, width: int, hidden: int):
        super().__init__()
        self.entry = nn.Sequential(Linear(width, hidden), nn.LeakyReLU(SLOPE), BatchNorm1d(hidden))
        self.more = Linear(hidden, hidden)

    def forward(self, x: Tensor) -> Tensor:
        x = self.entry(x)
        return x + self.more(x)


def similarity(x: Tensor, raw: Tensor) -> Tensor:
    """How far cosines of d* are from those of the features, over all pairs of a batch (Eq. 2 to 4)."""
    return (cosines(x) - cosines(raw)).square().mean((-2, -1))


def cosines(rows: Tensor) -> Tensor:
    """(..., B, B)."""
    return products(F.normalize(rows, dim=-1))


def threshold(raw: Tensor, targets: Tensor, margin: float) -> Tensor:
    """By how much an irrelevant label's d* exceeds a relevant one's, at most, in each row (Eq. 5).

    0 in a row that has no label of one kind.
    """
    relevant = targets > 0
    highest = raw.masked_fill(relevant, -torch.inf).amax(-1)
    lowest = raw.masked_fill(~relevant, torch.inf).amin(-1)
    return (highest - lowest + margin).relu()


def interaction(
    logits: Tensor, raw: Tensor, targets: Tensor, gamma_positive: Weight, gamma_negative: Weight
) -> Tensor:
    """L_IN (Eq. 7): cross-entropy of σ(d*), entries weighed by what f gets wrong; no gradient through f."""
    raw = raw.clamp(-LIMIT, LIMIT)
    relevant = power(-logits, gamma_positive) * F.logsigmoid(raw)
    irrelevant = power(logits, gamma_negative) * F.logsigmoid(-raw)
    return -(targets * relevant + (1 - targets) * irrelevant).mean((-2, -1))


def power(logits: Tensor, gamma: Weight) -> Tensor | float:
    """σ(logits)^γ."""
    return (gamma * F.logsigmoid(logits)).exp() if gamma else 1.0


def clip(gradients: list[Tensor], norms: Tensor) -> None:
    """Clips gradients to norm 5·m, m the largest of `norms` (..., 5); min(norm, 2·m, 1) then joins `norms`.

    Gradients begin with the dimensions that `norms` has before its last: each replica has its own norm.
    """
    before, norm = norms.ndim - 1, torch.linalg.vector_norm
    if before:
        by_gradient = [norm(gradient.flatten(before), dim=-1) for gradient in gradients]
    else:
        by_gradient = torch._foreach_norm(gradients)  # pyright: ignore[reportPrivateImportUsage]
    current = norm(torch.stack([*by_gradient], -1), dim=-1)
    largest = norms.amax(-1)
    shares = (5 * largest / (current + 1e-6)).clamp(max=1)
    if before:
        for gradient in gradients:
            gradient.mul_(shares.view(*shares.shape, *[1] * (gradient.ndim - before)))
    else:
        torch._foreach_mul_(gradients, shares)  # pyright: ignore[reportPrivateImportUsage]
    newest = torch.minimum(current, 2 * largest).clamp(max=1)
    norms.copy_(torch.cat([norms[..., 1:], newest.unsqueeze(-1)], -1))
