"""The page of a served run in a browser: rows, fields, texts, images, at two widths, in light and dark."""

import base64
import dataclasses
import json

import pytest

from browser import CHROMIUM
from contrast import contrast
from looks import COLOURS

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no chromium to open the page in")

WIDTHS = (1280, 390)
HOSTILE = "</script><img src=x onerror=window.hacked=1>"
ROW = {"wet": 1.5, "cold": -3, "wind": "calm", "side": "lee"}
SHOWN = """[...document.querySelectorAll("#scores tbody tr")].map((row) => [...row.cells].map((cell) =>
  cell.querySelector("[role=img]")?.getAttribute("aria-label") ?? cell.textContent))"""


@pytest.fixture
def opened(visited, serving):
    """opened(("text",), width=390) is the page of a run, in a tab of its own."""
    return lambda *runs, **how: visited(f"http://127.0.0.1:{serving(*runs).port}/", **how)


def text(page, name):
    return page.does(f"document.getElementById({json.dumps(name)}).textContent")


def write(page, name, words):
    page.does(f"document.getElementById({json.dumps(name)}).value = {json.dumps(words)}")


def click(page, name):
    page.does(f"document.getElementById({json.dumps(name)}).click()")


def focused(page):
    return page.does("document.activeElement.id || document.activeElement.getAttribute('aria-label')")


def wait_for_scores(page):
    page.until("document.querySelector('#scores tbody tr')")


def listed(answer, row=0):
    """What the page is to show of an answer: the likeliest label first."""
    likeliest = sorted(zip(answer["scores"][row], answer["labels"], answer["cuts"]), reverse=True)
    return [
        [label, f"{score:.4f}", f"{cut:.4f}", "in the set" if label in answer["sets"][row] else ""]
        for score, label, cut in likeliest
    ]


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("dark", [False, True])
def test_an_example_is_scored_and_all_can_be_read(width, dark, opened, serving):
    page, client = opened(width=width, dark=dark), serving()
    assert page.does("document.title") == text(page, "title") == "erm on train"
    click(page, "example")
    click(page, "score")
    wait_for_scores(page)
    example = client.ask("GET", "/about").json["example"]
    wanted = client.predict(rows=[[float(f"{c:.6g}") if isinstance(c, float) else c for c in example]])
    assert page.does(SHOWN) == listed(wanted)
    assert text(page, "set") == "In the set: " + (", ".join(wanted["sets"][0]) or "none")
    parts = "[...document.querySelectorAll('.bar')].map((bar) => bar.style.getPropertyValue('--part'))"
    assert sorted(map(float, page.does(parts))) == sorted(wanted["scores"][0])
    page.until("!document.getElementById('metrics').hidden")
    assert page.does("document.documentElement.scrollWidth <= innerWidth")
    colours = page.does(COLOURS)
    assert len(colours) > 40 and len({pair[1] for pair in colours}) >= 3
    assert not [(*pair, contrast(*pair[:2])) for pair in colours if contrast(*pair[:2]) < 4.5]
    page.does("document.querySelectorAll('#scores button')[0].click()")
    assert [row[0] for row in page.does(SHOWN)] == ["rain", "snow"], "sorted by name"


def test_lines_that_are_pasted_are_shown_one_by_one(opened, serving, made):
    page, new = opened(), made.weather[50:]
    write(page, "csv", new.assign(note="?").to_csv(index=False))
    click(page, "score")
    wait_for_scores(page)
    wanted = serving().predict(csv=new.to_csv(index=False))
    assert page.does("document.getElementById('row').options.length") == 10
    assert text(page, "about").startswith("Left out, since the run does not know them: note. ")
    for row in (0, 7):
        write(page, "row", str(row))
        page.does("document.getElementById('row').dispatchEvent(new Event('change'))")
        assert page.does(SHOWN) == listed(wanted, row)


