"""The page of a table: all that the table says is on it, it asks for nothing, and no name can break it."""

import json
import re
import shutil
import time
from html.parser import HTMLParser
from pathlib import Path

import pytest

from made_up import METRICS, finish, made_up_cases, made_up_record, made_up_spec, made_up_table
from mlbench.results import store
from mlbench.tables import table as filled
from mlbench.tables.render.evidence import POINTS, curves, relative, thinned
from mlbench.tables.render.html import MARKS, html

HOSTILE = '</script><img src=x onerror="alert(1)"> & \'$title ${body}'
PUBLISHED = {"published": "ant/table2", "published_seeds": 4, "printed_ranks": "columns"}


class Parsed(HTMLParser):
    """A page as the elements that started, with their attributes and all text inside."""

    VOID = ("meta", "link", "img", "input", "br")

    def __init__(self, page):
        super().__init__()
        self.elements, self.inside = [], []
        self.feed(page)
        assert not self.inside, "every element ends"

    def handle_starttag(self, tag, attributes):
        element = {"tag": tag, "text": "", "within": [each["id"] for each in self.inside]}
        self.elements.append(element | {"id": len(self.elements), "is": dict(attributes)})
        if tag not in self.VOID:
            self.inside.append(self.elements[-1])

    def handle_startendtag(self, tag, attributes):
        self.handle_starttag(tag, attributes)
        if tag not in self.VOID:
            self.inside.pop()

    def handle_endtag(self, tag):
        assert self.inside.pop()["tag"] == tag

    def handle_data(self, data):
        for element in self.inside:
            element["text"] += data

    def find(self, tag, within=None, **attributes):
        return [
            element
            for element in self.elements
            if element["tag"] == tag
            and (within is None or within["id"] in element["within"])
            and all(element["is"].get(name.strip("_")) == value for name, value in attributes.items())
        ]

    @property
    def data(self):
        (blob,) = self.find("script", id="data")
        return json.loads(blob["text"])


@pytest.fixture(scope="module")
def outputs(tmp_path_factory):
    return tmp_path_factory.mktemp("outputs")


@pytest.fixture(scope="module")
def published(outputs):
    variants = [{"title": "halved", "suffix": "_shared_first"}]
    spec = made_up_spec(**PUBLISHED, variants=variants, notes=["a <note>"])
    return made_up_table(outputs, spec)


@pytest.fixture(scope="module")
def page(published, outputs):
    return Parsed(html(published, outputs))


@pytest.fixture
def not_compared(monkeypatch):
    """Nemenyi's distribution takes .2 s a metric."""
    monkeypatch.setattr(filled, "compare", lambda *_: None)


def signed(value, shape="+.3f"):
    return f"{value:{shape}}".replace("-", "\N{MINUS SIGN}")


def test_every_cell_says_ours_theirs_and_the_verdict(published, page):
    for number, view in enumerate(published.views):
        for place, block in enumerate(view.blocks):
            (section,) = page.find("section", id=f"block-{number}-{place}")
            cells = page.find("td", within=section)
            cells = [cell for cell in cells if cell["is"].get("data-verdict")]
            assert len(cells) == len(block.rows) * len(block.columns)
            for cell, (row, column) in zip(cells, ((r, c) for r in block.rows for c in block.columns)):
                said = block.cells[row, column]
                words = cell["text"].replace(" ", "")
                assert cell["is"]["data-verdict"] == said.verdict and MARKS[said.verdict] in words
                assert words.startswith(f"{said.ours.mean:.3f}±{said.ours.std:.3f}")
                assert f"{said.theirs.mean:.{said.theirs.decimals}f}±" in words
                assert words.endswith(signed(said.difference))
                assert float(cell["is"]["data-value"]) == pytest.approx(said.ours.mean, abs=1e-6)
            heads = [th["text"] for th in page.find("th", within=section)]
            assert {"method", "bl", "tc", "ant"} < set(heads) and "mean rank" in heads
            assert f"Kendall’s τ = {signed(block.tau, '.2f')}; " in section["text"]
            ranks = page.find("td", within=section, class_="ranks")
            for row, cell in zip(block.rows, ranks):
                assert cell["text"] == f"{block.ranks[row]:.1f}{block.printed_ranks[row]:.1f}"


