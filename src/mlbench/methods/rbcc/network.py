"""A Bayesian network over labels: the one that hill climbing by BIC ends at, from the one without edges."""

import math

import numpy as np

LEAST_GAIN = 1e-9  # gains are equal that differ by no more, and nothing is gained by less


def climbed(rows: np.ndarray, max_parents: int | None = None) -> np.ndarray:
    """(c, c) bool, whether the node of a row has that of a column for a parent; `rows` (N, c) hold states.

    The best move first: an edge is added, deleted or reversed. Of equal ones additions come first, then
    deletions, then the lowest parent, then the lowest child; of a reversal as the edge was.
    """
    scores, nodes = BICScores(rows), rows.shape[1]
    network = np.zeros((nodes, nodes), bool)
    now = np.array([scores.of(node, ()) for node in range(nodes)])
    more = np.array([scores.with_one_more(node, ()) for node in range(nodes)])  # (child, parent)
    less = np.full((nodes, nodes), -np.inf)
    while True:
        gains = gains_of(network, now, more, less, max_parents)
        best = gains.max(initial=0)
        if best <= LEAST_GAIN:
            return network
        first = np.unravel_index(np.argmax(gains > best - LEAST_GAIN), gains.shape)
        move, parent, child = map(int, first)
        network[child, parent] = move == 0
        network[parent, child] = move == 2
        for node in (child, parent) if move == 2 else (child,):
            parents = tuple(np.flatnonzero(network[node]).tolist())
            now[node] = scores.of(node, parents)
            more[node] = scores.with_one_more(node, parents)
            less[node] = -np.inf
            for index, gone in enumerate(parents):
                less[node, gone] = scores.of(node, (*parents[:index], *parents[index + 1 :]))


def gains_of(
    network: np.ndarray, now: np.ndarray, more: np.ndarray, less: np.ndarray, max_parents: int | None
) -> np.ndarray:
    """What each move gains, (3, parent, child), −∞ for one that cannot be made.

    `now` (c) are the scores of all nodes, `more` and `less` (child, parent) those with a parent more or less.
    """
    edge, paths = network.T, reached(network.T)  # (parent, child)
    room = network.sum(1) < (len(network) if max_parents is None else max_parents)
    added, deleted = (more - now[:, None]).T, (less - now[:, None]).T
    around = edge.astype(np.float32) @ paths.astype(np.float32) > 0  # by another node at least
    can_add = ~edge & ~paths.T & room & ~np.eye(len(network), dtype=bool)
    can_reverse = edge & ~around & room[:, None]
    return np.stack(
        [
            np.where(can_add, added, -np.inf),
            np.where(edge, deleted, -np.inf),
            np.where(can_reverse, deleted + added.T, -np.inf),
        ]
    )


def reached(edge: np.ndarray) -> np.ndarray:
    """Whether a path of one edge or more leads from the node of a row to that of a column, (c, c)."""
    while True:
        step = edge.astype(np.float32)
        further = edge | (step @ step > 0)
        if np.array_equal(further, edge):
            return edge
        edge = further


def levels_of(network: list[list[bool]]) -> list[list[int]] | None:
    """The nodes, every level of them after all their parents; None where edges go round in a circle."""
    waiting = {node: {p for p, given in enumerate(row) if given} for node, row in enumerate(network)}
    levels = []
    while waiting:
        level = [node for node, parents in waiting.items() if not parents & waiting.keys()]
        if not level:
            return None
        levels.append(level)
        waiting = {node: parents for node, parents in waiting.items() if node not in level}
    return levels


class BICScores:
    """BIC of a node given parents: Σ n log(n / n_parents) − ½ log N · (states − 1) · Π states of the parents.

    States are those that occur in the rows. Scores are cached, since hill climbing asks for them again.
    """

    def __init__(self, rows: np.ndarray):
        states = [np.unique(column, return_inverse=True) for column in rows.T]
        self.rows = np.stack([codes.reshape(-1) for _, codes in states], 1)  # (N, c), from 0
        self.states = np.array([len(values) for values, _ in states])
        self.kept: dict[tuple[int, tuple[int, ...]], float] = {}

    def of(self, node: int, parents: tuple[int, ...]) -> float:
        """The score of a node; `parents` are in ascending order, as the cache's keys have them."""
        if (node, parents) not in self.kept:
            among = self.ways(parents)
            counts = np.bincount(among * self.states[node] + self.rows[:, node])
            likelihood = entropic(counts).sum() - entropic(np.bincount(among)).sum()
            self.kept[node, parents] = likelihood - self.penalty(node, parents)
        return self.kept[node, parents]

    def with_one_more(self, node: int, parents: tuple[int, ...]) -> np.ndarray:
        """Scores with each node as one more parent, (c,); meaningless at the node itself and its parents."""
        nodes, most, own_states = len(self.states), self.states.max(), self.states[node]
        among = self.ways(parents)
        ways = among.max() + 1
        cells = (among * own_states + self.rows[:, node])[:, None] * nodes + np.arange(nodes)
        counts = np.bincount((cells * most + self.rows).ravel(), minlength=ways * own_states * nodes * most)
        counts = counts.reshape(ways, own_states, nodes, most)
        likelihood = entropic(counts).sum((0, 1, 3)) - entropic(counts.sum(1)).sum((0, 2))
        scores = likelihood - self.penalty(node, parents) * self.states
        for parent in {*range(nodes)} - {node, *parents}:
            self.kept.setdefault((node, tuple(sorted((*parents, parent)))), float(scores[parent]))
        return scores

    def ways(self, parents: tuple[int, ...]) -> np.ndarray:
        """The number of each row's combination of the parents' states, among those that occur, (N,)."""
        numbers = np.zeros(len(self.rows), np.int64)
        for parent in parents:
            _, numbers = np.unique(numbers * self.states[parent] + self.rows[:, parent], return_inverse=True)
        return numbers

    def penalty(self, node: int, parents: tuple[int, ...]) -> float:
        free = (self.states[node] - 1) * math.prod(self.states[[*parents]].tolist())
        return math.log(len(self.rows)) / 2 * free


def entropic(counts: np.ndarray) -> np.ndarray:
    """n log n, 0 for 0."""
    return counts * np.log(np.maximum(counts, 1))
