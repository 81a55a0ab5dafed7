"""The readers on the data sets that papers use: the published statistics, and a second, naive reader."""

import bz2
import gzip
import os
import re
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from scipy import sparse

from mlbench.data.formats import csv, matlab, meka, mulan
from mlbench.data.instances import concatenate, statistics

pytestmark = [
    pytest.mark.real,
    pytest.mark.skipif(
        not os.environ.get("MLBENCH_DATA"), reason="MLBENCH_DATA names no folder of data sets"
    ),
]

# Folder, XML, files of which the rows are joined, and N, d, L, cardinality, distinct label sets
MULAN = [
    ("emotions", "emotions.xml", ["emotions.arff"], (593, 72, 6, 1.8685, 27)),
    ("emotions", "emotions.xml", ["emotions-train.arff", "emotions-test.arff"], (593, 72, 6, 1.8685, 27)),
    ("scene", "scene.xml", ["scene-train.arff", "scene-test.arff"], (2407, 294, 6, 1.074, 15)),
    ("yeast", "yeast.xml", ["yeast.arff"], (2417, 103, 14, 4.2371, 198)),
    ("yeast", "yeast.xml", ["yeast-train.arff", "yeast-test.arff"], (2417, 103, 14, 4.2371, 198)),
    ("birds", "birds.xml", ["birds-train.arff", "birds-test.arff"], (645, 260, 19, 1.014, 133)),
    ("genbase", "genbase.xml", ["genbase.arff"], (662, 1186, 27, 1.2523, 32)),
    ("genbase", "genbase.xml", ["genbase-train.arff", "genbase-test.arff"], (662, 1186, 27, None, 32)),
    ("medical", "medical.xml", ["medical.arff"], (978, 1449, 45, 1.2454, 94)),
    ("medical", "medical.xml", ["medical-train.arff", "medical-test.arff"], (978, 1449, 45, 1.2454, 94)),
    ("tmc2007-500", "tmc2007-500.xml", ["tmc2007-500.arff"], (28596, 500, 22, 2.1579, 1341)),
    (
        *("tmc2007-500", "tmc2007-500.xml", ["tmc2007-500-train.arff", "tmc2007-500-test.arff"]),
        (28596, 500, 22, 2.1579, 1341),
    ),
    ("delicious", "delicious.xml", ["delicious.arff"], (16105, 500, 983, 19.02, 15806)),
    (
        *("delicious", "delicious.xml", ["delicious-train.arff", "delicious-test.arff"]),
        (16105, 500, 983, 19.02, 15806),
    ),
    ("enron", "enron.xml", ["enron.arff"], (1702, 1001, 53, 3.3784, 753)),
    ("enron", "enron.xml", ["enron-train.arff", "enron-test.arff"], (1702, 1001, 53, 3.3784, 753)),
    ("bibtex", "bibtex.xml", ["bibtex.arff"], (7395, 1836, 159, 2.4019, 2856)),
    ("bibtex", "bibtex.xml", ["bibtex-train.arff", "bibtex-test.arff"], (7395, 1836, 159, 2.4019, 2856)),
    ("corel5k", "Corel5k.xml", ["Corel5k-sparse.arff"], (5000, 499, 374, 3.522, 3175)),
    (
        *("corel5k", "Corel5k.xml", ["Corel5k-train-sparse.arff", "Corel5k-test-sparse.arff"]),
        (5000, 499, 374, 3.522, 3175),
    ),
    ("cal500", "cal500.xml", ["cal500.arff"], (502, 68, 174, 26.0438, 502)),
    ("flags", "flags.xml", ["flags.arff"], (194, 19, 7, 3.3918, 54)),
    ("flags", "flags.xml", ["flags-train.arff", "flags-test.arff"], (194, 19, 7, 3.3918, 54)),
    ("bookmarks-labels", "bookmarks.xml", ["bookmarks-labels.arff"], (87856, 0, 208, 2.0281, 18716)),
    (
        *("mediamill-reduced", "mediamill.xml", ["mediamill-train.arff", "mediamill-test.arff"]),
        (2000, 120, 101, 4.394, 798),
    ),
    ("multiview", "plant978.xml", ["plant978.arff"], (978, 440, 12, 1.0787, 32)),
]
READ_TWICE = ["emotions", "yeast", "birds", "genbase", "medical", "enron", "corel5k", "flags", "multiview"]


def real_file(folder, name):
    """A file of a data set, as it is or compressed; the test is skipped when nobody has it."""
    for root in os.environ["MLBENCH_DATA"].split(os.pathsep):
        for suffix in ("", ".gz", ".bz2", ".xz"):
            path = Path(root) / folder / (name + suffix)
            if path.is_file():
                return path
    pytest.skip(f"{folder}/{name} is in no folder of MLBENCH_DATA")


def mulan_parts(folder, xml, names):
    return [mulan.read(real_file(folder, name), real_file(folder, xml)) for name in names]


@pytest.mark.parametrize("folder, xml, names, expected", MULAN, ids=[",".join(row[2]) for row in MULAN])
def test_mulan_sets_have_their_published_statistics(folder, xml, names, expected):
    instances = concatenate(mulan_parts(folder, xml, names))
    found = statistics(instances)
    count, width, labels, cardinality, label_sets = expected
    assert (found["instances"], found["features"], found["labels"]) == (count, width, labels)
    assert found["label_sets"] == label_sets
    assert cardinality is None or found["cardinality"] == cardinality


