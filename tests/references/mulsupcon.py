"""MulSupCon and its two losses with label distributions, in loops over anchors, labels and references.

Shapes, B anchors, K keys in the queue (0 before it is full), A = B + K references, c labels, width D:
    z        B × D, the normalised projections of the first views;
    keys     A × D, the references: the batch's own B keys (row i is anchor i's), then the queue's;
    y        B × c in {0, 1};                labels   A × c, those of the references (the first B are y);
    d        B × c, rows sum to 1;           stored   A × c, the references' distributions, held (the first B
                                                      are d, without gradient);
    weight   c × width, of the label layer.
Stop-gradients are arguments, so that `slopes` of a loss with respect to one argument is the method's
gradient: `stored` and `held` (B × A, the weights w) do not move with d and z.

Readings: an anchor without labels is, for `all`, the positive of references without labels; B in `instance`
counts it. Of the losses with distributions such an anchor has neither T nor G; its H is ‖d‖² by H = ‖y − d‖²,
and 0 over the positives, of which it has none. Its labels stay 0 where they are normalised. A loss over no
pair is 0. The mean over the batch of `normalise: positives` is over all B. The squared deviation of BatchNorm
is divided by the rows. A norm of 0 leaves a row of zeros as it is.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from references.arithmetic import (
    Matrix,
    Parameters,
    Vector,
    affine,
    cross_entropy,
    dot,
    log_softmax,
    mean,
    slopes,
    softmax,
    squared_distance,
)

TEMPERATURE, MOMENTUM, SIGMA = 0.1, 0.999, 0.01
NORM_EPS = 1e-5


def members(i: int, anchors: int, references: int, algorithm: bool) -> list[int]:
    """The references of anchor i: batch keys and queue; by the algorithm, its own key and the queue."""
    return [p for p in range(references) if not algorithm or p == i or p >= anchors]


def log_ratios(
    z: Matrix, keys: Matrix, temperature: float = TEMPERATURE, algorithm: bool = False
) -> list[list[float]]:
    """C, B × A (Eq. 10); −inf at what is no reference of the anchor."""
    found = []
    for i, anchor in enumerate(z):
        places = members(i, len(z), len(keys), algorithm)
        row = [-math.inf] * len(keys)
        values = log_softmax([dot(anchor, keys[p]) / temperature for p in places])
        for p, value in zip(places, values):
            row[p] = value
        found.append(row)
    return found


def carried(row: Vector) -> list[int]:
    return [j for j, label in enumerate(row) if label]


def identical(row: Vector, labels: Matrix) -> list[int]:
    """The references with the anchor's very label row (ALL)."""
    return [p for p, other in enumerate(labels) if all(a == b for a, b in zip(row, other))]


def sharing(row: Vector, labels: Matrix) -> list[int]:
    """The references that share a label with the anchor (ANY)."""
    return [p for p, other in enumerate(labels) if any(a and b for a, b in zip(row, other))]


def carrying(j: int, labels: Matrix) -> list[int]:
    return [p for p, other in enumerate(labels) if other[j]]


def loss_all(z: Matrix, keys: Matrix, y: Matrix, labels: Matrix, temperature: float = TEMPERATURE) -> float:
    """Eq. 1."""
    ratios = log_ratios(z, keys, temperature)
    return mean([-mean([ratios[i][p] for p in identical(row, labels)]) for i, row in enumerate(y)])


def loss_any(z: Matrix, keys: Matrix, y: Matrix, labels: Matrix, temperature: float = TEMPERATURE) -> float:
    """Eq. 2, the mean over anchors with labels."""
    ratios = log_ratios(z, keys, temperature)
    found = [-mean([ratios[i][p] for p in sharing(row, labels)]) for i, row in enumerate(y) if any(row)]
    return mean(found) if found else 0.0


