"""Tables with a header line."""

import gzip
import re

import numpy as np
import pytest

from mlbench.data.formats import csv
from mlbench.errors import UserError

LISTED = {"label_list": "l"}
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
    found = csv.read(csv_file(tmp_path, text), label_list="tags")
    assert found.labels == ("a", "b", "c") and found.feature_names == ("x", "y") and found.attributes == 2
    np.testing.assert_array_equal(found.targets, [[1, 1, 0], [0, 0, 0], [0, 0, 1]])
    np.testing.assert_array_equal(found.features, [[0, 10], [1, 11], [2, 12]])


def test_label_lists_by_another_separator_and_with_names(tmp_path):
    path = csv_file(tmp_path, "x,tags\n1,3 5\n2,5\n")
    found = csv.read(path, label_list="tags", label_separator=" ", names=["3", "4", "5"])
    assert found.labels == ("3", "4", "5")
    np.testing.assert_array_equal(found.targets, [[1, 0, 1], [0, 0, 1]])
    with pytest.raises(UserError, match=re.escape("the label '5', not among names")):
        csv.read(path, label_list="tags", label_separator=" ", names=["3", "4"])


@pytest.mark.parametrize(
    "name, text, options",
    [
        ("table.tsv", PLAIN.replace(",", "\t"), {}),
        ("table.txt", PLAIN, {}),
        ("table.txt", PLAIN.replace(",", ";"), {}),
        ("table.dat", PLAIN.replace(",", "|"), {}),
        ("table.csv", PLAIN.replace(",", ";"), {"separator": ";"}),
        ("table.csv", PLAIN.replace(",", ";"), {}),
        ("table.csv", PLAIN.replace(",", "\t"), {"separator": "tab"}),
        ("table.csv", "sep=;\r\n" + PLAIN.replace(",", ";"), {}),
        ("table.csv", PLAIN.encode("utf-16"), {}),
        ("table.tsv", b"\xfe\xff" + PLAIN.replace(",", "\t").encode("utf-16-be"), {}),
        ("table.csv", PLAIN.replace("\n", ",,\n") + ",,,,,\n", {}),
        ("table.csv", PLAIN.replace("1\n", "1,\n").replace("\n", "\r"), {}),
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
        (PLAIN, (), {"label_list": "tags"}, "has no column 'tags'"),
        (
            PLAIN.replace("wide", "tall"),
            ["tall"],
            {},
            "has 2 columns 'tall', which dataset.labels names; give each a name of its own",
        ),
        (PLAIN, ["height"], {}, "line 2: label 'height' is 2; a label is 0 or 1"),
        (PLAIN, ["tall"], {"separator": ";;"}, "is not one character"),
        (PLAIN + "1,2,3,4,5\n", ["tall"], {}, "line 4: 5 values for 4 columns separated by ','"),
        (PLAIN + "1,0\n", ["tall"], {}, "line 4: 2 values for 4 columns"),
        ('x,l\n"1,1\n', ["l"], {}, "line 2: unexpected end of data"),
        (
            PLAIN + "inf,0,1,1\n",
            ["tall"],
            {},
            "line 4: column 'width' is inf, and a feature",
        ),
        ("x,l\n", ["l"], {}, "header line and no rows"),
        ("\n\n", ["l"], {}, "header line and no rows"),
        (
            "x,l\n1,a;b|c\n",
            (),
            {"label_list": "l"},
            "hold ; and |: say with dataset.label_separator",
        ),
        ("x,l\n1,[a\n", (), LISTED, "line 2: '[a' is no list of labels"),
        ("x,l\n1,[{[]}]\n", (), LISTED, "line 2: '[{[]}]' is no list of labels"),
        (
            "x;l\n1;[1],[2]\n",
            (),
            LISTED | {"separator": ";"},
            "line 2: '[1],[2]' is no list of labels",
        ),
        ("x,l\n1," + "[" * 5000 + "\n", (), LISTED, "is no list of labels"),
        ("x,l\n1,[" + "-" * 5000 + "1]\n", (), LISTED, "is no list of labels"),
        (
            "x,l\n" + "".join(f"1,{row}\n" for row in range(9000)),
            (),
            {"label_list": "l"},
            "9,000 rows of 9,000 labels",
        ),
        (
            "x,l\n" + "".join(f"v{row % 5000},{row % 2}\n" for row in range(9000)),
            ["l"],
            {},
            "5,000 values of words, a column for each, which would take 171 MB, far more than is in it: "
            "leave out those of most values with dataset.drop=[...], as 'x'",
        ),
        ("x,l\n1,a\n2,?\n", (), LISTED, "line 3: the labels are missing"),
    ],
)
def test_a_wrong_table_or_option(tmp_path, text, labels, options, words):
    with pytest.raises(UserError, match=re.escape(words)):
        csv.read(csv_file(tmp_path, text), labels, **options)


