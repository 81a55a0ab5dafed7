"""The pages at work in a browser: they sort, open and filter, fit any window, and never complain."""

import itertools
import json
import re

import numpy as np
import pytest
from scipy.stats import rankdata

from browser import CHROMIUM
from contrast import contrast
from looks import (
    HANDS,
    LOOK_AT_FOLDS,
    LOOK_AT_HEAT,
    LOOK_AT_MANY,
    LOOK_AT_MAP,
    LOOK_AT_MATRIX,
    LOOK_AT_REPORT,
    LOOK_AT_TABLE,
    LOOK_AT_TIES,
)
from made_up import finish, made_up_cases, made_up_folds, made_up_record, made_up_spec, made_up_table
from mlbench.commands.report import records_in
from mlbench.tables.measured import definition
from mlbench.tables.render.html import html
from mlbench.tables.report import content, report
from mlbench.tables.table import fill

WIDTHS = (1280, 390)
HOSTILE = "</script><script>window.hacked = true</script><img src=x onerror='window.hacked = true'>"

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no chromium to open the pages in")


def made_up_outputs(outputs):
    """Three methods on two data sets: one of them with a hostile name, one with a run that failed."""
    methods = {"bl": [], HOSTILE: [], "ant": []}
    variants = [{"title": "halved", "suffix": "_shared_first"}]
    spec = made_up_spec(axes={"dataset": ["emotions", "scene"], "method": methods}, variants=variants)
    cases = made_up_cases(spec, outputs)
    labels = made_up_record("", "", "", 0).per_label | {"label": [HOSTILE, "calm"], "f1": [0.25, 0.75]}
    for number, case in enumerate(cases):
        for run in case.runs:
            object.__setattr__(run, "folder", outputs / case.dataset / f"m{number}" / run.key)
            if (number, run.seed) == (2, 1):
                run.folder.mkdir(parents=True)
                (run.folder / "failed.json").write_text(json.dumps({"reason": f"it broke {HOSTILE}"}))
            else:
                finish(case, run, per_label=labels)
    beside = {"ids": np.arange(3), "targets": np.ones((3, 2)), "labels": np.array([HOSTILE, "calm"])}
    found = np.array([[0.5, -1], [0.25, 0]])
    np.savez(cases[0].runs[0].folder / "label_correlations.npz", correlations=found, **beside)
    return spec, cases


def made_up_sweep():
    """A grid of 3 by 2 on emotions with a hole in it, two seeds each; two losses on scene."""
    records = {}
    for loss, mean in (("bce", 0.3), ("asl", 0.7)):
        metrics = {"last": {"f1_macro": mean, "hamming_loss": mean}}
        record = records[f"{loss}/record.json"] = made_up_record("", "scene", "erm", 0, metrics=metrics)
        record.choices["loss"] = loss
    for slope, offset, seed in itertools.product((1.0, 6.0, 11.0), (-0.5, 0.25), (0, 1)):
        if (slope, offset) == (6.0, 0.25):
            continue
        mean = 0.5 + slope / 100 + offset / 10 + seed / 100
        metrics = {"last": {"f1_macro": mean, "hamming_loss": mean}}
        record = made_up_record("", "emotions", "erm", seed, metrics=metrics)
        record.config["loss"] = {"slope": slope, "offset": offset}
        records[f"{slope} {offset} {seed}/record.json"] = record
    return records


def made_up_ties():
    """Two methods on two data sets, whose means differ by less than any metric resolves."""
    records = {}
    for dataset, (method, mean) in itertools.product(
        ("emotions", "scene"), (("bl", 0.12345678949), ("ant", 0.12345678951))
    ):
        metrics = {"last": {"f1_macro": mean, "hamming_loss": mean}}
        records[f"{dataset} {method}/record.json"] = made_up_record("", dataset, method, 0, metrics=metrics)
    return records


