"""Pieces of a file of new rows: some of them as one, and one with other rows."""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
from scipy import sparse

from mlbench.data.instances import Features
from mlbench.errors import UserError

# Rows that a method scores at once; fixed, so that a row's scores never depend on the machine.
SCORED = 1024


class Piece(NamedTuple):
    ids: np.ndarray  # of the id column, else the rows' numbers from 0
    features: Features  # (n, d) in the order of training
    targets: np.ndarray | None  # (n, L) where the file has them
    present: np.ndarray | None = None  # (n, m) uint8, 0 for a modality that a row lacks; None: each has all


def gathered(path: str, pieces: Sequence[Piece]) -> Piece:
    """All rows of a file as one piece."""
    if not pieces:
        raise UserError(f"{path} has a header line and no rows")
    return joined(pieces)


def joined(pieces: Sequence[Piece]) -> Piece:
    """The rows of several pieces of one file, none of which lacks a modality."""
    if len(pieces) == 1:
        return pieces[0]
    features: list[Any] = [piece.features for piece in pieces]
    thin = sparse.issparse(features[0])
    targets = [piece.targets for piece in pieces if piece.targets is not None]
    return Piece(
        np.concatenate([piece.ids for piece in pieces]),
        sparse.csr_matrix(sparse.vstack(features)) if thin else np.concatenate(features),
        np.concatenate(targets) if targets else None,
    )


def taken(piece: Piece, rows: Sequence[int] | slice) -> Piece:
    """Some rows of a piece."""
    features: Any = piece.features
    targets, present = (None if each is None else each[rows] for each in (piece.targets, piece.present))
    return Piece(piece.ids[rows], features[rows], targets, present)


def in_groups(pieces: Iterator[Piece]) -> Iterator[Piece]:
    """The same rows in pieces that are scored as the whole file would be: each but the last has a multiple of
    the rows that are scored at once.
    """
    held: list[Piece] = []
    count = 0
    for piece in pieces:
        held.append(piece)
        count += len(piece.ids)
        if count >= SCORED:
            whole, cut = joined(held), count // SCORED * SCORED
            held = [taken(whole, slice(cut, None))] if cut < count else []
            count -= cut
            yield taken(whole, slice(0, cut)) if held else whole
    if held:
        yield joined(held)
