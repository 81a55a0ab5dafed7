"""The ARFF reader: every way to write a file that WEKA allows, and a sentence for every way it does not."""

import bz2
import gzip
import lzma
import re
from unittest import mock

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

from mlbench.data.formats import arff
from mlbench.data.instances import statistics
from mlbench.errors import UserError


def arff_file(folder, text, name="data.arff"):
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def read_last(path, labels=1, **options):
    """The last columns are labels."""

    def last(header):
        return list(range(len(header.attributes)))[len(header.attributes) - labels :]

    return arff.read(path, last, **options)


def read_text(folder, text, labels=1, **options):
    return read_last(arff_file(folder, text), labels, **options)


def dense(instances):
    features = instances.features
    return features.toarray() if sparse.issparse(features) else features


PLAIN = """@relation plain
@attribute width numeric
@attribute height numeric
@attribute tall {0,1}
@data
"""
COLOURS = """@relation colours
@attribute colour {red,green,blue}
@attribute tall {0,1}
@data
"""


def test_dense_rows_of_numbers(tmp_path):
    found = read_text(tmp_path, PLAIN + "1.5,-2e3,0\n+.25,7.,1\n")
    np.testing.assert_array_equal(found.features, np.float32([[1.5, -2000], [0.25, 7]]))
    np.testing.assert_array_equal(found.targets, [[0], [1]])
    assert found.features.dtype == np.float32 and found.targets.dtype == np.uint8
    assert found.labels == ("tall",) and found.feature_names == ("width", "height")


def test_sparse_rows_stay_sparse_and_may_be_empty_or_unordered(tmp_path):
    found = read_text(tmp_path, PLAIN + "{0 1.5, 2 1}\n{}\n{ }\n{1 -2e3,\t0 4}\n{1 0}\n")
    assert sparse.issparse(found.features) and found.features.format == "csr"
    expected = np.float32([[1.5, 0], [0, 0], [0, 0], [4, -2000], [0, 0]])
    np.testing.assert_array_equal(dense(found), expected)
    np.testing.assert_array_equal(found.targets[:, 0], [1, 0, 0, 0, 0])
    assert found.features.has_canonical_format and found.features.nnz == 3


def test_whatever_weka_allows_in_one_file(tmp_path):
    text = (
        "% made by hand\r\n"
        "\r\n"
        "@RELATION\t'my: -C 2 \"data\"'   % its name\r\n"
        "@Attribute plain\tREAL\r\n"
        "@attribute 'two words' Integer % a comment\r\n"
        '@attribute "it\'s 5 % more" numeric\r\n'
        "@attribute 'a\\'b' {NO,YES}\r\n"
        "@attribute close{0, 1}\r\n"
        "@attribute'quoted'{ 'a, b', \"c d\" , e }\r\n"
        "  @attribute tall\t{0,1}  \r\n"
        "@DATA % here they come\r\n"
        "\r\n"
        "% a first comment, with 'quotes\r\n"
        "1 ,2,\t3, YES,1,'a, b',0\r\n"
        "   \r\n"
        "4,5,6,'NO',0,\"c d\",1 % the second row\r\n"
        "7\t8 9 NO 0 e '1'\r\n"
    )
    path = arff_file(tmp_path, text)
    header = arff.header(path, path.read_bytes())
    found = read_last(path)
    assert header.relation == 'my: -C 2 "data"'
    assert found.feature_names == (
        *("plain", "two words", "it's 5 % more", "a'b", "close"),
        *("quoted=a, b", "quoted=c d", "quoted=e"),
    )
    expected = [[1, 2, 3, 1, 1, 1, 0, 0], [4, 5, 6, 0, 0, 0, 1, 0], [7, 8, 9, 0, 0, 0, 0, 1]]
    np.testing.assert_array_equal(found.features, expected)
    np.testing.assert_array_equal(found.targets, [[0], [1], [1]])
    assert found.attributes == 6


@pytest.mark.parametrize("text", ["don't", "50%", "a\\b", "x=y", "@data", "-", "é"])
def test_an_unquoted_word_may_hold_signs(tmp_path, text):
    found = read_text(
        tmp_path, f"@attribute {text} {{{text},other,third}}\n@attribute l {{0,1}}\n@data\n{text},1\n"
    )
    assert found.feature_names[0] == f"{text}={text}"
    np.testing.assert_array_equal(found.features, [[1, 0, 0]])


