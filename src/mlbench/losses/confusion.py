"""Scores of the confusion matrix as losses: one minus a score in which soft predictions stand for hard ones.

Counts are summed over the batch, which should therefore be large (256 in the sigmoidF1 paper, TMLR 2022).
"""

from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor

from mlbench.losses.precision import widened

Score = Literal["f_beta", "accuracy", "precision", "recall", "specificity", "npv"]
Reduction = Literal["macro", "pooled"]
Positive = Annotated[float, Field(gt=0)]

LEAST = 1e-7  # instances: a smaller denominator counts as this many. 1e-16 in the paper, lost in float32


def confusion(
    logits: Tensor,
    targets: Tensor,
    score: Score,
    beta: Positive | None,
    slope: Positive,
    offset: float,
    on: Literal["probabilities", "logits"],
    reduction: Reduction,
) -> Tensor:
    """1 − score, predictions s = σ(slope·(u + offset)), u = σ(z) or z (sigmoidF1, Eq. 6 and Sec. 4.4).

    Per label, then the mean over labels (macro), or from the counts of all labels together (pooled).
    """
    if (score == "f_beta") != (beta is not None):
        raise ValueError("score=f_beta takes a beta, the other scores take beta=null")
    logits = widened(logits)
    position = logits.sigmoid() if on == "probabilities" else logits
    return 1 - measured(torch.sigmoid(slope * (position + offset)), targets, score, beta, reduction)


def unbounded_f1(logits: Tensor, targets: Tensor, reduction: Reduction) -> Tensor:
    """1 − F1 with s = z itself (sigmoidF1's unbounded F1): it can diverge."""
    return 1 - measured(widened(logits), targets, "f_beta", 1.0, reduction)


# Counts over fewer instances a batch are too coarse; `assemble` warns of smaller batches.
confusion.least_batch = unbounded_f1.least_batch = 32


def measured(
    predictions: Tensor, targets: Tensor, score: Score, beta: float | None, reduction: Reduction
) -> Tensor:
    """The score of soft predictions; 0/0 counts 0."""
    dimensions = -2 if reduction == "macro" else (-2, -1)
    true_positive = (predictions * targets).sum(dimensions)
    false_positive = (predictions * (1 - targets)).sum(dimensions)
    false_negative = ((1 - predictions) * targets).sum(dimensions)
    true_negative = ((1 - predictions) * (1 - targets)).sum(dimensions)
    if score == "f_beta":
        assert beta is not None, "confusion refuses f_beta without one"
        hits, misses = (1 + beta**2) * true_positive, beta**2 * false_negative + false_positive
    elif score == "accuracy":
        hits, misses = true_positive + true_negative, false_positive + false_negative
    elif score == "precision":
        hits, misses = true_positive, false_positive
    elif score == "recall":
        hits, misses = true_positive, false_negative
    elif score == "specificity":
        hits, misses = true_negative, false_positive
    else:  # negative predictive value
        hits, misses = true_negative, false_negative
    total = hits + misses
    value = hits / torch.where(total.abs() < LEAST, LEAST, total)
    return value.mean(-1) if reduction == "macro" else value
