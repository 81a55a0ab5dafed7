"""FLEM's terms in loops over rows and labels.

Matrices are rows × labels: `s` logits of the classifier f, `scores` the estimator's d* before its softmax,
`y` labels in {0, 1}; `x` inputs, rows × d. Stop-gradients are arguments: each loss takes what it holds fixed
(`d`, `p`, `given`) apart from what it trains, so that `slopes` of it are the method's gradients.

Parameters of the estimator g, width H: for each branch of "features" (in d, out H), "labels" (in L, out H)
and "decoder" (in 2H, out L, on [features, labels]):
    branch.inner_weight (out × in), branch.inner_bias (out),
    branch.norm_weight, branch.norm_bias (out),
    branch.outer_weight (out × out), branch.outer_bias (out).

Readings: BatchNorm's eps is 1e-5, and of a batch of one row it leaves its bias; the cosine with a row of
zeros is 0; the clipped norm and the remembered one are those before the clipping.
"""

import math
from collections.abc import Sequence

import numpy as np

from references.arithmetic import (
    Matrix,
    Parameters,
    Vector,
    affine,
    cross_entropy,
    divergence,
    dot,
    mean,
    plus,
    sigmoid,
    slopes,
    slopes_of_all,
    softmax,
)

LEAK, EPS = 0.01, 1e-5
LEAST = 1e-7  # p* is clamped to [LEAST, 1 − LEAST]


def normalised(column: Vector, weight: float, bias: float) -> list[float]:
    """BatchNorm of one unit over the batch, with the biased variance."""
    middle = mean(column)
    variance = mean([(value - middle) ** 2 for value in column])
    return [weight * (value - middle) / math.sqrt(variance + EPS) + bias for value in column]


def branch(parameters: Parameters, name: str, rows: Matrix) -> list[list[float]]:
    """u = BN(LeakyReLU(W1 x + b1)); u + W2 u + b2."""
    weight, bias = parameters[f"{name}.inner_weight"], parameters[f"{name}.inner_bias"]
    active = [[h if h >= 0 else LEAK * h for h in affine(weight, bias, row)] for row in rows]
    norms = zip(parameters[f"{name}.norm_weight"], parameters[f"{name}.norm_bias"])
    columns = [normalised([row[k] for row in active], *norm) for k, norm in enumerate(norms)]
    u = [[column[i] for column in columns] for i in range(len(rows))]
    weight, bias = parameters[f"{name}.outer_weight"], parameters[f"{name}.outer_bias"]
    return [plus(row, affine(weight, bias, row)) for row in u]


def estimate(parameters: Parameters, x: Matrix, y: Matrix) -> list[list[float]]:
    """d* of g(x, l), in train mode; d is its softmax by row (Eq. 1)."""
    features, labels = branch(parameters, "features", x), branch(parameters, "labels", y)
    return branch(parameters, "decoder", [[*a, *b] for a, b in zip(features, labels)])


def l_sc(s: Matrix, y: Matrix) -> float:
    """Eq. 11."""
    return mean([cross_entropy(a, b) for row, labels in zip(s, y) for a, b in zip(row, labels)])


def l_ld(s: Matrix, d: Matrix) -> float:
    """Eq. 9, d held: KL summed over labels, mean over rows."""
    return mean([divergence(target, softmax(row)) for row, target in zip(s, d)])


def l_cls(s: Matrix, y: Matrix, d: Matrix, w_ld: float) -> float:
    """Eq. 10; w_ld = 0 is FLEM-I."""
    return w_ld * l_ld(s, d) + (1 - w_ld) * l_sc(s, y)


def l_in(scores: Matrix, y: Matrix, p: Matrix, gamma_positive: float = 0, gamma_negative: float = 1) -> float:
    """Eq. 7, mean over rows; p = σ(s), held."""
    total = 0.0
    for row, labels, weights in zip(scores, y, p):
        for score, label, weight in zip(row, labels, weights):
            estimated = min(max(sigmoid(score), LEAST), 1 - LEAST)
            total -= label * (1 - weight) ** gamma_positive * math.log(estimated)
            total -= (1 - label) * weight**gamma_negative * math.log(1 - estimated)
    return total / len(scores) / len(scores[0])


def cosine(a: Vector, b: Vector) -> float:
    lengths = math.sqrt(dot(a, a)) * math.sqrt(dot(b, b))
    return dot(a, b) / lengths if lengths else 0.0