def test_every_verdict_is_explained(page):
    (legend,) = page.find("div", class_="legend")
    words = " ".join(legend["text"].split())
    assert "= agrees = the difference is within two standard errors or .01" in words
    for verdict in ("better", "worse", "not compared"):
        assert f"{MARKS[verdict]} {verdict} = " in words
    assert f"{MARKS['not run']} not run (reason)" in words


def test_the_facts_and_notes_come_first(published, page):
    (header,) = page.find("header")
    facts = dict(zip(*([e["text"] for e in page.find(tag, within=header)] for tag in ("dt", "dd"))))
    assert published.header.items() <= facts.items()
    assert facts["metrics"] == "hamming_loss ↓; f1_macro ↑"
    assert "a <note>" in header["text"] and "A made-up table" in header["text"]
    assert "table=made-up" in header["text"]


def test_a_published_deviation_that_cannot_be_right_is_grey_and_says_why(page):
    scene, emotions = (page.find("section", id=f"block-0-{place}")[0] for place in (1, 0))
    doubtful = page.find("s", within=scene, class_="doubtful")
    assert len(doubtful) == 6 and all("std equals that of" in mark["is"]["title"] for mark in doubtful)
    assert not page.find("s", within=emotions, class_="doubtful")


def test_what_is_not_whole_says_so(tmp_path):
    methods = {"bl": ["method=bl"], "tc": ["method=tc"], "ant": {"not_run": "the <encoder> is not to be had"}}
    spec = made_up_spec(
        axes={"dataset": ["emotions"], "method": methods},
        seeds=3,
        layout={"rows": "method", "columns": "metric"},
    )
    first, second, never = made_up_cases(spec, tmp_path)
    for run in first.runs:
        finish(first, run)
    finish(second, second.runs[0])
    second.runs[1].folder.mkdir()
    store.fail(second.runs[1].folder, ValueError("the loss is <nan>"))
    page = Parsed(html(filled.fill("made-up", spec, [first, second, never]), tmp_path))
    cells = {cell["id"]: cell for cell in page.find("td") if cell["is"].get("data-verdict")}
    texts = [cell["text"] for cell in cells.values()]
    assert not any("n=" in text for text in texts[:2])
    assert all("n=1" in text and "±" not in text for text in texts[2:4])
    assert all("not run: the <encoder> is not to be had" in text for text in texts[4:])
    assert [m["is"]["title"] for m in page.find("em")] == ["1 of 3 seeds"] * 2
    behind = page.data["cases"][1]["runs"]
    assert [run["state"] for run in behind] == ["finished", "failed", "missing"]
    assert [run["reason"] for run in behind] == [None, "the loss is <nan>", None]
    assert page.data["cases"][2]["not_run"] == "the <encoder> is not to be had"
    assert page.data["cells"][2]["values"] == [pytest.approx(first_value(second)), None, None]


def first_value(case):
    return made_up_record("", case.dataset, case.method, 0).metrics["last"]["hamming_loss"]