def test_fields_are_filled_in_with_keys_alone(opened, serving):
    page = opened(width=390)
    for _ in range(2):  # past nothing else: the first stop is the chosen tab
        page.press("Tab")
        if focused(page) == "way-line":
            break
    assert focused(page) == "way-line"
    page.press("ArrowRight")
    assert focused(page) == "way-fields" and page.does("document.getElementById('line').hidden")
    for place, words in enumerate(("1.5", "-3", "calm", "lee")):
        page.press("Tab")
        assert focused(page) == f"field-{place}"
        if place < 2:
            page.call("Input.insertText", text=words)
        else:
            page.press(words[0])
            if words == "lee":
                page.press(words[1])
    page.press("Enter", modifiers=2)
    wait_for_scores(page)
    assert page.does(SHOWN) == listed(serving().predict(rows=[ROW]))
    assert page.does("document.documentElement.scrollWidth <= innerWidth")


def test_a_mistake_is_said_and_its_field_marked(opened):
    page = opened()
    click(page, "score")
    assert text(page, "failure") == "Paste a line first, or try an example"
    write(page, "csv", "1,2,calm")
    click(page, "score")
    page.until("document.getElementById('failure').textContent.includes('3 cells for 4 columns')")
    assert page.does("document.getElementById('csv').getAttribute('aria-invalid')") == "true"
    click(page, "way-fields")
    assert text(page, "failure") == ""
    write(page, "field-0", "1,5")
    click(page, "score")
    assert text(page, "failure") == "cold is empty" and focused(page) == "field-1"
    for place, words in enumerate(("1,5", "-3", "calm", "lee")):
        write(page, f"field-{place}", words)
    click(page, "score")
    page.until("document.activeElement.id === 'field-0'")
    assert "column 'wet' is 1,5, and a feature is a finite number" in text(page, "failure")
    assert page.does("document.getElementById('failure').getAttribute('role')") == "alert"


def test_metrics_are_there_the_first_of_them_at_once(opened, serving):
    page, told = opened(width=390), serving().ask("GET", "/metrics").json["metrics"]
    page.until("!document.getElementById('metrics').hidden")
    visible = "[...document.querySelectorAll('#metrics-table tbody tr')].filter((row) => !row.hidden)"
    names = f"{visible}.map((row) => row.cells[0].textContent)"
    assert sorted(page.does(names)) == ["f1_macro", "hamming_loss"]
    click(page, "more")
    assert page.does(names) == [row["name"] for row in told]
    first = page.does(f"{visible}[0].innerText")
    low, high = told[0]["interval"]
    assert first.split() == [told[0]["name"], f"{told[0]['values'][0]:.4f}", f"{low:.4f}–{high:.4f}"]
    assert page.does("document.documentElement.scrollWidth <= innerWidth")


def test_nothing_comes_from_anywhere_else(opened):
    page = opened()
    click(page, "example")
    click(page, "score")
    wait_for_scores(page)
    asked = page.does("performance.getEntriesByType('resource').map((each) => each.name)")
    origin = page.does("location.origin")
    assert asked and all(name.startswith(f"{origin}/") for name in asked)


def test_names_are_text_wherever_they_stand(visited, serving, trained):
    """Of labels, columns, words, data sets: a model.pt may come from anybody."""
    from mlbench.data.schema import Schema
    from mlbench.predict import Ensemble, Trained

    run, client = Trained.of_run(trained()), serving(trained("seed=5"))
    words = {HOSTILE: run.schema.values["wind"], "side": ("lee", HOSTILE)}
    columns = ["wet", "cold", *(f"{HOSTILE}={word}" for word in words[HOSTILE]), f"side={HOSTILE}"]
    schema = Schema(tuple(columns), (HOSTILE, "snow"), words)
    hostile = dataclasses.replace(run, schema=schema, dataset=HOSTILE, citation=HOSTILE)
    client.server.ensemble = Ensemble.of([hostile])
    page = visited(f"http://127.0.0.1:{client.port}/", width=390)
    click(page, "way-fields")
    for place, value in enumerate(("1", "2", "calm", HOSTILE)):
        write(page, f"field-{place}", value)
    click(page, "score")
    wait_for_scores(page)
    assert {row[0] for row in page.does(SHOWN)} == {HOSTILE, "snow"}
    assert HOSTILE in text(page, "facts") and text(page, "title") == f"erm on {HOSTILE}"
    assert page.does("document.images.length") == 0
    assert page.does("document.documentElement.scrollWidth <= innerWidth")


