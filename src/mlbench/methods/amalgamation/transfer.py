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
    """H hops, (H,) each: in a hop one expert of a label hands its logit to another. Columns count through the
    outputs of all teachers, side by side.
    """

    label: Tensor
    giver: Tensor  # the giver's column of the label
    taker: Tensor  # the taker's
    teacher: Tensor  # the taker's number
    reverse: Tensor  # the number of the hop from taker to giver


def extremes(low: Tensor, high: Tensor) -> Tensor:
    """The smallest if none is positive, else the largest (ANT, Eq. 5)."""
    return torch.where(high > 0, high, low)


def integrate(outputs: Outputs, experts: Experts) -> Tensor:
    """(N, L): over the experts of a label, all ≤ 0 → the smallest, else the largest (ANT, Eq. 5)."""
    return integrated(beside(outputs), padded(outputs, experts))


def integrated(logits: Tensor, columns: Tensor) -> Tensor:
    by_expert = logits[:, columns]
    return extremes(by_expert.amin(-1), by_expert.amax(-1))


def mean(outputs: Outputs, experts: Experts) -> Tensor:
    """(N, L): the mean over the experts of a label."""
    logits = beside(outputs)
    return torch.stack([logits[:, columns].mean(1) for columns in columns_of(outputs, experts)], dim=1)


def disagree(first: Outputs, experts: Experts) -> Tensor:
    """(N,) whether any label's experts differ."""
    positive = beside(first)[:, padded(first, experts)] > 0
    return (positive.any(-1) & ~positive.all(-1)).any(-1)


def beside(outputs: Outputs) -> Tensor:
    """(N, columns of all teachers)."""
    return torch.cat([*outputs], dim=1)


def starts(outputs: Outputs) -> list[int]:
    """Where each teacher's columns begin when all stand side by side."""
    return [0, *accumulate(logits.shape[1] for logits in outputs)]


def columns_of(outputs: Outputs, experts: Experts) -> list[list[int]]:
    """The columns of each label's experts."""
    begin = starts(outputs)
    return [[begin[e.teacher] + e.column for e in known_by] for known_by in experts]


def padded(outputs: Outputs, experts: Experts) -> Tensor:
    """`columns_of` as (L, E); the first expert of a label fills the row where a label has fewer than E."""
    by_label = columns_of(outputs, experts)
    most = max(map(len, by_label))
    return torch.tensor(
        [columns + columns[:1] * (most - len(columns)) for columns in by_label], device=outputs[0].device
    )


def possible(first: Outputs, experts: Experts) -> Hops:
    """Every ordered pair of experts of a label, in the order of labels, givers and takers."""
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
    count = torch.stack([positive[:, columns].sum(1) for columns in columns_of(first, experts)], dim=1)
    return positive[:, hops.giver] & (count[:, hops.label] == 1)


def transfer(
    first: Outputs, experts: Experts, rerun: Rerun, initial: Outputs | None, fires: Fires, hand_on: HandOn
) -> Transferred:
    """Targets: Eq. 5 over the integrated vectors of all hops of an instance; without hops, its first pass.

    A second pass starts from `initial`, or, if `initial` is None, from the teacher's first pass. The label
    handed over has its giver's logit: with `revised` as on the path, with `first_pass` as in the first pass.
    """
    logits, columns, hops = beside(first), padded(first, experts), possible(first, experts)
    due = set_off(first, experts, hops, fires)
    low = logits.new_full((len(logits), len(experts)), torch.inf)
    high, count = -low, 0
    for trees in due.nonzero().split(TREES):
        for rows, revised in grown(trees, due, first, hops, rerun, initial, hand_on):
            vectors = integrated(revised, columns)
            into = rows[:, None].expand_as(vectors)
            low.scatter_reduce_(0, into, vectors, "amin")
            high.scatter_reduce_(0, into, vectors, "amax")
            count += len(rows)
    targets = torch.where(due.any(1, keepdim=True), extremes(low, high), integrated(logits, columns))
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
    """All hops of some trees, one hop of each tree at a time: rows, and all teachers' logits after the hop.

    A tree is a row and the transfer at its root. Where a hop turns a label of its taker from negative to
    positive, compared with the path so far, the taker hands this label on, depth first and in the order of
    `hops`. In a tree no hop runs twice, and none runs against a hop that ran or a transfer of the first pass.
    """
    rows, roots = trees.unbind(1)
    begin, unrevised = starts(first), beside(first)
    entered = unrevised if initial is None else beside(initial)
    barred = due[rows][:, hops.reverse]
    every = torch.arange(due.shape[1], device=due.device)
    paths = unrevised[rows].unsqueeze(0)  # (depth, trees, columns): a stack of logits a tree
    ahead = (roots[:, None] == every).unsqueeze(0)  # (depth, trees, hops): those that go on from there
    while (ready := ahead & ~barred).any():
        tree = ready.any(-1).any(0).nonzero().flatten()
        level = torch.arange(len(paths), device=rows.device)[:, None]
        depth = torch.where(ready[:, tree].any(-1), level, -1).amax(0)
        hop = ready[depth, tree].int().argmax(-1)
        barred[tree, hop] = barred[tree, hops.reverse[hop]] = True
        before, teachers, row = paths[depth, tree], hops.teacher[hop], rows[tree]
        handed = (before if hand_on == "revised" else unrevised[row]).gather(1, hops.giver[hop, None])
        start = entered[row].scatter(1, hops.taker[hop, None], handed)
        after = before.clone()
        for teacher in teachers.unique().tolist():
            some, span = (teachers == teacher).nonzero().flatten(), slice(begin[teacher], begin[teacher + 1])
            after[some, span] = rerun(teacher, row[some], start[some, span])
        yield row, after
        if depth.max() + 1 == len(paths):
            paths, ahead = (torch.cat([levels, torch.zeros_like(levels[:1])]) for levels in (paths, ahead))
        paths[depth + 1, tree] = after
        ahead[depth + 1, tree] = ((before <= 0) & (after > 0))[:, hops.giver]
