"""MPVAE in loops over draws, rows and labels, dropout off.

Shapes, B rows, d features, c labels, K latent, S draws:
    x B × d; y B × c in {0, 1}; heads (the inputs of the probit) B × c; means and log-variances B × K;
    matrix c × c (R); noise S × B × c (ε, the same for both branches); draws of z B × K, one a branch.
    Estimates E are S × B × c.

Parameters; each name has .weight (out × in) and .bias (out) but R:
    label_encoder.0 (512 × (d + c), on [x, y]), label_encoder.1 (256 × 512), each then ReLU,
    label_encoder.mean (K × 256), label_encoder.log_variance (K × 256);
    feature_encoder.0 (256 × d), feature_encoder.1 (512 × 256), feature_encoder.2 (256 × 512), each then ReLU,
    feature_encoder.mean, feature_encoder.log_variance (K × 256);
    decoder.0 (256 × (d + K), on [x, z]), decoder.1 (512 × 256), each then ReLU;
    label_head (c × 512), feature_head (c × 512); R (c × c).

Reading: epochs that are no multiple of four have quarters of a fractional length.
"""

import math

from references.arithmetic import Matrix, Parameters, Vector, affine, log_sum_exp, mean, plus, product

BETA, STEEPNESS, SHRINKAGE, EPS = 1.1, 5, 1e-6, 1e-6


def normal(x: float) -> float:
    """Φ."""
    return math.erfc(-x / math.sqrt(2)) / 2


def estimates(heads: Matrix, matrix: Matrix, noise: list[Matrix]) -> list[list[list[float]]]:
    """E = Φ(head + Rε)·(1 − 1e-6) + .5e-6."""
    found = []
    for of_draw in noise:
        moved = [plus(head, product(matrix, epsilon)) for head, epsilon in zip(heads, of_draw, strict=True)]
        found.append([[normal(m) * (1 - SHRINKAGE) + SHRINKAGE / 2 for m in row] for row in moved])
    return found


def nll(e: list[Matrix], y: Matrix) -> float:
    """−mean over rows of log mean over draws of Π_j Bernoulli."""
    found = []
    for i, labels in enumerate(y):
        draws = []
        for of_draw in e:
            draws.append(sum(math.log(p if label else 1 - p) for p, label in zip(of_draw[i], labels)))
        found.append(math.log(len(e)) - log_sum_exp(draws))
    return mean(found)


def rank(e: list[Matrix], y: Matrix) -> float:
    """The rank term, mean over draws and rows; a row with no or all labels is 0 and stays in the mean."""
    found = []
    for of_draw in e:
        for row, labels in zip(of_draw, y):
            relevant = [p for p, label in zip(row, labels) if label]
            irrelevant = [p for p, label in zip(row, labels) if not label]
            pairs = [math.exp(-STEEPNESS * (p - n)) for p in relevant for n in irrelevant]
            found.append(mean(pairs) / STEEPNESS if pairs else 0.0)
    return mean(found)


def kl(mean_e: Matrix, variance_e: Matrix, mean_x: Matrix, variance_x: Matrix) -> float:
    """KL(label ‖ feature), mean over rows; the variances are logarithms."""
    found = []
    for row in zip(mean_e, variance_e, mean_x, variance_x):
        total = 0.0
        for mu_e, lv_e, mu_x, lv_x in zip(*row):
            total += lv_x - lv_e - 1 + math.exp(lv_e - lv_x) + (mu_x - mu_e) ** 2 / (math.exp(lv_x) + EPS)
        found.append(total / 2)
    return mean(found)


def terms(
    heads_e: Matrix,
    heads_x: Matrix,
    label: tuple[Matrix, Matrix],
    feature: tuple[Matrix, Matrix],
    y: Matrix,
    matrix: Matrix,
    noise: list[Matrix],
) -> dict[str, float]:
    """`label` and `feature` are the means and log-variances of the two branches."""
    e, x = estimates(heads_e, matrix, noise), estimates(heads_x, matrix, noise)
    return {
        "nll_e": nll(e, y),
        "nll_x": nll(x, y),
        "rank_e": rank(e, y),
        "rank_x": rank(x, y),
        "kl": kl(*label, *feature),
    }


