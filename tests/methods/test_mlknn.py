"""ML-kNN against a reading of the paper in plain loops, one row and one label at a time."""

import io
import math

import numpy as np
import pytest
import torch
from scipy import sparse

from mlbench.data.rows import Rows
from mlbench.data.sparse import SparseRows, sparse_rows
from mlbench.data.task import Modality, Task
from mlbench.errors import UserError
from mlbench.methods import nearest
from mlbench.methods.classical import mlknn
from mlbench.methods.classical.mlknn import MLkNN
from mlbench.methods.nearest import Held


def distance(one, other) -> float:
    """Squared; the sum of all squares is rounded but once, and then to 32 binary digits."""
    total = math.fsum((float(a) - float(b)) ** 2 for a, b in zip(one, other))
    mantissa, exponent = math.frexp(total)
    return math.ldexp(round(mantissa * 2**32), exponent - 32)


def nearest_by_loops(x, rows, k, own=None):
    order = sorted((distance(x, row), number) for number, row in enumerate(rows) if number != own)
    return [number for _, number in order[:k]]


def scores_by_loops(train, targets, test, k, s):
    """The pseudo code of Zhang & Zhou 2007."""
    m, labels = targets.shape
    k = min(k, m - 1)
    neighbours = [nearest_by_loops(train[i], train, k, own=i) for i in range(m)]
    scores = np.zeros((len(test), labels))
    for label in range(labels):
        prior = (s + sum(targets[:, label])) / (s * 2 + m)
        c, c_not = [0] * (k + 1), [0] * (k + 1)
        for i in range(m):
            delta = sum(int(targets[a, label]) for a in neighbours[i])
            (c if targets[i, label] else c_not)[delta] += 1
        for t, x in enumerate(test):
            j = sum(int(targets[a, label]) for a in nearest_by_loops(x, train, k))
            yes = prior * (s + c[j]) / (s * (k + 1) + sum(c))
            no = (1 - prior) * (s + c_not[j]) / (s * (k + 1) + sum(c_not))
            scores[t, label] = yes / (yes + no)
    return scores


KINDS = ("few whole numbers", "whole and large", "two thirds", "unit length", "far from the origin", "normal")


def any_features(kind, rng, rows, width):
    counts = rng.integers(0, 3, (rows, width)) * (rng.random((rows, width)) < 0.6)
    drawn = {
        "few whole numbers": counts,
        "whole and large": counts * 3001,
        "two thirds": counts / 3,
        "unit length": counts / np.maximum(np.linalg.norm(counts, axis=1, keepdims=True), 1),
        "far from the origin": 1e4 + counts / 7,
        "normal": rng.normal(size=(rows, width)),
    }[kind].astype(np.float32)
    drawn[rng.integers(rows)] = drawn[0]  # as a rule, two rows are alike
    return drawn


def any_data(kind, seed):
    rng = np.random.default_rng(seed)
    rows, width, labels = rng.integers(2, 40), rng.integers(1, 7), rng.integers(1, 4)
    features = any_features(kind, rng, rows + 9, width)
    return features[:rows], (rng.random((rows, labels)) < 0.4).astype(np.uint8), features[rows:]


def vectors_of(features, targets, sparsely=False):
    held = sparse_rows(sparse.csr_matrix(features)) if sparsely else torch.from_numpy(features)
    return Rows(held, torch.from_numpy(targets).float(), torch.arange(len(targets)))


def mlknn_for(features, targets, k=3, s=1.0):
    names = tuple(map(str, range(targets.shape[1])))
    positives = tuple(int(count) for count in targets.sum(0))
    return MLkNN(Task("t", names, (Modality("f", 0, features.shape[1]),), len(targets), positives), k, s)


def solved(features, targets, k=3, s=1.0, sparsely=False):
    method = mlknn_for(features, targets, k, s)
    method.solve(vectors_of(features, targets, sparsely))
    return method


def scores_for(method, features):
    return method.scores(
        vectors_of(features, np.zeros((len(features), 1))).batch(torch.arange(len(features)))
    )


