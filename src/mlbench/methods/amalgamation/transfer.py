"""ANT's transfer of labels between teachers and the integration of their outputs, batched over instances.

Everything works on logits: a label is positive when its logit is above 0.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from mlbench.methods.amalgamation.label_sets import Expert

Outputs = list[Tensor]  # a teacher's logits each, (N, L_t)
Rerun = Callable[[int, Tensor, Tensor], Tensor]  # (teacher, rows, initial logits) -> its final logits


def extremes(low: Tensor, high: Tensor) -> Tensor:
    """The smallest if none is positive, else the largest (ANT, Eq. 5)."""
    return torch.where(high > 0, high, low)


def integrate(outputs: Outputs, experts: Sequence[Sequence[Expert]]) -> Tensor:
    """(N, L): over the experts of a label, all ≤ 0 → the smallest, else the largest (ANT, Eq. 5)."""
    columns = []
    for known_by in experts:
        logits = torch.stack([outputs[expert.teacher][:, expert.column] for expert in known_by])
        columns.append(extremes(logits.amin(0), logits.amax(0)))
    return torch.stack(columns, dim=1)


def mean(outputs: Outputs, experts: Sequence[Sequence[Expert]]) -> Tensor:
    """(N, L): the mean over the experts of a label."""
    return torch.stack(
        [torch.stack([outputs[e.teacher][:, e.column] for e in known_by]).mean(0) for known_by in experts],
        dim=1,
    )


@dataclass(frozen=True)
class Hop:
    """One expert handing its logit for a label to another."""

    label: int
    giver: Expert
    taker: Expert


def hops(experts: Sequence[Sequence[Expert]]) -> list[Hop]:
    """Every hop there can be, in the order in which they run."""
    return [
        Hop(label, giver, taker)
        for label, known_by in enumerate(experts)
        for giver in known_by
        for taker in known_by
        if giver != taker
    ]


def disagree(first: Outputs, experts: Sequence[Sequence[Expert]]) -> Tensor:
    """(N,) whether any label's experts differ."""
    differ = []
    for known_by in experts:
        positive = torch.stack([first[e.teacher][:, e.column] > 0 for e in known_by])
        differ.append(positive.any(0) & ~positive.all(0))
    return torch.stack(differ).any(0)


def transfers(
    first: Outputs, experts: Sequence[Sequence[Expert]], pairwise: bool
) -> Iterator[tuple[Hop, Tensor]]:
    """Every transfer that fires, with its rows.

    `pairwise`: every positive expert to every negative one (the paper's words). Otherwise a transfer fires
    only if exactly one expert is positive, and goes to all others (the authors' code).
    """
    for hop in hops(experts):
        known_by = experts[hop.label]
        positive = torch.stack([first[e.teacher][:, e.column] > 0 for e in known_by])
        giver, taker = positive[known_by.index(hop.giver)], positive[known_by.index(hop.taker)]
        fires = giver & ~taker if pairwise else giver & (positive.sum(0) == 1)
        yield hop, fires.nonzero().flatten()


def transfer(
    first: Outputs, experts: Sequence[Sequence[Expert]], rerun: Rerun, initial: Outputs | None, pairwise: bool
) -> tuple[Tensor, int]:
    """Targets' logits (N, L), and how many transfers fired.

    A second pass starts from `initial`, or, if that is None, from what the teacher said before; in either
    case but for the label handed over.
    """
    own = integrate(first, experts)
    low, high = own.clone(), own.clone()
    touched = torch.zeros(len(own), dtype=torch.bool, device=own.device)
    fired = 0
    everything = hops(experts)
    for hop, rows in transfers(first, experts, pairwise):
        if not len(rows):
            continue
        fired += len(rows)
        revised = follow(hop, rows, [logits[rows] for logits in first], everything, rerun, initial)
        integrated = integrate(revised, experts)
        new = ~touched[rows, None]
        low[rows] = torch.where(new, integrated, torch.minimum(low[rows], integrated))
        high[rows] = torch.where(new, integrated, torch.maximum(high[rows], integrated))
        touched[rows] = True
    return extremes(low, high), fired


def follow(
    start: Hop, rows: Tensor, current: Outputs, everything: list[Hop], rerun: Rerun, initial: Outputs | None
) -> Outputs:
    """What all teachers say after one transfer and those it triggers, each row by itself.

    A label that a taker turned from negative to positive goes on to the label's other experts. Hops run in
    one fixed order, round after round, until none is due; none runs twice, and the start is not run back.
    """
    due = torch.zeros(len(rows), len(everything), dtype=torch.bool, device=rows.device)
    barred = torch.zeros_like(due)
    due[:, everything.index(start)] = True
    barred[:, everything.index(Hop(start.label, start.taker, start.giver))] = True
    onward: dict[Expert, list[int]] = {}
    for number, hop in enumerate(everything):
        onward.setdefault(hop.giver, []).append(number)
    while due.any():
        for number, hop in enumerate(everything):
            some = due[:, number].nonzero().flatten()
            if not len(some):
                continue
            due[some, number] = False
            barred[some, number] = True
            taker = hop.taker.teacher
            begin = current[taker][some] if initial is None else initial[taker][rows[some]]
            begin[:, hop.taker.column] = current[hop.giver.teacher][some, hop.giver.column]
            after = rerun(taker, rows[some], begin)
            turned = (current[taker][some] <= 0) & (after > 0)
            current[taker][some] = after
            for column in range(after.shape[1]):
                for further in onward.get(Expert(taker, column), []):
                    due[some, further] |= turned[:, column] & ~barred[some, further]
    return current
