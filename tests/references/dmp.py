"""DMP with many labels in loops over rows, steps, modalities and labels, dropout off.

Shapes: x N × d, its columns the modalities in the data set's order (`widths`, m of them); y N × q in {0, 1}.

Parameters, weights out × in, i the step from 0 to m − 1:
    lstm.input_weight (4d × d), lstm.hidden_weight (4d × d), lstm.bias (4d), gates in the page's order: i, f,
    o, candidate c; an implementation with two biases has their sum here;
    label.i.weight (q × (i + 1)·d), label.i.bias (q); modality.i.weight (m × d), modality.i.bias (m).

Readings, where the page is silent: the first state and cell are 0; the BCE of a step is the mean over rows
and labels; the loss is the sum over steps; "both weights are ~0 at the last step" leaves both terms out
there; of equal modalities, or neighbours, the lower number comes first; gradients go through a neighbour's p.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

from references.arithmetic import (
    Matrix,
    Parameters,
    Vector,
    affine,
    block_scaled,
    cross_entropy,
    mean,
    one_hot,
    plus,
    product,
    sigmoid,
    softmax,
    squared_distance,
)


@dataclass
class Trace:
    """What one row goes through; lists have an entry a step."""

    order: list[int] = field(default_factory=lambda: [0])  # the modality read
    states: list[list[float]] = field(default_factory=list)
    label_logits: list[list[float]] = field(default_factory=list)
    shares: list[list[float]] = field(default_factory=list)  # p, of which the next modality is the largest


def shapes(widths: Sequence[int], labels: int) -> dict[str, tuple[int, ...]]:
    d, m = sum(widths), len(widths)
    found: dict[str, tuple[int, ...]] = {"lstm.input_weight": (4 * d, d), "lstm.hidden_weight": (4 * d, d)}
    found["lstm.bias"] = (4 * d,)
    for i in range(m):
        found |= {f"label.{i}.weight": (labels, (i + 1) * d), f"label.{i}.bias": (labels,)}
        found |= {f"modality.{i}.weight": (m, d), f"modality.{i}.bias": (m,)}
    return found


def lstm(parameters: Parameters, state: Vector, cell: Vector, x: Vector) -> tuple[list[float], list[float]]:
    """The state and the cell after one input."""
    of_input = affine(parameters["lstm.input_weight"], parameters["lstm.bias"], x)
    inner = plus(of_input, product(parameters["lstm.hidden_weight"], state))
    d, after, kept = len(state), [], []
    for k in range(d):
        let_in, forget, let_out = (sigmoid(inner[gate * d + k]) for gate in range(3))
        kept.append(forget * cell[k] + let_in * math.tanh(inner[3 * d + k]))
        after.append(let_out * math.tanh(kept[-1]))
    return after, kept


def traced(parameters: Parameters, x: Vector, widths: Sequence[int]) -> Trace:
    m, trace = len(widths), Trace()
    state = cell = [0.0] * len(x)
    for i in range(m):
        shown = block_scaled(x, widths, one_hot(trace.order[i], m))
        state, cell = lstm(parameters, state, cell, shown)
        trace.states.append(state)
        joined = [value for so_far in trace.states for value in so_far]
        label_head = parameters[f"label.{i}.weight"], parameters[f"label.{i}.bias"]
        trace.label_logits.append(affine(*label_head, joined))
        modality_head = parameters[f"modality.{i}.weight"], parameters[f"modality.{i}.bias"]
        trace.shares.append(softmax(affine(*modality_head, state)))
        if i < m - 1:
            trace.order.append(max(range(m), key=lambda k: (trace.shares[-1][k], -k)))
    return trace


def probabilities(parameters: Parameters, x: Matrix, widths: Sequence[int]) -> list[list[float]]:
    """By the last label head."""
    found = [traced(parameters, row, widths) for row in x]
    return [[sigmoid(value) for value in trace.label_logits[-1]] for trace in found]


def cost_term(p: Vector, used: Sequence[int]) -> float:
    """Of one row, mean over modalities; the current modality is among those used."""
    return mean([(1.0 if k in used else 0.1) * share for k, share in enumerate(p)])


def sign(y: Vector, of_neighbour: Vector) -> float:
    """2·Jaccard − 1; two empty sets are alike."""
    both = sum(1 for a, b in zip(y, of_neighbour) if a and b)
    either = sum(1 for a, b in zip(y, of_neighbour) if a or b)
    return 2 * both / either - 1 if either else 1.0


def neighbour_term(
    row: tuple[Vector, Vector, Vector],
    neighbours: Sequence[tuple[Vector, Vector, Vector]],
    widths: Sequence[int],
) -> float:
    """Of one row; each is its features, its p and its labels."""
    x, p, y = row
    terms = []
    for features, shares, labels in neighbours:
        moved = block_scaled(features, widths, shares)
        terms.append(sign(y, labels) * squared_distance(moved, block_scaled(x, widths, p)))
    return mean(terms)


def nearest(x: Matrix, count: int = 3) -> list[list[int]]:
    """The neighbours of each training row, itself left out."""
    found = []
    for n, row in enumerate(x):
        others = [k for k in range(len(x)) if k != n]
        found.append(sorted(others, key=lambda k: (squared_distance(x[k], row), k))[:count])
    return found


def terms(
    parameters: Parameters,
    batch: Sequence[int],
    x: Matrix,
    y: Matrix,
    neighbours: Sequence[Sequence[int]],
    widths: Sequence[int],
) -> list[tuple[float, float, float]]:
    """A step's BCE, neighbour term and cost term, unweighted; `batch` names rows of the training part."""
    wanted = {*batch} | {k for n in batch for k in neighbours[n]}
    traces = {n: traced(parameters, x[n], widths) for n in sorted(wanted)}
    found = []
    for i in range(len(widths)):
        entropy, closeness, cost = [], [], []
        for n in batch:
            trace = traces[n]
            entropy += [cross_entropy(a, b) for a, b in zip(trace.label_logits[i], y[n])]
            cost.append(cost_term(trace.shares[i], trace.order[: i + 1]))
            near = [(x[k], traces[k].shares[i], y[k]) for k in neighbours[n]]
            closeness.append(neighbour_term((x[n], trace.shares[i], y[n]), near, widths))
        found.append((mean(entropy), mean(closeness), mean(cost)))
    return found


def loss(
    parameters: Parameters,
    batch: Sequence[int],
    x: Matrix,
    y: Matrix,
    neighbours: Sequence[Sequence[int]],
    widths: Sequence[int],
    of_neighbours: float = 0.001,
    of_cost: float = 0.1,
) -> float:
    total = 0.0
    for i, (entropy, closeness, cost) in enumerate(terms(parameters, batch, x, y, neighbours, widths)):
        total += entropy
        if i < len(widths) - 1:
            total += of_neighbours * closeness + of_cost * cost
    return total