@pytest.mark.parametrize("sparsely", [False, True])
@pytest.mark.parametrize("seed", range(50))
def test_it_is_the_papers(seed, sparsely):
    train, targets, test = any_data(KINDS[seed % len(KINDS)], seed)
    k, s = min(1 + seed % 5, len(train) - 1), (1.0, 0.5)[seed % 2]
    expected = torch.from_numpy(scores_by_loops(train, targets, test, k, s)).float()
    assert torch.equal(scores_for(solved(train, targets, k, s, sparsely), test), expected)


@pytest.mark.parametrize("sparsely", [False, True])
@pytest.mark.parametrize("kind", KINDS)
def test_neighbours_are_exact_however_few_are_looked_at_twice_and_at_once(kind, sparsely, monkeypatch):
    rng = np.random.default_rng(5)
    features = any_features(kind, rng, 70, 6)
    rows = Held(6)
    rows.hold(vectors_of(features, np.zeros((70, 1)), sparsely).x)
    expected = [nearest_by_loops(x, features, 4, own) for own, x in enumerate(features)]
    monkeypatch.setattr(nearest, "SPARE", 1)
    for cells in (150, 2**21):
        monkeypatch.setattr(nearest, "CELLS", cells)
        assert rows.nearest(torch.from_numpy(features), 4, torch.arange(70)).tolist() == expected


def test_features_that_float32_cannot_tell_apart_by_products():
    """All rows within 1e-3 of each other, at 1e4 from the origin in one direction and 1 in the rest."""
    rng = np.random.default_rng(0)
    features = np.array([1e4] + [1] * 7, np.float32) + rng.integers(0, 2, (60, 8)).astype(np.float32) / 1024
    rows = Held(8)
    rows.hold(torch.from_numpy(features))
    rows.centre.zero_()
    rows.squares = (rows.dense**2).sum(1)
    found = rows.nearest(torch.from_numpy(features), 5, torch.arange(60))
    assert found.tolist() == [nearest_by_loops(x, features, 5, own) for own, x in enumerate(features)]


@pytest.mark.parametrize("sparsely", [False, True])
def test_the_order_of_addition_parts_no_rows_that_are_equally_far(sparsely):
    """All have the same numbers, in other columns."""
    rng = np.random.default_rng(0)
    values = rng.random(30).astype(np.float32)
    features = np.stack([rng.permutation(values) for _ in range(60)])
    rows = Held(30)
    rows.hold(vectors_of(features, np.zeros((60, 1)), sparsely).x)
    assert rows.nearest(torch.zeros(1, 30), 7).tolist() == [list(range(7))]


def test_only_a_few_sparse_rows_are_dense_at_once(monkeypatch):
    rng, dense_rows, sizes = np.random.default_rng(0), SparseRows.dense_rows, []
    monkeypatch.setattr(mlknn, "CELLS", 2**17)
    monkeypatch.setattr(SparseRows, "dense_rows", lambda *of: sizes.append(len(of[1])) or dense_rows(*of))
    features = sparse.random(300, 10_000, density=1e-3, format="csr", dtype=np.float32, rng=rng)
    method = mlknn_for(features, np.zeros((300, 2)))
    method.solve(Rows(sparse_rows(features), torch.zeros(300, 2), torch.arange(300)))
    assert max(sizes) == 2**17 // 10_000 and sum(sizes) == 300
    assert not len(method.rows.dense)


@pytest.mark.parametrize("rows", [1, 2, 4, 10])
def test_more_neighbours_than_there_are_other_rows_are_refused(rows):
    features, targets = np.eye(11, dtype=np.float32), np.ones((11, 1), np.uint8)
    mlknn_for(features, targets, k=10)
    with pytest.raises(
        UserError, match=rf"method\.k=10: each of the {rows} training rows has {rows - 1} others"
    ):
        mlknn_for(features[:rows], targets[:rows], k=10)


@pytest.mark.parametrize("sparsely", [False, True])
def test_a_state_of_any_size_is_loaded(sparsely):
    train, targets, test = any_data("normal", 1)
    method, file = solved(train, targets, sparsely=sparsely), io.BytesIO()
    torch.save(method.state_dict(), file)
    file.seek(0)
    other = mlknn_for(train, targets)
    other.load_state_dict(torch.load(file, weights_only=True))
    assert torch.equal(scores_for(other, test), scores_for(method, test))