def test_words_in_sparse_rows(tmp_path):
    text = (
        "@attribute n numeric\n@attribute 'c c' {'x y',\"p,q\",r}\n@attribute l {0,1}\n@data\n"
        "{0 2,1 'p,q',2 1}\n{1 r}\n{0 1 , 1 \"x y\"} % last\n"
    )
    found = read_text(tmp_path, text)
    assert found.feature_names == ("n", "c c=x y", "c c=p,q", "c c=r")
    np.testing.assert_array_equal(dense(found), [[2, 0, 1, 0], [0, 0, 0, 1], [1, 1, 0, 0]])


@pytest.mark.parametrize("pack, suffix", [(gzip, ".gz"), (bz2, ".bz2"), (lzma, ".xz")])
@pytest.mark.parametrize("named", [True, False])
def test_compressed_files_are_known_by_their_content(tmp_path, pack, suffix, named):
    path = arff_file(tmp_path, pack.compress((PLAIN + "1,2,1\n").encode()), "data.arff" + suffix * named)
    np.testing.assert_array_equal(read_last(path).features, [[1, 2]])


@pytest.mark.parametrize("pack", [gzip, bz2, lzma])
def test_a_truncated_archive_is_said_to_be_one(tmp_path, pack):
    rows = "".join(f"{row},{row * row % 97},1\n" for row in range(5000))
    packed = pack.compress((PLAIN + rows).encode())
    path = arff_file(tmp_path, packed[: len(packed) // 2], "data.arff.gz")
    with pytest.raises(UserError, match=r"data\.arff\.gz is truncated or damaged .*: fetch it again"):
        read_last(path)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "latin-1"])
def test_encodings(tmp_path, encoding):
    text = "@attribute größe numeric\n@attribute été {né,mort,où}\n@attribute l {0,1}\n@data\n1,né,0\n"
    found = read_text(tmp_path, text.encode(encoding))
    assert found.feature_names == ("größe", "été=né", "été=mort", "été=où")


# Nominal attributes


@pytest.mark.parametrize(
    "values, rows, name, expected",
    [
        ("{0,1}", "0 1", "a", [0, 1]),
        ("{1,0}", "0 1", "a", [0, 1]),
        ("{0,1}", "0.0 1.0", "a", [0, 1]),
        ("{YES,NO}", "YES NO", "a", [1, 0]),
        ("{NO,YES}", "YES NO", "a", [1, 0]),
        ("{Y,N}", "N Y", "a", [0, 1]),
        ("{True,False}", "False True", "a", [0, 1]),
        ("{0}", "0 0", "a", [0, 0]),
        ("{1}", "1 1", "a", [1, 1]),
        ("{male,female}", "male female", "a=female", [0, 1]),
        ("{-1,1}", "1 -1", "a=1", [1, 0]),
        ("{2,1}", "1 2", "a=1", [1, 0]),
        ("{YES,maybe}", "YES maybe", "a=maybe", [0, 1]),
    ],
)
def test_one_or_two_values_make_one_column(tmp_path, values, rows, name, expected):
    header = f"@attribute a {values}\n@attribute l {{0,1}}\n@data\n"
    found = read_text(tmp_path, header + "".join(f"{value},1\n" for value in rows.split()))
    assert found.feature_names == (name,)
    np.testing.assert_array_equal(found.features[:, 0], expected)
    as_sparse = read_text(tmp_path, header + "".join(f"{{0 {value}}}\n" for value in rows.split()))
    np.testing.assert_array_equal(dense(as_sparse), found.features)


@pytest.mark.parametrize("values", ["red,green,blue", "3,1,2", "0,1,2"])
def test_more_values_are_one_hot_be_they_words_or_numbers(tmp_path, values):
    first, second, third = values.split(",")
    header = f"@attribute n numeric\n@attribute a {{{values}}}\n@attribute l {{0,1}}\n@data\n"
    found = read_text(tmp_path, header + f"5,{third},1\n6,{first},0\n")
    assert found.feature_names == ("n", f"a={first}", f"a={second}", f"a={third}")
    np.testing.assert_array_equal(found.features, [[5, 0, 0, 1], [6, 1, 0, 0]])
    assert found.attributes == 2 and statistics(found)["features"] == 2


