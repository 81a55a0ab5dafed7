"""Degrees of recovered label distributions: against plain loops, and drawn at their places."""

import xml.etree.ElementTree as ET
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from mlbench.errors import UserError
from mlbench.tables.degrees import EQUAL, FILE, Degree, degrees
from mlbench.tables.render.degrees import correlation, diagram, files, markdown, shares_from

SVG = "{http://www.w3.org/2000/svg}"


def left(folder, seed, rows=30, labels=4):
    """A run's folder with distributions of so many rows; the last label has none."""
    draws = np.random.default_rng(seed)
    targets = (draws.random((rows, labels)) < [0.8, 0.4, 0.1, 0.0]).astype(np.uint8)
    recovered = draws.dirichlet(np.ones(labels), rows).astype(np.float32)
    folder.mkdir()
    names = np.array([f"label {number}" for number in range(labels)])
    np.savez(folder / FILE, degrees=recovered, targets=targets, labels=names, ids=np.arange(rows))
    return recovered, targets


def table_of(folders):
    """As far as degrees are concerned: runs by case, all finished; `folders` by method."""
    runs = {
        ("data", "", method): [SimpleNamespace(folder=folder, key=str(folder)) for folder in paths]
        for method, paths in folders.items()
    }
    records = {run.key: None for several in runs.values() for run in several}
    return SimpleNamespace(cases=runs, records=records, runs=lambda where: runs[where])


def test_means_are_over_the_rows_that_have_the_label_then_over_the_runs(tmp_path):
    parts = [left(tmp_path / str(seed), seed) for seed in range(3)]
    (tmp_path / "none").mkdir()  # of a method that recovers nothing
    table = table_of({"bce": [tmp_path / "none"], "flem": [tmp_path / str(seed) for seed in range(3)]})
    found = degrees(table)
    assert [*dict.fromkeys(point.where for point in found)] == [("data", "", EQUAL), ("data", "", "flem")]
    for name, share in (("flem", lambda d, t, i, j: d[i, j]), (EQUAL, lambda d, t, i, j: 1 / t[i].sum())):
        own = [point for point in found if point.where[2] == name]
        assert [point.label for point in own] == ["label 0", "label 1", "label 2"]
        for place, point in enumerate(own):
            means, frequencies = [], []
            for recovered, targets in parts:
                rows = [row for row in range(len(targets)) if targets[row, place]]
                if rows:
                    means.append(np.mean([share(recovered, targets, row, place) for row in rows]))
                    frequencies.append(len(rows) / len(targets))
            assert point.degree == pytest.approx(np.mean(means))
            assert point.frequency == pytest.approx(np.mean(frequencies)) and point.runs == len(means)


def test_a_truncated_file_is_named(tmp_path):
    left(tmp_path / "run", 0)
    file = tmp_path / "run" / FILE
    file.write_bytes(file.read_bytes()[:200])
    with pytest.raises(UserError, match=r"distributions.npz: cannot be read .*force=true"):
        degrees(table_of({"flem": [tmp_path / "run"]}))


POINTS = [
    Degree(("scene", "", method), f"label {number}", 10**-number, degree, 2)
    for method, degree in ((EQUAL, 0.5), ("flem <d>", 0.25))
    for number in range(3)
]


def test_every_point_is_drawn_at_its_place_and_says_what_it_is():
    drawn = ET.fromstring(diagram("scene", POINTS))
    marks = [path for path in drawn.iter(f"{SVG}path") if path.find(f"{SVG}title") is not None]
    places = [path.get("transform")[10:-1].split() for path in marks]
    across, down = ([float(place[axis]) for place in places] for axis in (0, 1))
    assert across[:3] == across[3:] and across[0] > across[1] > across[2]
    assert across[0] - across[1] == pytest.approx(across[1] - across[2], abs=0.11)  # of powers of ten
    assert len({*down[:3]}) == len({*down[3:]}) == 1 and down[3] > down[0]
    assert marks[3].find(f"{SVG}title").text == "flem <d>, label 0: 0.250 at 1"
    assert {path.get("d") for path in marks[:3]}.isdisjoint(path.get("d") for path in marks[3:])


@pytest.mark.parametrize(
    ("lowest", "highest", "shares"),
    [
        (0.13, 0.4, [0.1, 0.2, 0.5]),
        (0.2, 0.5, [0.2, 0.5]),
        (0.03, 1.0, [0.02, 0.05, 0.1, 0.2, 0.5, 1.0]),
        (0.0004, 0.6, [0.0002, 0.001, 0.01, 0.1, 1.0]),
        (0.3, 0.3, [0.2, 0.5]),
    ],
)
def test_the_axis_holds_all_frequencies(lowest, highest, shares):
    assert shares_from(lowest, highest) == shares


def test_names_lie_beside_the_table():
    assert {*files("flem/vector", POINTS)} == {"flem-vector-degrees-scene.svg", "degrees.csv"}
    text = "\n".join(markdown("flem/vector", POINTS))
    assert "(flem-vector-degrees-scene.svg)" in text
    assert files("flem/vector", []) == {} and [*markdown("flem/vector", [])] == []


def test_correlation_is_by_ranks():
    points = [replace(POINTS[0], frequency=f, degree=d) for f, d in zip([1, 2, 3, 4, 9], [1, 4, 9, 16, 90])]
    assert correlation(points, EQUAL) == "1.00"
    assert correlation(points[:4], EQUAL) == "" == correlation(points, "flem")
    assert correlation([replace(point, degree=0.5) for point in points], EQUAL) == ""