def total(terms: dict[str, float], a: float, c: float) -> float:
    """Without L2, which is the optimiser's."""
    likelihood = a * (terms["nll_e"] + terms["nll_x"])
    return likelihood + c * (terms["rank_e"] + terms["rank_x"]) + BETA * terms["kl"]


def layer(parameters: Parameters, name: str, row: Vector) -> list[float]:
    return affine(parameters[f"{name}.weight"], parameters[f"{name}.bias"], row)


def hidden(parameters: Parameters, name: str, layers: int, row: Vector) -> list[float]:
    for k in range(layers):
        row = [max(value, 0.0) for value in layer(parameters, f"{name}.{k}", row)]
    return [*row]


def gaussians(parameters: Parameters, name: str, layers: int, rows: Matrix) -> tuple[Matrix, Matrix]:
    """Means and log-variances of rows."""
    active = [hidden(parameters, name, layers, row) for row in rows]
    means = [layer(parameters, f"{name}.mean", row) for row in active]
    return means, [layer(parameters, f"{name}.log_variance", row) for row in active]


def label_gaussians(parameters: Parameters, x: Matrix, y: Matrix) -> tuple[Matrix, Matrix]:
    return gaussians(parameters, "label_encoder", 2, [[*row, *labels] for row, labels in zip(x, y)])


def feature_gaussians(parameters: Parameters, x: Matrix) -> tuple[Matrix, Matrix]:
    return gaussians(parameters, "feature_encoder", 3, x)


def drawn(gaussian: tuple[Matrix, Matrix], draw: Matrix) -> list[list[float]]:
    """z = μ + exp(lv/2)·draw."""
    return [[m + math.exp(lv / 2) * n for m, lv, n in zip(*rows)] for rows in zip(*gaussian, draw)]


def heads(parameters: Parameters, x: Matrix, z: Matrix, branch: str) -> list[list[float]]:
    """The shared decoder, then the head of branch "label" or "feature"."""
    active = [hidden(parameters, "decoder", 2, [*row, *latent]) for row, latent in zip(x, z)]
    return [layer(parameters, f"{branch}_head", row) for row in active]


def loss(
    parameters: Parameters,
    x: Matrix,
    y: Matrix,
    label_draw: Matrix,
    feature_draw: Matrix,
    noise: list[Matrix],
    a: float,
    c: float,
) -> float:
    """Of a training step, from its draws."""
    label, feature = label_gaussians(parameters, x, y), feature_gaussians(parameters, x)
    heads_e = heads(parameters, x, drawn(label, label_draw), "label")
    heads_x = heads(parameters, x, drawn(feature, feature_draw), "feature")
    return total(terms(heads_e, heads_x, label, feature, y, parameters["R"], noise), a, c)


def mean_over_draws(e: list[Matrix]) -> list[list[float]]:
    return [[mean(entries) for entries in zip(*rows)] for rows in zip(*e)]


def predictions(
    parameters: Parameters, x: Matrix, noise: list[Matrix], feature_draw: Matrix | None = None
) -> list[list[float]]:
    """B × c; z is the mean (`test_latent: mean`), or with a draw a sample."""
    gaussian = feature_gaussians(parameters, x)
    z = gaussian[0] if feature_draw is None else drawn(gaussian, feature_draw)
    return mean_over_draws(estimates(heads(parameters, x, z, "feature"), parameters["R"], noise))


def rate(epoch: int, epochs: int, start: float) -> float:
    """The learning rate of an epoch, counted from 0: × .8 after each quarter of the run."""
    return start * 0.8 ** (4 * epoch // epochs)
