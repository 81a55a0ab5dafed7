"""C-GMVAE in loops over rows and labels, dropout off.

Shapes, B rows, d features, c labels, K latent, E wide embeddings:
    x B × d; y B × c in {0, 1}, each row with a label; decoded B × E, of length 1; embeddings E × c;
    a Gaussian is means and log-variances, of the labels c × K, of the features B × K; draws B × K.

Parameters; each name has .weight (out × in) and .bias (out):
    feature_encoder.0 (256 × d), feature_encoder.1 (512 × 256), feature_encoder.2 (256 × 512), each then ReLU,
    feature_encoder.mean, feature_encoder.log_variance (K × 256);
    label_encoder.0 (E × c, its weight is the embeddings), label_encoder.1 (512 × E),
    label_encoder.2 (256 × 512), each then ReLU, label_encoder.mean, label_encoder.log_variance (K × 256);
    decoder.0 (512 × (d + K), on [x, z]), then ReLU, decoder.1 (E × 512), then LeakyReLU.

Readings: the two samples that the decoder gets and the one of the KL are three draws; a decoded row of zeros
stays 0.
"""

import math

from references.arithmetic import (
    Matrix,
    Parameters,
    Vector,
    affine,
    cross_entropy,
    dot,
    log_softmax,
    log_sum_exp,
    mean,
    sigmoid,
)

LIKELIHOOD, KL, LEAK = 0.5, 6, 0.01

Gaussian = tuple[Matrix, Matrix]


def carried(row: Vector) -> list[int]:
    return [j for j, label in enumerate(row) if label]


def logits(decoded: Matrix, embeddings: Matrix) -> list[list[float]]:
    """decoded · embeddings, B × c."""
    return [[dot(row, column) for column in zip(*embeddings)] for row in decoded]


def nll(scores: Matrix, y: Matrix) -> float:
    """Sum over labels, mean over rows."""
    return mean([sum(cross_entropy(a, b) for a, b in zip(row, labels)) for row, labels in zip(scores, y)])


def log_density(s: Vector, means: Vector, log_variances: Vector) -> float:
    """log N(s; μ, σ²)."""
    total = 0.0
    for value, mu, lv in zip(s, means, log_variances):
        total -= (math.log(2 * math.pi) + lv + (value - mu) ** 2 / math.exp(lv)) / 2
    return total


def drawn(gaussian: Gaussian, draw: Matrix) -> list[list[float]]:
    """μ + exp(lv/2)·draw."""
    return [[m + math.exp(lv / 2) * n for m, lv, n in zip(*rows)] for rows in zip(*gaussian, draw)]


def kl(labels: Gaussian, features: Gaussian, y: Matrix, draw: Matrix) -> float:
    """log q(s) − log[(1/|y|) Σ_{j∈y} N(s; μ_j, σ_j²)], mean over rows; s is drawn from q."""
    found = []
    for i, s in enumerate(drawn(features, draw)):
        parts = [log_density(s, labels[0][j], labels[1][j]) for j in carried(y[i])]
        mixture = log_sum_exp(parts) - math.log(len(parts))
        found.append(log_density(s, features[0][i], features[1][i]) - mixture)
    return mean(found)


def contrast(branches: list[Matrix], embeddings: Matrix, y: Matrix) -> float:
    """Mean over all rows of both branches, the label's and the first sample's."""
    found = []
    for decoded in branches:
        for row, labels in zip(logits(decoded, embeddings), y):
            ratios = log_softmax(row)
            found.append(-mean([ratios[j] for j in carried(labels)]))
    return mean(found)


def terms(
    decoded_label: Matrix,
    decoded_first: Matrix,
    decoded_second: Matrix,
    embeddings: Matrix,
    labels: Gaussian,
    features: Gaussian,
    y: Matrix,
    draw: Matrix,
) -> dict[str, float]:
    """From what the decoder gives for the label branch and two feature samples; `draw` is that of the KL."""
    return {
        "nll_label": nll(logits(decoded_label, embeddings), y),
        "nll_first": nll(logits(decoded_first, embeddings), y),
        "nll_second": nll(logits(decoded_second, embeddings), y),
        "kl": kl(labels, features, y, draw),
        "contrast": contrast([decoded_label, decoded_first], embeddings, y),
    }


def total(terms: dict[str, float]) -> float:
    likelihood = LIKELIHOOD * (terms["nll_label"] + terms["nll_first"] + terms["nll_second"])
    return likelihood + KL * terms["kl"] + terms["contrast"]


def layer(parameters: Parameters, name: str, row: Vector) -> list[float]:
    return affine(parameters[f"{name}.weight"], parameters[f"{name}.bias"], row)


def gaussians(parameters: Parameters, name: str, rows: Matrix) -> Gaussian:
    """Of `feature_encoder` or `label_encoder`."""
    active = []
    for row in rows:
        for k in range(3):
            row = [max(value, 0.0) for value in layer(parameters, f"{name}.{k}", row)]
        active.append(row)
    means = [layer(parameters, f"{name}.mean", row) for row in active]
    return means, [layer(parameters, f"{name}.log_variance", row) for row in active]


def label_gaussians(parameters: Parameters) -> Gaussian:
    """One a label: of the rows of the identity."""
    count = len(parameters["label_encoder.0.weight"][0])
    return gaussians(
        parameters, "label_encoder", [[float(j == k) for k in range(count)] for j in range(count)]
    )


def feature_gaussians(parameters: Parameters, x: Matrix) -> Gaussian:
    return gaussians(parameters, "feature_encoder", x)


def of_labels(means: Matrix, y: Matrix) -> list[list[float]]:
    """z of the label branch: the mean of the means of the row's labels."""
    return [[mean([means[j][k] for j in carried(row)]) for k in range(len(means[0]))] for row in y]


def decode(parameters: Parameters, x: Matrix, z: Matrix) -> list[list[float]]:
    found = []
    for row, latent in zip(x, z):
        inner = [max(value, 0.0) for value in layer(parameters, "decoder.0", [*row, *latent])]
        outer = [value if value >= 0 else LEAK * value for value in layer(parameters, "decoder.1", inner)]
        length = math.sqrt(dot(outer, outer)) or 1.0
        found.append([value / length for value in outer])
    return found


def loss(
    parameters: Parameters, x: Matrix, y: Matrix, first_draw: Matrix, second_draw: Matrix, draw: Matrix
) -> float:
    """Of a training step, from its draws: of the two feature samples and of the KL."""
    labels, features = label_gaussians(parameters), feature_gaussians(parameters, x)
    decoded = [
        decode(parameters, x, z)
        for z in (of_labels(labels[0], y), drawn(features, first_draw), drawn(features, second_draw))
    ]
    return total(terms(*decoded, parameters["label_encoder.0.weight"], labels, features, y, draw))


def predictions(parameters: Parameters, x: Matrix) -> list[list[float]]:
    """B × c: sigmoid of the feature branch at the mean."""
    decoded = decode(parameters, x, feature_gaussians(parameters, x)[0])
    scores = logits(decoded, parameters["label_encoder.0.weight"])
    return [[*map(sigmoid, row)] for row in scores]
