"""Metrics of the order of labels within an instance.

Every function takes (scores, targets), both (N, L), and returns a 0-d float64 tensor. Only the order of the
scores within a row matters. A row is empty without relevant labels, full without irrelevant ones, and mixed
otherwise. A NaN score in a row that counts makes the metric NaN.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from mlbench.evaluation.metric import Better, Metric, check_shapes, mean_where, metric_of
from mlbench.evaluation.order import Standing, area_under_roc, average_precision, summarise

DEPTHS = (1, 3, 5)  # of metrics of the top k that are always measured; `suite.find` knows those of others


def rank_labels(scores: Tensor, targets: Tensor, depths: tuple[int, ...] = DEPTHS) -> "Rankings":
    check_shapes(scores, targets)
    summary = summarise(scores, targets, partial(_summary, depths=depths))
    return Rankings(labels=scores.shape[1], depths=depths, **summary)


def _summary(standing: Standing, depths: tuple[int, ...]) -> dict[str, Tensor]:
    irrelevant_within = standing.within - standing.relevant_within
    discounts = discounts_to(standing.entries, standing.within)
    gains = [standing.total(expected_discount(standing, discounts, k)) for k in depths]
    best = discounts[standing.relevant.unsqueeze(1).clamp(max=standing.relevant.new_tensor(depths))]
    return {
        "relevant": standing.relevant,
        "misordered": standing.total(irrelevant_within) / standing.pairs,
        "depth": standing.largest(standing.within),
        "in_top": torch.stack([standing.total(chance_in_top(standing, k)) for k in depths], dim=1),
        "gain": torch.stack(gains, dim=1) / best,
        "average_precision": average_precision(standing),
        "area_under_roc": area_under_roc(standing),
    }


def chance_in_top(standing: Standing, k: int) -> Tensor:
    """(M,) Ties at rank k leave several possible tops: the chance of each relevant entry to be in the top if
    the entries of equal score are shuffled."""
    return ((k - standing.above) / (standing.within - standing.above)).clamp(0, 1)


def discounts_to(entries: int, like: Tensor) -> Tensor:
    """(entries + 1,) Σ over ranks r = 1, ..., n of 1 / log2(r + 1), for n = 0, 1, ..., entries."""
    ranks = torch.arange(1, entries + 1, dtype=like.dtype, device=like.device)
    return torch.cat([ranks.new_zeros(1), (1 / (ranks + 1).log2()).cumsum(0)])


def expected_discount(standing: Standing, discounts: Tensor, k: int) -> Tensor:
    """(M,) the discount of each relevant entry's rank, 0 below rank k, in the mean over the order of ties."""
    above, within = standing.above, standing.within
    of_ties = discounts[within.clamp(max=k).long()] - discounts[above.clamp(max=k).long()]
    return of_ties / (within - above)


def ranking_metric(better: Better) -> Callable[..., Metric]:
    return metric_of(rank_labels, family="ranking", needs="scores", better=better, of_instances=True)


def precision_at(rankings: "Rankings", k: int) -> Tensor:
    if rankings.labels < k:
        return rankings.in_top.new_tensor(torch.nan)
    return (rankings.in_top[:, rankings.depths.index(k)] / k).mean()


def recall_at(rankings: "Rankings", k: int) -> Tensor:
    if rankings.labels < k:
        return rankings.in_top.new_tensor(torch.nan)
    return (rankings.in_top[:, rankings.depths.index(k)] / rankings.relevant.clamp(min=1)).mean()


def gain_at(rankings: "Rankings", k: int) -> Tensor:
    if rankings.labels < k:
        return rankings.gain.new_tensor(torch.nan)
    return torch.where(rankings.relevant > 0, rankings.gain[:, rankings.depths.index(k)], 0).mean()


@ranking_metric("low")
def ranking_loss(rankings: "Rankings") -> Tensor:
    """Mean over instances of the share of (relevant, irrelevant) pairs in the wrong order.

    Ties count as wrong. Empty and full rows count 0 and stay in the mean. scikit-learn's label_ranking_loss;
    FLEM. torchmetrics' differs: it orders ties by position.
    """
    return torch.where(rankings.mixed, rankings.misordered, 0).mean()


@ranking_metric("low")
def ranking_loss_defined(rankings: "Rankings") -> Tensor:
    """ranking_loss over the instances for which it is defined: empty and full rows are left out.

    Ties count as wrong. NaN without a mixed row. LIMO, and with it M3LA.
    """
    return mean_where(rankings.misordered, rankings.mixed)


@ranking_metric("low")
def coverage(rankings: "Rankings") -> Tensor:
    """Mean over instances of how many labels, best first, one takes to hold all relevant ones: max rank.

    A number of labels. Ties have the worst rank of their group. An empty row counts 0, a full row L.
    scikit-learn's and torchmetrics' coverage_error; M3LA.
    """
    return rankings.depth.mean()


@ranking_metric("low")
def coverage_normalised(rankings: "Rankings") -> Tensor:
    """coverage / L: a share of the labels. An empty row counts 0, a full row 1."""
    return rankings.depth.mean() / rankings.labels


@ranking_metric("low")
def coverage_steps(rankings: "Rankings") -> Tensor:
    """Mean over instances of the steps below the top label until all relevant ones are held: max rank − 1.

    A number of labels. Ties have the worst rank of their group. An empty row counts 0, a full row L − 1.
    Mulan and LIMO, which give tied labels different ranks; LIMO counts an empty row −1.
    """
    return (rankings.depth - 1).clamp(min=0).mean()


