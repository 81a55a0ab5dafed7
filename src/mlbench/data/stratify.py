"""Iterative stratification: cuts rows into parts that hold each label in proportion.

K. Sechidis, G. Tsoumakas, I. Vlahavas: On the stratification of multi-label data. ECML PKDD 2011, Algorithm 1
"""

from collections.abc import Sequence

import numpy as np
from scipy import sparse


def shuffled(count: int, rng: np.random.Generator) -> np.ndarray:
    """A random permutation of 0..count−1, the same under every version of numpy.

    Drawn from the bit generator's raw stream, which numpy promises to keep; of `Generator.permutation` it
    promises nothing of the kind (NEP 19).
    """
    return np.argsort(rng.bit_generator.random_raw(count), kind="stable")


def stratify(targets: np.ndarray, sizes: Sequence[int], rng: np.random.Generator) -> np.ndarray:
    """The part, 0..len(sizes)−1, of every row of `targets` (N, L); part j gets exactly sizes[j] rows.

    The rarest label goes first: each of its rows joins the part that still wants most rows of this label; of
    several, the part that wants most rows of any kind; then chance decides. One point departs from Algorithm
    1: a full part takes no more rows, so that the sizes are exact; the algorithm may miss them by a few rows.
    Rows without labels fill, in random order, the room that is left at the end.
    """
    count, labels = targets.shape
    assert sum(sizes) == count, (sizes, count)
    order = shuffled(count, rng)
    rank = shuffled(labels, rng)  # between labels that are equally rare
    chance = rng.bit_generator.random_raw(count).tolist()  # between parts that want a row equally
    by_row = sparse.csr_matrix(targets[order])
    by_label = by_row.tocsc()
    unplaced = by_row.getnnz(axis=0).astype(np.int64)  # (L,) rows not yet placed that carry the label
    # (L, parts), in N-ths of a row: whole numbers, so that ties are exact.
    wanted = np.outer(unplaced, np.asarray(sizes, np.int64))
    room = list(sizes)
    part = np.full(count, -1, np.int64)
    while unplaced.any():
        label = np.where(unplaced > 0, unplaced * labels + rank, np.iinfo(np.int64).max).argmin()
        for row in by_label.indices[by_label.indptr[label] : by_label.indptr[label + 1]].tolist():
            if part[row] >= 0:
                continue
            parts_asked = enumerate(zip(wanted[label].tolist(), room))
            wishes = [(wish, free, number) for number, (wish, free) in parts_asked if free]
            most = max(wishes)[:2]
            among = [number for wish, free, number in wishes if (wish, free) == most]
            chosen = among[chance[row] % len(among)]
            part[row] = chosen
            room[chosen] -= 1
            carried = by_row.indices[by_row.indptr[row] : by_row.indptr[row + 1]]
            wanted[carried, chosen] -= count
            unplaced[carried] -= 1
    part[part < 0] = np.repeat(np.arange(len(sizes)), room)
    placed = np.empty_like(part)
    placed[order] = part
    return placed
