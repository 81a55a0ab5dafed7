"""Recurrent Bayesian classifier chains in loops over rows, labels and networks.

A network is, for each of c labels, the list of its parents in label order, e.g. [[], [0], [0, 1]].
Shapes: residuals N × c in {−1, 0, 1}; x B × d; y B × c in {0, 1}.

Parameters, hidden width H, in the order of the worked values; gates in the order reset, update, new:
    gru.input_weight (3H × (c + d), on [label values, x]), gru.hidden_weight (3H × H),
    gru.input_bias (3H), gru.hidden_bias (3H); output.weight (c × H), output.bias (c).

Readings: a node's states are those that its residuals take, and a parent's likewise; a node of one state has
no penalty. Gains less than 1e-9 apart are equal, so that the order of their sums decides nothing. The parent
and child of a reversal are those of the edge as it was. With `max_parents` a move that would give a node more
is none. A probability of .5 is rounded to 1, as by the cut.
"""

import itertools
import math
from collections import Counter
from collections.abc import Iterator

from references.arithmetic import Matrix, Parameters, Vector, affine, cross_entropy, gru, mean, sigmoid

LEAST_GAIN = 1e-9
MOVES = "add", "delete", "reverse"

Network = list[list[int]]


def shapes(d: int, hidden: int, labels: int) -> dict[str, tuple[int, ...]]:
    """The parameters, named in the order of the worked values."""
    return {
        "gru.input_weight": (3 * hidden, labels + d),
        "gru.hidden_weight": (3 * hidden, hidden),
        "gru.input_bias": (3 * hidden,),
        "gru.hidden_bias": (3 * hidden,),
        "output.weight": (labels, hidden),
        "output.bias": (labels,),
    }


def residuals(y: Matrix, probabilities: Matrix) -> list[list[int]]:
    """y − rounded prediction."""
    return [[int(a) - (p >= 0.5) for a, p in zip(*rows)] for rows in zip(y, probabilities)]


def score(rows: Matrix, node: int, parents: list[int]) -> float:
    """BIC of a node: Σ n log(n/n_parents) − ½ log N · (states − 1) · Π parent states."""
    together = Counter((tuple(row[p] for p in parents), row[node]) for row in rows)
    of_parents = Counter(tuple(row[p] for p in parents) for row in rows)
    likelihood = sum(n * math.log(n / of_parents[values]) for (values, _), n in together.items())
    free = len({row[node] for row in rows}) - 1
    for p in parents:
        free *= len({row[p] for row in rows})
    return likelihood - math.log(len(rows)) / 2 * free


def total(rows: Matrix, network: Network) -> float:
    return sum(score(rows, node, parents) for node, parents in enumerate(network))


def ancestors(network: Network, node: int) -> set[int]:
    found: set[int] = set()
    waiting = [*network[node]]
    while waiting:
        parent = waiting.pop()
        if parent not in found:
            found.add(parent)
            waiting += network[parent]
    return found


def acyclic(network: Network) -> bool:
    return all(node not in ancestors(network, node) for node in range(len(network)))


def moved(network: Network, move: str, parent: int, child: int) -> Network | None:
    """The network after a move; None where there is nothing to move, or a circle would close."""
    found = [[*parents] for parents in network]
    if (parent in found[child]) == (move == "add"):
        return None
    if move == "add":
        found[child] = sorted([*found[child], parent])
    else:
        found[child].remove(parent)
    if move == "reverse":
        found[parent] = sorted([*found[parent], child])
    return found if acyclic(found) else None


def moves(
    rows: Matrix, network: Network, max_parents: int | None = None
) -> Iterator[tuple[str, int, int, Network, float]]:
    """Every move, its network and its gain, in the order that decides among equal gains."""
    before = total(rows, network)
    for move in MOVES:
        for parent, child in itertools.permutations(range(len(network)), 2):
            after = moved(network, move, parent, child)
            if after and (max_parents is None or max(map(len, after)) <= max_parents):
                yield move, parent, child, after, total(rows, after) - before


