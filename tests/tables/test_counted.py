"""Tables of data sets, counted anew: by hand on small data, and on the data sets that papers use."""

import csv
import io
import os
from collections import Counter

import numpy as np
import pytest

from mlbench import compose
from mlbench.data import sources
from mlbench.data.multidigits import make
from mlbench.tables import counted as module
from mlbench.tables import published, spec
from mlbench.tables.counted import Counted, count
from mlbench.tables.render.counted_markdown import csv as as_csv
from mlbench.tables.render.counted_markdown import markdown

# Eight rows of three features in two modalities and three labels; the last three are the test part.
TARGETS = ["100", "110", "111", "000", "100", "011", "011", "010"]
PRINTED = {
    "n_instances": "8",
    "n_features": "3",
    "n_labels": "3",
    "n_label_sets": "6",
    "avg_labels": "1.5",
    "n_modalities": "2",
    "modality_dims": "2;1",
    "domain": "media",
}
PARTS = {"n_train": "5", "n_val": "0", "n_test": "3", "avg_labels_train": "1.4", "avg_labels_test": "1.7"}
FILES = {"whole": {"all": slice(None)}, "parts": {"train": slice(5), "test": slice(5, 8)}}

DESCRIPTION = """# A made-up data set for a test
_target_: mlbench.data.datasets.Files
name: {name}
files: {files}
reader: mlbench.data.formats.npz.read
modalities: {{first: [0, 1], second: [2, 2]}}
scaling: none
"""


@pytest.fixture
def made_up(tmp_path, monkeypatch):
    """Data sets `whole` and `parts`, with files in MLBENCH_DATA, and `gone`, whose file is on the network."""
    targets = np.array([[int(bit) for bit in row] for row in TARGETS], np.uint8)
    described = tmp_path / "conf" / "dataset"
    described.mkdir(parents=True)
    for name, parts in FILES.items():
        folder = tmp_path / "data" / name
        folder.mkdir(parents=True)
        for role, rows in parts.items():
            np.savez(
                folder / f"{role}.npz", features=np.ones((8, 3), np.float32)[rows], targets=targets[rows]
            )
        files = {role: {"name": f"{role}.npz"} for role in parts}
        (described / f"{name}.yaml").write_text(DESCRIPTION.format(name=name, files=files))
    away = {"all": {"name": "all.npz", "sha256": "0" * 64, "urls": ["http://localhost:9/all.npz"]}}
    (described / "gone.yaml").write_text(DESCRIPTION.format(name="gone", files=away))
    monkeypatch.setenv("MLBENCH_DATA", str(tmp_path / "data"))
    for place in (compose, module):
        monkeypatch.setattr(place, "config_dir", lambda: tmp_path / "conf")
    monkeypatch.setattr(sources, "download", lambda *_, **__: pytest.fail("downloads"))
    return tmp_path