def similarity(scores: Matrix, x: Matrix) -> float:
    """S (Eq. 2–4): mean over all M × M pairs, the pairs of a row with itself among them."""
    pairs = [(i, k) for i in range(len(x)) for k in range(len(x))]
    return mean([(cosine(x[i], x[k]) - cosine(scores[i], scores[k])) ** 2 for i, k in pairs])


def threshold(scores: Matrix, y: Matrix, epsilon: float = 0, reduction: str = "mean") -> float:
    """T (Eq. 5): a row without positives or without negatives is 0 and stays in the mean."""
    gaps = []
    for row, labels in zip(scores, y):
        relevant = [score for score, label in zip(row, labels) if label]
        irrelevant = [score for score, label in zip(row, labels) if not label]
        gaps.append(max(0, max(irrelevant) - min(relevant) + epsilon) if relevant and irrelevant else 0)
    return {"mean": mean, "sum": sum}[reduction](gaps)


def distribution(scores: Matrix, given: Matrix) -> float:
    """D (Eq. 6): KL(P ‖ d), mean over rows; P = softmax(s), held."""
    return mean([divergence(target, softmax(row)) for row, target in zip(scores, given)])


def l_le(
    scores: Matrix, y: Matrix, x: Matrix, given: Matrix, strategy: str, reduction: str = "mean"
) -> float:
    """The strategy S, T or D."""
    if strategy == "S":
        return similarity(scores, x)
    if strategy == "T":
        return threshold(scores, y, reduction=reduction)
    return distribution(scores, given)


def l_lde(
    scores: Matrix,
    y: Matrix,
    x: Matrix,
    p: Matrix,
    given: Matrix,
    strategy: str,
    w_le: float,
    interaction: bool = True,
    reduction: str = "mean",
) -> float:
    """Eq. 8; without interaction it is FLEM-II."""
    enhanced = w_le * l_le(scores, y, x, given, strategy, reduction)
    return enhanced + (1 - w_le) * l_in(scores, y, p) if interaction else enhanced


def held(s: Matrix, scores: Matrix) -> tuple[Matrix, Matrix, Matrix]:
    """d, p and P, which have no gradient."""
    return [softmax(row) for row in scores], [[*map(sigmoid, row)] for row in s], [softmax(row) for row in s]


def total(
    s: Matrix,
    scores: Matrix,
    y: Matrix,
    x: Matrix,
    strategy: str,
    w_ld: float,
    w_le: float,
    interaction: bool = True,
    reduction: str = "mean",
) -> float:
    """L_CLS + L_LDE."""
    d, p, given = held(s, scores)
    estimator = l_lde(scores, y, x, p, given, strategy, w_le, interaction, reduction)
    return l_cls(s, y, d, w_ld) + estimator


def gradients(
    s: Matrix,
    scores: Matrix,
    y: Matrix,
    x: Matrix,
    strategy: str,
    w_ld: float,
    w_le: float,
    **how: bool | str,
) -> tuple[np.ndarray, np.ndarray]:
    """The gradient of the total with respect to s, from L_CLS alone, and to d*, from L_LDE alone."""
    d, p, given = held(s, scores)
    of_s = slopes(lambda s: l_cls(s, y, d, w_ld), s)
    of_scores = slopes(lambda scores: l_lde(scores, y, x, p, given, strategy, w_le, **how), scores)
    return of_s, of_scores


def gradients_of_estimator(
    parameters: Parameters, s: Matrix, y: Matrix, x: Matrix, strategy: str, w_le: float, **how: bool | str
) -> Parameters:
    """The gradient of the total with respect to g's parameters; f's logits s are held."""
    _, p, given = held(s, s)

    def loss(parameters: Parameters) -> float:
        return l_lde(estimate(parameters, x, y), y, x, p, given, strategy, w_le, **how)

    return slopes_of_all(loss, parameters)


def clipped(norms: Sequence[float]) -> list[tuple[float, float, list[float]]]:
    """Adaptive clipping, for the gradient's norm of each step in turn.

    Of each step: the bound, the norm after clipping, and the values remembered afterwards, oldest first.
    """
    remembered, steps = [math.inf], []
    for norm in norms:
        largest = max(remembered)
        bound = 5 * largest
        remembered = [*remembered, min(norm, 2 * largest, 1.0)][-5:]
        steps.append((bound, min(norm, bound), remembered))
    return steps
