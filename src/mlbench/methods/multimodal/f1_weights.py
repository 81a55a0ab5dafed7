"""A label's weight in a step's loss: how far the F1 of the step before depends on the label (M3LA, Eq. 18).

The paper says "a cost function" and no more. Eq. 18 is that of RethinkNet (Yang, Lin, Chu, Lin 2019), whose
choices are taken: predictions are cut at ½, two empty sets have F1 = 1, no gradient goes through a weight.
"""

import torch
from torch import Tensor


@torch.no_grad()
def f1_weights(predicted: Tensor, targets: Tensor, rescale: bool, rows: Tensor | None = None) -> Tensor:
    """|F1 without label k − F1 with label k| for every k, (..., B, L). `rescale` divides by the mean over
    labels and `rows` (..., B), by default all, unless this mean is 0.
    """
    positive = (predicted > 0.5).to(targets)
    hits = positive * targets
    others = hits.sum(-1, keepdim=True) - hits
    size = (
        positive.sum(-1, keepdim=True) - positive + targets.sum(-1, keepdim=True)
    )  # without k, and the true
    without = torch.where(size > 0, 2 * others / size.clamp(min=1), 1)
    weights = (without - 2 * (others + targets) / (size + 1)).abs()
    if not rescale:
        return weights
    if rows is None:
        mean = weights.mean((-2, -1), keepdim=True)
    else:
        counted = rows.to(weights).unsqueeze(-1)
        total, count = (weights * counted).sum((-2, -1), keepdim=True), counted.sum((-2, -1), keepdim=True)
        mean = total / (count * weights.shape[-1]).clamp(min=1)
    return weights / torch.where(mean > 0, mean, 1)
