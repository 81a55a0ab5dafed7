"""ANT's transfer of labels between teachers and the integration of their outputs, batched over instances.

Everything works on logits: a label is positive when its logit is above 0.
"""

from collections.abc import Callable, Iterator, Sequence
from itertools import accumulate, permutations
from typing import Literal, NamedTuple

import torch
from torch import Tensor

from mlbench.methods.amalgamation.label_sets import Expert

TREES = 1024  # grown at once

Experts = Sequence[Sequence[Expert]]  # of each label
Outputs = Sequence[Tensor]  # a teacher's logits each, (N, L_t)
Rerun = Callable[[int, Tensor, Tensor], Tensor]  # (teacher, rows, initial logits) -> its final logits
Fires = Literal["exactly_one", "pairwise"]
HandOn = Literal["revised", "first_pass"]


class Transferred(NamedTuple):
    targets: Tensor  # (N, L) logits
    transfers: int  # that the first pass set off
    hops: int  # those, and all that followed from them: second passes of a teacher over an instance


class Hops(NamedTuple):
    """One expert hands its logit for a label to another, (H,) each; a column is one of all teachers' columns,
    side by side.
    """

    label: Tensor
    giver: Tensor  # the giver's column of the label
    taker: Tensor  # the taker's
    teacher: Tensor  # who takes
    reverse: Tensor  # the hop back


def extremes(low: Tensor, high: Tensor) -> Tensor:
    """The smallest if none is positive, else the largest (ANT, Eq. 5)."""
    return torch.where(high > 0, high, low)


def integrate(outputs: Outputs, experts: Experts) -> Tensor:
    """(N, L): over the experts of a label, all ≤ 0 → the smallest, else the largest (ANT, Eq. 5)."""
    return integrated(beside(outputs), padded(outputs, experts))


def integrated(said: Tensor, columns: Tensor) -> Tensor:
    by_expert = said[:, columns]
    return extremes(by_expert.amin(-1), by_expert.amax(-1))


def mean(outputs: Outputs, experts: Experts) -> Tensor:
    """(N, L): the mean over the experts of a label."""
    said = beside(outputs)
    return torch.stack([said[:, own].mean(1) for own in columns_of(outputs, experts)], dim=1)


def disagree(first: Outputs, experts: Experts) -> Tensor:
    """(N,) whether any label's experts differ."""
    positive = beside(first)[:, padded(first, experts)] > 0
    return (positive.any(-1) & ~positive.all(-1)).any(-1)


def beside(outputs: Outputs) -> Tensor:
    """(N, columns of all teachers)."""
    return torch.cat([*outputs], dim=1)


def starts(outputs: Outputs) -> list[int]:
    """Where each teacher's columns begin when all stand side by side."""
    return [0, *accumulate(own.shape[1] for own in outputs)]


def columns_of(outputs: Outputs, experts: Experts) -> list[list[int]]:
    """The columns of each label's experts."""
    begin = starts(outputs)
    return [[begin[e.teacher] + e.column for e in known_by] for known_by in experts]


def padded(outputs: Outputs, experts: Experts) -> Tensor:
    """(L, E): the same; a label of fewer than E experts has its first one more than once."""
    columns = columns_of(outputs, experts)
    most = max(map(len, columns))
    return torch.tensor([own + own[:1] * (most - len(own)) for own in columns], device=outputs[0].device)


def possible(first: Outputs, experts: Experts) -> Hops:
    """Every hop there can be, by label, giver and taker."""
    ends = [(label, *pair) for label, known_by in enumerate(experts) for pair in permutations(known_by, 2)]
    numbers, begin = {end: number for number, end in enumerate(ends)}, starts(first)
    columns = [
        (
            label,
            begin[giver.teacher] + giver.column,
            begin[taker.teacher] + taker.column,
            taker.teacher,
            numbers[label, taker, giver],
        )
        for label, giver, taker in ends
    ]
    table = torch.tensor(columns, dtype=torch.long, device=first[0].device)
    return Hops(*table.reshape(len(ends), len(Hops._fields)).unbind(1))


