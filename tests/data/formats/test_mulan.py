"""Mulan: which columns are labels, and in which order."""

import re

import numpy as np
import pytest

from mlbench.data.formats import mulan
from mlbench.errors import UserError

MIXED = """@relation mixed
@attribute sea {0,1}
@attribute a numeric
@attribute "clear sky" {0,1}
@attribute b numeric
@attribute sand {0,1}
@data
1,5,0,6,0
0,7,1,8,1
"""
NAMES = '<labels><label name="sand"/><label name="clear sky"></label><label name="sea"/></labels>'


def mulan_files(folder, arff=MIXED, xml=NAMES):
    path, labels = folder / "set.arff", folder / "set.xml"
    path.write_text(arff)
    labels.write_text(xml)
    return path, labels


def test_labels_are_matched_by_name_and_keep_the_order_of_the_columns(tmp_path):
    found = mulan.read(*mulan_files(tmp_path))
    assert found.labels == ("sea", "clear sky", "sand") and found.feature_names == ("a", "b")
    np.testing.assert_array_equal(found.features, [[5, 6], [7, 8]])
    np.testing.assert_array_equal(found.targets, [[1, 0, 0], [0, 1, 1]])
    assert found.attributes == 2


@pytest.mark.parametrize(
    "xml",
    [
        f'<?xml version="1.0" encoding="utf-8"?>\n<!-- three -->\n{NAMES}',
        NAMES.replace("<labels>", '<labels xmlns="http://mulan.sourceforge.net/labels">'),
        NAMES.replace("label", "m:label").replace("<m:labels>", '<m:labels xmlns:m="http://some.where">'),
        '<labels><label name="sea"><label name="sand"><label name="clear sky"/></label></label></labels>',
        '<a><b><label name="sea"/></b><b><label name="clear sky"/><label name="sand"/></b></a>',
    ],
)
def test_label_elements_stand_anywhere_under_any_namespace(tmp_path, xml):
    assert mulan.read(*mulan_files(tmp_path, xml=xml)).labels == ("sea", "clear sky", "sand")


def test_names_with_signs_are_the_same_in_both_files(tmp_path):
    arff = "@attribute 'it\\'s a <b> & \"c\"' {0,1}\n@attribute é {0,1}\n@data\n1,0\n"
    xml = '<labels><label name="it\'s a &lt;b&gt; &amp; &quot;c&quot;"/><label name="&#233;"/></labels>'
    found = mulan.read(*mulan_files(tmp_path, arff, xml))
    assert found.labels == ('it\'s a <b> & "c"', "é") and found.features.shape == (1, 0)


@pytest.mark.parametrize(
    "xml, words",
    [
        (NAMES.replace("sand", "sands"), "has no attribute named 'sands', a label of"),
        (NAMES.replace("sand", "sands"), "did you mean sand?"),
        (NAMES.replace("sand", "sea"), "names the label 'sea' 2 times"),
        ("<labels></labels>", "names no labels"),
        (f'<?xml version="1.0" encoding="klingon"?>{NAMES}', "is no XML file of labels: unknown encoding: k"),
        (f'<?xml version="1.0" encoding="utf-7"?>{NAMES}', "is no XML file of labels"),
        (f'<?xml version="1.0" encoding="big5"?>{NAMES}', "is no XML file of labels: multi-byte encodings"),
        ("<labels><label/></labels>", "names no labels"),
        ("<labels><label name='sea'>", "is no XML file of labels"),
    ],
)
def test_an_xml_that_does_not_fit(tmp_path, xml, words):
    with pytest.raises(UserError, match=re.escape(words)):
        mulan.read(*mulan_files(tmp_path, xml=xml))


def test_a_label_that_two_attributes_could_be(tmp_path):
    with pytest.raises(UserError, match="has 2 attributes named 'sea'"):
        mulan.read(*mulan_files(tmp_path, MIXED.replace("attribute b", "attribute sea")))


def test_options_reach_the_table(tmp_path):
    found = mulan.read(*mulan_files(tmp_path, MIXED.replace("7", "?")), missing="mean", drop=["b"])
    np.testing.assert_array_equal(found.features, [[5], [5]])
