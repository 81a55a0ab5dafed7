"""Parsed data kept on disk: equal to what was parsed, and never trusted when it is not whole."""

import errno
import os
import stat
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from scipy import sparse

from mlbench.data import cache
from mlbench.data.instances import Instances


def some_instances(is_sparse=False, rows=40):
    random = np.random.default_rng(rows)
    features = random.normal(size=(rows, 6)).astype(np.float32) * (random.random((rows, 6)) < 0.4)
    return Instances(
        features=sparse.csr_matrix(features) if is_sparse else features,
        targets=(random.random((rows, 3)) < 0.5).astype(np.uint8),
        labels=("sea", "ciel 'été'", "a\0b"),
        feature_names=tuple(f"x{column}" for column in range(6)),
        modalities={"left": (0, 2), "right": (2, 6)},
        attributes=4,
        beside={"id": ("name",), "drop": ("x", "")},
    )


def assert_same(one, other):
    assert sparse.issparse(one.features) == sparse.issparse(other.features)
    features = [
        each.features.toarray() if sparse.issparse(each.features) else each.features for each in (one, other)
    ]
    np.testing.assert_array_equal(*features)
    np.testing.assert_array_equal(one.targets, other.targets)
    for name in ("labels", "feature_names", "modalities", "attributes", "beside"):
        assert getattr(one, name) == getattr(other, name)


def never():
    raise AssertionError("built, though it was kept")


@pytest.mark.parametrize("is_sparse", [False, True])
def test_what_was_built_is_kept(tmp_path, is_sparse):
    path, built = tmp_path / "deep" / "set.npz", some_instances(is_sparse)
    assert cache.cached(path, lambda: built) is built
    assert_same(cache.cached(path, never), built)
    assert list(path.parent.iterdir()) == [path]


def test_instances_without_features_or_attributes_are_kept(tmp_path):
    empty = Instances(sparse.csr_matrix((3, 0), dtype=np.float32), np.ones((3, 1), np.uint8), ("l",), ())
    cache.cached(tmp_path / "set.npz", lambda: empty)
    assert_same(cache.cached(tmp_path / "set.npz", never), empty)


@pytest.mark.parametrize("is_sparse", [False, True])
def test_a_damaged_file_is_built_again(tmp_path, is_sparse):
    path, built = tmp_path / "set.npz", some_instances(is_sparse)
    cache.cached(path, lambda: built)
    whole = path.read_bytes()
    damaged = [whole[:stop] for stop in range(0, len(whole), 97)]
    values = (built.features.data if is_sparse else built.features).tobytes()
    for sought in (values, built.targets.tobytes(), b"ciel"):
        place = whole.index(sought) + 3
        damaged.append(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
    for data in damaged:
        path.write_bytes(data)
        assert cache.cached(path, lambda: built) is built
        assert path.read_bytes() == whole or cache.load(path) is not None


def test_a_file_of_another_kind_is_built_again(tmp_path, monkeypatch):
    path, built = tmp_path / "set.npz", some_instances()
    np.savez(path, features=built.features, targets=built.targets)
    assert cache.cached(path, lambda: built) is built
    assert_same(cache.cached(path, never), built)
    monkeypatch.setattr(cache, "FORMAT", "mlbench instances 0")
    assert cache.cached(path, lambda: built) is built
    path.unlink()
    path.mkdir()
    assert cache.cached(path, lambda: built) is built


def test_a_disk_that_cannot_be_written_stops_nothing(tmp_path, monkeypatch):
    built = some_instances()
    (tmp_path / "file").write_text("not a folder")
    assert cache.cached(tmp_path / "file" / "set.npz", lambda: built) is built

    def full(*_, **__):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(np, "savez", full)
    assert cache.cached(tmp_path / "set.npz", lambda: built) is built
    assert list(tmp_path.iterdir()) == [tmp_path / "file"]


@pytest.mark.skipif(os.geteuid() == 0, reason="root writes where nobody may")
def test_a_read_only_folder_stops_nothing(tmp_path):
    tmp_path.chmod(stat.S_IRUSR | stat.S_IXUSR)
    try:
        built = some_instances()
        assert cache.cached(tmp_path / "set.npz", lambda: built) is built
    finally:
        tmp_path.chmod(stat.S_IRWXU)


def test_several_at_once(tmp_path):
    path, built = tmp_path / "set.npz", some_instances(rows=2000)
    with ThreadPoolExecutor(8) as pool:
        for found in pool.map(lambda _: cache.cached(path, lambda: built), range(32)):
            assert_same(found, built)
    assert list(tmp_path.iterdir()) == [path]


def test_an_error_of_the_reader_is_its_own(tmp_path):
    with pytest.raises(ZeroDivisionError):
        cache.cached(tmp_path / "set.npz", lambda: 1 / 0)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "part, content",
    [
        ("indices", [2**31 - 1] * 4),
        ("indices", [-1] * 4),
        ("indptr", [0, 3, 2, 4]),
        ("indptr", [0, 0, 0, 2**40]),
    ],
)
def test_a_matrix_that_cannot_be_is_built_again(tmp_path, part, content):
    path = tmp_path / "set.npz"
    features = sparse.csr_matrix(np.array([[1, 2], [3, 0], [0, 4]], dtype=np.float32))
    cache.save(path, Instances(features, np.ones((3, 1), np.uint8), ("l",), ("x", "y")))
    with np.load(path) as archive:
        parts = dict(archive)
    np.savez(path, **parts | {part: np.array(content)})
    assert cache.load(path) is None


def test_what_is_loaded_can_be_written_to(tmp_path):
    cache.save(tmp_path / "set.npz", some_instances())
    found = cache.load(tmp_path / "set.npz")
    assert found.features.flags.writeable and found.targets.flags.writeable
