"""Propensity-scored metrics: a rare label that is found counts for more than a frequent one.

The propensity of label l is p_l = 1 / (1 + C (N_l + B)^−A), C = (ln N − 1) (B + 1)^A (Jain et al. 2016), with
N training instances, N_l of which carry the label, A = .55 and B = 1.5; `mlbench.metrics` takes others. C is
0 at least, which concerns N ≤ 2 alone: then all propensities are 1.
"""

from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from mlbench.evaluation.frequency import Frequencies
from mlbench.evaluation.metric import check_shapes, metric_of
from mlbench.evaluation.order import Standing, summarise
from mlbench.evaluation.ranking import DEPTHS, chance_in_top


def rank_relevant(scores: Tensor, targets: Tensor, depths: tuple[int, ...] = DEPTHS) -> "Relevant":
    check_shapes(scores, targets)
    summary = summarise(scores, targets, partial(_summary, depths=depths))
    return Relevant(labels=scores.shape[1], depths=depths, **summary)


def _summary(standing: Standing, depths: tuple[int, ...]) -> dict[str, Tensor]:
    return {
        "size": standing.relevant,
        "broken": standing.broken,
        "label": standing.column,
        "chances": torch.stack([chance_in_top(standing, k) for k in depths], dim=1),
    }


def inverse_propensities(frequencies: Frequencies) -> Tensor:
    """(L,) 1 / p_l."""
    assert frequencies.instances is not None, "propensities need the number of training instances"
    n, a, b = frequencies.instances, frequencies.a, frequencies.b
    c = max(torch.tensor(n, dtype=torch.float64).log().item() - 1, 0) * (b + 1) ** a
    return 1 + c * (frequencies.positives.double() + b) ** -a


def psp_at(relevant: "Relevant", frequencies: Frequencies, k: int) -> Tensor:
    worth = inverse_propensities(frequencies).to(relevant.chances)[relevant.label]
    if relevant.labels < k or relevant.broken.any():
        return worth.new_tensor(torch.nan)
    gained = (worth * relevant.chances[:, relevant.depths.index(k)]).sum()
    return gained / best_top(worth, relevant.size, k)


def best_top(worth: Tensor, size: Tensor, k: int) -> Tensor:
    """Σ over instances of the k largest values of the relevant labels, which stand instance by instance."""
    owner = torch.repeat_interleave(size)
    order = worth.argsort(descending=True, stable=True)
    order = order[owner[order].argsort(stable=True)]
    rank = torch.arange(len(worth), device=worth.device) - (size.cumsum(0) - size)[owner]
    return worth[order][rank < k].sum()


propensity_metric = metric_of(rank_relevant, family="ranking", needs="scores", better="high", counted=True)


@propensity_metric
def psp_at_1(relevant: "Relevant", frequencies: Frequencies) -> Tensor:
    """Σ over instances of 1 / p_l where the top label l is relevant, / the most that an order can have.

    The most: the relevant label with the lowest propensity on top of each instance. So it is a ratio of two
    means over instances, as the extreme classification repository (pyxclib's psprecision) prints it; Jain et
    al. 2016 define the numerator alone, which is no share. Ties: expectation over their order. Empty rows
    count in neither; NaN when all are. precision_at_1's companion.
    """
    return psp_at(relevant, frequencies, 1)


@propensity_metric
def psp_at_3(relevant: "Relevant", frequencies: Frequencies) -> Tensor:
    """Σ over instances and over relevant labels l among the top 3 of 1 / p_l, / the most that an order can
    have; NaN with fewer than 3 labels.

    Conventions of psp_at_1. Both sums have the same divisor 3, also where fewer labels are relevant.
    """
    return psp_at(relevant, frequencies, 3)


@propensity_metric
def psp_at_5(relevant: "Relevant", frequencies: Frequencies) -> Tensor:
    """psp_at_3 with 5 for 3; NaN with fewer than 5 labels."""
    return psp_at(relevant, frequencies, 5)


@dataclass(frozen=True)
class Relevant:
    """What the metrics need to know of the M relevant entries, instance by instance."""

    labels: int
    depths: tuple[int, ...]  # the k of the top k
    size: Tensor  # (N,) relevant labels of an instance
    broken: Tensor  # (N,) whether a score of the instance is NaN
    label: Tensor  # (M,)
    chances: Tensor  # (M, len(depths)) the chance to be among the top k
