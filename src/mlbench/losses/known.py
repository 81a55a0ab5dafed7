"""Sums over entries from which the unknown ones are left out."""

from torch import Tensor


def mean(entries: Tensor, known: Tensor | None) -> Tensor:
    """The mean over instances and labels of (..., B, L); `known` is 0 for an entry to leave out, else 1.

    A batch without a known entry has the mean 0.
    """
    if known is None:
        return entries.mean((-2, -1))
    return (entries * known).sum((-2, -1)) / known.sum((-2, -1)).clamp(min=1)


def mean_of_sums(entries: Tensor, known: Tensor | None) -> Tensor:
    """The mean over instances of the sum over labels."""
    return (entries if known is None else entries * known).sum(-1).mean(-1)
