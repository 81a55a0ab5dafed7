"""What an ARFF file may not hold: a line that names it."""

import re

import pytest

from arff_files import COLOURS, PLAIN, read_last, read_text
from mlbench.errors import UserError


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
