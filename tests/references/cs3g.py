"""CS3G in the page's own reading, in loops over rows, modalities and labels.

Shapes: x N × d, its columns the modalities in the data set's order (`widths`); y N × q in {0, 1}.

Parameters: W_1 … W_m (d_k × q each, from features to labels), b (q), R (q × q): entry (j, l) is what label l
says of label j, and its diagonal is not read.
"""

import math
from collections.abc import Sequence

from references.arithmetic import Matrix, Parameters, Vector, blocks, cross_entropy, mean, sigmoid


def shapes(widths: Sequence[int], labels: int) -> dict[str, tuple[int, ...]]:
    found: dict[str, tuple[int, ...]] = {f"W_{k + 1}": (width, labels) for k, width in enumerate(widths)}
    return found | {"b": (labels,), "R": (labels, labels)}


def logits(parameters: Parameters, x: Vector, widths: Sequence[int]) -> list[float]:
    """g of one row."""
    q = len(parameters["b"])
    f = [float(value) for value in parameters["b"]]
    for k, columns in enumerate(blocks(widths)):
        for row, column in enumerate(columns):
            for j in range(q):
                f[j] += x[column] * parameters[f"W_{k + 1}"][row][j]
    said = [sigmoid(value) for value in f]
    return [f[j] + sum(parameters["R"][j][k] * said[k] for k in range(q) if k != j) for j in range(q)]


def probabilities(parameters: Parameters, x: Matrix, widths: Sequence[int]) -> list[list[float]]:
    return [[sigmoid(value) for value in logits(parameters, row, widths)] for row in x]


def entropy(parameters: Parameters, x: Matrix, y: Matrix, widths: Sequence[int]) -> float:
    """BCE, mean over rows and labels."""
    found = [logits(parameters, row, widths) for row in x]
    return mean([cross_entropy(a, b) for row, labels in zip(found, y) for a, b in zip(row, labels)])


def penalty(parameters: Parameters, of_weights: float = 0.001, of_relations: float = 0.001) -> float:
    """λ_w Σ_k Σ_rows ‖W_k row‖₂ + λ_r ‖R‖₁, the diagonal of R left out."""
    total = 0.0
    for name, array in parameters.items():
        if name.startswith("W_"):
            total += of_weights * sum(math.sqrt(sum(value**2 for value in row)) for row in array)
    for j, row in enumerate(parameters["R"]):
        total += of_relations * sum(abs(value) for k, value in enumerate(row) if k != j)
    return total


def loss(
    parameters: Parameters,
    x: Matrix,
    y: Matrix,
    widths: Sequence[int],
    of_weights: float = 0.001,
    of_relations: float = 0.001,
) -> float:
    return entropy(parameters, x, y, widths) + penalty(parameters, of_weights, of_relations)
