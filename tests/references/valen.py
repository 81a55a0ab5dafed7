"""VALEN's terms in loops over rows and labels, in the multi-label reading: the positives are the candidates.

Matrices are rows × labels: `e` logits of the encoder, `f` those of the classifier, `o` and `dist` the two
distributions it keeps, `d` the distributions drawn in the step; `x` inputs, rows × d, as they are.

The decoder's parameters, in the order of the worked values: first.weight (d × L), first.bias (d),
second.weight (d × d), second.bias (d).

Readings: the support of o is where o > 0; a row without positives is left out of the means of L_d and L_o,
its o and dist stay 0 and its distribution is uniform; neighbours at equal distance come by number; s of a row
without positives is .01 everywhere. The normaliser of s is held: `strengths` takes it as an argument.
"""

import math

import numpy as np
from scipy.special import digamma

from references.arithmetic import (
    Matrix,
    Parameters,
    Vector,
    affine,
    cross_entropy,
    dot,
    log_softmax,
    mean,
    sigmoid,
    softmax,
    squared_distance,
)

LEAST = 0.01  # added to every s
WEIGHT_X = WEIGHT_Y = 0.01


def shapes(d: int, labels: int) -> dict[str, tuple[int, ...]]:
    """The decoder's parameters, named in the order of the worked values."""
    return {"first.weight": (d, labels), "first.bias": (d,), "second.weight": (d, d), "second.bias": (d,)}


def uniform(y: Matrix) -> list[list[float]]:
    """The first o: uniform over the positives; a row without positives is 0."""
    return [[label / max(sum(row), 1) for label in row] for row in y]


def graph(x: Matrix, neighbours: int = 3) -> np.ndarray:
    """A: a row's nearest others and itself, each 1 / (neighbours + 1)."""
    found = np.zeros((len(x), len(x)))
    for i, row in enumerate(x):
        others = sorted((squared_distance(row, other), k) for k, other in enumerate(x) if k != i)
        for k in [i, *(k for _, k in others[:neighbours])]:
            found[i, k] = 1 / (neighbours + 1)
    return found


def restricted(row: Vector, support: Vector) -> list[float]:
    """The row on the support, renormalised; 0 where there is no support."""
    kept = [value if here > 0 else 0.0 for value, here in zip(row, support)]
    return [value / sum(kept) for value in kept] if any(here > 0 for here in support) else kept


def normalisers(e: Matrix, o: Matrix) -> list[float]:
    """Of each row the sum of softmax(e) on the support of o, held in the gradient of s; 1 without support."""
    return [sum(p for p, q in zip(softmax(a), b) if q > 0) or 1.0 for a, b in zip(e, o)]


def strengths(e: Matrix, o: Matrix, normaliser: Vector) -> list[list[float]]:
    """s, the Dirichlet's parameters."""
    return [
        [(p / total if q > 0 else 0.0) + LEAST for p, q in zip(softmax(logits), row)]
        for logits, row, total in zip(e, o, normaliser)
    ]


def target_loss(logits: Matrix, targets: Matrix) -> float:
    """−mean Σ target log softmax(logits) over rows that have a target: L_d of (e, o), L_o of (f, dist)."""
    found = []
    for row, target in zip(logits, targets):
        if any(target):
            found.append(-sum(q * p for q, p in zip(target, log_softmax(row)) if q))
    return mean(found) if found else 0.0


def l_alpha(e: Matrix) -> float:
    """mean KL(Dir(a) ‖ Dir(1)), a = exp(e/4) in [.01, 30]."""
    found = []
    for row in e:
        a = [min(max(math.exp(value / 4), 0.01), 30) for value in row]
        total = sum(a)
        constant = math.lgamma(total) - sum(map(math.lgamma, a)) - math.lgamma(len(a))
        found.append(constant + sum((b - 1) * float(digamma(b) - digamma(total)) for b in a))
    return mean(found)


def decoded(decoder: Parameters, d: Vector) -> list[float]:
    hidden = [max(h, 0.0) for h in affine(decoder["first.weight"], decoder["first.bias"], d)]
    return affine(decoder["second.weight"], decoder["second.bias"], hidden)


def l_x(decoder: Parameters, d: Matrix, x: Matrix, weight: float = WEIGHT_X) -> float:
    pairs = [(a, b) for row, wanted in zip(d, x) for a, b in zip(decoded(decoder, row), wanted)]
    return weight * mean([(a - b) ** 2 for a, b in pairs])


def l_y(d: Matrix, y: Matrix) -> float:
    """d stands for logits, as in the authors' code."""
    return WEIGHT_Y * mean([cross_entropy(a, b) for row, labels in zip(d, y) for a, b in zip(row, labels)])


def l_graph(d: Matrix, block: Matrix) -> float:
    """L_A: `block` is A on the batch's rows and columns."""
    found = []
    for row, wanted in zip(d, block):
        near = softmax([sigmoid(dot(row, other)) for other in d])
        found += [(a - b) ** 2 for a, b in zip(near, wanted)]
    return mean(found)


def terms(
    decoder: Parameters,
    e: Matrix,
    f: Matrix,
    o: Matrix,
    dist: Matrix,
    d: Matrix,
    x: Matrix,
    y: Matrix,
    block: Matrix,
) -> dict[str, float]:
    return {
        "d": target_loss(e, o),
        "alpha": l_alpha(e),
        "x": l_x(decoder, d, x),
        "y": l_y(d, y),
        "A": l_graph(d, block),
        "o": target_loss(f, dist),
    }


def loss(terms: dict[str, float], beta: float = 0.01, gamma: float = 20) -> float:
    return terms["x"] + terms["y"] + terms["A"] + beta * terms["alpha"] + gamma * terms["d"] + terms["o"]


def next_dist(d: Matrix, y: Matrix) -> list[list[float]]:
    """dist after the step: d on the positives, renormalised."""
    return [restricted(row, labels) for row, labels in zip(d, y)]


def next_o(f: Matrix, y: Matrix) -> list[list[float]]:
    """o after the step, by f's outputs before it, in the warm-up as later."""
    return [restricted(softmax(row), labels) for row, labels in zip(f, y)]


def distributions(e: Matrix, y: Matrix) -> list[list[float]]:
    """What the first stage leaves: softmax(e) on the positives, no draw; uniform without positives."""
    return [
        restricted(softmax(row), labels) if any(labels) else [1 / len(labels)] * len(labels)
        for row, labels in zip(e, y)
    ]
