"""The pages of a board as files: the same bytes twice, whole after a kill, escaped, with links that lead."""

import os
import re
import signal
import sys
import time

import pandas
import pytest

import made_up_board
from made_up_board import HOSTILE
from mlbench.board.columns import METRICS
from mlbench.board.content import read
from mlbench.board.pages import markup, site
from mlbench.commands import board
from mlbench.errors import UserError


def small():
    return made_up_board.records(datasets=["scene"], splits=1, tuned=())


@pytest.fixture(scope="module")
def rendered(tmp_path_factory):
    """A folder with a board, its pages, and what they were at first."""
    folder = made_up_board.write(tmp_path_factory.mktemp("board"))
    return folder, {path.name: path.read_bytes() for path in site.render(folder)}


def test_there_is_a_page_for_everything(rendered):
    names = set(rendered[1])
    assert {"index.html", "compare.html", "runs.html"} < names
    assert {f"metric-{name}.html" for name in METRICS} < names
    assert {f"dataset-{name}.html" for name in made_up_board.DATASETS} < names
    assert len([name for name in names if name.startswith("method-")]) == len(made_up_board.METHODS)


def test_deleted_and_rendered_again_in_another_order_of_lines_the_bytes_are_the_same(rendered):
    folder, before = rendered
    for name in before:
        (folder / name).unlink()
    for file in ("records", "pairs", "labels"):
        path = folder / f"{file}.parquet"
        frame = pandas.read_parquet(path)
        frame.iloc[::-1].reset_index(drop=True).to_parquet(path)
    again = {path.name: path.read_bytes() for path in site.render(folder)}
    assert again == before


def test_what_comes_from_outside_is_escaped_and_nothing_is_loaded(rendered):
    for name, page in rendered[1].items():
        text = page.decode()
        assert "<img" not in text and "window.hacked = true</script>" not in text, name
        assert not re.search(r'(?:src|href)="(?:https?:)?//', text), name
        assert text.count("</script>") == 2, name


def test_every_link_leads_to_a_page_or_a_place_on_it(rendered):
    pages = {name: page.decode() for name, page in rendered[1].items()}
    for name, text in pages.items():
        markup_alone = text.partition("<body>")[2].partition('<script type="application/json"')[0]
        links = re.findall(r'href="([^"]*)"', markup_alone)
        assert len(links) > 4, name
        for link in links:
            page, _, place = link.partition("#")
            assert page in pages, (name, link)
            assert not place or f'id="{place}"' in pages[page], (name, link)


def test_tables_are_there_without_a_script(rendered):
    text = rendered[1]["metric-f1_macro.html"].decode()
    for name in ("ratings", "cells"):
        table = re.search(rf'<table class="[^"]*" id="{name}-table">.*?</table>', text)[0]
        assert table.count("<tr data-place") == len(made_up_board.METHODS) + 2


def test_addresses_part_names_and_stay_in_the_folder():
    names = ["a b", "a_b", "a~20b", "../a", "A", "ä", "x" * 200, "x" * 199 + "y", HOSTILE]
    found = [markup.address("method", name) for name in names]
    assert len(set(found)) == len(names)
    assert all(re.fullmatch(r"method-[\w~-]+\.html", name, re.ASCII) and len(name) < 100 for name in found)


def test_failures_and_what_was_not_run_are_said_with_their_reason(rendered):
    pages = {name: page.decode() for name, page in rendered[1].items()}
    assert "took more than 3,600 s" in pages["method-mlknn.html"]
    assert "needs 2 h 10 min" in pages["method-flem.html"]
    row = re.search(r"<tr[^>]*><th[^>]*><a[^>]*method-mlknn.*?</tr>", pages["dataset-yeast.html"])
    assert "<em>×</em>" in row[0]


def test_pages_of_what_is_gone_are_removed(tmp_path):
    folder = made_up_board.write(tmp_path, small())
    site.render(folder)
    page = (folder / "method-br.html").read_text()
    gone, own = folder / "method-gone.html", folder / "method-notes.html"
    gone.write_text(page)
    own.write_text("mine")
    site.render(folder)
    assert not gone.exists() and own.read_text() == "mine" and (folder / "method-br.html").read_text() == page


@pytest.mark.parametrize("empty", ["all failed", "one data set", "no extras", "only tuned", "mostly planned"])
def test_a_board_that_has_just_begun_is_rendered(empty, tmp_path):
    frame = made_up_board.records(
        datasets=["scene"] if empty == "one data set" else ["birds", "scene"], splits=1
    )
    said = {}
    if empty == "all failed":
        frame["state"] = "failed"
        frame[[*METRICS]] = float("nan")
    if empty == "no extras":
        said = {"datasets": {}, "methods": {}}
    if empty == "only tuned":
        frame = frame[frame["variant"] == "tuned"]
    if empty == "mostly planned":
        lost = (frame["dataset"] == "birds") | (frame["variant"] == "tuned")
        frame.loc[lost, ["state", "reason", *METRICS]] = [
            "not_run",
            "not run yet",
            *len(METRICS) * [float("nan")],
        ]
    folder = made_up_board.write(tmp_path, frame, **said)
    site.render(folder)
    if empty == "mostly planned":
        assert "Nothing has been run" in (folder / "dataset-birds.html").read_text()
        assert "1 of 2 so far" in (folder / "index.html").read_text()
        assert "tuned</span></th>" not in (folder / "metric-f1_macro.html").read_text()
    assert "scene" in (folder / "index.html").read_text()


