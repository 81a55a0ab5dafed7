"""MEKA: which columns are labels."""

import re

import numpy as np
import pytest

from mlbench.data.formats import meka
from mlbench.errors import UserError

COLUMNS = """@attribute p {0,1}
@attribute q {0,1}
@attribute r {0,1}
@data
1,0,1
0,0,1
"""


def meka_file(folder, relation, columns=COLUMNS):
    path = folder / "set.arff"
    path.write_text(f"@relation {relation}\n{columns}")
    return path


@pytest.mark.parametrize(
    "relation, labels, expected",
    [
        ("'Set: -C 2'", None, ("p", "q")),
        ("'Set: -C -2'", None, ("q", "r")),
        ('"Set:-C 1 -I 0"', None, ("p",)),
        ("'Set: -C 1-weka.filters.unsupervised.attribute.Remove-R1-45'", None, ("p",)),
        ("'Set: -split-percentage 50 -C 1'", None, ("p",)),
        ("'Set: -C 2'", -1, ("r",)),
        ("set", 2, ("p", "q")),
        ("set", -3, ("p", "q", "r")),
    ],
)
def test_labels_are_the_first_or_the_last_columns(tmp_path, relation, labels, expected):
    found = meka.read(meka_file(tmp_path, relation), labels)
    assert found.labels == expected and not set(found.feature_names).intersection(expected)
    values = dict(zip("pqr", np.array([[1, 0, 1], [0, 0, 1]]).T))
    np.testing.assert_array_equal(found.targets.T, [values[name] for name in expected])


@pytest.mark.parametrize(
    "relation, labels, words",
    [
        (
            "set",
            None,
            "does not say how many columns are labels: no -C in its @relation; give dataset.labels",
        ),
        ("'J48-C 2'", None, "does not say"),
        ("'Set: -C 0'", None, "does not say"),
        ("'Set: -C 4'", None, "is said to have 4 labels, but has only 3 columns"),
        (f"'Set: -C {'9' * 5000}'", None, "is said to have 999999999 labels, but has only 3 columns"),
        ("set", -4, "is said to have 4 labels"),
    ],
)
def test_a_number_of_labels_that_cannot_be(tmp_path, relation, labels, words):
    with pytest.raises(UserError, match=re.escape(words)):
        meka.read(meka_file(tmp_path, relation), labels)


def test_two_labels_of_one_name(tmp_path):
    path = meka_file(tmp_path, "'Set: -C 2'", COLUMNS.replace("attribute q", "attribute p"))
    with pytest.raises(UserError, match="has 2 labels named 'p'"):
        meka.read(path)
