"""LEVI's first stage in loops over rows, dropout off: label distributions by a variational autoencoder.

`x` rows × d, scaled to [0, 1]; `y` rows × L in {0, 1}; `noise` rows × K, the draw of the step.

Parameters, hidden width H, in the order of the worked values; weights are out × in:
    encoder.0.weight (H × (d + L), on [x, y]), encoder.0.bias, encoder.1.weight (H × H), encoder.1.bias,
    encoder.2.weight (2K × H), encoder.2.bias: ELU after the first, tanh after the second;
    decoder.0.weight (H × K), decoder.0.bias, decoder.1.weight (H × H), decoder.1.bias,
    decoder.2.weight (d × H), decoder.2.bias: tanh after the first, ELU after the second.
"""

import math

from references.arithmetic import (
    Matrix,
    Parameters,
    Vector,
    affine,
    cross_entropy,
    mean,
    sigmoid,
    softmax,
    softplus,
)


def elu(x: float) -> float:
    return x if x > 0 else math.expm1(x)


def shapes(d: int, labels: int, hidden: int, latent: int) -> dict[str, tuple[int, ...]]:
    """The parameters, named in the order of the worked values."""
    widths = {
        "encoder": [(d + labels, hidden), (hidden, hidden), (hidden, 2 * latent)],
        "decoder": [(latent, hidden), (hidden, hidden), (hidden, d)],
    }
    found: dict[str, tuple[int, ...]] = {}
    for part, layers in widths.items():
        for number, (width, out) in enumerate(layers):
            found |= {f"{part}.{number}.weight": (out, width), f"{part}.{number}.bias": (out,)}
    return found


def scaled(x: Matrix) -> list[list[float]]:
    """Features in [0, 1], by one minimum and one maximum of the whole matrix."""
    least, most = min(map(min, x)), max(map(max, x))
    return [[(value - least) / (most - least) for value in row] for row in x]


def three_layers(parameters: Parameters, part: str, row: Vector) -> list[float]:
    layers = [(parameters[f"{part}.{k}.weight"], parameters[f"{part}.{k}.bias"]) for k in range(3)]
    first, second = (elu, math.tanh) if part == "encoder" else (math.tanh, elu)
    hidden = [*map(first, affine(*layers[0], row))]
    return affine(*layers[2], [*map(second, affine(*layers[1], hidden))])


def encoded(parameters: Parameters, x: Vector, y: Vector) -> tuple[list[float], list[float]]:
    """μ and standard deviation of one row."""
    out = three_layers(parameters, "encoder", [*x, *y])
    half = len(out) // 2
    return out[:half], [softplus(value) + 1e-8 for value in out[half:]]


def terms(
    parameters: Parameters, x: Matrix, y: Matrix, noise: Matrix, binary: bool = False
) -> tuple[float, float, float]:
    """BCE of the labels, KL and error of the features; for 0/1 features the latter is BCE of logits."""
    labels, information, features = [], [], []
    for row, target, draw in zip(x, y, noise):
        mu, std = encoded(parameters, row, target)
        z = [m + s * e for m, s, e in zip(mu, std, draw)]
        labels += [cross_entropy(logit, label) for logit, label in zip(z[-len(target) :], target)]
        information += [(m * m + s * s - math.log(s * s + 1e-12) - 1) / 2 for m, s in zip(mu, std)]
        decoded = three_layers(parameters, "decoder", z)
        features += [cross_entropy(a, b) if binary else (a - b) ** 2 for a, b in zip(decoded, row)]
    return mean(labels), mean(information), mean(features)


def loss(parameters: Parameters, x: Matrix, y: Matrix, noise: Matrix, binary: bool = False) -> float:
    labels, information, features = terms(parameters, x, y, noise, binary)
    return labels + 0.01 * information + 0.01 * features


def estimates(parameters: Parameters, x: Matrix, y: Matrix) -> list[list[float]]:
    """d*: the last L entries of μ, without a draw."""
    return [encoded(parameters, row, target)[0][-len(target) :] for row, target in zip(x, y)]


def distributions(parameters: Parameters, x: Matrix, y: Matrix, final: str = "softmax") -> list[list[float]]:
    """d, or what the authors hand on (final: sigmoid)."""
    rows = estimates(parameters, x, y)
    return [softmax(row) if final == "softmax" else [*map(sigmoid, row)] for row in rows]