def made_up_map():
    """Two results on scene, of which one has a map of four rows; a label's name is hostile."""
    metrics = {"last": {"f1_macro": 0.5, "hamming_loss": 0.5}}
    drawn = content(
        {
            f"{name}/record.json": made_up_record("", "scene", name, 0, metrics=metrics)
            for name in ("erm", "ant")
        }
    )
    (erm,) = (place for place, group in enumerate(drawn["groups"]) if group["method"] == "erm")
    about = {"group": erm, "how": "principal components", "seed": 0, "fold": None, "rows": 8}
    places = [[0.0, 1.0], [2.0, -1.0], [1.0, 0.5], [0.5, 0.5]]
    carried = [[0], [0, 1], [1], [0]]
    drawn["maps"] = [
        about | {"labels": [HOSTILE, "calm"], "places": places, "ids": [3, 5, 7, 9], "carried": carried}
    ]
    return drawn


def made_up_matrices():
    """Two results on scene, of which one found two matrices: of two labels, of 40 among 174."""
    drawn = content({f"{name}/record.json": made_up_record("", "scene", name, 0) for name in ("erm", "ant")})
    (erm,) = (place for place, group in enumerate(drawn["groups"]) if group["method"] == "erm")
    about = {"group": erm, "seed": 0, "fold": None, "said": "what one does to another"}
    few = {
        "name": "few: both",
        "labels": [HOSTILE, "calm"],
        "of": 2,
        "values": [[0.25, -0.5], [0.0, -0.0004]],
    }
    names = [f"a label with a long name, {number}" for number in range(40)]
    mask = [[float(row <= column) for column in range(40)] for row in range(40)]
    many = {"name": "many: mask", "labels": names, "of": 174, "values": mask}
    drawn["matrices"] = [about | few, about | many]
    return drawn


def made_up_metrics(outputs):
    """A table of ten metrics, of which one row is not run, and a method of a long name."""
    methods = {"bl": [], "a rather long name of a method": [], "theirs (imported)": {"not_run": "method"}}
    names = ["f1_macro", "f1_micro", "hamming_loss", "subset_accuracy", "ranking_loss", "ap_macro"]
    names += ["auc_macro", "brier", "one_error", "coverage"]
    metrics = {name: {"ours": "f1_macro"} for name in names}
    axes = {"dataset": ["emotions", "scene"], "method": methods}
    spec = made_up_spec(axes=axes, metrics=metrics, variants=[], published=None)
    return html(made_up_table(outputs, spec), outputs)


@pytest.fixture(scope="module")
def pages(tmp_path_factory, browser):
    """What was found by page and width."""
    folder = tmp_path_factory.mktemp("browser")
    spec, cases = made_up_outputs(folder / "outputs")
    written = {
        "table": (html(fill("made-up", spec, cases), folder / "outputs"), LOOK_AT_TABLE),
        "many": (made_up_metrics(folder / "many"), LOOK_AT_MANY),
        "report": (report(content(records_in(folder / "outputs"))), LOOK_AT_REPORT),
        "heat": (report(content(made_up_sweep())), LOOK_AT_HEAT),
        "folds": (report(content(made_up_folds())), LOOK_AT_FOLDS),
        "map": (report(made_up_map()), LOOK_AT_MAP),
        "matrix": (report(made_up_matrices()), LOOK_AT_MATRIX),
        "ties": (report(content(made_up_ties())), LOOK_AT_TIES),
    }
    found = {}
    for (name, (written_page, look)), width in itertools.product(written.items(), WIDTHS):
        (folder / f"{name}.html").write_text(written_page)
        page = browser.page(width)
        page.open((folder / f"{name}.html").as_uri())
        found[name, width] = {"width": width} | page.does(f"(() => {{ {HANDS} {look} }})()")
        found[name, width] |= page.does("({ complaints, hacked: !!window.hacked })")
        page.close()
    return found


@pytest.fixture(params=WIDTHS)
def table_page(pages, request):
    return pages["table", request.param]


@pytest.fixture(params=WIDTHS)
def report_page(pages, request):
    return pages["report", request.param]