def test_a_kill_in_the_middle_leaves_whole_pages(tmp_path):
    """All pages of another board are there before; after the kill each is of the one or of the other."""
    folder = made_up_board.write(tmp_path, small())
    wanted = site.drawn(read(folder))
    for name in wanted:
        (folder / name).write_text(f"old {name}")
    child = os.fork()
    if not child:
        site.drawn = lambda board: wanted  # what takes long is not asked here
        write = site.files.write
        site.files.write = lambda path, text: (time.sleep(0.005), write(path, text))
        site.render(folder)
        os._exit(0)
    while (folder / next(iter(wanted))).read_text().startswith("old"):
        time.sleep(0.001)
    time.sleep(0.03)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    found = {name: (folder / name).read_text() for name in wanted}
    assert all(text in (wanted[name], f"old {name}") for name, text in found.items())
    assert any(text == wanted[name] for name, text in found.items())
    assert any(text == f"old {name}" for name, text in found.items())
    assert {path.name: path.read_text() for path in site.render(folder)} == wanted


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (
            lambda folder: (folder / "records.parquet").unlink(),
            "records.parquet: not there; the board's records",
        ),
        (lambda folder: (folder / "pairs.parquet").write_text("x"), "pairs.parquet: no Parquet file"),
        (lambda folder: (folder / "methods.json").write_text("[1]"), "methods.json: should map each name"),
        (lambda folder: (folder / "datasets.json").write_text("{"), "datasets.json: not JSON"),
        (
            lambda folder: (
                made_up_board.records().drop(columns=["f1_macro"]).to_parquet(folder / "records.parquet")
            ),
            "records.parquet: the columns f1_macro are missing; harvest",
        ),
    ],
)
def test_files_that_are_no_boards_are_answered_in_a_line(spoil, said, tmp_path):
    folder = made_up_board.write(tmp_path)
    spoil(folder)
    with pytest.raises(UserError, match=re.escape(said)) as error:
        site.render(folder)
    assert "\n" not in str(error.value)


def test_the_command_renders_and_says_where(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["mlbench"])
    folder = made_up_board.write(tmp_path, small())
    assert board.main(["render", f"out={folder}"]) == 0
    assert f"the first is {folder / 'index.html'}" in capsys.readouterr().out
    assert board.main(["render", f"out={folder / 'nowhere'}"]) == 2
    assert "records.parquet: not there" in capsys.readouterr().err


def test_numbers_are_said_for_people():
    assert [markup.number(value) for value in (0.12345, -0.5, float("nan"), None, -0.0001)] == [
        *("0.123", "−0.500", "–", "–", "0.000"),
    ]
    assert [markup.signed(value, 1) for value in (1.25, -3, 0, 0.01)] == ["+1.2", "−3.0", "0.0", "0.0"]
    seconds = (0, 0.0042, 0.05, 0.1, 2.34, 99.6, 700, 36001, float("nan"))
    assert [markup.duration(value) for value in seconds] == [
        *("≤ 1 ms", "4.2 ms", "50 ms", "0.1 s", "2.3 s", "100 s", "12 min", "10 h", "–"),
    ]
    assert [markup.spoken(name) for name in ("f1_macro", "auc_macro", "brier")] == [
        "F1 macro",
        "AUC macro",
        "Brier",
    ]
    assert markup.p_value(0.0002) == "&lt;.001" and markup.p_value(0.04) == ".040"


def test_against_one_method_counts_the_data_sets_that_an_interval_separates(rendered, capsys):
    folder, _ = rendered
    assert board.main(["against", "method=br", f"out={folder}"]) == 0
    said, head, *lines = capsys.readouterr().out.splitlines()
    assert "95 %" in said and head.split() == [*METRICS]
    content = read(folder)
    low_is_better = {"hamming_loss", "ranking_loss", "brier"}
    expected = {}
    for line in content.pairs.to_dict("records"):
        if "br" not in (line["first"], line["second"]):
            continue
        other = line["second"] if line["first"] == "br" else line["first"]
        count = expected.setdefault(other, {}).setdefault(line["metric"], [0, 0, 0])
        count[2] += 1
        if line["low"] <= 0 <= line["high"]:
            continue
        first_wins = (line["low"] > 0) != (line["metric"] in low_is_better)
        count[0 if first_wins == (line["first"] == other) else 1] += 1
    rows = {re.split(r"\s+\d+:\d+ of", line)[0]: re.findall(r"(\d+):(\d+) of (\d+)", line) for line in lines}
    assert rows.keys() == expected.keys()
    for name, found in rows.items():
        assert [[*map(int, each)] for each in found] == [expected[name][metric] for metric in METRICS]
    assert sum(int(each[0]) + int(each[1]) for found in rows.values() for each in found) > 0

    assert board.main(["against", "method=bt", f"out={folder}"]) == 2
    assert "nothing is compared with it" in capsys.readouterr().err


def test_the_best_row_of_a_label_is_that_of_the_highest_f1_among_rows_with_all_splits(tmp_path):
    """Whatever support its lines say, which differs with the splits that have finished."""
    folder = made_up_board.write(tmp_path)
    labels = pandas.read_parquet(folder / "labels.parquet")
    yeast = labels["dataset"] == "yeast"
    for method, f1, support in (("mlknn", 1.0, 9.0), ("br", 0.97, -0.5)):  # mlknn lost a split there
        labels.loc[yeast & (labels["method"] == method), "f1"] = f1
        labels.loc[yeast & (labels["method"] == method), "support"] += support
    labels.to_parquet(folder / "labels.parquet", index=False)
    site.render(folder)
    table = (folder / "dataset-yeast.html").read_text().split('name="labels-table"')[-1]
    table = table.split("Label by label")[-1]
    rows = [row for row in table.split("<tr")[1:] if "0.970" in row]
    assert len(rows) == labels.loc[yeast, "label"].nunique()
    assert not any("method-mlknn.html" in row for row in rows)
