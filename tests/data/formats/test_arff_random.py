"""ARFF files made at random come back as they were; the quick way to read rows and the careful one agree."""

from unittest import mock

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

from arff_files import PLAIN, arff_file, dense, read_last, read_text
from mlbench.data import files
from mlbench.data.formats import arff_rows
from mlbench.errors import UserError


def refuse_to_be_careful(*_):
    raise AssertionError("the careful way was taken for rows of plain numbers")


@pytest.mark.parametrize("row", ["1.5,2,1\n", "{0 1.5,2 1}\n", " 1.5 ,\t2,1\r\n", "{ 0 1.5 , 2\t1 }\r\n"])
def test_rows_of_numbers_are_read_the_quick_way(tmp_path, monkeypatch, row):
    monkeypatch.setattr(arff_rows, "careful_rows", refuse_to_be_careful)
    assert len(read_text(tmp_path, PLAIN + row * 3)) == 3


def test_pieces_are_read_alone_and_lines_counted_through(tmp_path, monkeypatch):
    rows = [f"{row},{row * 0.1:.2f},{row % 2}\n" for row in range(200)]
    rows[70] = "70,'7',0\n"
    whole = read_text(tmp_path, PLAIN + "".join(rows))
    monkeypatch.setattr(files, "PIECE", 100)
    in_pieces = read_text(tmp_path, PLAIN + "".join(rows))
    np.testing.assert_array_equal(in_pieces.features, whole.features)
    np.testing.assert_array_equal(in_pieces.targets, whole.targets)
    rows[150] = "150,x,1\n"
    with pytest.raises(UserError, match="line 156: 'x'"):
        read_text(tmp_path, PLAIN + "".join(rows))
    rows[150] = "150,3\n"
    with pytest.raises(UserError, match="line 156: 2 values"):
        read_text(tmp_path, PLAIN + "".join(rows))


NAMES = st.text(
    st.characters(codec="utf-8", exclude_categories=["Cc", "Cs", "Zl", "Zp"]), min_size=1, max_size=8
)


NUMBERS = st.floats(width=32, allow_nan=False, allow_infinity=False)


def quoted_name(name):
    """As WEKA quotes: when in doubt, and always with a backslash before a quote or a backslash."""
    escaped = name.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"


@st.composite
def tables(draw):
    """Attributes (name, values or None) of features and of labels, and rows of their values."""
    names = draw(st.lists(NAMES, min_size=2, max_size=7, unique=True))
    labels = draw(st.integers(1, len(names)))
    attributes = []
    for place, name in enumerate(names):
        if place >= len(names) - labels:
            values = ["0", "1"]
        else:
            values = draw(
                st.none()
                | st.sampled_from([["0", "1"], ["NO", "YES"]])
                | st.lists(NAMES, min_size=3, max_size=4, unique=True)
            )
        attributes.append((name, values))
    cells = [NUMBERS if values is None else st.sampled_from(values) for _, values in attributes]
    return attributes, labels, draw(st.lists(st.tuples(*cells), min_size=1, max_size=6))


def written(attributes, rows, as_sparse, form):
    """A file as a plain writer makes it; numbers printed by `form`."""

    def cell(value, values):
        if values is None:
            return form(value)
        return value if value in ("0", "1", "NO", "YES") else quoted_name(value)

    lines = ["@relation 'random: -C 1'"]
    for name, values in attributes:
        kind = "numeric" if values is None else "{" + ",".join(cell(value, values) for value in values) + "}"
        lines.append(f"@attribute {quoted_name(name)} {kind}")
    lines.append("@data")
    for row in rows:
        texts = [cell(value, values) for value, (_, values) in zip(row, attributes)]
        if as_sparse:
            absent = [0.0 if values is None else values[0] for _, values in attributes]
            kept = [f"{place} {text}" for place, text in enumerate(texts) if row[place] != absent[place]]
            lines.append("{" + ",".join(kept) + "}")
        else:
            lines.append(",".join(texts))
    return "\n".join(lines) + "\n"


def expected_features(attributes, rows):
    features = []
    for row in rows:
        features.append([])
        for value, (_, values) in zip(row, attributes):
            if values is None:
                features[-1].append(value)
            elif len(values) == 2:
                features[-1].append(values.index(value))
            else:
                features[-1] += [value == other for other in values]
    return np.array(features, dtype=np.float32).reshape(len(rows), -1)


@pytest.mark.parametrize("as_sparse", [False, True])
@settings(max_examples=60, deadline=None)
@given(table=tables(), form=st.sampled_from([repr, "{:.17g}".format, "{:.9e}".format, "{:+.12E}".format]))
def test_random_tables_come_back_as_they_were(tmp_path_factory, as_sparse, table, form):
    attributes, labels, rows = table
    count = len(attributes) - labels
    path = arff_file(tmp_path_factory.mktemp("random"), written(attributes, rows, as_sparse, form))
    found = read_last(path, labels)
    assert sparse.issparse(found.features) == as_sparse
    np.testing.assert_array_equal(
        dense(found), expected_features(attributes[:count], [row[:count] for row in rows])
    )
    np.testing.assert_array_equal(found.targets, [[int(value) for value in row[count:]] for row in rows])
    assert found.labels == tuple(name for name, _ in attributes[count:])


@pytest.mark.parametrize("as_sparse", [False, True])
@settings(max_examples=60, deadline=None)
@given(
    texts=st.lists(
        st.from_regex(
            r"[+-]?([0-9]{1,25}\.?[0-9]{0,25}|\.[0-9]{1,25})([eE][+-]?[0-9]{1,2})?", fullmatch=True
        ),
        min_size=1,
        max_size=8,
    )
)
def test_numbers_are_exact_both_ways(tmp_path_factory, as_sparse, texts):
    with np.errstate(over="ignore"):
        expected = np.float32([float(text) for text in texts])
    finite = np.isfinite(expected)
    texts, expected = [text for text, keep in zip(texts, finite) if keep], expected[finite]
    header = "@attribute a numeric\n@attribute l {0,1}\n@data\n"
    rows = "".join(f"{{0 {text}}}\n" if as_sparse else f"{text},0\n" for text in [*texts, "1"])
    path = arff_file(tmp_path_factory.mktemp("numbers"), header + rows)
    quick = read_last(path)
    with (
        mock.patch.object(arff_rows, "sparse_numbers", return_value=None),
        mock.patch.object(arff_rows, "dense_numbers", return_value=None),
    ):
        careful = read_last(path)
    np.testing.assert_array_equal(dense(quick)[:-1, 0], expected)
    np.testing.assert_array_equal(dense(careful)[:-1, 0], expected)
