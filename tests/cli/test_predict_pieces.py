"""mlbench predict: files that come in pieces, so that they may be larger than the memory."""

import json

import numpy as np
import pytest
import torch
from scipy import sparse
from weather import scores_of

from mlbench.data import new_rows
from mlbench.data.formats import npz
from mlbench.errors import UserError
from mlbench.predict import Trained, one_ahead, predictions


def test_a_file_is_read_in_pieces(trained, predict, weather, folder, monkeypatch):

    run = trained()
    monkeypatch.setattr(new_rows, "CELLS", 12)
    found = [*predictions([Trained.of_run(run)], str(folder / "test.csv"))]
    assert len(found) > 2
    np.testing.assert_allclose(torch.cat([piece.scores for piece in found]), scores_of(run), atol=1e-6)
    assert np.concatenate([piece.ids for piece in found]).tolist() == [*range(10)]


def test_json_lines_are_read_in_pieces(trained, weather, folder, monkeypatch):
    """A later piece may have fields that an earlier one lacks, and lack fields that it has."""

    run = trained("dataset.missing=mean", "dataset.scaling=zscore")
    rows = weather[30:].drop(columns=["rain", "snow"]).to_dict("records")
    (folder / "new.jsonl").write_text("\n".join(json.dumps(row) for row in rows))
    rows[9] = {name: cell for name, cell in rows[9].items() if name != "wet"} | {"other": 1}
    (folder / "gap.jsonl").write_text("\n".join(json.dumps(row) for row in rows))
    monkeypatch.setattr(new_rows, "CELLS", 12)
    whole, gap = (
        [*predictions([Trained.of_run(run)], str(folder / name))] for name in ("new.jsonl", "gap.jsonl")
    )
    assert len(whole) == len(gap) == 4
    np.testing.assert_allclose(torch.cat([piece.scores for piece in whole]), scores_of(run), atol=1e-6)
    found = torch.cat([piece.scores for piece in gap])
    np.testing.assert_allclose(found[:9], scores_of(run)[:9], atol=1e-6)
    assert not np.allclose(found[9], scores_of(run)[9], atol=1e-6)


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_an_archive_is_read_in_pieces(save, trained, predict, weather, folder, monkeypatch):
    """Rows, their ids and labels together; a matrix by columns at once. Damage within is said."""

    run = Trained.of_run(trained("dataset.drop=[wind,side]", "dataset.scaling=zscore"))
    x, y = weather[30:][["wet", "cold"]].to_numpy(), weather[30:][["rain", "snow"]].to_numpy(np.uint8)
    ids = np.array([f"row {row}" for row in range(10)])
    monkeypatch.setattr(new_rows, "CELLS", 6)
    for features, pieces in ((x, 4), (np.asfortranarray(x), 1)):
        save(folder / "new.npz", features=features, targets=y, ids=ids)
        found = [*predictions([run], str(folder / "new.npz"), id="name")]
        assert len(found) == pieces
        np.testing.assert_allclose(
            torch.cat([piece.scores for piece in found]), scores_of(run.path.parent), atol=1e-6
        )
        assert np.concatenate([piece.targets for piece in found]).tolist() == y.tolist()
        assert np.concatenate([piece.ids for piece in found]).tolist() == ids.tolist()
    save(folder / "none.npz", features=x)
    found = [*predictions([run], str(folder / "none.npz"))]
    assert (
        np.concatenate([piece.ids for piece in found]).tolist() == [*range(10)] and found[-1].targets is None
    )
    save(folder / "short.npz", features=x, targets=y[:9])
    content = bytearray((folder / "none.npz").read_bytes())
    content[content.index(b"PK\x01\x02") - 40] ^= 1  # of the last numbers
    (folder / "damaged.npz").write_bytes(content)
    for name, said in (("short.npz", "rows of features, 9 of targets"), ("damaged.npz", "is no whole .npz")):
        done = predict(f"run={run.path}", f"path={name}", "out=p.csv")
        assert done.status == 2 and said in done.err and done.err.count("\n") == 1, done
        assert not (folder / "p.csv").exists()


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_a_sparse_archive_is_read_in_pieces(save, trained, weather, folder, monkeypatch):
    """Rows, their ids and labels together; parts that do not fit each other are refused as a whole."""

    run = Trained.of_run(trained("dataset.drop=[wind,side]", "dataset.scaling=minmax"))
    rows, targets = weather[30:][["wet", "cold"]].to_numpy().copy(), weather[30:][["rain", "snow"]].to_numpy()
    rows[3], rows[4:7, 0] = 0, 0
    x = sparse.csr_matrix(rows)
    parts = {f"features_{name}": getattr(x, name) for name in ("data", "indices", "indptr", "shape")}
    ids = np.array([f"row {row}" for row in range(10)])
    monkeypatch.setattr(npz, "THIN", 3)
    monkeypatch.setattr("mlbench.data.new_rows.CELLS", 2)
    save(folder / "new.npz", **parts, targets=targets, ids=ids)
    np.savez(folder / "dense.npz", features=rows, targets=targets)
    found = [*predictions([run], str(folder / "new.npz"), id="name")]
    expected = torch.cat([piece.scores for piece in predictions([run], str(folder / "dense.npz"))])
    assert [len(piece.ids) for piece in found] == [3, 3, 3, 1]
    np.testing.assert_allclose(torch.cat([piece.scores for piece in found]), expected, atol=1e-6)
    assert np.concatenate([piece.targets for piece in found]).tolist() == targets.tolist()
    assert np.concatenate([piece.ids for piece in found]).tolist() == ids.tolist()
    for name, value, said in (
        ("indptr", x.indptr[::-1].copy(), "rows that begin before the one above them"),
        ("indices", x.indices + 1, "an entry outside of its rows and columns"),
        ("shape", np.array([11, 2]), "other lengths than its shape says"),
        ("data", x.data.astype(str), "are no CSR matrix"),
    ):
        save(folder / "new.npz", **{**parts, f"features_{name}": value})
        with pytest.raises(UserError, match=said):
            [*predictions([run], str(folder / "new.npz"))]


def test_one_piece_is_read_ahead():
    """No more than one, in order; what stops the reading is raised once all before it are given."""
    begun = []

    def pieces():
        for number in range(4):
            begun.append(number)
            yield number
        raise UserError("row 5 is no row")

    given = []
    with pytest.raises(UserError, match="row 5"):
        for piece in one_ahead(pieces()):
            given.append(piece)
            assert len(begun) <= len(given) + 1
    assert given == begun == [*range(4)]