@pytest.mark.parametrize(
    "values, expected", [("{YES,NO}", [1]), ("{NO,YES}", [0]), ("{0,1}", [0]), ("{1,0}", [1]), ("{b,c}", [0])]
)
def test_a_sparse_row_leaves_out_the_first_declared_value(tmp_path, values, expected):
    text = f"@attribute n numeric\n@attribute a {values}\n@attribute l {{0,1}}\n@data\n{{0 3}}\n"
    np.testing.assert_array_equal(dense(read_text(tmp_path, text)), [[3, *expected]])


def test_a_sparse_row_leaves_out_the_first_of_many_values_and_of_a_label(tmp_path):
    text = "@attribute a {x,y,z}\n@attribute k {YES,NO}\n@attribute l {0,1}\n@data\n{}\n{0 z,1 NO,2 1}\n"
    found = read_text(tmp_path, text, labels=2)
    np.testing.assert_array_equal(dense(found), [[1, 0, 0], [0, 0, 1]])
    np.testing.assert_array_equal(found.targets, [[1, 0], [0, 1]])


@pytest.mark.parametrize("kind", ["numeric", "{0,1}", "{1,0}", "{NO,YES}", "{YES,NO}", "{0,1,2}", "{0}"])
def test_labels_are_zeros_and_ones_however_declared(tmp_path, kind):
    words = ["NO", "NO"] if "NO" in kind else ["0", "0"]
    words[1] = {"{0}": "0"}.get(kind, "YES" if "NO" in kind else "1")
    found = read_text(
        tmp_path, f"@attribute a numeric\n@attribute l {kind}\n@data\n7,{words[0]}\n8,{words[1]}\n"
    )
    np.testing.assert_array_equal(found.targets[:, 0], [0, kind != "{0}"])


# What is left out


def test_a_nominal_row_id_is_dropped(tmp_path):
    ids = [f"P{number}" for number in range(60)]
    header = f"@attribute id {{{','.join(ids)}}}\n@attribute a numeric\n@attribute l {{0,1}}\n@data\n"
    rows = [f"{name},1,0\n" for name in ids[:40]]
    found = read_text(tmp_path, header + "".join(rows))
    assert found.feature_names == ("a",) and found.attributes == 2 and statistics(found)["features"] == 2
    found = read_text(tmp_path, header + "".join([*rows, rows[0]]))
    assert len(found.feature_names) == 61  # a value that occurs twice makes it a category


def test_a_category_of_few_values_is_kept_even_if_each_occurs_once(tmp_path):
    assert read_text(tmp_path, COLOURS + "red,1\ngreen,0\nblue,1\n").features.shape == (3, 3)


TEXTS = """@relation texts
@attribute id string
@attribute a numeric
@attribute when date "yyyy-MM-dd"
@attribute l {0,1}
@data
'row, one',1,2001-01-01,0
two,2,"2002-01-01",1
"""


@pytest.mark.parametrize("drop", [["id", "when"], [0, 2], ["id", 2]])
def test_text_is_left_out_where_told(tmp_path, drop):
    found = read_text(tmp_path, TEXTS, drop=drop)
    assert found.feature_names == ("a",)
    np.testing.assert_array_equal(found.features, [[1], [2]])


def test_text_is_refused_where_not_told(tmp_path):
    with pytest.raises(UserError, match=r"attribute 'id' is text.*dataset\.drop=\['id'\]"):
        read_text(tmp_path, TEXTS)


def test_what_is_dropped_may_hold_anything(tmp_path):
    text = "@attribute a numeric\n@attribute b {x,y}\n@attribute l {0,1}\n@data\nwhatever,?,1\n"
    assert read_text(tmp_path, text, drop=["a", "b"]).features.shape == (1, 0)


@pytest.mark.parametrize(
    "drop, words",
    [
        (["hight"], "no attribute 'hight' to drop, of 3; did you mean height?"),
        ([7], "no attribute 7 to drop, of 3"),
        ([-1], "no attribute -1 to drop, of 3"),
        (["tall"], "'tall' is a label, which cannot be dropped"),
    ],
)
def test_a_drop_that_cannot_be(tmp_path, drop, words):
    with pytest.raises(UserError, match=re.escape(words)):
        read_text(tmp_path, PLAIN + "1,2,1\n", drop=drop)


# Missing values


