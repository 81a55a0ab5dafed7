"""The board's pages at work in a browser: they fit, can be read, sort, narrow, choose, remember and save."""

import itertools
import xml.etree.ElementTree as Tree

import pytest

import made_up_board
from browser import CHROMIUM
from contrast import contrast
from looks import COLOURS
from mlbench.board.columns import METRICS
from mlbench.board.pages import site

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no chromium to open the pages in")

WIDTHS = (390, 768, 1600)
PAGES = ("index", "metric-f1_macro", "method-flem", "dataset-yeast", "compare", "runs")
NAMES = """[...document.querySelectorAll("#{} tbody tr")].filter((row) => row.checkVisibility())
  .map((row) => row.cells[0].textContent)"""
TYPED = """(() => {{ const box = document.querySelector("form[data-table={0}] input[type=search]");
  box.value = "{1}"; box.dispatchEvent(new Event("input", {{ bubbles: true }})); }})()"""
CHOSEN = """(() => {{ const list = document.getElementById("{0}");
  list.value = [...list.options].find((each) => each.textContent === "{1}").value;
  list.dispatchEvent(new Event("change", {{ bubbles: true }})); }})()"""
CELLS = """[...document.querySelectorAll("{} tbody tr")]
  .map((row) => [...row.cells].map((cell) => cell.textContent))"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = made_up_board.write(tmp_path_factory.mktemp("board"))
    site.render(folder)
    return folder


@pytest.fixture
def opened(visited, folder):
    """opened("index", width=390, dark=True) is that page in a tab of its own."""

    def opened(name, *how, place="", **more):
        return visited(f"file://{folder}/{name}.html{place}", *how, **more)

    return opened


@pytest.mark.parametrize("name", PAGES)
def test_a_page_fits_any_window_and_can_be_read_in_light_and_dark(name, opened):
    for width, dark in zip(WIDTHS, (True, False, True)):
        page = opened(name, width, dark)
        assert page.does("document.documentElement.scrollWidth <= innerWidth"), width
        colours = page.does(COLOURS)
        assert len(colours) > 20
        for ink, ground, text in colours:
            assert contrast(ink, ground) >= 4.5, (text, ink, ground)
    here = (
        "[...document.querySelectorAll('.site [aria-current=page]')].map((each) => each.getAttribute('href'))"
    )
    assert page.does(here) == ([f"{name}.html"] if name in ("index", "compare", "runs") else [])
    levels = page.does("[...document.querySelectorAll('h1, h2, h3')].map((each) => Number(each.tagName[1]))")
    assert levels[0] == 1 and levels.count(1) == 1
    assert all(later <= earlier + 1 for earlier, later in itertools.pairwise(levels))
    unnamed = (
        "[...document.querySelectorAll('button, input, select, svg')].filter((each) => each.checkVisibility()"
    )
    unnamed += " && !each.textContent.trim() && !each.labels?.length).length"
    assert page.does(unnamed) == 0


def test_a_table_sorts_from_the_keyboard_and_is_narrowed_by_words_and_variant(opened):
    page = opened("metric-f1_macro")
    every = page.does(NAMES.format("ratings-table"))
    assert "FLEM tuned" in every and len(every) == 7
    page.does("document.querySelector('#ratings-table thead th:nth-child(4) button').focus()")
    page.press("Enter")
    values = (
        "[...document.querySelectorAll('#ratings-table tbody tr')].map((row) => row.cells[3].dataset.value)"
    )
    wins = [float(value) for value in page.does(values)]
    assert wins == sorted(wins, reverse=True)
    page.does(TYPED.format("ratings-table", "flem TUNED"))
    assert page.does(NAMES.format("ratings-table")) == ["FLEM tuned"]
    assert (
        page.does("document.querySelector('form[data-table=ratings-table] output').textContent") == "1 of 7"
    )
    page.does(TYPED.format("ratings-table", ""))
    page.does("document.querySelector('input[name=ratings-table-variant][value=default]').click()")
    assert sorted(page.does(NAMES.format("ratings-table"))) == sorted(
        name for name in every if "tuned" not in name
    )


def test_the_theme_is_the_systems_until_it_is_chosen_and_then_remembered(opened):
    page = opened("index", dark=True)
    ground = "getComputedStyle(document.body).backgroundColor"
    assert [page.does("theme.textContent"), page.does(ground)] == ["Light", "rgb(21, 24, 28)"]
    page.does("theme.click()")
    assert [page.does("theme.textContent"), page.does(ground)] == ["Dark", "rgb(255, 255, 255)"]
    other = opened("runs", dark=True)
    assert other.does(ground) == "rgb(255, 255, 255)"
    other.does("theme.click()")
    other.call("Emulation.setEmulatedMedia", media="print")
    other.does("dispatchEvent(new Event('beforeprint'))")
    assert other.does(ground) == "rgb(255, 255, 255)"
    other.call("Emulation.setEmulatedMedia", media="")
    other.does("localStorage.removeItem('theme')")


@pytest.mark.parametrize(("number", "name"), [(0, "ratings"), (1, "ranks-default"), (2, "time")])
def test_a_plot_is_saved_with_its_colours_and_a_size_of_its_own(number, name, opened):
    page = opened("metric-f1_macro", dark=True)
    page.does("document.querySelector('details').open = true")
    page.does(
        f"""(() => {{ URL.createObjectURL = (blob) => {{ window.kept = blob; return "#"; }};
          HTMLAnchorElement.prototype.click = function () {{ window.called = this.download; }};
          document.querySelectorAll("button.download")[{number}].click(); }})()"""
    )
    text, called = page.does("kept.text().then((text) => [text, called])")
    root = Tree.fromstring(text)
    assert root.tag.endswith("svg") and float(root.get("width")) > 300 and float(root.get("height")) > 50
    assert called == f"f1_macro-{name}.svg"
    inks = {each.get(name) for each in root.iter() for name in ("fill", "stroke")} - {None, "none"}
    assert inks and all(ink.startswith("#") and len(ink) == 7 for ink in inks), inks
    assert "#1c2127" in inks and "var(" not in text  # the ink of the light page


def test_two_rows_are_compared_with_the_signs_of_who_stands_first(opened, folder):
    page = opened("compare", place="#first=flem+default&second=br+default&metric=hamming_loss")
    rows = page.does(CELLS.format("#datasets"))
    assert [row[0] for row in rows] == sorted(made_up_board.DATASETS)
    pairs = made_up_board.pairs(made_up_board.records()).set_index(["dataset", "metric", "first", "second"])
    expected = pairs.loc["scene", "hamming_loss", "br", "flem"]
    scene = rows[2]
    assert float(scene[3].replace("−", "-")) == pytest.approx(-expected["difference"], abs=6e-4)
    low, _, high = scene[4].replace("−", "-").partition(" to ")
    assert float(low) == pytest.approx(-expected["high"], abs=6e-4)
    assert float(high) == pytest.approx(-expected["low"], abs=6e-4)
    assert rows[0][1] == "–"  # flem was not run on birds
    assert page.does("document.querySelectorAll('#datasets .better-by').length") == 3  # less of a loss
    page.does("document.getElementById('swap').click()")
    swapped = page.does(CELLS.format("#datasets"))
    assert swapped[2][1:3] == scene[2:0:-1] and swapped[2][3].lstrip("+−") == scene[3].lstrip("+−")
    assert page.does("document.querySelectorAll('#datasets .worse-by').length") == 3
    page.does(CHOSEN.format("metric", "F1 macro"))
    assert "first=br+default" in page.does("location.hash") and "f1_macro" in page.does("location.hash")
    assert len(page.does(CELLS.format("#metrics"))) == len(METRICS)


def test_runs_are_chosen_by_what_they_are_and_how_they_ended(opened):
    page = opened("runs")
    count = "document.getElementById('count').textContent"
    frame = made_up_board.records()
    assert page.does(count) == f"{len(frame)} of {len(frame)} runs"
    page.does(CHOSEN.format("state", "timeout"))
    rows = page.does(CELLS.format("#runs"))
    assert len(rows) == 1 and rows[0][:3] == ["ML-kNN", "yeast", "0"] and "3,600 s" in rows[0][-1]
    page.does(CHOSEN.format("state", "all"))
    page.does(CHOSEN.format("dataset", "scene"))
    page.does(CHOSEN.format("variant", "tuned"))
    assert len(page.does(CELLS.format("#runs"))) == 4
    page.does("document.querySelector('#runs thead th:nth-child(6) button').click()")
    page.does(CHOSEN.format("metric", "Hamming loss"))
    shown = [float(row[5]) for row in page.does(CELLS.format("#runs"))]
    tuned = frame[(frame["dataset"] == "scene") & (frame["variant"] == "tuned")]
    assert sorted(shown) == pytest.approx(sorted(tuned["hamming_loss"]), abs=6e-5)
