"""Pieces of a file of new rows: as many rows as are scored at once, dense or sparse."""

import numpy as np
import pytest
from scipy import sparse

from mlbench.data import pieces
from mlbench.data.pieces import Piece, gathered, in_groups


@pytest.mark.parametrize("thin", [False, True])
@pytest.mark.parametrize("labelled", [False, True])
@pytest.mark.parametrize("sizes", [[1], [8], [3, 5], [5, 4], [1, 1, 1, 20, 3], [9, 0, 9], [4] * 7])
def test_groups_have_the_rows_of_their_pieces(monkeypatch, thin, labelled, sizes):
    monkeypatch.setattr(pieces, "SCORED", 4)
    rows = np.arange(sum(sizes))
    x = np.stack([rows, rows % 3], axis=1).astype(np.float32)
    parts = [
        Piece(
            of_part,
            sparse.csr_matrix(x[of_part]) if thin else x[of_part],
            x[of_part] > 1 if labelled else None,
        )
        for of_part in np.split(rows, np.cumsum(sizes)[:-1])
    ]
    groups = [*in_groups(iter(parts))]
    assert all(len(group.ids) % 4 == 0 for group in groups[:-1]) and all(len(group.ids) for group in groups)
    for found in (gathered("a.csv", groups), gathered("a.csv", parts)):
        assert found.ids.tolist() == rows.tolist()
        assert sparse.issparse(found.features) == thin
        np.testing.assert_array_equal(found.features.toarray() if thin else found.features, x)
        assert (found.targets is None) != labelled
        if labelled:
            np.testing.assert_array_equal(found.targets, x > 1)
