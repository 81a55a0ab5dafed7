"""Pairwise ranking: relevant labels above irrelevant ones."""

from torch import Tensor

from mlbench.losses.precision import widened


def ranking(logits: Tensor, targets: Tensor) -> Tensor:
    """Mean over an instance's (relevant k, irrelevant l) of exp(c_l − c_k), c = tanh z; mean over instances.

    BP-MLL (Zhang & Zhou 2006), whose network ends in tanh: a pair costs between e⁻² and e². The sum over
    pairs is a product of two sums. An instance without a pair costs nothing. A soft target counts as relevant
    with weight y and as irrelevant with weight 1 − y; an instance whose weights of either kind add up to less
    than 1 counts that much less.
    """
    outputs = widened(logits).tanh()
    relevant = _mean((-outputs).exp(), targets)
    irrelevant = _mean(outputs.exp(), 1 - targets)
    return (relevant * irrelevant).mean(-1)


def _mean(values: Tensor, weights: Tensor) -> Tensor:
    return (weights * values).sum(-1) / weights.sum(-1).clamp(min=1)
