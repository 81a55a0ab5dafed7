"""Cells without a value get what training rows have: their mean, or their most frequent word."""

from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy import sparse

from mlbench.data import gaps
from mlbench.data.cache import load, save
from mlbench.data.formats import arff, csv
from mlbench.data.instances import concatenate
from mlbench.data.modalities import kept
from mlbench.errors import UserError

HEAD = "wet,wind,side,open,rain"
ROWS = [
    ("1", "calm", "lee", "0", "1"),
    ("", "storm", "luv", "1", "0"),
    ("4", "", "", "1", "0"),
    ("100", "storm", "luv", "", "1"),  # of no training
    ("3", "storm", "luv", "1", "1"),
    ("", "calm", "lee", "0", "0"),
    ("100", "breeze", "lee", "0", "0"),  # of no training
]
TRAINING = [0, 1, 2, 4, 5]


def read(folder, rows=ROWS, name="gaps.csv"):
    (folder / name).write_text("\n".join([HEAD, *map(",".join, rows)]))
    return csv.read(folder / name, ["rain"], missing="mean")


def typical(rows):
    """By loops over the file's own cells."""
    numbers = [float(row[0]) for row in rows if row[0]]
    fills = {"wet": sum(numbers) / len(numbers)}
    for column, name in ((1, "wind"), (2, "side")):
        counts = Counter(row[column] for row in rows if row[column])
        fills[name] = max(sorted(counts), key=counts.__getitem__)
    ones = [float(row[3]) for row in rows if row[3]]
    return fills | {
        "open": sum(ones) / len(ones)
    }  # numbers in a table; a nominal attribute of an ARFF file is not


def test_training_rows_alone_say_what_goes_into_a_gap(tmp_path):
    instances = read(tmp_path)
    fills = gaps.learned(instances, np.array(TRAINING))
    expected = typical([ROWS[row] for row in TRAINING])
    for name in ("wet", "open"):
        expected[name] = pytest.approx(expected[name], rel=1e-6)
    assert fills == expected
    whole = [tuple(cell or str(fills[name]) for cell, name in zip(row, HEAD.split(","))) for row in ROWS]
    expected = read(tmp_path, whole, "whole.csv")
    filled = gaps.filled(instances, fills)
    assert filled.feature_names == expected.feature_names
    np.testing.assert_allclose(filled.features, expected.features, rtol=1e-6)
    assert not expected.gaps and filled.gaps.keys() == {"wet", "wind", "side", "open"}

    strange = ("-7", "calm", "lee", "0", "1")
    others = [row if number in TRAINING else strange for number, row in enumerate(ROWS)]
    assert gaps.learned(read(tmp_path, others), np.array(TRAINING)) == fills


def test_a_column_without_a_value_in_training_is_named(tmp_path):
    with pytest.raises(UserError, match=r"column 'open' has no value in any training row: leave it out with"):
        gaps.learned(read(tmp_path), np.array([3]))


def test_sparse_features_stay_sparse(tmp_path):
    lines = ["{0 1, 3 1}", "{0 ?, 1 b, 2 1}", "{0 4, 1 ?, 2 ?}", "{2 1, 3 1}", "{0 100, 1 b}"]
    kinds = ["wet numeric", "wind {a,b,c}", "open {0,1}", "rain {0,1}"]
    head = "\n".join(["@relation r", *(f"@attribute {kind}" for kind in kinds), "@data\n"])
    (tmp_path / "thin.arff").write_text(head + "\n".join(lines))
    instances = arff.read(tmp_path / "thin.arff", lambda _: [3], "mean")
    fills = gaps.learned(instances, np.arange(4))
    assert fills == {"wet": pytest.approx(5 / 3), "wind": "a", "open": 1}
    filled = gaps.filled(instances, fills).features
    assert sparse.issparse(filled)
    expected = [[1, 1, 0, 0, 0], [5 / 3, 0, 1, 0, 1], [4, 1, 0, 0, 1], [0, 1, 0, 0, 1], [100, 0, 1, 0, 0]]
    np.testing.assert_allclose(filled.toarray(), expected, rtol=1e-6)


def test_gaps_follow_rows_and_columns(tmp_path):
    first, second = read(tmp_path), read(tmp_path, [ROWS[1], *ROWS[:3], ROWS[6]], "more.csv")
    both = concatenate([first, second])
    assert {name: rows.tolist() for name, rows in both.gaps.items()} == {
        "wet": [1, 5, 7, 9],
        "wind": [2, 10],
        "side": [2, 10],
        "open": [3],
    }
    save(tmp_path / "kept.npz", both)
    again = load(Path(tmp_path / "kept.npz"))
    assert again is not None and {n: r.tolist() for n, r in again.gaps.items()} == {
        n: r.tolist() for n, r in both.gaps.items()
    }
    parted = replace(both, modalities={"air": (0, 4), "house": (4, 6)})
    assert kept("set", parted, ["house"]).gaps.keys() == {"side", "open"}
