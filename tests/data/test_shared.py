"""The data of replicas as one: every replica reads its own rows."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import sparse

from mlbench.data.rows import Rows
from mlbench.data.shared import Shared, beside, joined
from mlbench.data.sparse import sparse_rows


def parts_of(sizes, width, seed, thin):
    """Random rows of ten, for each replica others, targets of its own."""
    rng = np.random.default_rng(seed)
    whole = sparse.random(10, width, 0.3, "csr", np.float32, rng)
    chosen = [rng.permutation(10)[:size] for size in sizes]
    return [
        Rows(
            x=sparse_rows(whole[rows]) if thin else torch.from_numpy(whole[rows].toarray()),
            targets=torch.rand(len(rows), 3),
            ids=torch.from_numpy(rows),
            extra={"views": torch.rand(len(rows), 2, 3), "kind": torch.randint(9, (len(rows),))},
        )
        for rows in chosen
    ]


def everything(parts, shared):
    rows = torch.arange(sum(map(len, parts))).unsqueeze(0)
    return tensors(shared.batch(rows).map(lambda part: part.squeeze(0)))


def tensors(batch):
    return [batch.x, batch.targets, batch.ids, *batch.extra.values()]


@pytest.mark.parametrize("thin", [True, False])
@given(st.lists(st.integers(0, 9), min_size=1, max_size=4), st.integers(1, 8), st.integers(0, 10**6))
def test_a_row_that_several_hold_is_there_once(thin, sizes, width, seed):
    parts = parts_of(sizes, width, seed, thin)
    shared = beside(parts)
    batches = [tensors(part.batch(torch.arange(len(part)))) for part in parts]
    expected = [torch.cat(rows) for rows in zip(*batches)]
    assert all(map(torch.equal, everything(parts, shared), expected))
    assert shared.x.held.shape == (len(torch.cat([part.ids for part in parts]).unique()), width)


@pytest.mark.parametrize("thin", [True, False])
def test_rows_that_differ_by_replica_are_each_ones_own(thin):
    """Of one number, but scaled by what each replica trains on."""
    parts = parts_of([8, 8, 8], 5, 0, thin)
    stretched = parts[1].x
    stretched = replace(stretched, values=2 * stretched.values) if thin else 2 * stretched
    parts[1] = replace(parts[1], x=stretched)
    shared = beside(parts)
    assert shared.x.shape == (24, 5) and not isinstance(shared.x, Shared)
    x, _, ids, *_ = everything(parts, shared)
    assert torch.equal(x, torch.cat([part.batch(torch.arange(8)).x for part in parts]))
    assert torch.equal(ids, torch.cat([part.ids for part in parts]))


def test_a_batch_has_the_replicas_first():
    parts = parts_of([6, 6], 4, 1, thin=False)
    rows = torch.tensor([[5, 0, 2], [6, 11, 8]])
    x, targets, ids, extra = beside(parts).batch(rows)
    assert x.shape == (2, 3, 4) and targets.shape == (2, 3, 3)
    assert torch.equal(x[1], parts[1].x[[0, 5, 2]]) and torch.equal(ids[0], parts[0].ids[[5, 0, 2]])
    assert extra["kind"].shape == (2, 3) and extra["views"].shape == (2, 3, 2, 3)
    assert torch.equal(extra["views"][1], parts[1].extra["views"][[0, 5, 2]])


def test_sparse_rows_one_below_the_other():
    whole = sparse.random(9, 5, 0.4, "csr", np.float32, np.random.default_rng(0))
    thin = joined([sparse_rows(whole[rows]) for rows in (slice(0, 4), slice(4, 4), slice(4, 9))])
    assert thin.longest == np.diff(whole.indptr).max() and thin.shape == (9, 5)
    assert thin.crow.tolist() == whole.indptr.tolist() and thin.columns.tolist() == whole.indices.tolist()
    assert thin.values.tolist() == whole.data.tolist()
