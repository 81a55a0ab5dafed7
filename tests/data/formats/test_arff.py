"""The ARFF reader: every way to write a file that WEKA allows, and what is left out or missing."""

import bz2
import gzip
import lzma
import re

import numpy as np
import pytest
from scipy import sparse

from arff_files import COLOURS, PLAIN, arff_file, dense, read_last, read_text
from mlbench.data.formats import arff
from mlbench.data.instances import statistics
from mlbench.errors import UserError


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
