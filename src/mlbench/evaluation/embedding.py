"""Metrics of an embedding.

A run with `outputs.embeddings=true` has them beside the others, under its selection rule. An embedding is
what the backbone gives of a row, a vector, which is first divided by its length: z. Alignment and uniformity
are Wang and Isola's (ICML 2020); the others probe what the nearest training rows tell.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import torch
import torch.nn.functional as F
from torch import Tensor

from mlbench.evaluation.metric import Better
from mlbench.evaluation.suite import evaluate

NEIGHBOURS = 10
BLOCK = 2**22  # pairs of rows at once, in double precision
TIED = 1e-9  # similarities that are less apart are one


def probe(better: Better) -> Callable[[Callable[["Embedded"], Tensor]], "Probe"]:
    return lambda reduce: Probe(reduce.__name__, better, reduce)


@dataclass(frozen=True)
class Probe:
    """Called with the embedded parts, it gives a number; its docstring is that of `reduce`."""

    name: str
    better: Better
    reduce: Callable[["Embedded"], Tensor]


@dataclass(frozen=True)
class Pairs:
    """Sums over all pairs of rows."""

    count: int
    sharing: Tensor  # the number of pairs that share a label
    distance: Tensor  # the sum of ‖z_i − z_j‖² over pairs that share a label
    closeness: Tensor  # the sum of exp(−2 ‖z_i − z_j‖²) over all pairs


class Embedded:
    """A part and the training part: vectors (N, width), of any length, and targets (N, L)."""

    def __init__(self, part: tuple[Tensor, Tensor], training: tuple[Tensor, Tensor]):
        self.z, self.targets = unit(part[0]), part[1] != 0
        self.known, self.labels = unit(training[0]), training[1] != 0

    @cached_property
    def pairs(self) -> Pairs:
        rows, labels = len(self.z), self.targets.float()
        squares = self.z.square().sum(-1)
        index = torch.arange(rows, device=self.z.device)
        sharing, distance, closeness = self.z.new_zeros(3)
        for some in index.split(max(1, BLOCK // rows)):
            apart = squares[some, None] + squares - 2 * (self.z[some] @ self.z.T)
            apart = apart.clamp(min=0)
            once = index > some[:, None]
            share = once & (labels[some] @ labels.T > 0)
            sharing += share.sum()
            distance += (apart * share).sum()
            closeness += ((-2 * apart).exp() * once).sum()
        return Pairs(rows * (rows - 1) // 2, sharing, distance, closeness)

    @cached_property
    def by_neighbours(self) -> dict[str, float]:
        scores = neighbours(self.z, self.known, self.labels)
        return evaluate(scores, scores > 0.5, self.targets, ["ap_macro", "f1_macro"])


def unit(vectors: Tensor) -> Tensor:
    """The vectors divided by their lengths, in double precision; a vector of zeros stays."""
    return F.normalize(vectors.double(), dim=-1)


def neighbours(z: Tensor, known: Tensor, labels: Tensor, count: int = NEIGHBOURS) -> Tensor:
    """For each of z the share of its nearest among `known`, by cosine, that carries a label: (N, L).

    Where several are equally near and not all of them count, the expectation over their order.
    """
    count = min(count, len(known))
    carried = labels.double()
    scores = []
    for some in z.split(max(1, BLOCK // len(known))):
        similarity = some @ known.T
        last = similarity.topk(count).values[:, -1:]
        nearer, level = similarity > last + TIED, (similarity - last).abs() <= TIED
        left = (count - nearer.sum(-1, keepdim=True)).double()
        weights = nearer + level * (left / level.sum(-1, keepdim=True))
        scores.append((weights @ carried / count).clamp(max=1))
    return torch.cat(scores)


@probe("low")
def alignment(embedded: Embedded) -> Tensor:
    """Mean of ‖z_i − z_j‖² over all pairs of test rows that share a label.

    Wang and Isola's with α = 2. Their pairs are two views of an instance. Ours share a label, as those that
    MulSupCon pulls together; of many labels few rows share the whole set. A pair counts once, however many
    labels it shares. NaN where no two rows share any.
    """
    return embedded.pairs.distance / embedded.pairs.sharing


@probe("low")
def uniformity(embedded: Embedded) -> Tensor:
    """log of the mean of exp(−2 ‖z_i − z_j‖²) over all pairs of test rows.

    Wang and Isola's with t = 2. 0 where all vectors are one; NaN for a single row.
    """
    return (embedded.pairs.closeness / embedded.pairs.count).log()


@probe("high")
def knn_ap_macro(embedded: Embedded) -> Tensor:
    """ap_macro of a label's share among the 10 training rows whose vectors are nearest by cosine.

    Equally near: expectation over their order. With fewer training rows all of them count.
    """
    return embedded.z.new_tensor(embedded.by_neighbours["ap_macro"])


@probe("high")
def knn_f1_macro(embedded: Embedded) -> Tensor:
    """f1_macro of the labels that more than half of these 10 rows carry."""
    return embedded.z.new_tensor(embedded.by_neighbours["f1_macro"])


PROBES: dict[str, Probe] = {name: member for name, member in vars().items() if isinstance(member, Probe)}


def probed(part: tuple[Tensor, Tensor], training: tuple[Tensor, Tensor]) -> dict[str, float]:
    """All metrics of an embedding, of (vectors, targets) of a part and of the training part."""
    embedded = Embedded(part, training)
    return {name: probe.reduce(embedded).item() for name, probe in PROBES.items()}
