"""The reference of ANT's transfer, against cases worked out by hand.

In a case `runs` are all re-runs in their order: (teacher, the logits it starts from, the logits it returns).
Below it each vector is one integrated vector, after the hop that yields it.
"""

import pytest
from transfer_reference import targets


def worked(first, label_sets, labels, runs, **options):
    """What `targets` says, once it has made exactly the re-runs of `runs`."""
    left = list(runs)

    def rerun(teacher, logits):
        assert left, f"one re-run too many: teacher {teacher} from {logits}"
        expected, start, final = left.pop(0)
        assert (teacher, tuple(logits)) == (expected, start)
        return final

    found = targets(first, label_sets, labels, rerun, **options)
    assert not left, "re-runs that were not made"
    return found


def test_the_worked_value():
    first = [(1, 2, -1.5), (-0.7, -0.4, -2)]
    runs = [(1, (2, -0.4, -2), (0.1, -0.9, 0.8))]
    assert worked(first, ["ABC", "BCD"], "ABCD", runs) == ([1, 2, -1.5, 0.8], 1)


def test_labels_go_by_name_in_whatever_order_a_teacher_and_the_task_have_them():
    first = [(-1.5, 1, 2), (-2, -0.7, -0.4)]
    runs = [(1, (-2, 2, -0.4), (0.8, 0.1, -0.9))]
    assert worked(first, ["CAB", "DBC"], "DCBA", runs) == ([0.8, -1.5, 2, 1], 1)


def test_a_re_run_may_start_from_the_initial_logits():
    first, initial = [(1, 2, -1.5), (-0.7, -0.4, -2)], [(7, 7, 7), (8, 9, 10)]
    runs = [(1, (2, 9, 10), (0.1, -0.9, 0.8))]
    assert worked(first, ["ABC", "BCD"], "ABCD", runs, initial=initial) == ([1, 2, -1.5, 0.8], 1)


def test_where_all_agree_the_first_pass_is_integrated():
    # A: 1 and 3, the maximum; B: -1 and 0, which is negative, the minimum; C has one expert.
    assert worked([(1, -1), (3, 0, 4)], ["AB", "ABC"], "ABC", []) == ([3, -1, 4], 0)


def test_where_a_transfer_fires_the_first_pass_is_no_vector():
    # 0→1 A: A is max(1, -1), B is -2 in the only vector, though 5 in the first pass.
    assert worked([(1,), (-1, 5)], ["A", "AB"], "AB", [(1, (1, 5), (-1, -2))]) == ([1, -2], 1)


def test_a_nested_hop_yields_a_vector_of_its_own_and_no_label_is_handed_back():
    first = [(1, 2), (-1, -2), (-3, -1, 5)]
    runs = [
        (1, (2, -2), (0.5, 3)),  # 0→1 B; turns B, which is not handed back to 0, and C
        (2, (3, -1, 5), (-0.5, 4, -6)),  # 1→2 C; turns D, which nobody shares
    ]
    #        A  B             C               D   E
    # 0→1 B: 1, max(2, .5),   max(3, -3),     -1,  5
    # 1→2 C: 1, max(2, .5),   max(3, -.5),     4, -6
    # both:  1, 2,            3,               4,  5
    assert worked(first, ["AB", "BC", "CDE"], "ABCDE", runs) == ([1, 2, 3, 4, 5], 1)


def test_the_first_pass_logit_is_handed_on_if_asked():
    first = [(1, 2), (-1, -2), (-3, -1, 5)]
    runs = [
        (1, (2, -2), (0.5, 3)),  # 0→1 B; turns B and C
        (2, (-2, -1, 5), (-4, -0.25, -6)),  # 1→2 C: hands on -2, where `revised` hands on 3
    ]
    #        A  B             C               D     E
    # 0→1 B: 1, max(2, .5),   max(3, -3),     -1,    5
    # 1→2 C: 1, max(2, .5),   max(3, -4),     -.25, -6
    # both:  1, 2,            3,              -1,    5
    found = worked(first, ["AB", "BC", "CDE"], "ABCDE", runs, hand_on="first_pass")
    assert found == ([1, 2, 3, -1, 5], 1)