def test_a_text_is_scored(opened, serving, made):
    page = opened(("text",), width=390)
    assert page.does("['line', 'image'].map((name) => document.getElementById(name).hidden)") == [True, True]
    write(page, "words", made.drawings[6]["title"])
    click(page, "score")
    wait_for_scores(page)
    assert page.does(SHOWN) == listed(serving(("text",)).predict(texts=[made.drawings[6]["title"]]))


@pytest.mark.parametrize("how", ["chosen", "dropped"])
def test_an_image_is_scored_as_soon_as_it_is_there(how, opened, serving, made, tmp_path):
    page, data = opened(("image",)), made.pictures["7.png"]
    coded = base64.b64encode(data).decode()
    if how == "chosen":
        (tmp_path / "7.png").write_bytes(data)
        page.choose_file("#file", tmp_path / "7.png")
    else:
        page.does(
            f"""{{
              const bytes = Uint8Array.from(atob("{coded}"), (letter) => letter.charCodeAt(0));
              const dataTransfer = new DataTransfer();
              dataTransfer.items.add(new File([bytes], "7.png", {{ type: "image/png" }}));
              const drop = new DragEvent("drop", {{ dataTransfer, cancelable: true }});
              document.getElementById("drop").dispatchEvent(drop);
            }}"""
        )
    wait_for_scores(page)
    assert page.does(SHOWN) == listed(serving(("image",)).predict(images=[coded]))
    page.until("document.querySelector('#shown img').complete")
    assert page.does("[document.images[0].alt, document.images[0].naturalWidth]") == ["7.png", 20]


def test_images_that_cannot_be_are_said(opened, tmp_path):
    page = opened(("image",))
    (tmp_path / "none.png").write_bytes(b"none")
    page.choose_file("#file", tmp_path / "none.png")
    page.until("document.getElementById('failure').textContent.includes('cannot be decoded')")
    (tmp_path / "large.png").write_bytes(bytes(13 * 2**20))
    page.choose_file("#file", tmp_path / "large.png")
    page.until("document.getElementById('failure').textContent.includes('larger')")
    assert text(page, "failure") == "large.png is larger than the 12 MB that are taken"


def test_a_text_and_an_image_go_together(opened, serving, made, tmp_path):
    page, drawing = opened(("both",)), made.drawings[7]
    data = made.pictures[drawing["file"]]
    write(page, "words", drawing["title"])
    click(page, "score")
    assert text(page, "failure") == "Drop an image first"
    (tmp_path / "7.png").write_bytes(data)
    page.choose_file("#file", tmp_path / "7.png")
    page.until("document.querySelector('#shown img')")
    click(page, "score")
    wait_for_scores(page)
    coded = base64.b64encode(data).decode()
    assert page.does(SHOWN) == listed(serving(("both",)).predict(texts=[drawing["title"]], images=[coded]))


def test_where_the_server_has_gone_the_page_says_so(opened):
    page = opened()
    page.call("Network.enable")
    gone = {"offline": True, "latency": 0, "downloadThroughput": -1, "uploadThroughput": -1}
    page.call("Network.emulateNetworkConditions", **gone)
    click(page, "example")
    click(page, "score")
    page.until("document.getElementById('failure').textContent.startsWith('there is no answer')")


def test_several_runs_are_named(opened, serving):
    page = opened(("seed=1",), ("seed=2", "backbone=linear"), width=390)
    page.until("!document.getElementById('metrics').hidden")
    assert "mean of2 runs" in text(page, "facts") and "seed1, 2" in text(page, "facts")
    assert text(page, "metrics-about") == "What each run measured by itself."
    assert page.does("document.documentElement.scrollWidth <= innerWidth")