def test_imdb_in_the_format_of_meka():
    found = statistics(meka.read(real_file("meka", "Imdb.arff")))
    assert (found["instances"], found["features"], found["labels"]) == (120919, 1001, 28)
    assert (found["cardinality"], found["label_sets"]) == (1.9997, 4503)


@pytest.mark.parametrize("folder, last", [("yeast", 117), ("enron", 1054)])
def test_labels_are_in_the_order_of_the_columns_and_not_of_the_xml(folder, last):
    path, xml = real_file(folder, f"{folder}.arff"), real_file(folder, f"{folder}.xml")
    instances = mulan.read(path, xml)
    names = [name for name, _ in naive_rows(path)[0]]
    in_xml = [element.get("name") for element in ElementTree.parse(xml).getroot()]
    assert len(names) == last and list(instances.labels) == names[last - len(instances.labels) :]
    assert set(in_xml) == set(instances.labels) and in_xml != list(instances.labels)


def test_the_row_id_of_genbase_is_dropped_from_the_whole_and_from_its_parts():
    for name in ("genbase.arff", "genbase-train.arff", "genbase-test.arff"):
        instances = mulan.read(real_file("genbase", name), real_file("genbase", "genbase.xml"))
        assert instances.attributes == 1186 and len(instances.feature_names) == 1185
        assert instances.feature_names[0] == "PS00010" and "protein" not in instances.feature_names
        assert (
            set(np.unique(instances.features)) == {0, 1} and instances.features.mean() < 0.05
        )  # YES is rare


def test_the_nominal_features_of_birds_are_one_hot():
    (instances,) = mulan_parts("birds", "birds.xml", ["birds-train.arff"])
    assert instances.features.shape == (322, 271)
    place = instances.feature_names.index("location=2")
    np.testing.assert_array_equal(instances.features[:, place : place + 12].sum(axis=1), 1)


def test_three_sources_have_three_views():
    instances = matlab.read(real_file("multiview", "3sources.mat"))
    found = statistics(instances)
    assert (found["instances"], found["features"], found["labels"]) == (169, 3000, 6)
    assert (found["cardinality"], found["label_sets"]) == (1.142, 11)
    assert instances.modalities == {"view1": (0, 1000), "view2": (1000, 2000), "view3": (2000, 3000)}


def test_movie_posters_list_their_genres_twice():
    path = real_file("movieposters", "whole.csv")
    listed = csv.read(path, label_list="Genre", drop=["Id"])
    columns = csv.read(path, list(listed.labels), drop=["Id", "Genre"])
    assert len(listed) == 7254 and len(listed.labels) == 25 and columns.labels == listed.labels
    first, last = listed.feature_names[0], listed.feature_names[-1]
    assert (first, last) == (listed.labels[0], listed.labels[-1])  # read as features by the first call
    np.testing.assert_array_equal(columns.targets, listed.targets)
    np.testing.assert_array_equal(listed.features, listed.targets)


# A second reader, line by line and without a thought for speed


def naive_rows(path):
    """Names with declared values, and one list of texts a row."""
    opener = {".gz": gzip.open, ".bz2": bz2.open}.get(path.suffix, open)
    attributes, rows, in_data = [], [], False
    with opener(path, "rt", encoding="utf-8") as file:
        for line in map(str.strip, file):
            if not line or line.startswith("%"):
                continue
            if line.lower().startswith("@attribute"):
                name, kind = re.fullmatch(r"@attribute\s+('(?:\\.|[^'])*'|\S+)\s+(.*)", line, re.I).groups()
                name = re.sub(r"\\(.)", r"\1", name.strip("'"))
                values = [value.strip().strip("'") for value in kind.strip("{}").split(",")]
                attributes.append((name, values if kind.startswith("{") else None))
            elif line.lower().startswith("@data"):
                in_data = True
            elif in_data and line.startswith("{"):
                row = ["0" if values is None else values[0] for _, values in attributes]
                for entry in line.strip("{}").split(",") if line != "{}" else []:
                    place, value = entry.split()
                    row[int(place)] = value
                rows.append(row)
            elif in_data:
                rows.append([value.strip() for value in line.split(",")])
    return attributes, rows


def naive_columns(attributes, rows, labels):
    """Feature columns and label columns by name, in the order of the file."""
    features, targets = {}, {}
    for place, (name, values) in enumerate(attributes):
        column = [row[place] for row in rows]
        if name in labels:
            targets[name] = [int(value) for value in column]
        elif values is None or values == ["0", "1"]:
            features[name] = [float(value) for value in column]
        elif values == ["YES", "NO"]:
            features[name] = [value == "YES" for value in column]
        elif len(set(column)) < len(rows):
            features |= {f"{name}={value}": [other == value for other in column] for value in values}
    return features, targets


@pytest.mark.parametrize("folder", READ_TWICE)
def test_a_naive_reader_agrees(folder):
    _, xml, names, _ = next(row for row in MULAN if row[0] == folder)
    path, labels = real_file(folder, names[0]), real_file(folder, xml)
    instances = mulan.read(path, labels)
    features, targets = naive_columns(*naive_rows(path), instances.labels)
    assert tuple(features) == instances.feature_names and tuple(targets) == instances.labels
    np.testing.assert_array_equal(np.array(list(targets.values())).T, instances.targets)
    found = instances.features.toarray() if sparse.issparse(instances.features) else instances.features
    np.testing.assert_array_equal(
        np.array(list(features.values()), dtype=np.float64).T.astype(np.float32), found
    )