def climbed(
    rows: Matrix, max_parents: int | None = None
) -> tuple[Network, list[tuple[str, int, int, float]]]:
    """The network that hill climbing ends at, from the empty one, and its moves with their gains."""
    network: Network = [[] for _ in rows[0]]
    path = []
    while True:
        offered = [*moves(rows, network, max_parents)]
        best = max((gain for *_, gain in offered), default=0)
        if best <= LEAST_GAIN:
            return network, path
        move, parent, child, network, gain = next(m for m in offered if m[-1] > best - LEAST_GAIN)
        path.append((move, parent, child, gain))


def every_network(labels: int) -> Iterator[Network]:
    """All directed acyclic graphs: 1, 3, 25, 543, 29281 of one to five labels."""
    edges = [*itertools.combinations(range(labels), 2)]
    for ways in itertools.product(("none", "up", "down"), repeat=len(edges)):
        network: Network = [[] for _ in range(labels)]
        for (a, b), way in zip(edges, ways):
            if way == "up":
                network[b].append(a)
            elif way == "down":
                network[a].append(b)
        if acyclic(network):
            yield [sorted(parents) for parents in network]


def best(rows: Matrix) -> tuple[float, list[Network]]:
    """The highest score of any network, and all that have it: what hill climbing cannot exceed."""
    of_nodes: dict[tuple[int, ...], float] = {}
    scores = []
    for network in every_network(len(rows[0])):
        value = 0.0
        for node, parents in enumerate(network):
            if (node, *parents) not in of_nodes:
                of_nodes[node, *parents] = score(rows, node, parents)
            value += of_nodes[node, *parents]
        scores.append((value, network))
    highest = max(value for value, _ in scores)
    return highest, [network for value, network in scores if value > highest - LEAST_GAIN]


def order(network: Network) -> list[int]:
    """The labels, parents first, the lowest that may come next."""
    found: list[int] = []
    while len(found) < len(network):
        ready = (j for j, parents in enumerate(network) if j not in found and {*parents} <= {*found})
        found.append(next(ready))
    return found


def logit(parameters: Parameters, x: Vector, values: Vector, label: int, parents: list[int]) -> float:
    """Of one label of one row; `values` are the labels, of which the parents' alone are read."""
    state = [0.0] * len(parameters["gru.hidden_weight"][0])
    inputs = [[values[k] if k == parent else 0 for k in range(len(values))] for parent in parents]
    for shown in inputs or [[0] * len(values)]:
        state = gru(parameters, "gru", state, [*shown, *x])
    return affine(parameters["output.weight"], parameters["output.bias"], state)[label]


def logits(parameters: Parameters, x: Matrix, y: Matrix, network: Network) -> list[list[float]]:
    """Of training, B × c: parents have their true values."""
    return [
        [logit(parameters, row, labels, j, parents) for j, parents in enumerate(network)]
        for row, labels in zip(x, y)
    ]


def loss(parameters: Parameters, x: Matrix, y: Matrix, network: Network) -> float:
    """BCE, mean over all entries."""
    found = logits(parameters, x, y, network)
    return mean([cross_entropy(a, b) for row, labels in zip(found, y) for a, b in zip(row, labels)])


def probabilities(parameters: Parameters, x: Matrix, network: Network) -> list[list[float]]:
    """Of the test, B × c: parents have their rounded predictions."""
    found = []
    for row in x:
        values, of_row = [0] * len(network), [0.0] * len(network)
        for j in order(network):
            of_row[j] = sigmoid(logit(parameters, row, values, j, network[j]))
            values[j] = int(of_row[j] >= 0.5)
        found.append(of_row)
    return found


def predictor(
    inner_weight: Matrix, inner_bias: Vector, outer_weight: Vector, outer_bias: float, x: Matrix
) -> list[float]:
    """Probabilities of one label by a network of the first step; weights 100 × d and 100 (its one output)."""
    found = []
    for row in x:
        hidden = [sigmoid(value) for value in affine(inner_weight, inner_bias, row)]
        found.append(sigmoid(sum(w * h for w, h in zip(outer_weight, hidden)) + outer_bias))
    return found