@ranking_metric("low")
def coverage_minus_one_normalised(rankings: "Rankings") -> Tensor:
    """(coverage − 1) / L. Differs from coverage_steps / L in that an empty row counts −1/L. FLEM."""
    return (rankings.depth.mean() - 1) / rankings.labels


@ranking_metric("low")
def one_error(rankings: "Rankings") -> Tensor:
    """1 − precision_at_1: share of instances whose top label is irrelevant.

    Ties as there. Empty rows count 1, full rows 0.
    """
    return 1 - precision_at(rankings, 1)


@ranking_metric("high")
def precision_at_1(rankings: "Rankings") -> Tensor:
    """Share of instances whose top label is relevant.

    Where k labels share the top score, the share of them that is relevant: the expectation over their
    order, so that the order of the columns is without influence. Empty rows count 0, full rows 1.
    MulSupCon's p@1.
    """
    return precision_at(rankings, 1)


@ranking_metric("high")
def precision_at_3(rankings: "Rankings") -> Tensor:
    """Mean over instances of (relevant labels among the top 3) / 3; NaN with fewer than 3 labels.

    Divided by 3 even where fewer labels are relevant. Ties at the border: expectation over their order. Empty
    rows count 0, full rows 1.
    """
    return precision_at(rankings, 3)


@ranking_metric("high")
def precision_at_5(rankings: "Rankings") -> Tensor:
    """precision_at_3 with 5 for 3; NaN with fewer than 5 labels."""
    return precision_at(rankings, 5)


@ranking_metric("high")
def recall_at_1(rankings: "Rankings") -> Tensor:
    """Mean over instances of the share of the relevant labels that the top label holds.

    The top 1, so at most 1 / (relevant labels). Ties: expectation over their order. Empty rows count 0.
    """
    return recall_at(rankings, 1)


@ranking_metric("high")
def recall_at_3(rankings: "Rankings") -> Tensor:
    """Mean over instances of (relevant labels among the top 3) / (relevant labels); NaN with fewer than 3
    labels.

    Divided by the number of relevant labels even where it is more than 3. Ties at the border: expectation
    over their order. Empty rows count 0.
    """
    return recall_at(rankings, 3)


@ranking_metric("high")
def recall_at_5(rankings: "Rankings") -> Tensor:
    """recall_at_3 with 5 for 3; NaN with fewer than 5 labels."""
    return recall_at(rankings, 5)


@ranking_metric("high")
def ndcg_at_3(rankings: "Rankings") -> Tensor:
    """Mean over instances of DCG / (the best DCG that an order can have), DCG = Σ over relevant labels at
    rank r ≤ 3 of 1 / log2(r + 1); NaN with fewer than 3 labels.

    The best has min(3, relevant labels) labels on top. Ties: expectation over their order. Empty rows count
    0, full rows 1. scikit-learn's ndcg_score, k=3; nDCG@3 of the extreme classification repository.
    """
    return gain_at(rankings, 3)


@ranking_metric("high")
def ndcg_at_5(rankings: "Rankings") -> Tensor:
    """ndcg_at_3 with 5 for 3; NaN with fewer than 5 labels. (With 1 it is precision_at_1.)"""
    return gain_at(rankings, 5)


@ranking_metric("high")
def ap_example(rankings: "Rankings") -> Tensor:
    """Label-ranking average precision: mean over instances, and over the relevant labels of each, of
    |relevant labels scored at least as high| / |labels scored at least as high|.

    Ties have the worst rank of their group. Empty and full rows count 1. scikit-learn's
    label_ranking_average_precision_score; torchmetrics' multilabel_ranking_average_precision.
    """
    return torch.where(rankings.relevant > 0, rankings.average_precision, 1).mean()


@ranking_metric("high")
def ap_example_defined(rankings: "Rankings") -> Tensor:
    """ap_example over the instances for which it is defined: empty rows are left out; full rows count 1.

    NaN when all rows are empty. Mulan, which gives tied labels different ranks.
    """
    return mean_where(rankings.average_precision, rankings.relevant > 0)


@ranking_metric("high")
def auc_example(rankings: "Rankings") -> Tensor:
    """Mean over instances of the share of (relevant, irrelevant) pairs in the right order.

    Ties count ½. Empty and full rows are left out; NaN without a mixed row. M3LA; LIMO, but
    for ties, which it does not count ½; scikit-learn's roc_auc_score, average="samples", on the mixed rows.
    """
    return mean_where(rankings.area_under_roc, rankings.mixed)


@dataclass(frozen=True)
class Rankings:
    """What the metrics need to know of each instance."""

    labels: int
    depths: tuple[int, ...]  # the k of the top k
    relevant: Tensor  # (N,) number of relevant labels
    misordered: Tensor  # (N,) share of misordered pairs, ties included; NaN without a pair
    depth: Tensor  # (N,) rank of the last relevant label; 0 without any
    in_top: Tensor  # (N, len(depths)) expected number of relevant labels among the top k
    gain: Tensor  # (N, len(depths)) expected DCG of the top k / the best DCG; NaN without relevant labels
    average_precision: Tensor  # (N,) 0 without relevant labels
    area_under_roc: Tensor  # (N,) NaN without a pair

    @property
    def mixed(self) -> Tensor:
        return (self.relevant > 0) & (self.relevant < self.labels)