def pairs(
    z: Matrix, keys: Matrix, y: Matrix, labels: Matrix, temperature: float = TEMPERATURE
) -> list[list[float]]:
    """Of each anchor, for each label it carries, in order: −mean of C over the references with it (Eq. 3)."""
    ratios = log_ratios(z, keys, temperature)
    return [
        [-mean([ratios[i][p] for p in carrying(j, labels)]) for j in carried(row)] for i, row in enumerate(y)
    ]


def loss_mulsupcon(
    z: Matrix,
    keys: Matrix,
    y: Matrix,
    labels: Matrix,
    temperature: float = TEMPERATURE,
    pair_weights: str = "pair",
) -> float:
    """Eq. 4: the mean over all pairs; by `instance` a pair weighs 1/(B·|y_i|)."""
    found = pairs(z, keys, y, labels, temperature)
    if pair_weights == "instance":
        return sum(value / len(y) / len(of_anchor) for of_anchor in found for value in of_anchor)
    every = [value for of_anchor in found for value in of_anchor]
    return mean(every) if every else 0.0


def matrix(y: Matrix, labels: Matrix, loss: str, pair_weights: str = "pair") -> list[list[float]]:
    """M, B × A, of loss "all", "any" or "mulsupcon": the loss is −Σ M∘C."""
    found = [[0.0] * len(labels) for _ in y]
    labelled, every = sum(1 for row in y if any(row)), sum(len(carried(row)) for row in y)
    for i, row in enumerate(y):
        if loss == "mulsupcon":
            for j in carried(row):
                anchor = 1 / len(y) / len(carried(row)) if pair_weights == "instance" else 1 / every
                for p in carrying(j, labels):
                    found[i][p] += anchor / len(carrying(j, labels))
        else:
            places = identical(row, labels) if loss == "all" else sharing(row, labels)
            for p in places:
                found[i][p] = 1 / len(places) / (len(y) if loss == "all" else labelled)
    return found


def similarities(
    z: Matrix,
    keys: Matrix,
    weighting: str,
    temperature: float = TEMPERATURE,
    sigma: float = SIGMA,
    algorithm: bool = False,
) -> list[list[float]]:
    """w, B × A: "rbf" is RLD (Eq. 6); "exp", "neg_log" and "literal" are CLD by C (Eq. 10).

    What is no reference of the anchor has 0.
    """
    ratios = log_ratios(z, keys, temperature, algorithm)
    found = [[0.0] * len(keys) for _ in z]
    for i, anchor in enumerate(z):
        for p in members(i, len(z), len(keys), algorithm):
            c = ratios[i][p]
            found[i][p] = {
                "rbf": math.exp(-squared_distance(anchor, keys[p]) / (2 * sigma**2)),
                "exp": math.exp(c),
                "neg_log": -c,
                "literal": c,
            }[weighting]
    return found


def positives(i: int, y: Matrix, labels: Matrix, algorithm: bool = False) -> list[int]:
    """P(i), by ANY."""
    places = members(i, len(y), len(labels), algorithm)
    return [p for p in sharing(y[i], labels) if p in places]


def contrastive_terms(
    z: Matrix,
    keys: Matrix,
    y: Matrix,
    labels: Matrix,
    stored: Matrix,
    temperature: float = TEMPERATURE,
    algorithm: bool = False,
) -> list[float]:
    """T_i, the first part of Eq. 12: −Σ_{j∈y_i} Σ_{p∈P^j(i)} d_p^j C_ip."""
    ratios = log_ratios(z, keys, temperature, algorithm)
    found = []
    for i, row in enumerate(y):
        total = 0.0
        for j in carried(row):
            for p in positives(i, y, labels, algorithm):
                if labels[p][j]:
                    total -= stored[p][j] * ratios[i][p]
        found.append(total)
    return found


def pulls(
    y: Matrix, labels: Matrix, d: Matrix, stored: Matrix, held: Matrix, algorithm: bool = False
) -> list[float]:
    """G_i (Eq. 7)."""
    found = []
    for i, row in enumerate(d):
        places = positives(i, y, labels, algorithm)
        found.append(sum(held[i][p] * squared_distance(row, stored[p]) for p in places))
    return found


