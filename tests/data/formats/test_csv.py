"""Tables with a header line."""

import gzip
import re

import numpy as np
import pytest

from mlbench.data.formats import csv
from mlbench.errors import UserError

PLAIN = "width,tall,height,wide\n1.5,0,2,1\n-3e1,1,4,0\n"


def csv_file(folder, text, name="table.csv"):
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def test_labels_are_columns_in_the_order_of_the_file(tmp_path):
    found = csv.read(csv_file(tmp_path, PLAIN), ["wide", "tall"])
    assert found.labels == ("tall", "wide") and found.feature_names == ("width", "height")
    np.testing.assert_array_equal(found.features, [[1.5, 2], [-30, 4]])
    np.testing.assert_array_equal(found.targets, [[0, 1], [1, 0]])
    assert found.attributes == 2


@pytest.mark.parametrize(
    "lists",
    [
        ["a;b", "", "c"],
        ["a|b", "", "c"],
        ['"a,b"', "", "c"],
        ['"[""a"", ""b""]"', "[]", '"[""c""]"'],
        ["\"['a', 'b']\"", "", "['c']"],
        [" a ; b ", " ", "c;"],
    ],
)
def test_labels_are_lists_in_one_column(tmp_path, lists):
    text = "x,tags,y\n" + "".join(f"{row},{tags},{row + 10}\n" for row, tags in enumerate(lists))
    found = csv.read(csv_file(tmp_path, text), "tags")
    assert found.labels == ("a", "b", "c") and found.feature_names == ("x", "y") and found.attributes == 2
    np.testing.assert_array_equal(found.targets, [[1, 1, 0], [0, 0, 0], [0, 0, 1]])
    np.testing.assert_array_equal(found.features, [[0, 10], [1, 11], [2, 12]])


def test_label_lists_by_another_separator_and_with_names(tmp_path):
    path = csv_file(tmp_path, "x,tags\n1,3 5\n2,5\n")
    found = csv.read(path, "tags", label_separator=" ", names=["3", "4", "5"])
    assert found.labels == ("3", "4", "5")
    np.testing.assert_array_equal(found.targets, [[1, 0, 1], [0, 0, 1]])
    with pytest.raises(UserError, match=re.escape("the label '5', not among names")):
        csv.read(path, "tags", label_separator=" ", names=["3", "4"])


@pytest.mark.parametrize(
    "name, text, options",
    [
        ("table.tsv", PLAIN.replace(",", "\t"), {}),
        ("table.txt", PLAIN, {}),
        ("table.txt", PLAIN.replace(",", ";"), {}),
        ("table.dat", PLAIN.replace(",", "|"), {}),
        ("table.csv", PLAIN.replace(",", ";"), {"separator": ";"}),
        ("table.csv", PLAIN.replace("\n", "\r\n"), {}),
        ("table.csv", "\ufeff" + PLAIN, {}),
        ("table.csv", PLAIN.replace("\n", "\n\n").replace(",", " , "), {}),
        ("table.2.csv.gz", gzip.compress(PLAIN.encode(), mtime=0), {}),
    ],
)
def test_separators_and_dress(tmp_path, name, text, options):
    found = csv.read(csv_file(tmp_path, text, name), ["tall", "wide"], **options)
    assert found.feature_names == ("width", "height")
    np.testing.assert_array_equal(found.features, [[1.5, 2], [-30, 4]])


def test_words_are_nominal_as_in_arff(tmp_path):
    text = "colour,sea,sex,l\nred,yes,m,1\nblue,no,f,0\ngreen,no,f,0\nred,yes,f,0\n"
    found = csv.read(csv_file(tmp_path, text), ["l"])
    assert found.feature_names == ("colour=blue", "colour=green", "colour=red", "sea", "sex=m")
    expected = [[0, 0, 1, 1, 1], [1, 0, 0, 0, 0], [0, 1, 0, 0, 0], [0, 0, 1, 1, 0]]
    np.testing.assert_array_equal(found.features, expected)
    assert found.attributes == 3


def test_numbers_are_exact(tmp_path):
    texts = ["0.1", "1.0000001192092896", "3.4028234e38", "1e-45", "16777217", "0.30000001192092896"]
    found = csv.read(csv_file(tmp_path, "x,l\n" + "".join(f"{text},0\n" for text in texts)), ["l"])
    np.testing.assert_array_equal(found.features[:, 0], np.float32([float(text) for text in texts]))


