"""On-device data: the same rows as the matrices they came from, dense or sparse."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import sparse

from mlbench.data.instances import Instances
from mlbench.data.rows import Rows, order
from mlbench.data.sparse import SparseRows, sparse_rows


def random_instances(rows: int, width: int, density: float, seed: int = 0) -> Instances:
    """Sparse instances, some of their rows empty."""
    rng = np.random.default_rng(seed)
    dense = (rng.random((rows, width)) < density * rng.integers(0, 3, (rows, 1))) * rng.normal(
        size=(rows, width)
    )
    targets = (rng.random((rows, 3)) < 0.3).astype(np.uint8)
    names = tuple(str(column) for column in range(width))
    return Instances(sparse.csr_matrix(dense.astype(np.float32)), targets, ("a", "b", "c"), names)


def made_dense(instances: Instances) -> Instances:
    return Instances(
        instances.features.toarray(), instances.targets, instances.labels, instances.feature_names
    )


@given(st.integers(1, 30), st.integers(1, 12), st.sampled_from([0, 0.1, 0.4]), st.integers(0, 10**6))
def test_sparse_and_dense_batches_are_the_same(rows, width, density, seed):
    instances = random_instances(rows, width, density, seed)
    rng = np.random.default_rng(seed)
    chosen = rng.permutation(rows)[: rng.integers(1, rows + 1)]
    thin = Rows.from_instances(instances, chosen)
    thick = Rows.from_instances(made_dense(instances), chosen)
    assert isinstance(thin.x, SparseRows) and isinstance(thick.x, torch.Tensor)
    assert len(thin) == len(thick) == len(chosen)
    index = torch.from_numpy(rng.integers(0, len(chosen), 7))  # rows may repeat
    for one, other in zip(thin.batch(index)[:3], thick.batch(index)[:3]):
        assert torch.equal(one, other) and one.dtype == other.dtype
    x, targets, ids, extra = thin.batch(index)
    assert extra == {}
    assert ids.tolist() == chosen[index].tolist()
    assert np.array_equal(x.numpy(), instances.features.toarray()[ids])
    assert np.array_equal(targets.numpy(), instances.targets[ids])
    # A GPU reads to the length of the fullest row of all, a CPU to that of the batch.
    assert torch.equal(thin.x.dense_rows(index, thin.x.longest), x)
    for one, other in zip(thin.rows(index).batch(torch.arange(7))[:3], (x, targets, ids)):
        assert torch.equal(one, other)


@pytest.mark.parametrize("thin", [True, False])
def test_types_shapes_and_subsets(thin):
    instances = random_instances(40, 9, 0.3)
    vectors = Rows.from_instances(instances if thin else made_dense(instances), np.arange(5, 35))
    assert vectors.x.shape == (30, 9)
    batch = vectors.batch(torch.tensor([3, 0]))
    assert (batch.x.dtype, batch.targets.dtype, batch.ids.dtype) == (
        torch.float32,
        torch.float32,
        torch.int64,
    )
    assert batch.x.shape == (2, 9) and batch.targets.shape == (2, 3) and batch.ids.tolist() == [8, 5]
    assert batch.x.is_contiguous()
    part = vectors.rows(torch.tensor([29, 1, 2]))
    assert len(part) == 3 and part.ids.tolist() == [34, 6, 7] and part.x.shape == (3, 9)
    assert torch.equal(part.batch(torch.tensor([1, 2])).x, vectors.batch(torch.tensor([1, 2])).x)
    empty = vectors.rows(torch.tensor([], dtype=torch.int64))
    assert len(empty) == 0 and empty.batch(torch.tensor([], dtype=torch.int64)).x.shape == (0, 9)
    assert vectors.to("cpu").device.type == "cpu" and vectors.to("meta").device.type == "meta"


@pytest.mark.parametrize("thin", [True, False])
def test_what_a_stage_brings_along_goes_where_its_rows_go(thin):
    instances = random_instances(20, 4, 0.5)
    plain = Rows.from_instances(instances if thin else made_dense(instances), np.arange(20))
    extra = {"distribution": torch.rand(20, 3), "views": torch.rand(20, 2, 5), "chosen": torch.arange(20)}
    vectors = replace(plain, extra=extra)
    index = torch.tensor([7, 0, 7])
    for found in (
        vectors.batch(index).extra,
        vectors.rows(index).extra,
        vectors.rows(index).batch(torch.arange(3)).extra,
    ):
        assert found.keys() == extra.keys()
        assert all(torch.equal(found[name], held[index]) for name, held in extra.items())
    assert {held.device.type for held in vectors.to("meta").extra.values()} == {"meta"}
    halved = vectors.batch(index).map(lambda held: held[:1])
    assert halved.ids.tolist() == [7] and halved.extra["views"].shape == (1, 2, 5)
    longer = replace(plain, extra=extra | {"chosen": torch.rand(20)})
    assert vectors.described == vectors.to("meta").described
    assert len({str(data.described) for data in (plain, vectors, longer, vectors.rows(index))}) == 4


def test_the_data_set_keeps_its_own_memory():
    instances = made_dense(random_instances(10, 4, 0.5))
    before = instances.features.copy()
    vectors = Rows.from_instances(instances, np.arange(10))
    vectors.x.zero_()
    vectors.targets.zero_()
    assert np.array_equal(instances.features, before)


def test_doubled_entries_are_added():
    doubled = sparse.csr_matrix((np.array([1, 2, 4], np.float32), [1, 1, 0], [0, 2, 3]), shape=(2, 3))
    rows = sparse_rows(doubled)
    assert rows.index_select(0, torch.tensor([0, 1])).tolist() == [[0, 3, 0], [4, 0, 0]]
    assert doubled.nnz == 3


@given(st.integers(0, 300), st.integers(0, 2**40), st.integers(0, 10**4))
def test_an_order_can_be_computed_again(count, seed, epoch):
    visited = order(count, seed, epoch, shuffle=True)
    torch.manual_seed(1)
    state = torch.get_rng_state()
    assert torch.equal(visited, order(count, seed, epoch, shuffle=True))
    assert torch.equal(state, torch.get_rng_state())
    assert torch.equal(visited.sort().values, torch.arange(count))
    assert torch.equal(order(count, seed, epoch, shuffle=False), torch.arange(count))


def test_orders_differ_from_epoch_to_epoch_and_seed_to_seed():
    orders = {tuple(order(50, seed, epoch).tolist()) for seed in range(4) for epoch in range(5)}
    assert len(orders) == 20