def test_no_page_complains_or_is_taken_over(pages):
    assert {place: each["complaints"] for place, each in pages.items()} == {place: [] for place in pages}
    assert not any(each["hacked"] for each in pages.values())


def test_no_page_scrolls_sideways(pages):
    assert all(all(each["fits"]) for each in pages.values())
    assert pages["table", 390]["scrolls"], "a wide table scrolls in its own box"
    assert not pages["table", 1280]["scrolls"]


def test_ten_metrics_fit_and_no_word_of_a_name_is_broken(pages):
    assert not pages["many", 1280]["scrolls"] and pages["many", 390]["scrolls"]
    assert pages["many", 1280]["broken"] == pages["many", 390]["broken"] == []


def test_a_column_sorts_both_ways_and_the_corner_undoes_it(table_page):
    before, (first, up), (second, down), after, undone = table_page["orders"]
    assert (first, second, undone) == (
        "ascending",
        "descending",
        "none",
    )  # of a loss the lowest is best
    numbers = [float(value) for value in up]
    assert numbers == sorted(numbers) and down == up[::-1]
    assert before == after == ["bl", HOSTILE, "ant"]


def test_a_cell_opens_what_is_behind_it(table_page):
    first, hostile, failed = table_page["panels"]
    for panel in (first, hostile, failed):
        assert panel["open"] and panel["closed"] and panel["button"] == "BUTTON"
        assert panel["rows"] == 2 and panel["curves"] == [60, 60]
        assert not any(is_open for is_open, _ in panel["details"])
    assert "python run.py dataset=emotions method=bl 'method.labels=[0,1]' seed=1" in first["text"]
    assert "2.50 s" in first["text"] and "300 MiB" in first["text"] and "emotions/m0/" in first["text"]
    assert '"_target_": "a.bl"' in first["details"][0][1]
    assert f"{HOSTILE}: hamming loss" in hostile["text"]
    assert first["found"] == ["0.5", "−1.0", "0.3", "0.0"] and not hostile["found"]
    assert "Labels and labels, seed 0label_correlations: correlations, what the label of a" in first["text"]
    assert f"Seed 1 failed: it broke {HOSTILE}" in failed["text"] and "1 of 2 runs" in failed["text"]


def test_numbers_stand_below_their_heads_and_names_have_room(table_page):
    """Where nothing is compared no room is kept for a difference; the hostile name is broken within 5rem."""
    head, number = table_page["ends"]
    assert abs(head - number) < 2
    assert min(width for width in table_page["names"] if width) >= 70


def test_one_view_is_there_at_a_time(table_page):
    assert table_page["tabs"] == [[False, True], [True, False], "true"]


def test_labels_are_bars_that_sort(table_page):
    labels = table_page["labels"]
    assert labels["names"] == [HOSTILE, "calm"] and labels["sorted"] == ["calm", HOSTILE]
    assert labels["bars"] == ["0.25"] * 3 + ["0.75"] * 3


def test_the_report_filters_and_keeps_its_order(report_page):
    assert report_page["rows"] == [6, 2, 6]
    order, values = report_page["sorted"]
    numbers = [float(value) for value in values]
    assert order == "descending" and numbers == sorted(numbers, reverse=True)
    order, values = report_page["still"]
    numbers = [float(value) for value in values]
    assert order == "descending" and numbers == sorted(numbers, reverse=True) and len(numbers) == 2
    assert report_page["hash"] == "#metric=hamming_loss"


def test_the_report_names_the_best_by_the_chosen_metric(report_page):
    means = {}
    for dataset in ("emotions", "scene"):
        for method in ("bl", HOSTILE, "ant"):
            loss = made_up_record("", dataset, method, 0).metrics["last"]["hamming_loss"]
            means.setdefault(dataset, {})[method] = loss
    assert report_page["winners"] == [min(each, key=each.get) for each in means.values()]
    assert [row[2].strip() for row in report_page["best"]] == ["ant", "ant"]
    assert report_page["points"] == [[3, 3], [3, 2]] or report_page["points"] == [[3, 2], [3, 3]]
    assert "time of a run" in report_page["axes"] and "hamming_loss ↓" in report_page["axes"]
    links = [re.fullmatch(r"(emotions|scene)/m\d/\w{16}/record\.json", link) for link in report_page["links"]]
    assert len(links) == 11 and all(links)