def test_a_taker_revised_earlier_on_the_path_starts_again_from_its_first_pass():
    first = [(1, 2), (-1, -2, -3), (-4, -5)]
    runs = [
        (1, (2, -2, -3), (0.5, 3, -6)),  # 0→1 B; turns B and C
        (2, (3, -5), (1, 6)),  # 1→2 C; turns C, not handed back to 1, and D
        (1, (-1, -2, 6), (-7, 2, -8)),  # 2→1 D, not from (.5, 3, .); turns C again, but 1→2 C has run
    ]
    #        A  B             C               D
    # 0→1 B: 1, max(2, .5),   max(3, -4),     min(-6, -5)
    # 1→2 C: 1, max(2, .5),   max(3, 1),      max(-6, 6)
    # 2→1 D: 1, max(2, -7),   max(2, 1),      max(-8, 6)
    # all:   1, 2,            max(3, 3, 2),   max(-6, 6, 6)
    assert worked(first, ["AB", "BCD", "CD"], "ABCD", runs) == ([1, 2, 3, 6], 1)


def test_each_transfer_starts_from_everyone_s_first_pass_and_no_tree_runs_the_reverse_of_another_s_root():
    first = [(2,), (-1, -1), (-2, -3)]
    runs = [
        (1, (2, -1), (1, -4)),  # 0→1 A; turns A
        (2, (1, -3), (-0.5, 5)),  # 1→2 A; A stays negative
        (2, (2, -3), (3, -6)),  # 0→2 A, the second tree; turns A
        (1, (3, -1), (0.5, 7)),  # 2→1 A; turns A, but 1→0 A is the reverse of the first tree's root
    ]
    #        A               B   C
    # 0→1 A: max(2, 1, -2),  -4, -3
    # 1→2 A: max(2, 1, -.5), -4,  5
    # 0→2 A: max(2, -1, 3),  -1, -6
    # 2→1 A: max(2, .5, 3),   7, -6
    # all:   max(2, 2, 3, 3), 7,  5
    assert worked(first, ["A", "AB", "AC"], "ABC", runs) == ([3, 7, 5], 2)


@pytest.mark.parametrize("pairwise", [False, True])
def test_two_positive_experts_give_only_pairwise(pairwise):
    first = [(2,), (1, -1), (-2, -3)]
    runs = [
        (2, (2, -3), (3, 4)),  # 0→2 A; turns A, but 2→1 A is the reverse of the other transfer
        (2, (1, -3), (-1, -5)),  # 1→2 A
    ]
    #        A               B   C
    # 0→2 A: max(2, 1, 3),  -1,  4
    # 1→2 A: max(2, 1, -1), -1, -5
    # both:  max(3, 2),     -1,  4
    expected = ([3, -1, 4], 2) if pairwise else ([2, -1, -3], 0)
    runs = runs if pairwise else []
    assert worked(first, ["A", "AB", "AC"], "ABC", runs, pairwise=pairwise) == expected


def test_a_turned_label_goes_to_experts_that_were_positive_already():
    first = [(2, 1), (-1, -1), (3, -2)]
    runs = [  # B fires nothing at first: 0 and 2 are both positive
        (1, (2, -1), (1, 4)),  # 0→1 A; turns A and B
        (0, (2, 4), (-5, 1)),  # 1→0 B
        (2, (4, -2), (3, 6)),  # 1→2 B, on a path where 0 is not revised
    ]
    #        A           B             C
    # 0→1 A: max(2, 1),  max(1, 4, 3), -2
    # 1→0 B: max(-5, 1), max(1, 4, 3), -2
    # 1→2 B: max(2, 1),  max(1, 4, 3),  6
    # all:   2,          4,             6
    assert worked(first, ["AB", "AB", "BC"], "ABC", runs) == ([2, 4, 6], 1)


def test_hops_run_depth_first_so_that_a_nested_hop_may_forbid_its_reverse_later():
    first = [(2, -1), (-1, -2), (-3, -4)]
    runs = [
        (1, (2, -2), (1, 3)),  # 0→1 A; turns A and B, and B is for 0 and then 2
        (0, (2, 3), (2, 4)),  # 1→0 B; turns B
        (2, (4, -4), (5, -6)),  # 0→2 B; turns B
        (1, (-1, 5), (-7, -8)),  # 2→1 B; therefore 1→2 B, which is next, is not run
    ]
    #        A           B              C
    # 0→1 A: max(2, 1),  max(-1, 3, -3), -4
    # 1→0 B: max(2, 1),  max(4, 3, -3),  -4
    # 0→2 B: max(2, 1),  max(4, 3, 5),   -6
    # 2→1 B: max(2, -7), max(4, -8, 5),  -6
    # all:   2,          5,              min(-4, -4, -6, -6)
    assert worked(first, ["AB", "AB", "BC"], "ABC", runs) == ([2, 5, -6], 1)