def test_missing_values_are_refused_with_their_place(tmp_path):
    with pytest.raises(UserError, match=r"line 8: attribute 'height' has no value; dataset\.missing=mean"):
        read_text(tmp_path, PLAIN + "1,2,1\n\n3,?,1\n")
    with pytest.raises(UserError, match=r"line 7: attribute 'height' has no value"):
        read_text(tmp_path, PLAIN + "{0 1}\n{1 ?}\n")


def test_missing_numbers_become_the_mean(tmp_path):
    found = read_text(tmp_path, PLAIN + "1,?,1\n?,5,0\n4,6,0\n", missing="mean")
    np.testing.assert_array_equal(found.features, [[1, 5.5], [2.5, 5], [4, 6]])
    found = read_text(tmp_path, PLAIN + "{0 3,1 ?}\n{0 ?}\n{1 4}\n", missing="mean")
    np.testing.assert_array_equal(dense(found), [[3, 2], [1.5, 0], [0, 4]])


def test_missing_words_become_the_most_frequent(tmp_path):
    found = read_text(tmp_path, COLOURS + "blue,1\n?,0\nblue,1\nred,0\n", missing="mean")
    np.testing.assert_array_equal(found.features, [[0, 0, 1], [0, 0, 1], [0, 0, 1], [1, 0, 0]])
    found = read_text(tmp_path, COLOURS + "{0 blue}\n{0 ?}\n{}\n{}\n", missing="mean")
    np.testing.assert_array_equal(dense(found), [[0, 0, 1], [1, 0, 0], [1, 0, 0], [1, 0, 0]])


def test_a_quoted_question_mark_is_a_value(tmp_path):
    text = "@attribute a {'?',b,c}\n@attribute l {0,1}\n@data\n'?',1\n"
    assert read_text(tmp_path, text).feature_names == ("a=?", "a=b", "a=c")


@pytest.mark.parametrize("missing", ["refuse", "mean"])
@pytest.mark.parametrize("row", ["1,2,?", "{2 ?}"])
def test_missing_labels_are_always_refused(tmp_path, row, missing):
    with pytest.raises(UserError, match="line 6: label 'tall' is missing"):
        read_text(tmp_path, PLAIN + row + "\n", missing=missing)


def test_an_attribute_without_any_value_has_no_mean(tmp_path):
    with pytest.raises(UserError, match="'height' has no value in any row"):
        read_text(tmp_path, PLAIN + "1,?,1\n2,?,1\n", missing="mean")


def test_an_unknown_way_with_missing_values(tmp_path):
    with pytest.raises(UserError, match="missing=means is none of refuse, mean; did you mean mean"):
        read_text(tmp_path, PLAIN + "1,2,1\n", missing="means")


# Mistakes


@pytest.mark.parametrize(
    "rows, words",
    [
        ("1,2\n", "line 6: 2 values for 3 attributes"),
        ("1,2,1\n1,2,1,1\n", "line 7: 4 values for 3 attributes"),
        ("1,2,1\n1,2,1,1\n1,2\n", "line 7: 4 values for 3 attributes"),
        ("1,,1\n", "line 6: '' is no finite number, which attribute 'height' must be"),
        ("\t,2,1\n", "line 6: '' is no finite number, which attribute 'width' must be"),
        ("1,2,1\n% note\n\n1,x2,1\n", "line 9: 'x2' is no finite number"),
        ("1,nan,1\n", "'nan' is no finite number"),
        ("1,1e39,1\n", "'1e39' is no finite number"),
        ("1,1_0,1\n", "'1_0' is no finite number"),
        ("1,0x10,1\n", "'0x10' is no finite number"),
        ("1,2 3,1\n", "'2 3' is no finite number"),
        ("1,2,2\n", "line 6: '2' is no value of attribute 'tall', which has 0, 1"),
        ("1,2,0.5\n", "'0.5' is no value of attribute 'tall'"),
        ("1,2,1\n{0 1}\n", "line 7: a sparse row in a file that began with dense ones"),
        ("{0 1}\n1,2,1\n", "line 7: no braces around a sparse row"),
        ("{0 1\n", "line 6: no braces around a sparse row"),
        ("{0 1}\n{3 1}\n", "line 7: column 3 is out of range: 3 attributes, counted from 0"),
        ("{0 1}\n{-1 1}\n", "line 7: column -1 is out of range"),
        ("{0.5 1}\n", "'0.5 1' is no column number and value"),
        ("{0 1,1}\n", "'1' is no column number and value"),
        ("{0 1 2}\n", "'1 2' is no finite number"),
        ("{0 1,0 2}\n", "line 6: column 0 is given twice"),
        ("{2 1,0 4,2 1}\n", "line 6: column 2 is given twice"),
        ("{0 1e39}\n", "'1e39' is no finite number"),
        ("{2 2}\n", "'2' is no value of attribute 'tall'"),
        ("", "has no rows after @data"),
        ("\n% nothing\n", "has no rows after @data"),
    ],
)
def test_a_wrong_row_is_named(tmp_path, rows, words):
    with pytest.raises(UserError, match=re.escape(words)) as caught:
        read_text(tmp_path, PLAIN + rows)
    assert "\n" not in str(caught.value) and str(tmp_path / "data.arff") in str(caught.value)