def test_latin_1(tmp_path):
    found = csv.read(csv_file(tmp_path, "größe,l\n1,1\n".encode("latin-1")), ["l"])
    assert found.feature_names == ("größe",)


# As people write them


def written(*lines, encoding="utf-8", newline="\n"):
    return newline.join([*lines, ""]).encode(encoding)


FOREIGN = {
    "pandas, with its index": written(",x,y,rain,storm", "17,0.5,2,1,0", "4,1.5,3,0,1", "9,2.5,4,1,1"),
    "pandas, read and written again": written(
        "Unnamed: 0,x,y,rain,storm", "0,0.5,2,1,0", "1,1.5,3,0,1", "2,2.5,4,1,1"
    ),
    "R's write.csv": written(
        '"","x","y","rain","storm"', '"a",0.5,2,TRUE,FALSE', '"b",1.5,3,FALSE,TRUE', '"c",2.5,4,TRUE,TRUE'
    ),
    "Excel's CSV UTF-8": written(
        "x,y,rain,storm",
        "0.5,2,TRUE,FALSE",
        "1.5,3,FALSE,TRUE",
        "2.5,4,TRUE,TRUE",
        encoding="utf-8-sig",
        newline="\r\n",
    ),
    "Excel's Unicode text": written(
        "x\ty\train\tstorm", "0.5\t2\t1\t0", "1.5\t3\t0\t1", "2.5\t4\t1\t1", encoding="utf-16", newline="\r\n"
    ),
    "Excel with columns and rows that were cleared": written(
        "x,y,rain,storm,,", "0.5,2,1,0,,", "1.5,3,0,1,,", "2.5,4,1,1,,", ",,,,,"
    ),
    "a semicolon and a comma in the header": written(
        'x;y;"rain";storm', "0.5;2;yes;no", "1.5;3;no;yes", "2.5;4;yes;yes"
    ),
    "everything in quotes": written(
        '"x","y","rain","storm"', '"0.5","2","1","0"', '"1.5","3","0","1"', '"2.5","4","1","1"'
    ),
    "labels as floats": written("x,y,rain,storm", "0.5,2.0,1.0,0.0", "1.5,3.0,0.0,1.0", "2.5,4.0,1.0,1.0"),
}


@pytest.mark.parametrize("writer", FOREIGN)
def test_tables_of_other_programs(tmp_path, writer):
    found = csv.read(csv_file(tmp_path, FOREIGN[writer]), ["rain", "storm"])
    assert found.labels == ("rain", "storm") and found.feature_names == ("x", "y") and found.attributes == 2
    np.testing.assert_array_equal(found.features, [[0.5, 2], [1.5, 3], [2.5, 4]])
    np.testing.assert_array_equal(found.targets, [[1, 0], [0, 1], [1, 1]])


GERMAN = "x;l\n0,5;1\n1,25;0\n-3,0e1;1\n"


def test_decimal_commas(tmp_path):
    path = csv_file(tmp_path, GERMAN)
    found = csv.read(path, ["l"], decimal=",")
    np.testing.assert_array_equal(found.features, [[0.5], [1.25], [-30]])
    with pytest.raises(
        UserError, match=r"line 2: column 'x' is 0,5: dataset\.decimal=, reads decimal commas"
    ):
        csv.read(path, ["l"])
    with pytest.raises(UserError, match=r"line 2: column 'x' is 0\.5: dataset\.decimal=\. reads"):
        csv.read(csv_file(tmp_path, "x;l\n0.5;1\n1,25;0\n"), ["l"], decimal=",")
    for text, decimal in (('"1,234.5"', "."), ("1.234,5", ",")):
        with pytest.raises(UserError, match="a mark between thousands must go"):
            csv.read(csv_file(tmp_path, f"x;l\n{text};1\n2;0\n"), ["l"], decimal=decimal, separator=";")