def test_a_heat_map_shows_its_numbers_and_shades_them(pages):
    for width in WIDTHS:
        page = pages["heat", width]
        assert page["heads"] == ["loss.slope", "loss.offset", "1", "6", "11", "−0.5", "0.25"]
        assert page["texts"] == ["0.4650", "0.5150", "0.5650", "0.5400", "–", "0.6400"]
        said = (
            "emotions erm bce, linear; split holdout, selection last, threshold fixed, 2 seeds: f1_macro ↑ "
        )
        assert page["caption"] == said
        assert page["titles"][0] == "loss.slope=1 loss.offset=-0.5: 0.4650 ± 0.0071, 2 seeds"
        shades, top = page["high"]
        assert shades == ["0.000", "0.286", "0.571", "0.429", "", "1.000"] and top == ["0.6400"]
        shades, top = page["low"]
        assert shades == ["1.000", "0.714", "0.429", "0.571", "", "0.000"] and top == ["0.4650"]
        assert page["filtered"] == [0, True]


def test_a_point_is_named_by_what_tells_it_from_the_others(pages):
    for width in WIDTHS:
        names = pages["heat", width]["names"]
        assert {"bce", "asl"} <= set(names) and "erm" not in names


def test_the_numbers_of_a_heat_map_can_be_read(pages):
    """Contrast of the ink with every shade, at least 4.5 to 1 (WCAG 2, 1.4.3)."""
    colours = pages["heat", 1280]["colours"]
    assert len({shade for _, shade in colours}) == 5  # the hole has that of the worst
    for ink, shade in colours:
        assert contrast(ink, shade) > 4.5


def test_the_number_stands_second_and_the_name_stays(report_page):
    heads = report_page["heads"]
    assert heads[:2] == ["data set", "f1_macro ↑"] and heads[heads.index("method") + 1] == "f1_macro ↑"
    scrolled, moved = report_page["moved"]
    assert moved == 0
    if report_page["width"] == 1280:
        assert scrolled == 0 and report_page["cut"] == [], "there is room for all"
    else:
        assert scrolled > 0, "what is too wide scrolls under the name"


@pytest.mark.parametrize("width", WIDTHS)
def test_a_number_is_seen_whole_beside_one_over_folds(width, pages):
    page = pages["folds", width]
    assert any(number.endswith("over seeds") for number in page["numbers"])
    assert page["whole"] == [True, True]


def test_the_report_ranks_nobody_by_noise(pages):
    for width in WIDTHS:
        ranks = pages["ties", width]["ranks"]
        assert [float(row[1]) for row in ranks] == [1.5, 1.5]
        assert [text for row in ranks for text in row[2:] if text] == ["0", "0"]
        assert len({row[2].split()[0] for row in pages["ties", width]["best"]}) == 1


def test_what_is_the_same_in_all_rows_is_said_once(report_page):
    heads = report_page["constant"]
    assert not {"loss", "backbone", "split", "selection", "threshold"} & set(heads)
    said = "loss bce, backbone linear, threshold fixed, split holdout, selection last."
    assert f"In all of them: {said}" in heads


@pytest.mark.parametrize("name", ["table", "report"])
def test_headings_do_not_skip_a_level(name, pages):
    for width in WIDTHS:
        levels = pages[name, width]["levels"]
        assert levels[:2] == [1, 2] and all(
            after - before <= 1 for before, after in itertools.pairwise(levels)
        )


def test_a_metric_is_defined_where_it_is_named(report_page):
    assert dict(report_page["options"]) == {
        **dict.fromkeys(["hamming_loss", "hamming_loss_shared_first"], definition("hamming_loss")),
        **dict.fromkeys(["f1_macro", "f1_macro_shared_first"], definition("f1_macro")),
    }