def test_an_unknown_word_is_named_with_the_nearest(tmp_path):
    words = (
        "line 6: 'gren' is no value of attribute 'colour', which has red, green, blue; did you mean green?"
    )
    with pytest.raises(UserError, match=re.escape(words)):
        read_text(tmp_path, COLOURS + "red,1\ngren,1\n")


@pytest.mark.parametrize(
    "kind, value, words",
    [
        ("numeric", "2", "label 'l' is 2; a label is 0 or 1"),
        ("numeric", "0.5", "label 'l' is 0.5"),
        ("{0,1,2}", "2", "label 'l' is '2'"),
        ("{a,b}", "a", "label 'l' is 'a'"),
        ("string", "a", "label 'l' is text"),
    ],
)
def test_a_label_is_nothing_but_zero_or_one(tmp_path, kind, value, words):
    with pytest.raises(UserError, match=re.escape(words)):
        read_text(tmp_path, f"@attribute a numeric\n@attribute l {kind}\n@data\n1,{value}\n")


@pytest.mark.parametrize(
    "text, words",
    [
        ("", "is empty"),
        ("@relation x\n@attribute a numeric\n", "has no @data line"),
        ("<html>not found</html>\n", "line 1: '<html>not found</html>' is no @relation, @attribute or @data"),
        ("@relation x\n@data\n1\n", "line 2: no @attribute before @data"),
        ("@attribute a\n@data\n", "line 1: '@attribute a' declares no name and kind"),
        ("@attribute a nominal\n@data\n", "line 1: attribute 'a' is of unknown kind 'nominal'"),
        ("@attribute a numerik\n@data\n", "did you mean numeric?"),
        ("@attribute a {0,1\n@data\n", "line 1: the values of attribute 'a' have no closing brace"),
        ("@attribute a {}\n@data\n", "line 1: attribute 'a' declares no values"),
        ("@attribute a {b,c,b}\n@data\n", "line 1: attribute 'a' declares no values, or one of them twice"),
    ],
)
def test_a_wrong_header_is_named(tmp_path, text, words):
    with pytest.raises(UserError, match=re.escape(words)):
        read_text(tmp_path, text)


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(UserError, match=r"nowhere\.arff cannot be read: No such file"):
        read_last(tmp_path / "nowhere.arff")


# The quick way and the careful way are one


def refuse_to_be_careful(*_):
    raise AssertionError("the careful way was taken for rows of plain numbers")


@pytest.mark.parametrize("row", ["1.5,2,1\n", "{0 1.5,2 1}\n", " 1.5 ,\t2,1\r\n", "{ 0 1.5 , 2\t1 }\r\n"])
def test_rows_of_numbers_are_read_the_quick_way(tmp_path, monkeypatch, row):
    monkeypatch.setattr(arff, "careful_rows", refuse_to_be_careful)
    assert len(read_text(tmp_path, PLAIN + row * 3)) == 3


def test_pieces_are_read_alone_and_lines_counted_through(tmp_path, monkeypatch):
    rows = [f"{row},{row * 0.1:.2f},{row % 2}\n" for row in range(200)]
    rows[70] = "70,'7',0\n"
    whole = read_text(tmp_path, PLAIN + "".join(rows))
    monkeypatch.setattr(arff, "PIECE", 100)
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
        mock.patch.object(arff, "sparse_numbers", return_value=None),
        mock.patch.object(arff, "dense_numbers", return_value=None),
    ):
        careful = read_last(path)
    np.testing.assert_array_equal(dense(quick)[:-1, 0], expected)
    np.testing.assert_array_equal(dense(careful)[:-1, 0], expected)
