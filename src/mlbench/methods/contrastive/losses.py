"""Contrastive losses of MulSupCon and MulSupCon_LD, each by a few products of matrices.

B anchors (z, y, d) meet A references (keys, labels, distributions), the first of which are the keys of the
batch. `open` says which of them an anchor meets: (A,), or (B, A) where anchors meet others. Whatever stands
before the last two dimensions is carried along.
"""

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from mlbench.layers import exponential, product
from mlbench.methods.contrastive.queue import References

Positives = Literal["all", "any", "mulsupcon"]
PairWeights = Literal["pair", "instance"]
Weighting = Literal["exp", "neg_log", "literal"]
OwnDistribution = Literal["detached", "live"]
Constants = Literal["own", "positives"]
Normalise = Literal["none", "positives"]

CLOSED = -1e30  # in place of a logit: its exponential is 0 in single precision, and 0 times it is 0


def log_ratios(z: Tensor, keys: Tensor, temperature: float, open: Tensor) -> Tensor:
    """C_ip = log softmax over the open references of z_i·a/τ, at p (Eq. 10)."""
    logits = product(z / temperature, keys.mT)
    return F.log_softmax(logits + CLOSED * ~rows_of(open, logits), -1)


def rows_of(open: Tensor, like: Tensor) -> Tensor:
    """`open` in the dimensions of `like`, (..., B, A)."""
    return open if open.ndim == like.ndim else open.unsqueeze(-2)


def shared(y: Tensor, labels: Tensor, open: Tensor) -> Tensor:
    """How many labels each anchor shares with each open reference, (..., B, A)."""
    inner = product(y, labels.mT)
    return inner * rows_of(open, inner)


def contrast(
    ratios: Tensor,
    y: Tensor,
    labels: Tensor,
    open: Tensor,
    batch: Tensor,
    positives: Positives,
    pair_weights: PairWeights,
) -> Tensor:
    """The loss of MulSupCon (Eq. 1 to 4), or a share of it whose mean over ranks is the loss.

    `batch` are the labels of the whole batch, of which a rank has the anchors `y` and no others.
    """
    share = batch.shape[-2] / y.shape[-2]
    if positives == "mulsupcon":
        weights = pairs(y, labels, open, batch, pair_weights)
    else:
        weights = sets(y, labels, open, batch, positives)
    return -share * (weights * ratios).sum((-2, -1))


def pairs(y: Tensor, labels: Tensor, open: Tensor, batch: Tensor, by: PairWeights) -> Tensor:
    """Weights of C for the mean over pairs of an anchor and a label of its own (Eq. 3, 4).

    Of a pair, the mean over the references that carry the label. A pair counts as any other, or, by
    `instance`, as one of its anchor's pairs, which together weigh 1/B (the code's `with_weight`).
    """
    labels = labels * open.unsqueeze(-1)
    carriers = labels.sum(-2, keepdim=True).clamp(min=1)
    if by == "instance":
        y = y / y.sum(-1, keepdim=True).clamp(min=1)
    count = batch.shape[-2] if by == "instance" else batch.sum((-2, -1)).clamp(min=1)[..., None, None]
    return product(y / carriers, labels.mT) / count


def sets(y: Tensor, labels: Tensor, open: Tensor, batch: Tensor, positives: Positives) -> Tensor:
    """Weights of C for the mean over anchors of the mean over an anchor's positives.

    `all`: references with the very labels of the anchor (Eq. 1); an anchor without labels has those without,
    its own key among them. `any`: references that share a label (Eq. 2); an anchor without labels has none
    and is left out of the mean, for which the published code divides 0 by 0.
    """
    inner = shared(y, labels, open)
    if positives == "any":
        positive = (inner > 0).to(inner)
        count = (batch.sum(-1) > 0).sum(-1).clamp(min=1)[..., None, None]
    else:
        same = (inner == y.sum(-1).unsqueeze(-1)) & (inner == labels.sum(-1).unsqueeze(-2))
        positive = (same & rows_of(open, inner)).to(inner)
        count = batch.shape[-2]
    return positive / positive.sum(-1, keepdim=True).clamp(min=1) / count


