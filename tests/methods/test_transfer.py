"""ANT's transfer, batched, against a plain reading of the method and against hops followed by hand."""

import pytest
import torch
import transfer_reference
from hypothesis import given, settings
from hypothesis import strategies as st

from mlbench.methods.amalgamation.label_sets import Expert, experts
from mlbench.methods.amalgamation.transfer import disagree, integrate, mean, transfer

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

    def plainly(self, row, fires, hand_on, from_init):
        """Targets of a row, its transfers, its hops."""
        hops = 0

        def rerun(teacher, start):
            nonlocal hops
            hops += 1
            begin = torch.tensor([start], dtype=torch.double)
            return self.rerun(teacher, torch.tensor([row]), begin)[0].tolist()

        targets, transfers = transfer_reference.targets(
            [own[row].tolist() for own in self.first],
            self.sets,
            LABELS,
            rerun,
            initial=[own[row].tolist() for own in self.initial] if from_init else None,
            pairwise=fires == "pairwise",
            hand_on=hand_on,
        )
        return targets, transfers, hops


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


@settings(max_examples=150, deadline=None)
@given(**anything)
def test_batched_transfer_equals_one_instance_at_a_time(sets, fires, hand_on, from_init, seed):
    made = Made(sets, seed)
    done = made.transfer(fires, hand_on, from_init)
    rows = [made.plainly(row, fires, hand_on, from_init) for row in range(made.rows)]
    for row, (targets, _, _) in enumerate(rows):
        assert done.targets[row].tolist() == pytest.approx(targets)
        opinions = [{bool(made.first[e.teacher][row, e.column] > 0) for e in own} for own in made.known_by]
        assert disagree(made.first, made.known_by)[row] == any(len(each) > 1 for each in opinions)
    assert done.transfers == sum(transfers for _, transfers, _ in rows)
    assert done.hops == sum(hops for _, _, hops in rows)


@pytest.mark.parametrize(("hand_on", "handed"), [("revised", (2, 3, 2)), ("first_pass", (-1, -1, -1))])
def test_a_tree_followed_by_hand(hand_on, handed):
    """A goes from 0 to 1, who then says B and D; B goes to 0, who then says B and C; C goes to 1, who then
    says everything, of which only C is new; D, due from before, goes to 0. A, B and C go back to nobody.
    """
    said = [[2, 2, -1, 2], [1, 3, 3, -1], [5, 5, 5, 5], [1, -1, -1, -2]]
    vectors = [[2, 2, -1, 2], [2, 3, 3, 2], [5, 5, 5, 5], [2, 2, -1, 2]]
    first = [torch.tensor([[1.0, -1.0, -1.0, -1.0]]), torch.tensor([[-1.0, -1.0, -1.0, -1.0]])]
    asked = []

    def rerun(teacher, rows, start):
        asked.append((teacher, *start[0].tolist()))
        return torch.tensor([said[len(asked) - 1]]).float()

    done = transfer(first, experts(["ABCD", "ABCD"], "ABCD"), rerun, None, "exactly_one", hand_on)
    b, c, d = handed
    assert asked == [(1, 1, -1, -1, -1), (0, 1, b, -1, -1), (1, -1, -1, c, -1), (0, 1, -1, -1, d)]
    assert done.targets.tolist() == [[max(column) for column in zip(*vectors)]]
    assert (done.transfers, done.hops) == (1, 4)


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
