"""Sorts lists of entries by score and finds the positions of the relevant entries.

Every metric of scores needs these positions: among an instance's labels (`ranking`), among a label's
instances, or among all entries (`curves`). No metric sums over irrelevant entries: it is enough to know of
each relevant entry how many entries, and how many relevant ones, stand above it. So after one sort the work
is proportional to the number of relevant entries, which is small in multi-label data.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from mlbench.evaluation.metric import promoted

# Entries that are sorted at a time. Sorting takes about 50 bytes an entry: 200 MB a block.
BLOCK = 1 << 22


def summarise(
    scores: Tensor, targets: Tensor, summary: Callable[["Standing"], dict[str, Tensor]]
) -> dict[str, Tensor]:
    """`summary` of every row of `scores`, in blocks of rows, which bound the memory. A row is never cut."""
    step = max(1, BLOCK // scores.shape[1])
    parts = [summary(standing(s, t)) for s, t in zip(scores.split(step), targets.split(step))]
    return {name: torch.cat([part[name] for part in parts]) for name in parts[0]}


def standing(scores: Tensor, targets: Tensor) -> "Standing":
    """Sorts each row, highest score first, equal scores in array order, and finds its relevant entries."""
    lists, entries = scores.shape
    ordered, order = promoted(scores).contiguous().sort(dim=1, descending=True, stable=True)
    relevant = targets.bool().gather(1, order)
    broken = ordered[:, 0].isnan()  # a sort puts NaN first

    opens = torch.ones_like(relevant)  # where a group of equal scores begins
    torch.ne(ordered[:, 1:], ordered[:, :-1], out=opens[:, 1:])
    first = opens.flatten().nonzero().squeeze(1)
    stop = torch.cat([first[1:], first.new_tensor([lists * entries])])
    position = relevant.flatten().nonzero().squeeze(1)
    column = order.flatten()[position]
    del order
    group = opens.flatten().cumsum(0)[position] - 1

    owner = position // entries
    base = owner * entries
    size = relevant.sum(1)
    before = (size.cumsum(0) - size)[owner]  # relevant entries of earlier lists
    _, tie, tie_size = group.unique_consecutive(return_inverse=True, return_counts=True)
    tie_stop = tie_size.cumsum(0)
    return Standing(
        entries=entries,
        relevant=size,
        broken=broken,
        owner=owner,
        column=column,
        rank=(position - base + 1).double(),
        above=(first[group] - base).double(),
        within=(stop[group] - base).double(),
        relevant_rank=(torch.arange(1, len(position) + 1, device=position.device) - before).double(),
        relevant_above=((tie_stop - tie_size)[tie] - before).double(),
        relevant_within=(tie_stop[tie] - before).double(),
    )


def average_precision(standing: "Standing") -> Tensor:
    """Mean over the relevant entries of the precision among the entries scored at least as high.

    This is Σ over distinct scores of (recall gained) × precision; 0 without relevant entries.
    """
    return standing.mean(standing.relevant_within / standing.within)


def area_under_roc(standing: "Standing") -> Tensor:
    """Share of (relevant, irrelevant) pairs in the right order, a tie counts ½; NaN without such a pair."""
    irrelevant_above = standing.above - standing.relevant_above
    irrelevant_tied = standing.within - standing.relevant_within - irrelevant_above
    return 1 - standing.total(irrelevant_above + irrelevant_tied / 2) / standing.pairs


@dataclass(frozen=True)
class Standing:
    """The M relevant entries of some lists of equal length, list after list, best first. Ranks begin at 1.

    The counts are exact: float64 holds whole numbers up to 2^53.
    """

    entries: int  # length of a list
    relevant: Tensor  # (lists,) number of relevant entries
    broken: Tensor  # (lists,) whether a score is NaN, which makes every sum over the list NaN
    owner: Tensor  # (M,) the number of the list that holds the entry; increasing
    column: Tensor  # (M,) the entry's place in the list before it was sorted
    rank: Tensor  # (M,) the entry's position, ties in array order
    above: Tensor  # (M,) entries with a higher score
    within: Tensor  # (M,) entries with a score at least as high, the entry itself among them
    relevant_rank: Tensor  # (M,) the same three counts among the relevant entries of the list
    relevant_above: Tensor
    relevant_within: Tensor

    @property
    def pairs(self) -> Tensor:
        """(lists,) number of (relevant, irrelevant) pairs."""
        return self.relevant.double() * (self.entries - self.relevant)

    def total(self, values: Tensor) -> Tensor:
        """(lists,) sum of a value of each relevant entry; 0 for a list without any."""
        return self._reduce(values, "sum")

    def largest(self, values: Tensor) -> Tensor:
        """(lists,) the largest value; 0 for a list without relevant entries."""
        return self._reduce(values, "max")

    def mean(self, values: Tensor) -> Tensor:
        """(lists,) mean over the relevant entries; 0 for a list without any."""
        return self.total(values) / self.relevant.clamp(min=1)

    def _reduce(self, values: Tensor, reduction: str) -> Tensor:
        # On a GPU, scattered additions sum in another order each time; segments give the same bits.
        reduced = torch.segment_reduce(values, reduction, lengths=self.relevant, initial=0, unsafe=True)
        return reduced.masked_fill_(self.broken, torch.nan)
