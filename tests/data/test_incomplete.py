"""Files of several modalities of which some lack an id: its row is without that modality."""

import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from mlbench.data import gaps, missing
from mlbench.data.multimodal import Multimodal
from mlbench.errors import UserError

LABELS = ["a", "b"]


@pytest.fixture
def clips(tmp_path, monkeypatch):
    """Twelve clips; each modality's file lacks some, holds others in an order of its own, and has a gap."""
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    table = pd.DataFrame({"clip": [f"c{row}" for row in range(12)], "x": rng.normal(size=12).round(3) + 5})
    table["kind"] = rng.choice(["low", "mid", "top"], 12)
    table["z"] = rng.normal(size=12).round(3) - 3
    table["a"], table["b"] = np.arange(12) % 2, np.arange(12) % 3 // 2
    files = {
        "audio": table.iloc[[9, 0, 1, 2, 3, 5, 7, 10]][["kind", "clip", "x"]].copy(),
        "text": table.iloc[[11, 10, 9, 8, 4, 3, 1, 0]][["clip", "z"]].copy(),
    }
    files["audio"].iloc[2, 2] = np.nan  # c1's x
    for name, rows in files.items():
        rows.to_csv(f"{name}.csv", index=False)
    table[["clip", *LABELS]].to_csv("labels.csv", index=False)
    return table, files


def dataset(**options):
    defaults = {"decimal": ".", "drop": [], "missing": "mean", "scaling": "none", "id": "clip"}
    files = {"audio": "audio.csv", "text": "text.csv"}
    return Multimodal(
        **(defaults | {"files": files, "labels_from": "labels.csv", "incomplete": True} | options)
    )


def loaded(tmp_path, **options):
    return dataset(**options).load(tmp_path / "cache").instances


def by_hand(table, files):
    """Ids, features and masks, cell by cell; a gap is NaN."""
    ids, features, present, targets = [], [], [], []
    for clip, a, b in zip(table["clip"], table.a, table.b):
        audio = [row for row in files["audio"].to_dict(orient="records") if row["clip"] == clip]
        text = [row for row in files["text"].to_dict(orient="records") if row["clip"] == clip]
        if not audio and not text:
            continue
        cells = {}
        for row in audio:
            cells["audio x"] = row["x"]
            for word in ("low", "mid", "top"):
                cells[f"audio kind={word}"] = float(row["kind"] == word)
        for row in text:
            cells["text z"] = row["z"]
        (
            ids.append(clip),
            features.append(cells),
            present.append([len(audio), len(text)]),
            targets.append([a, b]),
        )
    return ids, features, present, targets


def test_a_row_has_what_its_files_have(clips, tmp_path, capsys):
    ids, features, present, targets = by_hand(*clips)
    found = loaded(tmp_path)
    assert found.words["id"] == tuple(ids) and len(ids) == 11, "no file has c6"
    assert found.present.tolist() == present and found.targets.tolist() == targets
    assert [1, 0] in present and [0, 1] in present and [1, 1] in present
    assert found.modalities == {"audio": (0, 4), "text": (4, 5)}
    for row, cells in enumerate(features):
        for column, name in enumerate(found.feature_names):
            value = cells.get(name, 0.0)
            if not np.isnan(value):
                assert found.features[row, column] == np.float32(value), (ids[row], name)
    assert {name: rows.tolist() for name, rows in found.gaps.items()} == {"audio x": [ids.index("c1")]}
    said = capsys.readouterr().err
    assert "audio.csv: lacks 4 of the 12 ids of" in said and "1 rows left out, whose ids no file" in said
    again = loaded(tmp_path)
    np.testing.assert_array_equal(again.present, found.present)
    assert not capsys.readouterr().err, "what was parsed is kept, masks included"


def test_gaps_and_scales_learn_from_rows_that_have_the_modality(clips, tmp_path):
    _, features, _, _ = by_hand(*clips)
    found, rows = loaded(tmp_path), np.array([0, 1, 3, 4, 5, 7, 8])
    fills = gaps.learned(found, rows)
    xs = [features[row]["audio x"] for row in rows if not np.isnan(features[row].get("audio x", np.nan))]
    zs = [features[row]["text z"] for row in rows if "text z" in features[row]]
    assert fills["audio x"] == pytest.approx(sum(xs) / len(xs), rel=1e-6)
    assert fills["text z"] == pytest.approx(sum(zs) / len(zs), rel=1e-6)
    filled = gaps.filled(found, fills)
    scaler = missing.fitted_on_present("zscore", filled, rows)
    assert scaler.state["shift"][-1] == pytest.approx(sum(zs) / len(zs), rel=1e-6)
    assert missing.means(filled, rows)[-1] == pytest.approx(sum(zs) / len(zs), rel=1e-5)
    scaled = missing.scaled(filled, scaler)
    for row, cells in enumerate(features):
        z = (
            (cells["text z"] - scaler.state["shift"][-1]) / scaler.state["spread"][-1]
            if "text z" in cells
            else 0
        )
        assert scaled.features[row, -1] == pytest.approx(z, rel=1e-5)


def test_what_is_lacking_and_what_is_taken_away(clips, tmp_path):
    """Of what an instance has something is left; what it lacks does not come back."""
    kinds = set()
    for seed in range(20):
        with_both = dataset(missing_modalities=0.6)
        found = loaded(tmp_path)
        left = missing.simulated(found, with_both, seed).present
        assert (left <= found.present).all() and left.any(axis=1).all()
        kinds |= {tuple(row) for row in left[found.present.all(axis=1)].tolist()}
    assert kinds == {(1, 0), (0, 1), (1, 1)}


def test_sparse_files_stay_sparse(clips, tmp_path):
    rows = clips[1]["text"]
    matrix = sparse.csr_matrix(np.stack([rows.z, np.zeros(len(rows))], axis=1))
    parts = {f"features_{part}": getattr(matrix, part) for part in ("data", "indices", "indptr", "shape")}
    np.savez("text.npz", clip=rows["clip"].to_numpy(str), **parts)
    found = loaded(tmp_path, files={"audio": "audio.csv", "text": "text.npz"})
    dense = loaded(tmp_path)
    assert sparse.issparse(found.features)
    np.testing.assert_array_equal(found.features.toarray()[:, :5], dense.features)
    np.testing.assert_array_equal(found.present, dense.present)


def test_complete_files_have_no_mask_and_another_key_only_where_asked(clips, tmp_path):
    table, _ = clips
    for name, columns in (("audio", ["clip", "x"]), ("text", ["clip", "z"])):
        table[columns].to_csv(f"{name}.csv", index=False)
    found = loaded(tmp_path)
    assert found.present is None and len(found) == 12
    assert "incomplete" not in dataset(incomplete=False).identity()["options"]
    assert dataset().identity() != dataset(incomplete=False).identity()


def test_what_cannot_be(clips, tmp_path):
    with pytest.raises(
        UserError, match=r"incomplete=true: rows that a file lacks are known by dataset.id=..."
    ):
        dataset(id=None)
    with pytest.raises(
        UserError, match=r"lacks 4 of the 12 ids .*, or let rows lack a modality with dataset.inc"
    ):
        loaded(tmp_path, incomplete=False)
    with pytest.raises(UserError, match=r"dataset.use=\[text\]: 3 instances of .* have none of these"):
        loaded(tmp_path, use=["text"])
