"""Iterative stratification: exact sizes, labels in proportion, and the algorithm as published."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from mlbench.data.stratify import shuffled, stratify


def skewed_labels(rows: int, labels: int, seed: int, cardinality: float = 2.0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    shares = rng.random(labels) ** 3 + 0.01
    return (rng.random((rows, labels)) < shares / shares.sum() * cardinality).astype(np.uint8)


def share_errors(targets: np.ndarray, part: np.ndarray, sizes: list[int]) -> np.ndarray:
    """How many rows each label is off its share in each part, (parts, L)."""
    held = np.stack([targets[part == number].sum(axis=0) for number in range(len(sizes))])
    return np.abs(held - np.outer(sizes, targets.sum(axis=0)) / len(targets))


def plainly_stratified(targets: np.ndarray, sizes: list[int], rng: np.random.Generator) -> list[int]:
    """Algorithm 1 read line by line, with full parts closed, and chance taken where `stratify` takes it."""
    count, labels = targets.shape
    order = shuffled(count, rng).tolist()
    rank = shuffled(labels, rng).tolist()
    chance = rng.bit_generator.random_raw(count).tolist()
    sets = [{label for label in range(labels) if targets[row, label]} for row in order]
    waiting = list(range(count))
    subsets: list[list[int]] = [[] for _ in sizes]
    desired = list(sizes)
    desired_of = {
        label: [sum(label in labelled for labelled in sets) * size for size in sizes]
        for label in range(labels)
    }
    while waiting:
        remaining = {label: [row for row in waiting if label in sets[row]] for label in range(labels)}
        present = [label for label in range(labels) if remaining[label]]
        if not present:
            break
        rarest = min(present, key=lambda label: (len(remaining[label]), rank[label]))
        for row in remaining[rarest]:
            open_ = [number for number in range(len(sizes)) if desired[number] > 0]
            most = max(desired_of[rarest][number] for number in open_)
            among = [number for number in open_ if desired_of[rarest][number] == most]
            if len(among) > 1:
                largest = max(desired[number] for number in among)
                among = [number for number in among if desired[number] == largest]
            chosen = among[chance[row] % len(among)]
            subsets[chosen].append(row)
            waiting.remove(row)
            for label in sets[row]:
                desired_of[label][chosen] -= count
            desired[chosen] -= 1
    for number, room in enumerate(desired):
        for _ in range(room):
            subsets[number].append(waiting.pop(0))
    part = [-1] * count
    for number, rows in enumerate(subsets):
        for row in rows:
            part[order[row]] = number
    return part


@st.composite
def labelled_rows(draw):
    rows = draw(st.integers(1, 60))
    targets = skewed_labels(rows, draw(st.integers(1, 8)), draw(st.integers(0, 10**6)), draw(st.floats(0, 3)))
    cuts = sorted(draw(st.lists(st.integers(0, rows), min_size=0, max_size=4)))
    return targets, np.diff([0, *cuts, rows]).tolist()


@given(labelled_rows(), st.integers(0, 2**32))
def test_equals_the_published_algorithm(case, seed):
    targets, sizes = case
    part = stratify(targets, sizes, np.random.default_rng(seed))
    assert part.tolist() == plainly_stratified(targets, sizes, np.random.default_rng(seed))


@given(labelled_rows(), st.integers(0, 2**32))
def test_sizes_are_exact_whatever_the_labels(case, seed):
    targets, sizes = case
    part = stratify(targets, sizes, np.random.default_rng(seed))
    assert np.bincount(part, minlength=len(sizes)).tolist() == sizes


def test_better_than_random_on_every_seed():
    for seed in range(5):
        targets, sizes = skewed_labels(1000, 15, seed), [700, 200, 100]
        part = stratify(targets, sizes, np.random.default_rng(seed))
        chance = np.random.default_rng(seed).permutation(part)
        assert share_errors(targets, part, sizes).mean() < 0.2 * share_errors(targets, chance, sizes).mean()


def test_a_label_of_two_rows_goes_to_both_halves():
    targets = np.zeros((20, 3), np.uint8)
    targets[[4, 11], 0] = 1
    targets[:10, 1] = 1
    for seed in range(20):
        part = stratify(targets, [10, 10], np.random.default_rng(seed))
        assert part[4] != part[11]
        assert part[:10].sum() == 5


def test_one_label_is_cut_as_proportions_say():
    targets = (np.arange(100)[:, None] < 30).astype(np.uint8)
    part = stratify(targets, [70, 20, 10], np.random.default_rng(0))
    assert np.bincount(part[:30]).tolist() == [21, 6, 3]


def test_rows_without_labels_are_dealt_out_at_random():
    seen = {
        tuple(stratify(np.zeros((8, 2), np.uint8), [4, 4], np.random.default_rng(seed))) for seed in range(30)
    }
    assert len(seen) > 15


def test_the_generator_alone_decides():
    targets = skewed_labels(300, 6, 0)
    first, again, other = (stratify(targets, [200, 100], np.random.default_rng(seed)) for seed in (1, 1, 2))
    assert np.array_equal(first, again) and not np.array_equal(first, other)


@given(st.integers(0, 200), st.integers(0, 2**32))
def test_shuffled_is_a_permutation(count, seed):
    assert np.array_equal(np.sort(shuffled(count, np.random.default_rng(seed))), np.arange(count))
