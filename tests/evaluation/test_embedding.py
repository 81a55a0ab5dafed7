"""Alignment, uniformity and the nearest neighbours against plain loops, and by hand."""

import math
from statistics import fmean

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.neighbors import NearestNeighbors

from mlbench.evaluation import embedding
from mlbench.evaluation.embedding import PROBES, neighbours, probed, unit
from mlbench.evaluation.suite import evaluate


@st.composite
def parts(draw):
    """Two parts with vectors of few directions, so that many are equally near; zero vectors, empty rows."""
    width, labels = draw(st.integers(1, 3)), draw(st.integers(1, 3))

    def part(rows):
        vectors = st.lists(st.integers(-2, 2), min_size=rows * width, max_size=rows * width)
        targets = st.lists(st.integers(0, 1), min_size=rows * labels, max_size=rows * labels)
        drawn = torch.tensor(draw(vectors), dtype=torch.float32), torch.tensor(draw(targets))
        return drawn[0].view(rows, width), drawn[1].view(rows, labels)

    return part(draw(st.integers(1, 7))), part(draw(st.integers(1, 15)))


def of_length_one(vector):
    length = math.sqrt(math.fsum(v * v for v in vector))
    return [v / length for v in vector] if length else vector


def loop_neighbours(vectors, known, labels, count=10):
    """Every label's share among the nearest; of those at the border each counts the same part."""
    count = min(count, len(known))
    rows = []
    for vector in vectors:
        near = [math.fsum(a * b for a, b in zip(vector, other)) for other in known]
        border = sorted(near, reverse=True)[count - 1]
        nearer = [i for i, value in enumerate(near) if value > border + 1e-9]
        level = [i for i, value in enumerate(near) if abs(value - border) <= 1e-9]
        part = (count - len(nearer)) / len(level)
        shares = [
            (sum(labels[i][j] for i in nearer) + part * sum(labels[i][j] for i in level)) / count
            for j in range(len(labels[0]))
        ]
        rows.append(shares)
    return rows


def loop_pairs(vectors, targets):
    shared, all_of_them = [], []
    for i in range(len(vectors)):
        for j in range(i + 1, len(vectors)):
            distance = math.fsum((a - b) ** 2 for a, b in zip(vectors[i], vectors[j]))
            all_of_them.append(math.exp(-2 * distance))
            if any(a and b for a, b in zip(targets[i], targets[j])):
                shared.append(distance)
    return {
        "alignment": fmean(shared) if shared else math.nan,
        "uniformity": math.log(fmean(all_of_them)) if all_of_them else math.nan,
    }


@settings(max_examples=50)
@given(parts())
def test_loops(case):
    (vectors, targets), (others, labels) = case
    z, known = ([of_length_one(vector) for vector in some.tolist()] for some in (vectors, others))
    scores = torch.tensor(loop_neighbours(z, known, labels.tolist()), dtype=torch.float64)
    assert torch.allclose(neighbours(unit(vectors), unit(others), labels), scores, rtol=0, atol=1e-12)
    found = probed(*case)
    assert list(found) == list(PROBES) == ["alignment", "uniformity", "knn_ap_macro", "knn_f1_macro"]
    expected = loop_pairs(z, targets.tolist())
    assert {name: found[name] for name in expected} == pytest.approx(expected, abs=1e-12, nan_ok=True)


def drawn(seed=0, rows=50, width=8, labels=5):
    generator = torch.Generator().manual_seed(seed)
    targets = torch.rand(rows, labels, generator=generator) < 0.3
    return torch.randn(rows, width, generator=generator), targets


def test_scikit_learn_finds_the_same_neighbours():
    (vectors, targets), (others, labels) = drawn(), drawn(1, 200)
    nearest = NearestNeighbors(n_neighbors=10, metric="cosine").fit(others.numpy())
    found = nearest.kneighbors(vectors.numpy(), return_distance=False)
    shares = labels[torch.from_numpy(found)].double().mean(1)
    assert torch.allclose(neighbours(unit(vectors), unit(others), labels), shares, rtol=0, atol=1e-12)
    metrics = evaluate(shares, shares > 0.5, targets, ["ap_macro", "f1_macro"])
    found = probed((vectors, targets), (others, labels))
    assert {"knn_" + name: value for name, value in metrics.items()} == {
        name: found[name] for name in ("knn_ap_macro", "knn_f1_macro")
    }


def test_by_hand():
    """Three directions a right angle apart, the third row opposite to the first."""
    vectors = torch.tensor([[2.0, 0.0], [0.0, 0.5], [-3.0, 0.0]])
    targets = torch.tensor([[1, 0], [1, 1], [0, 1]])
    found = probed((vectors, targets), (vectors, targets))
    assert found["alignment"] == pytest.approx(2, abs=1e-12)  # rows 1 and 2, rows 2 and 3
    assert found["uniformity"] == pytest.approx(math.log((2 * math.exp(-4) + math.exp(-8)) / 3), abs=1e-12)


def test_lengths_are_without_influence():
    (vectors, targets), training = drawn(), drawn(1, 200)
    stretched = vectors * torch.rand(50, 1, generator=torch.Generator().manual_seed(2)).add(0.1)
    assert probed((stretched, targets), training) == pytest.approx(probed((vectors, targets), training))


@pytest.mark.parametrize("block", [1, 130, 1001])
def test_blocks_are_without_influence(block, monkeypatch):
    case = drawn(), drawn(1, 200)
    expected = probed(*case)
    monkeypatch.setattr(embedding, "BLOCK", block)
    assert probed(*case) == pytest.approx(expected, rel=1e-12)