def table_of(monkeypatch, tmp_path, printed, **datasets):
    """The same printed statistics for each of the data sets."""
    lines = [(name, *statistic) for name in datasets for statistic in printed.items()]
    (tmp_path / "printed").mkdir()
    with (tmp_path / "printed" / "table.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("dataset", "statistic", "value"), *lines])
    monkeypatch.setattr(published, "FOLDER", tmp_path)
    content = {
        "title": "Made up",
        "published": "printed/table",
        "datasets": datasets,
        "notes": ["It is odd."],
    }
    return spec.checked(content, "made/up")


def found_in(cells, dataset):
    return {cell.statistic: cell for cell in cells if cell.dataset == dataset}


def test_statistics_counted_by_hand(made_up, monkeypatch):
    table = table_of(monkeypatch, made_up, PRINTED | PARTS, a="whole", b="parts", c="gone", d=None)
    cells = count(table, made_up / "cache")
    assert [(cell.dataset, cell.statistic) for cell in cells] == [
        (d, s) for d in "abcd" for s in PRINTED | PARTS
    ]
    whole, parts = found_in(cells, "a"), found_in(cells, "b")
    for found in (whole, parts):
        agree = {statistic for statistic in PRINTED if found[statistic].verdict == "agrees"}
        assert set(PRINTED) - agree == {"domain"}
        assert (found["domain"].verdict, found["domain"].reason) == ("not run", "not countable")
    assert {whole[statistic].reason for statistic in PARTS} == {"no such official part"}
    assert [parts[statistic].verdict for statistic in PARTS] == ["agrees", "not run", *["agrees"] * 3]
    assert parts["avg_labels_test"].ours == 5 / 3 and parts["n_val"].reason == "no such official part"
    for dataset in "cd":
        found = found_in(cells, dataset)
        assert {cell.reason for name, cell in found.items() if name != "domain"} == {"data"}
        assert all(cell.ours is None and not cell.files for cell in found.values())
        assert found["domain"].reason == "not countable"
    assert set(parts["n_test"].files) == {"train", "test"} and len(parts["n_test"].files["test"]) == 64


def test_labels_alone_have_no_features(made_up, monkeypatch):
    path = made_up / "data" / "whole" / "all.npz"
    targets = np.load(path)["targets"]
    np.savez(path, features=np.ones((8, 0), np.float32), targets=targets)
    description = made_up / "conf" / "dataset" / "whole.yaml"
    description.write_text(description.read_text().replace("modalities:", "notes: none\n#"))
    cells = found_in(count(table_of(monkeypatch, made_up, PRINTED, a="whole"), made_up / "cache"), "a")
    assert {cells[name].reason for name in ("n_features", "n_modalities", "modality_dims")} == {"data"}
    assert cells["avg_labels"].verdict == cells["n_labels"].verdict == "agrees"


def test_the_embedded_data_set(tmp_path, monkeypatch):
    """Without a file, with an official split and four modalities."""
    targets = make()[1].tolist()
    sets = {tuple(row) for row in targets}
    average = sum(map(sum, targets)) / len(targets)
    printed = {
        "n_instances": "2400",
        "n_train": "1600",
        "n_test": "801",
        "n_features": "256",
        "n_labels": "10",
    }
    printed |= {
        "n_label_sets": str(len(sets)),
        "avg_labels": f"{average:.3f}",
        "modality_dims": "64;64;64;64",
    }
    table = table_of(monkeypatch, tmp_path, printed, digits="multidigits")
    cells = count(table, tmp_path)
    assert {cell.statistic for cell in cells if cell.verdict == "differs"} == {"n_test"}
    assert "- multidigits: made on the spot" in markdown("made/up", table, cells)


@pytest.mark.parametrize(
    ("ours", "printed", "rounded"),
    [
        (593, "593", "593"),
        (1.865, "1.87", "1.87"),
        (1.8649999, "1.87", "1.86"),
        (2.25, "2.3", "2.3"),
        (2.5, "3", "3"),
        (2.9, "2.90", "2.90"),
        (12.0, "12.00", "12.00"),
        ("2;1", "2;1", "2;1"),
        ("2;1", "1;2", "2;1"),
        (None, "media", None),
    ],
)
def test_ours_is_rounded_as_theirs_is_printed(ours, printed, rounded):
    cell = Counted("scene", "scene", "avg_labels", printed, ours)
    assert cell.rounded == rounded
    assert cell.verdict == ("not run" if ours is None else "agrees" if rounded == printed else "differs")


def test_written(made_up, monkeypatch):
    printed = {"n_instances": "8", "avg_labels": "1.47", "domain": "media"}
    table = table_of(monkeypatch, made_up, printed, a="whole", parts="parts", d=None)
    cells = count(table, made_up / "cache")
    text = markdown("made/up", table, cells)
    assert text.startswith("# Made up\n\n`python scripts/reproduce.py table=made/up`\n\n")
    assert "4 of 9 statistics counted: 2 agree, 2 differ." in text
    assert "| data set | n instances | avg labels | domain |\n| --- | --- | --- | --- |\n" in text
    assert "| **a, as whole** | 8 | 1.50 (1.47) | (media) not countable |" in text
    assert "| **parts** | 8 | 1.50 (1.47) | (media) not countable |" in text
    assert "| **d** | (8) data | (1.47) data | (media) not countable |" in text
    short = {role: checksum[:12] for role, checksum in found_in(cells, "parts")["n_instances"].files.items()}
    assert f"- parts: train `{short['train']}`, test `{short['test']}`" in text
    assert text.endswith("## Notes\n\n- It is odd.\n")
    lines = list(csv.DictReader(io.StringIO(as_csv(cells))))
    assert len(lines) == 9 and lines[1] == {
        "dataset": "a",
        "source": "whole",
        "statistic": "avg_labels",
        "published": "1.47",
        "ours": "1.5",
        "verdict": "differs",
        "reason": "",
    }
    again = count(table, made_up / "cache")
    assert (markdown("made/up", table, again), as_csv(again)) == (text, as_csv(cells))


# The data sets of the papers

real = pytest.mark.skipif(not os.environ.get("MLBENCH_DATA"), reason="MLBENCH_DATA names no folder with data")
# Smaller in the paper than in Mulan's files, and so are other averages.
DIFFERENT = {
    ("delicious", "n_train"): ("12886", "12920"),
    ("delicious", "n_test"): ("3181", "3185"),
    ("delicious", "avg_labels_train"): ("19.07", "19.05"),
    ("delicious", "avg_labels_test"): ("18.94", "18.91"),
    ("scene", "n_train"): ("1210", "1211"),
    ("scene", "n_test"): ("1195", "1196"),
}


@pytest.mark.real
@real
@pytest.mark.parametrize(
    ("name", "different"),
    [
        ("ant/1", {}),
        ("mulsupcon_ld/1", DIFFERENT),
        ("sigmoid_f1/8", {("cancer_hallmarks", "avg_labels"): ("3.5", "2.0")}),
    ],
)
def test_data_sets_of_the_papers_agree_but_where_it_is_known(name, different, cache):
    cells = count(spec.read(name), cache)
    found = {
        (cell.dataset, cell.statistic): (cell.printed, cell.rounded)
        for cell in cells
        if cell.verdict == "differs"
    }
    here = {cell.dataset for cell in cells if cell.ours is not None}
    assert found == {key: values for key, values in different.items() if key[0] in here}
    reasons = {cell.reason for cell in cells if cell.dataset in here and cell.ours is None}
    assert reasons <= {"not countable", "no such official part"}
    assert "bookmarks" not in here or found_in(cells, "bookmarks")["n_labels"].verdict == "agrees"


@pytest.mark.parametrize("name", ["flem/1", "m3la/1", "sigmoid_f1/2"])
def test_papers_of_which_no_data_set_is_here(name, tmp_path):
    cells = count(spec.read(name), tmp_path)
    assert Counter(cell.verdict for cell in cells) == {"not run": len(cells)}
    assert {cell.reason for cell in cells} <= {"data", "not countable"}
