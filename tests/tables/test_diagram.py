"""The critical-difference diagram: who is joined, what is drawn where, whatever the names are."""

import itertools
import xml.etree.ElementTree as ET
from dataclasses import replace

import pytest

from mlbench.tables.comparison import Comparison
from mlbench.tables.render.diagram import critical_difference, groups

SVG = "{http://www.w3.org/2000/svg}"
COMPARISON = Comparison(
    metric="f1_macro",
    better="high",
    datasets=["a", "b"],
    mean_ranks={"bl": 5.5, "ant": 1.25, "tc": 1.75, "cfl": 3.0, "fka": 4.5, "aka": 5.0},
    statistic=9.0,
    p=0.01,
    critical_difference=2.0,
    nemenyi={},
)


@pytest.mark.parametrize(
    ("ranks", "critical", "joined"),
    [
        ([1, 2, 3, 4], 0.5, []),
        ([1, 2, 3, 4], 1, []),  # a difference of exactly the critical one is one
        ([1, 2, 3, 4], 1.5, [(0, 1), (1, 2), (2, 3)]),
        ([1, 2, 3, 4], 9, [(0, 3)]),
        ([1, 1.1, 1.2, 4], 1, [(0, 2)]),
        ([1.5, 1.5, 3], 0.1, [(0, 1)]),
    ],
)
def test_bars_join_the_longest_stretches_within_the_critical_difference(ranks, critical, joined):
    assert groups(ranks, critical) == joined


def drawn(comparison):
    return ET.fromstring(critical_difference(comparison))


def lines(root, name):
    """The ends of the straight lines of a class."""
    paths = [path.get("d")[1:] for path in root.iter(f"{SVG}path") if path.get("class") == name]
    return [[tuple(map(float, end.split())) for end in path.split("L")] for path in paths]


def test_every_method_is_named_with_its_rank_the_best_at_the_left():
    root = drawn(COMPARISON)
    texts = {text.findtext(f"{SVG}title"): text for text in root.iter(f"{SVG}text") if len(text)}
    assert set(texts) == set(COMPARISON.mean_ranks)
    for name, rank in COMPARISON.mean_ranks.items():
        assert f"{rank:.2f}" in "".join(texts[name].itertext())
    left = {name for name, text in texts.items() if text.get("text-anchor") == "end"}
    assert left == {"ant", "tc", "cfl"}
    heights = [float(texts[name].get("y")) for name in ("ant", "tc", "cfl")]
    assert heights == sorted(heights)


def test_lengths_are_true():
    root = drawn(COMPARISON)
    ticks = [float(t.get("x")) for t in root.iter(f"{SVG}text") if not len(t) and t.text.isdecimal()]
    assert len(ticks) == 6
    unit = (ticks[-1] - ticks[0]) / 5
    ((start, end),) = lines(root, "critical")
    assert end[0] - start[0] == pytest.approx(2 * unit, abs=0.2)
    bars = [(first[0], last[0]) for first, last in lines(root, "group")]
    joined = [(1.25, 3.0), (3.0, 4.5), (4.5, 5.5)]  # not 3.0 and 5.0
    assert bars == [
        (
            pytest.approx(ticks[0] + unit * (best - 1) - 3, abs=0.2),
            pytest.approx(ticks[0] + unit * (worst - 1) + 3, abs=0.2),
        )
        for best, worst in joined
    ]


@pytest.mark.parametrize("count", [3, 5, 14, 30])
@pytest.mark.parametrize("critical", [0.1, 3.0, 1000.0])
def test_all_is_inside_the_drawing_and_bars_do_not_touch(count, critical):
    ranks = {
        f"a method with a long name {i}": 1 + (count - 1) * (i / (count - 1)) ** 1.5 for i in range(count)
    }
    root = drawn(replace(COMPARISON, mean_ranks=ranks, critical_difference=critical))
    _, _, width, height = map(float, root.get("viewBox").split())
    bars = sorted(lines(root, "group"), key=lambda bar: (bar[0][1], bar[0][0]))
    for (x1, y1), (x2, y2) in bars + lines(root, "critical"):
        assert 0 <= x1 < x2 <= width and 0 <= y1 == y2 <= height
    for (_, (end, y)), ((start, other), _) in itertools.pairwise(bars):
        assert y != other or start > end
    for text in root.iter(f"{SVG}text"):
        assert 0 <= float(text.get("x")) <= width and 0 < float(text.get("y")) <= height


def test_the_same_bytes_every_time_in_the_colour_of_the_place_and_without_a_size():
    svg = critical_difference(COMPARISON)
    shuffled = dict(reversed(COMPARISON.mean_ranks.items()))
    assert svg == critical_difference(replace(COMPARISON, mean_ranks=shuffled))
    assert "currentColor" in svg and "#" not in svg and "style" not in svg
    assert 'width="100%"' in svg and "viewBox" in svg and " height=" not in svg


def test_a_name_is_a_name_whatever_its_signs():
    name = '</svg><script>alert("1 & 2")</script>'
    ranks = {name: 1.0, "b": 2.0, "c'\"": 3.0}
    root = drawn(replace(COMPARISON, mean_ranks=ranks, metric="<f1>"))
    assert {text.findtext(f"{SVG}title") for text in root.iter(f"{SVG}text") if len(text)} == set(ranks)
    assert {element.tag.removeprefix(SVG) for element in root.iter()} <= {
        "svg",
        "title",
        "path",
        "text",
        "tspan",
    }
    assert root.findtext(f"{SVG}title").startswith("<f1>: mean ranks </svg>")
