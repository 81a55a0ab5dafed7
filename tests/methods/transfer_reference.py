"""ANT's transfer and integration read literally: one instance, plain recursion, no tensor.

The rules, for each initial transfer and the tree of hops that grows from it:

(a) Once a hop giver → taker has run for a label, neither it nor its reverse runs again for that label
    anywhere in the tree; the reverse of any initial transfer is not run either.
(b) Every re-run starts from the taker's first-pass final logits, but for the entry handed over.
(c) Every hop yields an integrated vector: Eq. 5 over everyone's outputs, those revised on the path from the
    root to this hop in the place of their first pass.
(d) A hop hands on the logit that made the label positive, or, by option, the giver's first-pass logit.

The reading taken, where these leave a choice:

- Positive is a logit above 0, negative any other.
- The hops of a tree run depth first: a hop, then at once the hops that it triggers, by label in the task's
  order, then by expert in the teachers' order. Rule (a) forbids what has run earlier in this order, so the
  order matters, and the rules name none.
- A taker turned a label positive if it last said no on the path to the hop, in its first pass or in an
  earlier revision, and its re-run says yes: what the authors' code compares with. Rule (b) says from where
  a re-run starts, not what it is compared with.
- The label handed over counts among the turned ones, so that a third expert of it is a taker in turn.
- A turned label goes to all its other experts, those that were positive already included: only the initial
  transfers are limited to experts that disagree. This holds for `pairwise` too.
- The reverse of an initial transfer is run in no tree of the instance, the other transfers' trees included.
- The first pass of everyone is an integrated vector only where no transfer fires.
"""

from collections.abc import Callable, Sequence

Outputs = list[dict[str, float]]  # of each teacher, by label
Hop = tuple[int, int, str]  # giver, taker, label


def combined(logits: list[float]) -> float:
    """Eq. 5 over the experts of a label; the same rule over the integrated vectors of an instance."""
    return min(logits) if all(logit <= 0 for logit in logits) else max(logits)


def initial_transfers(first: Outputs, labels: Sequence[str], pairwise: bool) -> list[Hop]:
    """The Transfer Indicator: one positive expert gives to all others, or each to every negative."""
    found = []
    for label in labels:
        experts = [teacher for teacher, output in enumerate(first) if label in output]
        positive = [teacher for teacher in experts if first[teacher][label] > 0]
        negative = [teacher for teacher in experts if teacher not in positive]
        if pairwise or len(positive) == 1:
            found += [(giver, taker, label) for giver in positive for taker in negative]
    return found


def targets(
    first: Sequence[Sequence[float]],
    label_sets: Sequence[Sequence[str]],
    labels: Sequence[str],
    rerun: Callable[[int, list[float]], Sequence[float]],
    *,
    initial: Sequence[Sequence[float]] | None = None,
    pairwise: bool = False,
    hand_on: str = "revised",
) -> tuple[list[float], int]:
    """The student's target logits by `labels`, and how many transfers fired initially.

    first: the teachers' first-pass final logits, each in the order of its own label set.
    rerun(teacher, logits): that teacher's final logits when its l_0 is replaced by `logits`.
    initial: the teachers' own l_0, if a re-run starts from it and not from the first-pass final logits.
    hand_on: a nested hop hands on the giver's "revised" logit or its "first_pass" one.
    """
    assert hand_on in ("revised", "first_pass")
    first_pass = [
        dict(zip(known, logits, strict=True)) for known, logits in zip(label_sets, first, strict=True)
    ]
    start = first_pass
    if initial is not None:
        start = [
            dict(zip(known, logits, strict=True)) for known, logits in zip(label_sets, initial, strict=True)
        ]
    transfers = initial_transfers(first_pass, labels, pairwise)
    reversed_transfers = {(taker, giver, label) for giver, taker, label in transfers}
    vectors = []

    def integrate(outputs: Outputs) -> None:
        known = [[output[label] for output in outputs if label in output] for label in labels]
        vectors.append([combined(logits) for logits in known])

    def run(hop: Hop, before: Outputs, ran: set[Hop]) -> None:
        """`before` are everyone's outputs on the path to this hop; `ran` are the hops of this tree so far."""
        ran.add(hop)
        giver, taker, label = hop
        giving = before if hand_on == "revised" else first_pass  # rule (d)
        began = start[taker] | {label: giving[giver][label]}  # rule (b)
        ended = rerun(taker, [began[name] for name in label_sets[taker]])
        revised = dict(zip(label_sets[taker], ended, strict=True))
        outputs = [*before[:taker], revised, *before[taker + 1 :]]
        integrate(outputs)  # rule (c)
        for turned in labels:
            if turned not in revised or not before[taker][turned] <= 0 < revised[turned]:
                continue
            for expert, known in enumerate(label_sets):
                if expert == taker or turned not in known:
                    continue
                onward, back = (taker, expert, turned), (expert, taker, turned)
                if onward in ran or back in ran or onward in reversed_transfers:  # rule (a)
                    continue
                run(onward, outputs, ran)

    for transfer in transfers:
        run(transfer, first_pass, set())
    if not transfers:
        integrate(first_pass)
    return [combined(list(logits)) for logits in zip(*vectors)], len(transfers)
