"""ANT's transfer and integration against a reading of the method in plain loops, one instance at a time."""

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mlbench.methods.amalgamation.label_sets import Expert, experts
from mlbench.methods.amalgamation.transfer import integrate, mean, transfer

LABELS = "ABCDEF"


@st.composite
def label_sets(draw):
    """Of two to four teachers; every label is known to one of them or more, in any order."""
    teachers = range(draw(st.integers(2, 4)))
    knowing = st.sets(st.sampled_from(teachers), min_size=1)
    known_by = {label: draw(knowing) for label in draw(st.permutations(LABELS))}
    sets = [tuple(label for label in known_by if teacher in known_by[label]) for teacher in teachers]
    return [own or (LABELS[0],) for own in sets]


class Made:
    """Teachers made up: first passes, initial logits, and second passes that depend on what is handed in."""

    def __init__(self, sets, seed, rows=6):
        draw = torch.Generator().manual_seed(seed)

        def normal(*shape):
            return torch.randn(*shape, generator=draw, dtype=torch.double)

        self.sets, self.rows = sets, rows
        self.known_by = experts(sets, LABELS)
        self.first = [normal(rows, len(own)) for own in sets]
        self.initial = [normal(rows, len(own)) for own in sets]
        self.mixed = [normal(len(own), len(own)) for own in sets]
        self.shifts = [normal(rows, len(own)) for own in sets]

    def rerun(self, teacher, rows, start):
        return 2 * torch.sin(3 * start @ self.mixed[teacher]) + self.shifts[teacher][rows]

    def transfer(self, fires, hand_on, from_init):
        initial = self.initial if from_init else None
        return transfer(self.first, self.known_by, self.rerun, initial, fires, hand_on)


anything = {
    "sets": label_sets(),
    "fires": st.sampled_from(["exactly_one", "pairwise"]),
    "hand_on": st.sampled_from(["revised", "first_pass"]),
    "from_init": st.booleans(),
    "seed": st.integers(0, 100_000),
}


@settings(max_examples=200, deadline=None)
@given(**anything)
def test_a_label_whose_positive_caused_a_transfer_stays_positive(sets, fires, hand_on, from_init, seed):
    made = Made(sets, seed)
    targets = made.transfer(fires, hand_on, from_init).targets
    for label, known_by in enumerate(made.known_by):
        positive = sum((made.first[e.teacher][:, e.column] > 0).int() for e in known_by)
        caused = positive == 1 if fires == "exactly_one" else positive > 0
        caused &= positive < len(known_by)
        assert (targets[caused, label] > 0).all()


def test_the_worked_transfer():
    sets = [("A", "B", "C"), ("B", "C", "D")]
    first = [torch.tensor([[1.0, 2.0, -1.5]]), torch.tensor([[-0.7, -0.4, -2.0]])]
    asked = []

    def rerun(teacher, rows, start):
        asked.append((teacher, rows.tolist(), start.tolist()))
        return torch.tensor([[0.1, -0.9, 0.8]])

    done = transfer(first, experts(sets, "ABCD"), rerun, None, "exactly_one", "revised")
    torch.testing.assert_close(done.targets, torch.tensor([[1.0, 2.0, -1.5, 0.8]]))
    start = torch.tensor([[2.0, -0.4, -2.0]]).tolist()
    assert asked == [(1, [0], start)] and done.transfers == done.hops == 1


def test_without_disagreement_nothing_runs_again():
    first = [torch.tensor([[1.0, -2.0]]), torch.tensor([[3.0, -1.0]])]
    known_by = [[Expert(0, 0), Expert(1, 0)], [Expert(0, 1), Expert(1, 1)]]
    done = transfer(first, known_by, None, None, "pairwise", "revised")
    assert done.targets.tolist() == [[3.0, -2.0]] and done.transfers == done.hops == 0
    assert integrate(first, known_by).tolist() == [[3.0, -2.0]]
    assert mean(first, known_by).tolist() == [[2.0, -1.5]]