def squared_distances(a: Tensor, b: Tensor) -> Tensor:
    """‖a_i − b_p‖², (..., B, A), by inner products."""
    squares = a.square().sum(-1).unsqueeze(-1) + b.square().sum(-1).unsqueeze(-2)
    return (squares - 2 * product(a, b.mT)).clamp(min=0)


def similarity(z: Tensor, keys: Tensor, sigma: float) -> Tensor:
    """w_ip = exp(−‖z_i − z_p‖² / 2σ²) (Eq. 6)."""
    return exponential(squared_distances(z, keys) / (-2 * sigma**2))


def ratio_weights(ratios: Tensor, weighting: Weighting) -> Tensor:
    """w_ip of C_ip (Eq. 10): `literal` as printed, below 0, which drives distributions apart without bound;
    `neg_log` its opposite; `exp` a similarity in [0, 1], as that of Eq. 6."""
    if weighting == "exp":
        return exponential(ratios)
    return ratios if weighting == "literal" else -ratios


def contrast_by_label(ratios: Tensor, y: Tensor, labels: Tensor, distributions: Tensor) -> Tensor:
    """T_i = −Σ_{j∈y_i} Σ_{p∈P^j(i)} d_p^j C_ip (Eq. 12, 13), (..., B); y_p^j is 1 on P^j.

    `ratios` are 0 off the positives.
    """
    return -(product(y, (distributions * labels).mT) * ratios).sum(-1)


def pull(weights: Tensor, d: Tensor, distributions: Tensor) -> Tensor:
    """G_i = Σ_p w_ip ‖d_i − d_p‖² (Eq. 7), (..., B); `weights` are 0 off the positives."""
    means = product(weights, torch.cat([distributions, distributions.square().sum(-1, keepdim=True)], -1))
    cross = (d * means[..., :-1]).sum(-1)
    return weights.sum(-1) * d.square().sum(-1) + means[..., -1] - 2 * cross


def distribution_loss(
    weights: Tensor,
    ratios: Tensor,
    y: Tensor,
    d: Tensor,
    layer: Tensor,
    met: References,
    own_keys: Tensor,
    batch: int,
    *,
    alpha: float,
    beta: float,
    own_distribution: OwnDistribution,
    h: Constants,
    normalise_labels: bool,
    normalise: Normalise,
) -> Tensor:
    """The loss of MulSupCon_LD (Eq. 12 to 15), or a share of it whose mean over ranks is the loss.

    `weights` are w_ip of any anchor and reference, `layer` the label layer's weight W without its bias,
    `own_keys` the positions of the anchors' own keys, `batch` the anchors of all ranks. β‖W‖² counts once an
    anchor.
    """
    positive = shared(y, met.labels, met.open) > 0
    contrasts = contrast_by_label(ratios * positive, y, met.labels, met.distributions)
    if own_distribution == "live":  # the same value; its gradient reaches d_i
        ratio = ratios[..., torch.arange(len(own_keys), device=own_keys.device), own_keys]
        contrasts = contrasts - ((d - d.detach()) * y).sum(-1) * ratio
    pulls = pull(weights * positive, d, met.distributions)
    truth, labels = (of_one(y), of_one(met.labels)) if normalise_labels else (y, met.labels)
    distances = (truth - d).square().sum(-1)  # H_i (Eq. 8): of its own row, which alone trains
    if h == "positives":
        constants = (labels - met.distributions).square().sum(-1)
        others = product(positive.to(constants), constants.unsqueeze(-1)).squeeze(-1)
        distances = distances + others - constants[..., own_keys] * (y.sum(-1) > 0)
    size = layer.square().sum((-2, -1)).unsqueeze(-1)
    if normalise == "positives":
        count = positive.sum(-1).clamp(min=1)
        return ((contrasts + pulls) / count + alpha * distances + beta * size).mean(-1)
    losses = contrasts + pulls + alpha * distances + beta * size
    return batch / y.shape[-2] * losses.sum(-1)


def of_one(labels: Tensor) -> Tensor:
    """Label rows that sum to 1, as distributions do; those without labels stay 0."""
    return labels / labels.sum(-1, keepdim=True).clamp(min=1)