def test_the_report_ranks_the_methods_over_all_data_sets(report_page):
    """Emotions and scene, three methods each; beside scipy's ranks of the same means."""
    names = ["bl", HOSTILE, "ant"]
    means = {}
    for dataset, method in itertools.product(("emotions", "scene"), names):
        seeds = (0,) if (dataset, method) == ("emotions", "ant") else (0, 1)  # one of its runs failed
        values = [made_up_record("", dataset, method, seed).metrics["last"]["f1_macro"] for seed in seeds]
        means.setdefault(dataset, []).append(-sum(values) / len(values))
    ranks = dict(zip(names, np.mean([rankdata(m) for m in means.values()], axis=0)))
    shown = {row[0].partition(" ")[2]: row for row in report_page["ranks"]}
    assert {name: float(row[1]) for name, row in shown.items()} == pytest.approx(ranks)
    order = list(shown)
    assert order == sorted(order, key=ranks.get)
    for name, row in shown.items():
        others = [other for other in order if other != name]
        wins = [sum(m[names.index(name)] < m[names.index(o)] for m in means.values()) for o in others]
        assert [int(text) for text in row[2:] if text] == wins
    assert "3 methods on 2 data sets" in report_page["about"] and "a test wants five" in report_page["about"]


@pytest.mark.parametrize("width", WIDTHS)
def test_a_map_is_coloured_by_the_label_that_is_chosen(pages, width):
    page = pages["map", width]
    assert page["options"] == [f"{HOSTILE} (3)", "calm (2)"]
    first, second, again = page["coloured"]
    assert [words.partition(":")[0] for words in first] == ["row 3", "row 5", "row 9"], "the most frequent"
    assert second == again == [f"row 5: {HOSTILE}, calm", "row 7: calm"], "the choice outlives a filter"
    assert page["label"] == "scene erm: 2 of 4 rows carry calm" and page["last"] == "carries"
    assert "4 of 8 rows, at equal distances" in page["caption"] and "principal components" in page["caption"]
    assert page["boxes"] == [8, 392] and page["hidden"] == [False, True]
    assert page["fits"] == [True, True] and not page["complaints"] and not page["hacked"]


@pytest.mark.parametrize("width", WIDTHS)
def test_what_was_found_of_two_labels_is_shaded_from_zero_both_ways(pages, width):
    page = pages["matrix", width]
    few, many = page["captions"]
    assert few.startswith("scene erm bce, linear; ") and "few: both, what one does to another" in few
    assert "the 40 of 174 labels with the most training rows" in many and "most" not in few
    assert page["heads"][0] == [[HOSTILE, "calm"]] * 2 and [len(heads) for heads in page["heads"][1]] == [
        40,
        40,
    ]
    assert page["texts"] == [["0.25", "−0.50", "0.00", "0.00"], [""] * 1600], "numbers where there is room"
    assert page["titles"][1] == f"{HOSTILE}, calm: −0.5"
    above, below = ["above", "0.500"], ["below", "1.000"]
    assert page["shares"] == [above, below, ["above", "0.000"], ["below", "0.001"]]
    scale = [["−0.5", "1.000"], ["−0.25", "0.500"], ["0", "0.000"], ["0.25", "0.500"], ["0.5", "1.000"]]
    assert page["legend"] == scale
    assert all(contrast(ink, shade) > 4.5 for ink, shade in page["colours"] if shade != "rgba(0, 0, 0, 0)")
    assert len({shade for _, shade in page["colours"]}) >= 6
    assert page["hidden"] == [False, True, False] and page["fits"] == [True, True]


@pytest.mark.parametrize("width", WIDTHS)
def test_many_labels_are_small_squares_that_scroll_under_their_names(pages, width):
    page = pages["matrix", width]
    assert all(8 <= wide <= 20 and 8 <= high <= 24 for wide, high in page["squares"])
    assert page["wide"] == (width == 390) and page["moved"] == 0