def set_off(first: Outputs, experts: Experts, hops: Hops, fires: Fires) -> Tensor:
    """(N, H): which transfers the first pass sets off.

    `pairwise`: every positive expert to every negative one (the paper's words). `exactly_one`: only where one
    expert alone is positive, and from it to all others (the authors' code).
    """
    positive = beside(first) > 0
    if fires == "pairwise":
        return positive[:, hops.giver] & ~positive[:, hops.taker]
    count = torch.stack([positive[:, own].sum(1) for own in columns_of(first, experts)], dim=1)
    return positive[:, hops.giver] & (count[:, hops.label] == 1)


def transfer(
    first: Outputs, experts: Experts, rerun: Rerun, initial: Outputs | None, fires: Fires, hand_on: HandOn
) -> Transferred:
    """Targets: Eq. 5 over the integrated vectors of all hops of an instance, or what its first pass gives.

    A second pass starts from `initial`, or, if that is None, from the teacher's first pass, but for the label
    handed over: with `revised` what made it positive, with `first_pass` what its giver said at first.
    """
    said, columns, hops = beside(first), padded(first, experts), possible(first, experts)
    due = set_off(first, experts, hops, fires)
    low = said.new_full((len(said), len(experts)), torch.inf)
    high, count = -low, 0
    for trees in due.nonzero().split(TREES):
        for rows, revised in grown(trees, due, first, hops, rerun, initial, hand_on):
            vectors = integrated(revised, columns)
            into = rows[:, None].expand_as(vectors)
            low.scatter_reduce_(0, into, vectors, "amin")
            high.scatter_reduce_(0, into, vectors, "amax")
            count += len(rows)
    targets = torch.where(due.any(1, keepdim=True), extremes(low, high), integrated(said, columns))
    return Transferred(targets, int(due.sum()), count)


def grown(
    trees: Tensor,
    due: Tensor,
    first: Outputs,
    hops: Hops,
    rerun: Rerun,
    initial: Outputs | None,
    hand_on: HandOn,
) -> Iterator[tuple[Tensor, Tensor]]:
    """All hops of some trees, one of each at a time: the rows, and what all teachers say on the path to it.

    A tree is a row and the transfer at its root. Labels that a hop's taker turned from negative, as it stood
    on the path, to positive go on to their other experts, depth first and in the order of `hops`. Within a
    tree no hop runs twice and none back, nor any back against a transfer that the first pass set off.
    """
    rows, roots = trees.unbind(1)
    begin, unrevised = starts(first), beside(first)
    entered = unrevised if initial is None else beside(initial)
    barred = due[rows][:, hops.reverse]
    every = torch.arange(due.shape[1], device=due.device)
    said = unrevised[rows].unsqueeze(0)  # (depth, trees, columns): a tree's path, as a stack,
    ahead = (roots[:, None] == every).unsqueeze(0)  # (depth, trees, hops): and what goes on from there
    while (ready := ahead & ~barred).any():
        tree = ready.any(-1).any(0).nonzero().flatten()
        level = torch.arange(len(said), device=rows.device)[:, None]
        depth = torch.where(ready[:, tree].any(-1), level, -1).amax(0)
        hop = ready[depth, tree].int().argmax(-1)
        barred[tree, hop] = barred[tree, hops.reverse[hop]] = True
        before, teachers, row = said[depth, tree], hops.teacher[hop], rows[tree]
        handed = (before if hand_on == "revised" else unrevised[row]).gather(1, hops.giver[hop, None])
        start = entered[row].scatter(1, hops.taker[hop, None], handed)
        after = before.clone()
        for teacher in teachers.unique().tolist():
            some, own = (teachers == teacher).nonzero().flatten(), slice(begin[teacher], begin[teacher + 1])
            after[some, own] = rerun(teacher, row[some], start[some, own])
        yield row, after
        if depth.max() + 1 == len(said):
            said, ahead = (torch.cat([levels, torch.zeros_like(levels[:1])]) for levels in (said, ahead))
        said[depth + 1, tree] = after
        ahead[depth + 1, tree] = ((before <= 0) & (after > 0))[:, hops.giver]