def test_text_is_left_out_where_told(tmp_path):
    path = csv_file(tmp_path, "id,x,l\nr1,1,0\nr2,2,1\nr3,3,1\n")
    assert csv.read(path, ["l"], drop=["id"]).feature_names == ("x",)
    assert csv.read(path, "l", drop=0).feature_names == ("x",)
    with pytest.raises(UserError, match=r"'id' is text.*dataset\.drop=\['id'\]"):
        csv.read(path, ["l"])


@pytest.mark.parametrize("word", ["", "?", "NA", "nan", "N/A", "null"])
def test_missing_values(tmp_path, word):
    path = csv_file(tmp_path, f"x,c,l\n1,r,0\n{word},r,1\n4,{word},1\n5,s,1\n")
    with pytest.raises(UserError, match=r"line 3: attribute 'x' has no value; dataset\.missing=mean"):
        csv.read(path, ["l"])
    found = csv.read(path, ["l"], missing="mean")
    np.testing.assert_array_equal(found.features, np.float32([[1, 0], [10 / 3, 0], [4, 0], [5, 1]]))
    path = csv_file(tmp_path, f"x,l\n1,0\n2,{word}\n")
    with pytest.raises(UserError, match="line 3: label 'l' is missing"):
        csv.read(path, ["l"], missing="mean")


@pytest.mark.parametrize(
    "text, labels, options, words",
    [
        (PLAIN, ["tal"], {}, "has no column 'tal', which dataset.labels names; did you mean tall?"),
        (PLAIN, "tags", {}, "has no column 'tags'"),
        (PLAIN.replace("wide", "tall"), ["tall"], {}, "has 2 columns 'tall'"),
        (PLAIN, ["height"], {}, "line 2: label 'height' is 2; a label is 0 or 1"),
        (PLAIN, ["tall"], {"separator": ";;"}, "is not one character"),
        (PLAIN + "1,2,3,4,5\n", ["tall"], {}, "line 4: 5 values for 4 columns separated by ','"),
        (PLAIN + "1,0\n", ["tall"], {}, "line 4: 2 values for 4 columns"),
        ('x,l\n"1,1\n', ["l"], {}, "line 2: unexpected end of data"),
        (PLAIN + "inf,0,1,1\n", ["tall"], {}, "column 'width' holds a number that is not finite"),
        ("x,l\n", ["l"], {}, "has no rows after its header"),
        ("\n\n", ["l"], {}, "has no rows after its header"),
        ("x,l\n1,a;b|c\n", "l", {}, "its label lists hold ; and |: say with dataset.label_separator"),
        ("x,l\n1,[a\n", "l", {}, "line 2: '[a' is no list of labels"),
        ("x,l\n1,[{[]}]\n", "l", {}, "line 2: '[{[]}]' is no list of labels"),
        ("x;l\n1;[1],[2]\n", "l", {"separator": ";"}, "line 2: '[1],[2]' is no list of labels"),
        ("x,l\n1," + "[" * 5000 + "\n", "l", {}, "is no list of labels"),
        ("x,l\n1,[" + "-" * 5000 + "1]\n", "l", {}, "is no list of labels"),
        ("x,l\n" + "".join(f"1,{row}\n" for row in range(9000)), "l", {}, "9,000 rows of 9,000 labels"),
        (
            "x,l\n" + "".join(f"v{row % 5000},{row % 2}\n" for row in range(9000)),
            ["l"],
            {},
            "5,000 values of words, a column for each, which would take 171 MB, far more than is in it: "
            "leave out those of most values with dataset.drop=[...], as 'x'",
        ),
        ("x,l\n1,a\n2,?\n", "l", {}, "line 3: the labels are missing"),
    ],
)
def test_a_wrong_table_or_option(tmp_path, text, labels, options, words):
    with pytest.raises(UserError, match=re.escape(words)):
        csv.read(csv_file(tmp_path, text), labels, **options)


def test_latin_1(tmp_path):
    found = csv.read(csv_file(tmp_path, "größe,l\n1,1\n".encode("latin-1")), ["l"])
    assert found.feature_names == ("größe",)