def test_columns_go_by_number_where_no_name_is_one(tmp_path):
    path = csv_file(tmp_path, PLAIN)
    assert csv.read(path, [3, 1]).labels == csv.read(path, ["wide", 1]).labels == ("tall", "wide")
    assert csv.read(path, 1).labels == ("tall",)
    with pytest.raises(
        UserError, match=r"no column 4, which dataset\.labels names; its 4 columns are counted from 0"
    ):
        csv.read(path, [4])
    path = csv_file(tmp_path, "10,1,11,0\n1.5,0,2,1\n3,1,4,0\n")
    found = csv.read(path, [1], drop=[0])
    assert found.labels == ("1",) and found.feature_names == ("10", "11")
    with pytest.raises(UserError, match="its first line holds numbers: it needs a header line"):
        csv.read(csv_file(tmp_path, "1.5,0\n2.5,1\n"), ["l"])


def test_a_column_of_zeros_and_ones_named_alone_is_a_label(tmp_path):
    path = csv_file(tmp_path, "x,rain,tags\n1,0,a;b\n2,1,\n3,1,b\n")
    found = csv.read(path, "rain", drop=["tags"])
    assert found.labels == ("rain",)
    np.testing.assert_array_equal(found.targets, [[0], [1], [1]])
    with pytest.raises(
        UserError, match=r"'tags' holds 'a;b', and a label is 0 or 1: .*dataset\.label_list=tags"
    ):
        csv.read(path, "tags")
    with pytest.raises(
        UserError, match=r"'rain' holds zeros and ones: it is a label, dataset\.labels=\[rain\]"
    ):
        csv.read(path, label_list="rain")
    assert csv.read(path, label_list="rain", names=["0", "1"], drop=["tags"]).labels == ("0", "1")


@pytest.mark.parametrize(
    "content, options, words",
    [
        (PLAIN, {"labels": ["tall", "wide", "tall"]}, "dataset.labels names the column 'tall' of"),
        (PLAIN, {"labels": ["tall", 1]}, "twice"),
        (PLAIN, {"labels": ["tall"], "names": ["a"]}, "dataset.names is for a column that lists labels"),
        (PLAIN, {"labels": ["tall"], "drop": ["tall"]}, "'tall' is a label, which cannot be dropped"),
        (PLAIN, {"labels": ["tall"], "decimal": ";"}, "dataset.decimal=;: choose . or ,"),
        (PLAIN.replace("height", "width"), {"labels": ["tall"]}, "has 2 columns 'width': give each a name"),
        ("x,l\n1,0\n1e300,1\n", {"labels": ["l"]}, "line 3: column 'x' is 1e300, and a feature is a finite"),
        ("x,l\n-inf,0\n1,1\n", {"labels": ["l"]}, "line 2: column 'x' is -inf"),
        ("x,l\n1,0\n#DIV/0!,1\n3,1\n", {"labels": ["l"]}, "line 3: column 'x' is '#DIV/0!' among numbers"),
        ("x,l\n1,0\n1_0,1\n3,1\n", {"labels": ["l"]}, "line 3: column 'x' is '1_0' among numbers"),
        ("x,l\n1,0\n٣,1\n3,1\n", {"labels": ["l"]}, "line 3: column 'x' is '٣' among numbers"),
        ("x,l\n1,0\n2,0_1\n3,1\n", {"labels": ["l"]}, "'l' holds '0_1', and a label is 0 or 1"),
        ("x,l\n", {"labels": ["l"]}, "has a header line and no rows"),
        (b"", {"labels": ["l"]}, "is empty"),
        (b"\xef\xbb\xbf", {"labels": ["l"]}, "no header line and no rows"),
        (b"PK\x03\x04 and so on", {"labels": ["l"]}, "save the sheet as CSV (UTF-8), and give that file"),
        (b"\xd0\xcf\x11\xe0 and so on", {"labels": ["l"]}, "is a workbook of Excel's (.xls), no text"),
        (PLAIN.encode("utf-16-le"), {"labels": ["tall"]}, "UTF-16 without its mark: save it as UTF-8"),
        (PLAIN.encode("utf-16")[:-1], {"labels": ["tall"]}, "begins as UTF-16 and goes on as something else"),
        ("x,l\n1,0.5,0\n2,1,1\n", {"labels": ["l"]}, "line 2: 3 values for 2 columns, as where row names"),
    ],
)
def test_what_people_give_by_mistake(tmp_path, content, options, words):
    with pytest.raises(UserError, match=re.escape(words)) as raised:
        csv.read(csv_file(tmp_path, content), **options)
    assert "\n" not in str(raised.value)