def test_behind_every_cell_are_its_runs(published, page):
    data = page.data
    buttons = [int(b["is"]["data-cell"]) for b in page.find("button", class_="cell")]
    assert buttons == list(range(len(data["cells"]))) and len(buttons) == 2 * 2 * 3 * 2
    cases = list(published.cases.values())
    for number, cell in enumerate(data["cells"]):
        view = published.views[number // 12]
        case = cases[cell["case"]]
        (said,) = [
            c
            for c in view.cells()
            if (c.dataset, c.method) == (case.dataset, case.method)
            and c.metric.replace("_", " ") == cell["metric"]
        ]
        assert cell["values"] == [pytest.approx(value) for value in said.ours.values.values()]
        assert (cell["verdict"], cell["measured"]) == (said.verdict, said.metric + view.suffix)
    for case, shown in zip(cases, data["cases"]):
        for run, one in zip(case.runs, shown["runs"]):
            assert (one["seed"], one["key"], one["state"]) == (run.seed, run.key, "finished")
            assert one["folder"] == f"{case.dataset}/{case.method}/{run.key}"
            assert (one["seconds"], one["memory"]) == (2.5 + run.seed, 300 * 2**20)
            assert one["command"] == (
                f"python run.py dataset={case.dataset} method={case.method} "
                f"'method.labels=[0,1]' seed={run.seed}"
            )
            config = {name: data["pool"][place] for name, place in one["config"].items()}
            assert config["method"] == {"_target_": f"a.{case.method}"}
            assert not {"seed", "paths"} & set(config)
        assert shown["curves_seed"] == 0 and set(shown["curves"]) == {"teacher", "student"}
    assert len({json.dumps(value) for value in data["pool"]}) == len(data["pool"]) < 10


def test_the_same_bytes_from_wherever_it_is_made(published, outputs, tmp_path, monkeypatch):
    text = html(published, outputs)
    monkeypatch.chdir(tmp_path)
    assert html(published, outputs) == text
    shutil.copytree(outputs, tmp_path / "moved")
    moved = filled.fill("made-up", published.spec, made_up_cases(published.spec, Path("moved")))
    assert html(moved, tmp_path / "moved") == html(moved, Path("moved")) == text
    assert str(outputs) not in text and "/somewhere" not in text


def test_a_folder_is_named_as_seen_from_the_outputs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for start in (tmp_path, Path()):
        for run in (tmp_path, Path()):
            assert relative(run / "outputs" / "scene" / "ant" / "0", start / "outputs") == "scene/ant/0"


def test_the_page_asks_for_nothing(page):
    for element in page.elements:
        for name in ("src", "href", "action", "data"):
            assert element["is"].get(name, "#").startswith(("#", "data:,")), element
    (style,) = page.find("style")
    assert not re.search(r"url\(|@import|@font-face", style["text"])
    (policy,) = [meta["is"]["content"] for meta in page.find("meta") if "http-equiv" in meta["is"]]
    assert policy.startswith("default-src 'none'")
    _, script = page.find("script")
    assert not re.search(r"https?://(?!www\.w3\.org/2000/svg)|fetch\(|XMLHttp|innerHTML", script["text"])


def test_no_name_can_break_the_page(tmp_path, not_compared):
    methods = {
        HOSTILE: ["method=bl"],
        "tc": {"overrides": ["method=tc"], "shown": f"shown {HOSTILE}"},
        "c": [],
    }
    spec = made_up_spec(
        title=HOSTILE, notes=[HOSTILE], axes={"dataset": ["emotions", "scene"], "method": methods}
    )
    labels = made_up_record("", "", "", 0).per_label | {"label": [HOSTILE, "\ud800"]}
    cases = made_up_cases(spec, tmp_path)
    for number, case in enumerate(cases):
        for run in case.runs:
            object.__setattr__(run, "folder", tmp_path / "d" / "m" / f"{number}{run.seed}")
            finish(case, run, per_label=labels, facts={HOSTILE: 1})
    text = html(filled.fill(HOSTILE, spec, cases), tmp_path)
    text.encode()
    page = Parsed(text)
    assert len(page.find("script")) == 2 and not page.find("img")
    assert not any(name.startswith("on") for element in page.elements for name in element["is"])
    assert page.find("h1")[0]["text"] == HOSTILE and page.find("title")[0]["text"] == HOSTILE
    assert {HOSTILE, f"shown {HOSTILE}"} < {th["text"] for th in page.find("th")}
    assert page.data["labels"][0]["labels"] == [HOSTILE, "\ud800"]


# What is drawn from the runs


@pytest.mark.parametrize(
    "content", [None, "", "{", '{"stage": "a", "epoch": 1, "loss": 1.0}\n{"sta', "[1]\n", "\xff"]
)
def test_a_history_that_is_not_whole_is_absent(content, tmp_path):
    path = tmp_path / "history.jsonl"
    if content is not None:
        path.write_text(content, encoding="latin-1")
    assert curves(path) == {}


def test_a_long_history_is_thinned(tmp_path):
    rows = [{"stage": "t", "epoch": n, "loss": 1 / n, "validation_f1": 0.123456789} for n in range(1, 1001)]
    rows += [{"stage": "teacher", "epoch": n, "loss": None, "lr": 0.5} for n in range(1, 4)]
    path = tmp_path / "history.jsonl"
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    found = curves(path)
    assert list(found) == ["t", "teacher"]
    assert {name: len(values) for name, values in found["t"].items()} == dict.fromkeys(
        ("epoch", "loss", "validation_f1"), POINTS
    )
    assert (found["t"]["epoch"][0], found["t"]["epoch"][-1], found["t"]["loss"][-1]) == (1, 1000, 0.001)
    assert found["t"]["epoch"] == sorted(set(found["t"]["epoch"]))
    assert found["teacher"] == {"epoch": [1, 2, 3], "lr": [0.5, 0.5, 0.5]}


def test_thinning_keeps_what_is_short():
    assert thinned(list(range(POINTS))) == list(range(POINTS))
    assert len(thinned(list(range(POINTS + 1)))) == POINTS


def test_labels_are_means_over_the_seeds(page):
    emotions, scene = page.data["labels"]
    assert (emotions["problem"], scene["problem"]) == ("emotions", "scene")
    assert emotions["labels"] == ["calm", "loud"] and emotions["support"] == [10, 3]
    assert [method["name"] for method in emotions["methods"]] == ["bl", "tc", "ant"]
    for method in emotions["methods"]:
        assert (method["f1"], method["runs"]) == ([pytest.approx(0.55), 0.25], 2)


def test_labels_that_differ_are_not_drawn_together(tmp_path, not_compared):
    spec = made_up_spec()
    cases = made_up_cases(spec, tmp_path)
    for case in cases:
        for run in case.runs:
            own = made_up_record("", "", "", 0).per_label | {"label": ["calm", case.method]}
            finish(case, run, **({"per_label": own} if case.dataset == "scene" else {}))
    data = Parsed(html(filled.fill("made-up", spec, cases), tmp_path)).data
    assert [each["problem"] for each in data["labels"]] == ["emotions"]
    assert data["labels_differ"] == ["scene"]


def test_methods_are_compared_where_data_sets_are_enough(published, page):
    sections = page.find("section", class_="comparison")
    assert len(sections) == 2 * len(METRICS) == len(page.find("svg"))
    for section, comparison in zip(sections, [c for view in published.views for c in view.comparisons]):
        words = " ".join(section["text"].split())
        assert f"Friedman’s χ² = {comparison.statistic:.2f}, p = " in words
        assert "3 methods on 2 data sets (emotions, scene)" in words
        (pairs,) = page.find("table", within=section, class_="pairs")
        numbers = [td["text"] for td in page.find("td", within=pairs)][1:]
        assert [text == "" for text in numbers] == [place % 4 == 0 for place in range(9)]
        assert numbers[1].strip("*") == f"{comparison.nemenyi['bl', 'tc']:.3f}".removeprefix("0")
        assert numbers[3].strip("*") == f"{comparison.wilcoxon['bl', 'tc']:.3f}".removeprefix("0")


def test_where_they_are_not_it_says_so(tmp_path):
    layout = {"rows": "method", "columns": "metric"}
    spec = made_up_spec(axes={"dataset": ["emotions"], "method": ["bl", "tc", "ant"]}, layout=layout)
    page = Parsed(html(made_up_table(tmp_path, spec), tmp_path))
    (section,) = page.find("section", class_="statistics")
    assert "Too few data sets are complete" in section["text"] and not page.find("svg")


@pytest.mark.parametrize(
    "layout",
    [
        {"blocks": "metric", "rows": "method", "columns": "dataset"},
        {"blocks": "metric", "rows": "dataset", "columns": "method"},
        {"blocks": "method", "rows": "metric", "columns": "dataset"},
    ],
    ids=lambda layout: " ".join(layout.values()),
)
def test_any_layout_is_a_page(layout, tmp_path, not_compared):
    page = Parsed(html(made_up_table(tmp_path, made_up_spec(layout=layout, scale=100)), tmp_path))
    cells = [cell for cell in page.find("td") if cell["is"].get("data-verdict")]
    assert [cell["is"]["data-verdict"] for cell in cells] == ["not compared"] * 12
    assert len(page.find("b", within=page.find("main")[0])) == (0 if layout["blocks"] == "method" else 4)


def test_a_thousand_records_are_quickly_a_page(tmp_path, not_compared, monkeypatch):
    axes = {"dataset": [f"data-{n}" for n in range(42)], "method": [f"m{n}" for n in range(6)]}
    spec = made_up_spec(axes=axes, seeds=4, variants=[{"title": "halved", "suffix": "_shared_first"}])
    cases = made_up_cases(spec, tmp_path)
    records = {
        run.folder: made_up_record(run.key, case.dataset, case.method, run.seed)
        for case in cases
        for run in case.runs
    }
    monkeypatch.setattr(store, "finished", records.get)
    table = filled.fill("made-up", spec, cases)
    start = time.process_time()
    page = html(table, tmp_path)
    assert time.process_time() - start < 1.5
    assert len(table.records) == 1008 and len(page) < 3e6
