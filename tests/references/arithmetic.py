"""What plain references share: sums in loops, slopes by central differences, the filling of worked values.

A vector is a sequence of floats, a matrix a sequence of rows; arrays of numpy serve as both. A weight is
out × in, so that `affine(weight, bias, x)` is W x + b.
"""

import math
from collections.abc import Callable, Sequence

import numpy as np

Vector = Sequence[float]
Matrix = Sequence[Vector]
Parameters = dict[str, np.ndarray]


def sigmoid(x: float) -> float:
    return 1 / (1 + math.exp(-x)) if x >= 0 else math.exp(x) / (1 + math.exp(x))


def softplus(x: float) -> float:
    return max(x, 0) + math.log1p(math.exp(-abs(x)))


def log_sum_exp(row: Vector) -> float:
    largest = max(row)
    return largest + math.log(sum(math.exp(x - largest) for x in row))


def log_softmax(row: Vector) -> list[float]:
    total = log_sum_exp(row)
    return [x - total for x in row]


def softmax(row: Vector) -> list[float]:
    return [math.exp(x) for x in log_softmax(row)]


def cross_entropy(logit: float, target: float) -> float:
    """Binary cross-entropy of one logit."""
    return target * softplus(-logit) + (1 - target) * softplus(logit)


def divergence(of: Vector, at: Vector) -> float:
    """KL(of ‖ at) of two distributions; an entry 0 of the first adds nothing."""
    return sum(p * (math.log(p) - math.log(q)) for p, q in zip(of, at) if p > 0)


def dot(a: Vector, b: Vector) -> float:
    return sum(x * y for x, y in zip(a, b, strict=True))


def squared_distance(a: Vector, b: Vector) -> float:
    return sum((x - y) ** 2 for x, y in zip(a, b, strict=True))


def product(weight: Matrix, x: Vector) -> list[float]:
    return [dot(row, x) for row in weight]


def affine(weight: Matrix, bias: Vector, x: Vector) -> list[float]:
    return [dot(row, x) + b for row, b in zip(weight, bias, strict=True)]


def plus(*vectors: Vector) -> list[float]:
    return [sum(entries) for entries in zip(*vectors, strict=True)]


def gru(parameters: Parameters, name: str, state: Vector, x: Vector) -> list[float]:
    """The state after one input: the reset gate applies after the hidden product, as in PyTorch.

    Parameters of width H, gates in the order reset, update, new: {name}.input_weight (3H × inputs),
    {name}.hidden_weight (3H × H), {name}.input_bias, {name}.hidden_bias (3H).
    """
    of_input = affine(parameters[f"{name}.input_weight"], parameters[f"{name}.input_bias"], x)
    of_state = affine(parameters[f"{name}.hidden_weight"], parameters[f"{name}.hidden_bias"], state)
    width = len(state)
    found = []
    for k, value in enumerate(state):
        reset = sigmoid(of_input[k] + of_state[k])
        update = sigmoid(of_input[width + k] + of_state[width + k])
        new = math.tanh(of_input[2 * width + k] + reset * of_state[2 * width + k])
        found.append((1 - update) * new + update * value)
    return found


def blocks(widths: Sequence[int]) -> list[range]:
    """The columns of each modality."""
    ends = [sum(widths[: k + 1]) for k in range(len(widths))]
    return [range(end - width, end) for width, end in zip(widths, ends)]


def block_scaled(x: Vector, widths: Sequence[int], by: Vector) -> list[float]:
    """x, each modality times its entry of `by`: 1 for one modality and 0 for the others keeps that one."""
    return [factor * x[c] for columns, factor in zip(blocks(widths), by, strict=True) for c in columns]


def one_hot(k: int, count: int) -> list[float]:
    return [float(j == k) for j in range(count)]


def mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


def slopes(function: Callable[[np.ndarray], float], at: Matrix, step: float = 1e-6) -> np.ndarray:
    """The gradient of `function`, which takes one array, by central differences."""
    at = np.array(at, dtype=float)
    found = np.zeros_like(at)
    for place in np.ndindex(at.shape):
        above, below = at.copy(), at.copy()
        above[place] += step
        below[place] -= step
        found[place] = (function(above) - function(below)) / (2 * step)
    return found


def slopes_of_all(function: Callable[[Parameters], float], parameters: Parameters) -> Parameters:
    """The gradient with respect to each named array, the others held."""
    return {
        name: slopes(lambda values, name=name: function({**parameters, name: values}), array)
        for name, array in parameters.items()
    }


def filled(shapes: dict[str, tuple[int, ...]]) -> Parameters:
    """Parameters k = 0, 1, … in the order named: value(i) = (((5i + 2k) mod 9) − 4)/4, i row-major."""
    return {
        name: np.array([((5 * i + 2 * k) % 9 - 4) / 4 for i in range(math.prod(shape))]).reshape(shape)
        for k, (name, shape) in enumerate(shapes.items())
    }
