"""ANT's transfer and integration against a reading of the method in plain loops, one instance at a time."""

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mlbench.bench.literal import LiteralChain
from mlbench.methods.amalgamation.label_sets import Expert, draw, experts
from mlbench.methods.amalgamation.transfer import disagree, integrate, mean, transfer


def pick(logits: list[float]) -> float:
    """Eq. 5: all ≤ 0 → the smallest, else the largest."""
    return min(logits) if all(value <= 0 for value in logits) else max(logits)


class OneInstance:
    """Everything for one row: teachers by number, labels by name, logits in dictionaries."""

    def __init__(self, sets, labels, first, initial, rerun, pairwise):
        self.sets, self.labels, self.pairwise = sets, labels, pairwise
        self.first, self.initial, self.rerun = first, initial, rerun
        self.experts = {label: [t for t, own in enumerate(sets) if label in own] for label in labels}
        self.order = [
            (label, giver, taker)
            for label in labels
            for giver in self.experts[label]
            for taker in self.experts[label]
            if giver != taker
        ]

    def starts(self):
        for label, giver, taker in self.order:
            positive = [t for t in self.experts[label] if self.first[t][label] > 0]
            if giver not in positive:
                continue
            if (taker not in positive) if self.pairwise else positive == [giver]:
                yield label, giver, taker

    def follow(self, start):
        label, giver, taker = start
        said = [dict(own) for own in self.first]
        due, never = {start}, {(label, taker, giver)}
        while due:
            for hop in self.order:
                if hop not in due:
                    continue
                due.remove(hop)
                never.add(hop)
                label, giver, taker = hop
                begin = dict(said[taker] if self.initial is None else self.initial[taker])
                begin[label] = said[giver][label]
                after = self.rerun(taker, begin)
                turned = [name for name in self.sets[taker] if said[taker][name] <= 0 < after[name]]
                said[taker] = after
                for name in turned:
                    for other in self.experts[name]:
                        further = (name, taker, other)
                        if other != taker and further not in never:
                            due.add(further)
        return {name: pick([said[t][name] for t in self.experts[name]]) for name in self.labels}

    def target(self):
        integrated = [self.follow(start) for start in self.starts()]
        if not integrated:
            return {name: pick([self.first[t][name] for t in self.experts[name]]) for name in self.labels}
        return {name: pick([one[name] for one in integrated]) for name in self.labels}


@settings(max_examples=200, deadline=None)
@given(
    teachers=st.integers(2, 4),
    labels=st.integers(4, 6),
    overlap=st.sampled_from([0.25, 0.5, 0.75, 1.0]),
    pairwise=st.booleans(),
    from_init=st.booleans(),
    seed=st.integers(0, 100_000),
)
def test_batched_transfer_equals_one_instance_at_a_time(teachers, labels, overlap, pairwise, from_init, seed):
    torch.manual_seed(seed)
    names = [f"label {number}" for number in range(labels)]
    sets = draw(names, teachers, overlap, seed)
    if teachers > 2 and seed % 2:  # a label with three experts: transfers to two takers, real recursion
        sets = [tuple(dict.fromkeys([*own, names[0], names[1]])) for own in sets]
    x = 2 * torch.randn(5, 4, dtype=torch.double)
    chains = [LiteralChain(4, len(own), 3).double() for own in sets]
    with torch.no_grad():
        for chain in chains:
            for parameter in chain.parameters():
                parameter.mul_(4)
        first = [chain(x)[2] for chain in chains]
        initial = [chain.init(x) for chain in chains] if from_init else None

        def rerun(teacher, rows, start):
            return chains[teacher](x[rows], start)[2]

        known_by = experts(sets, names)
        targets, fired = transfer(first, known_by, rerun, initial, pairwise)
        transfers = 0
        for row in range(len(x)):

            def rerun_row(teacher, begin, row=row):
                start = torch.tensor([[begin[name] for name in sets[teacher]]], dtype=torch.double)
                return dict(zip(sets[teacher], chains[teacher](x[row : row + 1], start)[2][0].tolist()))

            def of_row(outputs, row=row):
                return [dict(zip(own, logits[row].tolist())) for own, logits in zip(sets, outputs)]

            begin = None if initial is None else of_row(initial)
            one = OneInstance(sets, names, of_row(first), begin, rerun_row, pairwise)
            expected = one.target()
            transfers += len(list(one.starts()))
            torch.testing.assert_close(targets[row].tolist(), [expected[name] for name in names])
            differ = any(len({one.first[t][name] > 0 for t in one.experts[name]}) > 1 for name in names)
            assert disagree(first, known_by)[row].item() == differ
        assert fired == transfers


def test_the_worked_transfer():
    sets = [("A", "B", "C"), ("B", "C", "D")]
    first = [torch.tensor([[1.0, 2.0, -1.5]]), torch.tensor([[-0.7, -0.4, -2.0]])]
    asked = []

    def rerun(teacher, rows, start):
        asked.append((teacher, rows.tolist(), start.tolist()))
        return torch.tensor([[0.1, -0.9, 0.8]])

    targets, fired = transfer(first, experts(sets, "ABCD"), rerun, None, pairwise=False)
    torch.testing.assert_close(targets, torch.tensor([[1.0, 2.0, -1.5, 0.8]]))
    start = torch.tensor([[2.0, -0.4, -2.0]]).tolist()
    assert asked == [(1, [0], start)] and fired == 1


def test_without_disagreement_nothing_runs_again():
    first = [torch.tensor([[1.0, -2.0]]), torch.tensor([[3.0, -1.0]])]
    known_by = [[Expert(0, 0), Expert(1, 0)], [Expert(0, 1), Expert(1, 1)]]
    targets, fired = transfer(first, known_by, None, None, pairwise=True)
    assert targets.tolist() == [[3.0, -2.0]] and fired == 0
    assert integrate(first, known_by).tolist() == [[3.0, -2.0]]
    assert mean(first, known_by).tolist() == [[2.0, -1.5]]