def normalised_labels(row: Vector) -> list[float]:
    return [label / max(sum(row), 1) for label in row]


def anchorings(
    y: Matrix,
    labels: Matrix,
    d: Matrix,
    stored: Matrix,
    h: str = "own",
    normalise_labels: bool = False,
    algorithm: bool = False,
) -> list[float]:
    """H_i (Eq. 8): ‖y_i − d_i‖², or by h "positives" the sum over P(i), where the own row alone is live."""
    found = []
    for i, row in enumerate(d):
        places = positives(i, y, labels, algorithm) if h == "positives" else [i]
        total = 0.0
        for p in places:
            target = normalised_labels(labels[p]) if normalise_labels else labels[p]
            total += squared_distance(target, row if p == i else stored[p])
        found.append(total)
    return found


def frobenius(weight: Matrix) -> float:
    return sum(value * value for row in weight for value in row)


def loss_of_distributions(
    z: Matrix,
    keys: Matrix,
    y: Matrix,
    labels: Matrix,
    d: Matrix,
    stored: Matrix,
    weight: Matrix,
    held: Matrix,
    alpha: float,
    beta: float,
    temperature: float = TEMPERATURE,
    h: str = "own",
    normalise_labels: bool = False,
    algorithm: bool = False,
    normalise: str = "none",
) -> float:
    """RLD and CLD (Eq. 12–15), `held` being w; the sum over anchors, or by normalise "positives" a mean."""
    t = contrastive_terms(z, keys, y, labels, stored, temperature, algorithm)
    g = pulls(y, labels, d, stored, held, algorithm)
    anchoring = anchorings(y, labels, d, stored, h, normalise_labels, algorithm)
    found = []
    for i in range(len(y)):
        count = len(positives(i, y, labels, algorithm)) if normalise == "positives" else 1
        found.append((t[i] + g[i]) / max(count, 1) + alpha * anchoring[i] + beta * frobenius(weight))
    return mean(found) if normalise == "positives" else sum(found)


