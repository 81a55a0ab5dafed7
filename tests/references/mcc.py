"""The multi-modal classifier chain in the page's own reading, in loops over prefixes, rows and labels.

Shapes: x N × d, its columns the modalities in the data set's order (`widths`); y N × q in {0, 1}.

Readings: a link of a chain is trained on the true labels before its own and is shown the decisions before
its own at test, 1 above .5 (Read 2011). A label of one class in the training rows keeps that class.
"""

from collections.abc import Sequence

import numpy as np
from sklearn.linear_model import LogisticRegression

from references.arithmetic import Matrix, Vector, blocks, mean

Link = LogisticRegression | float


def chain(x: Matrix, y: Matrix, c: float = 0.01) -> list[Link]:
    """A link a label, in label order."""
    found: list[Link] = []
    for j in range(len(y[0])):
        rows = [[*features, *labels[:j]] for features, labels in zip(x, y)]
        targets = [labels[j] for labels in y]
        if len({*targets}) == 1:
            found.append(float(targets[0]))
        else:
            found.append(LogisticRegression(C=c, tol=1e-10, max_iter=10_000).fit(rows, targets))
    return found


def linked(links: Sequence[Link], x: Vector) -> list[float]:
    """Probabilities of one row."""
    found: list[float] = []
    for link in links:
        row = [*x, *(float(p > 0.5) for p in found)]
        found.append(link if isinstance(link, float) else float(link.predict_proba([row])[0, 1]))
    return found


def prefix(x: Matrix, widths: Sequence[int], count: int) -> list[list[float]]:
    """The columns of the first `count` modalities."""
    columns = [c for part in blocks(widths)[:count] for c in part]
    return [[float(row[c]) for c in columns] for row in np.asarray(x)]


def chains(x: Matrix, y: Matrix, widths: Sequence[int], c: float = 0.01) -> list[list[Link]]:
    """One for every prefix of the modalities."""
    return [chain(prefix(x, widths, count), y, c) for count in range(1, len(widths) + 1)]


def confidence(probabilities: Vector) -> float:
    return mean([max(p, 1 - p) for p in probabilities])


def goes_on(probabilities: Vector, theta: float = 0.95) -> bool:
    return confidence(probabilities) < theta


def predicted(
    of_prefixes: Sequence[Sequence[Link]], x: Matrix, widths: Sequence[int], theta: float = 0.95
) -> tuple[list[list[float]], list[int]]:
    """Probabilities of each row by its last prefix, and the number of modalities that it took."""
    found, taken = [], []
    for row in x:
        count = 1
        probabilities = linked(of_prefixes[0], prefix([row], widths, 1)[0])
        while goes_on(probabilities, theta) and count < len(widths):
            count += 1
            probabilities = linked(of_prefixes[count - 1], prefix([row], widths, count)[0])
        found.append(probabilities)
        taken.append(count)
    return found, taken
