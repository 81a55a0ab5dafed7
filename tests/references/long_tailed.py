"""The losses for long-tailed labels that FLEM is compared with, entry by entry, by their presets.

`z` logits and `y` labels, rows × labels; `counts` the positives of each label in training, `rows` the rows.
Readings: a label without positives counts as one with 1; a row without positives has r = ∞, so the map's
sigmoid is 1. The map and the tolerance of negatives have weights and losses of their own below.
"""

import math

from references.arithmetic import Matrix, Vector, cross_entropy, log_sum_exp, mean, sigmoid

ALPHA, GAMMA = 0.5, 2
B, CB_FACTOR = 0.9, 10
KAPPA, LAMBDA = 0.05, 2
FLOOR, STEEPNESS, CENTRE = 0.1, 10, 0.9


def focal_entry(logit: float, label: float) -> float:
    """a_t (1 − p_t)² b."""
    p = sigmoid(logit) if label else sigmoid(-logit)
    return ALPHA * (1 - p) ** GAMMA * cross_entropy(logit, label)


def tolerant_entry(logit: float, label: float, count: float, rows: int) -> float:
    """Focal loss under negative-tolerant regularisation."""
    moved = logit - KAPPA * math.log(rows / max(count, 1) - 1)
    return focal_entry(moved, label) if label else focal_entry(LAMBDA * moved, label) / LAMBDA


def class_weights(counts: Vector) -> list[float]:
    """Of each label its weight by the effective number of samples."""
    return [CB_FACTOR * (1 - B) / (1 - B ** max(count, 1)) for count in counts]


def row_weights(labels: Vector, counts: Vector) -> list[float]:
    """Of each entry of a row its rebalanced weight."""
    shares = [1 / max(count, 1) for count in counts]
    repeated = sum(share for share, label in zip(shares, labels) if label)
    if not repeated:
        return [FLOOR + 1.0] * len(labels)
    return [FLOOR + sigmoid(STEEPNESS * (share / repeated - CENTRE)) for share in shares]


def weighted(z: Matrix, y: Matrix, counts: Vector, rows: int, weigh: str, tolerant: bool) -> float:
    """Mean over all entries; weigh is "none", "label" or "row"."""
    found = []
    for logits, labels in zip(z, y):
        ones = [1.0] * len(labels)
        weights = {"none": ones, "label": class_weights(counts), "row": row_weights(labels, counts)}[weigh]
        for logit, label, count, weight in zip(logits, labels, counts, weights):
            plain = tolerant_entry(logit, label, count, rows) if tolerant else focal_entry(logit, label)
            found.append(weight * plain)
    return mean(found)


def focal(z: Matrix, y: Matrix, counts: Vector, rows: int) -> float:
    return weighted(z, y, counts, rows, "none", tolerant=False)


def cb_focal(z: Matrix, y: Matrix, counts: Vector, rows: int) -> float:
    return weighted(z, y, counts, rows, "label", tolerant=False)


def r_focal(z: Matrix, y: Matrix, counts: Vector, rows: int) -> float:
    return weighted(z, y, counts, rows, "row", tolerant=False)


def db(z: Matrix, y: Matrix, counts: Vector, rows: int) -> float:
    return weighted(z, y, counts, rows, "row", tolerant=True)


def cb_ntr(z: Matrix, y: Matrix, counts: Vector, rows: int) -> float:
    return weighted(z, y, counts, rows, "label", tolerant=True)


def balanced_softmax(z: Matrix, y: Matrix) -> float:
    """log(1 + Σ over negatives of e^z) + log(1 + Σ over positives of e^−z), mean over rows."""
    found = []
    for logits, labels in zip(z, y):
        irrelevant = [0.0, *(logit for logit, label in zip(logits, labels) if not label)]
        relevant = [0.0, *(-logit for logit, label in zip(logits, labels) if label)]
        found.append(log_sum_exp(irrelevant) + log_sum_exp(relevant))
    return mean(found)