def gradients_of_distributions(
    z: Matrix,
    keys: Matrix,
    y: Matrix,
    labels: Matrix,
    d: Matrix,
    stored: Matrix,
    weight: Matrix,
    held: Matrix,
    alpha: float,
    beta: float,
    **how: float | str | bool,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The gradients of `loss_of_distributions` with respect to z, d (before the softmax's own) and weight."""

    def loss(z: Matrix, d: Matrix, weight: Matrix) -> float:
        return loss_of_distributions(z, keys, y, labels, d, stored, weight, held, alpha, beta, **how)

    return (
        slopes(lambda z: loss(z, d, weight), z),
        slopes(lambda d: loss(z, d, weight), d),
        slopes(lambda weight: loss(z, d, weight), weight),
    )


@dataclass(frozen=True)
class Queue:
    """Keys with their labels and distributions, the oldest first; nothing is in it before it enters."""

    capacity: int
    keys: tuple[Vector, ...] = ()
    labels: tuple[Vector, ...] = ()
    distributions: tuple[Vector, ...] = ()

    def full(self) -> bool:
        return len(self.keys) == self.capacity

    def references(self, keys: Matrix, y: Matrix, d: Matrix) -> tuple[Matrix, Matrix, Matrix]:
        """`keys`, `labels` and `stored` of a step: the batch's own, then the whole queue once it is full."""
        if not self.full():
            return [*keys], [*y], [*d]
        return [*keys, *self.keys], [*y, *self.labels], [*d, *self.distributions]

    def after(self, keys: Matrix, y: Matrix, d: Matrix) -> "Queue":
        """The queue once the step's keys have entered and the oldest have left."""
        if self.capacity % len(keys):
            raise ValueError("the capacity is a multiple of the batch")
        kept = slice(max(len(self.keys) + len(keys) - self.capacity, 0), None)
        return Queue(
            self.capacity,
            (*self.keys[kept], *map(tuple, keys)),
            (*self.labels[kept], *map(tuple, y)),
            (*self.distributions[kept], *map(tuple, d)),
        )


def followed(key: Parameters, query: Parameters, momentum: float = MOMENTUM) -> Parameters:
    """The key encoder's parameters before the forward of a step; buffers do not follow."""
    return {name: momentum * array + (1 - momentum) * query[name] for name, array in key.items()}


def backbone(parameters: Parameters, x: Matrix) -> list[list[float]]:
    """h of each row, dropout off; backbone.0, .1 and .2, each weight (out × in) and bias, then ReLU."""
    found = []
    for row in x:
        for k in range(3):
            layer = parameters[f"backbone.{k}.weight"], parameters[f"backbone.{k}.bias"]
            row = [max(value, 0.0) for value in affine(*layer, row)]
        found.append(row)
    return found


def hidden_width(width: int) -> int:
    """Of the projection head over `width` inputs."""
    return width // 2 if width >= 512 else 256


def projection(parameters: Parameters, h: Matrix) -> list[list[float]]:
    """The head's output before it is normalised, BatchNorm by the batch, dropout off.

    projection.inner.weight (hidden × in), .inner.bias, .norm.weight (hidden), .norm.bias,
    .outer.weight (out × hidden), .outer.bias.
    """
    inner = parameters["projection.inner.weight"], parameters["projection.inner.bias"]
    outer = parameters["projection.outer.weight"], parameters["projection.outer.bias"]
    hidden = [affine(*inner, row) for row in h]
    norms = zip(parameters["projection.norm.weight"], parameters["projection.norm.bias"])
    for k, (scale, shift) in enumerate(norms):
        column = [row[k] for row in hidden]
        middle = mean(column)
        spread = math.sqrt(mean([(value - middle) ** 2 for value in column]) + NORM_EPS)
        for row in hidden:
            row[k] = max(scale * (row[k] - middle) / spread + shift, 0.0)
    return [affine(*outer, row) for row in hidden]


def of_length_one(rows: Matrix) -> list[list[float]]:
    return [[value / (math.sqrt(dot(row, row)) or 1.0) for value in row] for row in rows]


def distributions(parameters: Parameters, h: Matrix, source: str = "backbone") -> list[list[float]]:
    """d = softmax(fc(q)), B × c; fc.weight (c × width), fc.bias (c).

    q is the backbone's output h; the head's output (source "projection"); that of length 1 ("normalised").
    """
    q = h if source == "backbone" else projection(parameters, h)
    if source == "normalised":
        q = of_length_one(q)
    return [softmax(affine(parameters["fc.weight"], parameters["fc.bias"], row)) for row in q]


def masked(x: Matrix, masks: Matrix) -> list[list[float]]:
    """A view: 0 where the mask is 1, the other entries as they are."""
    return [[0.0 if hidden else value for value, hidden in zip(*rows)] for rows in zip(x, masks)]


def batches(orders: Sequence[Sequence[int]], size: int) -> Iterator[list[int]]:
    """Rows of each training batch: an endless walk over one shuffled list after the other, none short."""
    walk = [row for order in orders for row in order]
    for start in range(0, len(walk) - size + 1, size):
        yield walk[start : start + size]


def batches_of_epoch(rows: int, size: int) -> int:
    return math.ceil(rows / size)


def rate(epoch: int, start: float, first: int, factor: int, least: float) -> float:
    """The learning rate of an epoch, counted from 0: cosine, with restarts (first, factor, least)."""
    length = first
    while epoch >= length:
        epoch, length = epoch - length, length * factor
    return least + (start - least) * (1 + math.cos(math.pi * epoch / length)) / 2


def loss_of_classifier(logits: Matrix, y: Matrix) -> float:
    """Of the second stage, B × c both: BCE, mean over all entries."""
    return mean([cross_entropy(a, b) for row, labels in zip(logits, y) for a, b in zip(row, labels)])
