"""scripts/report.py: all records as one page, whatever else lies beside them."""

import itertools
import json
import math
import re
import time
from html.parser import HTMLParser

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from made_up import made_up_record
from mlbench.commands.report import main
from mlbench.compose import configure
from mlbench.tables.report import _rounded, _significant, content, directions, report

HOSTILE = '</script><img src=x onerror="alert(1)">'


@given(st.lists(st.none() | st.floats()))
def test_a_row_is_rounded_as_its_numbers_are(values):
    assert _rounded(values) == [_significant(value) for value in values]


@pytest.fixture
def put_record(tmp_path):
    """put_record("scene", "ant", seed=1) leaves a record; its path as seen from the outputs."""

    def put_record(dataset="scene", method="ant", seed=0, **changes):
        key = changes.get("key", f"{seed:016x}")
        path = tmp_path / dataset / method / key / "record.json"
        path.parent.mkdir(parents=True)
        made_up_record(key, dataset, method, seed, **changes).write(path)
        return path.relative_to(tmp_path).as_posix()

    return put_record


class Scripts(HTMLParser):
    """The text of every script of a page."""

    def __init__(self, page):
        super().__init__()
        self.tags, self.scripts = [], []
        self.feed(page)

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))

    def handle_data(self, data):
        if self.tags and self.tags[-1][0] == "script" and data.strip():
            self.scripts.append(data)


def drawn_from(path):
    return json.loads(Scripts(path.read_text()).scripts[0])


def records_of(*records):
    return {f"{number}/record.json": record for number, record in enumerate(records)}


def test_writes_a_page_beside_the_runs_and_says_where(put_record, tmp_path, capsys):
    paths = [put_record("scene", method, seed) for method in ("ant", "bl") for seed in (1, 0)]
    assert main([f"paths.outputs={tmp_path}"]) == 0
    page = tmp_path / "report.html"
    assert capsys.readouterr() == (f"{page}\n", "")
    data = drawn_from(page)
    assert {run["record"] for run in data["runs"]} == set(paths)
    assert all((tmp_path / run["record"]).is_file() for run in data["runs"])
    assert data["metrics"]["f1_macro"] == "high" and data["metrics"]["hamming_loss"] == "low"
    names = list(data["metrics"])
    for run in data["runs"]:
        group = data["groups"][run["group"]]
        record = made_up_record(run["key"], group["dataset"], group["method"], run["seed"])
        assert dict(zip(names, run["values"])) == pytest.approx(record.metrics["last"], abs=1e-6)
        assert run["seconds"] == 2.5 + run["seed"]
        assert (group["loss"], group["split"], group["rule"]) == ("bce", "holdout", "last")
    assert [(run["group"], run["seed"]) for run in data["runs"]] == [(0, 0), (0, 1), (1, 0), (1, 1)]
    assert data["facts"]["runs"] == "4" and data["facts"]["dates"] == "2026-01-02"


def test_the_same_bytes_every_time_and_nothing_from_elsewhere(put_record, tmp_path, monkeypatch, capsys):
    put_record()
    assert main([f"paths.outputs={tmp_path}"]) == 0
    page = (tmp_path / "report.html").read_text()
    (tmp_path / "outputs").symlink_to(tmp_path)
    monkeypatch.chdir(tmp_path)
    assert main([]) == 0 and capsys.readouterr().out.endswith("outputs/report.html\n")
    assert (tmp_path / "report.html").read_text() == page
    assert str(tmp_path) not in page and "/somewhere" not in page
    for _, attributes in Scripts(page).tags:
        assert attributes.get("src", attributes.get("href", "data:,")).startswith("data:,")
    assert not re.search(r"https?://(?!www\.w3\.org/2000/svg)", page)


def test_a_record_that_cannot_be_read_is_named_and_left_out(put_record, tmp_path, capsys):
    good, bad = put_record(seed=0), put_record(seed=1)
    (tmp_path / bad).write_text("half of")
    assert main([f"paths.outputs={tmp_path}"]) == 0
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"mlbench: {tmp_path / bad} is not a record")
    assert [run["record"] for run in drawn_from(tmp_path / "report.html")["runs"]] == [good]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["paths.outputs={}"], "{}: no finished runs; python run.py makes one"),
        (["paths.outputs={}/nowhere"], "{}/nowhere: no finished runs"),
        (
            ["paths.output=x"],
            "paths.output: no such key; there are paths.outputs, map; did you mean paths.outputs?",
        ),
        (["scene"], "scene: write paths.outputs=scene; --help lists the keys"),
    ],
)
def test_what_a_person_must_mend_is_one_line_and_status_2(arguments, words, tmp_path, capsys):
    assert main([argument.format(tmp_path) for argument in arguments]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"mlbench: {words.format(tmp_path)}")
    assert not (tmp_path / "report.html").exists()


def test_a_page_that_cannot_be_written_is_one_line(put_record, tmp_path, capsys):
    put_record()
    (tmp_path / "report.html").mkdir()
    assert main([f"paths.outputs={tmp_path}"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"mlbench: {tmp_path}/report.html: ")
    assert not list(tmp_path.glob("*.tmp"))


def test_help_says_what_it_takes(capsys):
    assert main(["--help"]) == 0
    assert "[paths.outputs=outputs]" in capsys.readouterr().out


# What the page draws


def test_a_metric_with_a_suffix_goes_the_way_of_its_stem():
    names = ["f1_macro", "hamming_loss_oracle", "subset_loss_shared_first", "precision_at_1", "mood"]
    assert directions(names) == (
        {
            "f1_macro": "high",
            "hamming_loss_oracle": "low",
            "subset_loss_shared_first": "low",
            "precision_at_1": "high",
        },
        ["mood"],
    )


def test_the_rule_that_a_run_shows_is_the_one_that_counts():
    both = {"last": {"f1_macro": 0.5}, "best": {"f1_macro": 0.75}, "oracle": {"f1_macro": 0.9}}
    records = [made_up_record("a", "scene", "ant", 0, metrics=both, rule=rule) for rule in both]
    data = content(records_of(*records))
    assert [run["values"] for run in data["runs"]] == [[0.5], [0.75], [0.9]]
    assert [group["rule"] for group in data["groups"]] == list(both)
    assert [group["rivals"] for group in data["groups"]] == [0, 1, 2]


def changed(path, value, seed=0, **more):
    """A record whose configuration differs in one place."""
    record = made_up_record("a", "scene", "ant", seed, **more)
    *groups, last = path.split(".")
    node = record.config
    for group in groups:
        node = node[group]
    node[last] = value
    return record


def test_runs_count_as_one_where_only_the_seed_and_the_machine_differ():
    records = [
        changed("paths.cache", "/x", 0),
        changed("train.threads", 8, 1),
        changed("method.overlap", 0.5, 2),
    ]
    data = content(records_of(*records))
    assert [run["group"] for run in data["runs"]] == [0, 0, 1]
    assert [group["more"] for group in data["groups"]] == ["", "method.overlap=0.5"]
    assert [group["rivals"] for group in data["groups"]] == [0, 0]


def folded(seed, fold, value, folds=10, **more):
    metrics = {"last": {"f1_macro": value, "hamming_loss": 1 - value}}
    split = {"_target_": "a.KFold", "folds": folds, "fold": fold}
    record = made_up_record("a", "scene", "ant", seed, metrics=metrics, **more)
    record.config["split"] = split
    return record


def test_ten_folds_are_one_result():
    values = {(seed, fold): 0.3 + 0.02 * fold + 0.1 * seed for seed in (0, 1) for fold in range(10)}
    data = content(records_of(*(folded(*place, value) for place, value in values.items())))
    (group,) = data["groups"]
    assert (group["count"], group["more"]) == ("2 seeds × 10 folds", "")
    f1, _ = group["results"]
    assert f1["mean"] == pytest.approx(0.44) and (f1["over"], f1["runs"]) == ("seeds", 20)
    assert f1["std"] == pytest.approx(0.1 / math.sqrt(2), abs=1e-6)  # of .39 and .49
    assert [(run["seed"], run["fold"]) for run in data["runs"]] == sorted(values)


def test_the_folds_of_one_seed_deviate_among_themselves():
    (group,) = content(records_of(folded(0, 0, 0.25, folds=2), folded(0, 1, 0.5, folds=2)))["groups"]
    assert group["count"] == "1 seed × 2 folds"
    assert group["results"][0] == {"mean": 0.375, "std": 0.176777, "over": "folds", "runs": 2}


def test_folds_that_are_missing_are_said():
    there = [folded(seed, fold, 0.5) for seed, fold in [(0, 0), (0, 7), (1, 0)]]
    (group,) = content(records_of(*there))["groups"]
    assert group["count"] == "2 seeds × 10 folds, 3 of 20 runs"
    assert (group["runs"], group["planned"]) == (3, 20)


def test_a_run_that_is_there_twice_counts_once():
    """As one is that was made again under a newer key."""
    days = {"2026-01-01": 0.1, "2026-01-03": 0.5, "2026-01-02": 0.9}
    records = [folded(0, 0, value, folds=2, finished=f"{day}T00:00:00+00:00") for day, value in days.items()]
    (group,) = content(records_of(*records, folded(0, 1, 0.7, folds=2)))["groups"]
    assert group["count"] == "1 seed × 2 folds" and group["results"][0]["mean"] == pytest.approx(0.6)


def test_what_a_method_does_not_take_parts_no_older_records():
    """br once was there with each loss and number of epochs that its command line named."""
    records = []
    for seed, words in enumerate(["loss=focal", "train.epochs=5", "backbone=linear"]):
        config = configure(["method=br", words])
        about = {"config": config.model_dump(mode="json"), "choices": config.choices}
        records.append(made_up_record("a", "multidigits", "br", seed, **about))
    (group,) = content(records_of(*records))["groups"]
    assert (group["loss"], group["backbone"], group["more"], group["count"]) == ("–", "–", "", "3 seeds")


def test_another_split_is_another_competition():
    records = [changed("split.test", share) for share in (0.2, 0.3)]
    data = content(records_of(*records))
    assert [group["more"] for group in data["groups"]] == ["split.test=0.2", "split.test=0.3"]
    assert [group["rivals"] for group in data["groups"]] == [0, 1]


def test_files_of_ones_own_are_data_sets_called_after_them():
    """Methods are compared over them: a path does not part the same method on two files."""
    records = []
    for file, method in itertools.product(("rain.csv", "my data/snow.csv.gz"), ("prior", "mlknn")):
        config = {"dataset": {"path": file}, "method": {"k": 10} if method == "mlknn" else {}}
        about = {"config": config, "data": {"name": None, "files": {"all": file}}}
        records.append(made_up_record("a", "csv", method, 0, **about))
    groups = content(records_of(*records))["groups"]
    assert [group["dataset"] for group in groups] == ["rain", "rain", "snow", "snow"]
    assert [group["rivals"] for group in groups] == [0, 0, 1, 1]
    assert {group["more"] for group in groups if group["method"] == "prior"} == {""}


def test_a_number_that_is_undefined_or_not_there_is_null():
    nan, none = {"last": {"f1_macro": float("nan"), "hamming_loss": 1 / 3}}, {"last": {}}
    data = content(
        records_of(*(made_up_record("a", "scene", "ant", 0, metrics=each) for each in (nan, none)))
    )
    assert [run["values"] for run in data["runs"]] == [[None, 0.333333], [None, None]]


def test_no_name_can_break_the_report():
    record = made_up_record(HOSTILE, HOSTILE, HOSTILE, 0)
    page = report(content({f"a b/{HOSTILE}/record.json": record}))
    tags = Scripts(page).tags
    assert [tag for tag, _ in tags].count("script") == 2 and "img" not in dict(tags)
    data = json.loads(Scripts(page).scripts[0])
    assert data["groups"][0]["method"] == HOSTILE
    assert data["runs"][0]["record"].startswith("a%20b/%3C/script%3E%3Cimg%20")


def test_a_thousand_records_are_quickly_a_report(tmp_path, capsys):
    text = json.dumps(vars(made_up_record("k" * 16, "scene", "ant", 0)))
    for seed in range(1000):
        path = tmp_path / "scene" / "ant" / f"{seed:016x}" / "record.json"
        path.parent.mkdir(parents=True)
        path.write_text(text.replace('"seed": 0', f'"seed": {seed}'))
    start = time.process_time()
    assert main([f"paths.outputs={tmp_path}"]) == 0
    assert time.process_time() - start < 3
    data = drawn_from(tmp_path / "report.html")
    assert len(data["runs"]) == 1000 and len(data["groups"]) == 1
    assert (tmp_path / "report.html").stat().st_size < 1e6


def test_runs_that_keep_embeddings_are_maps_of_the_first_run_of_each_result(put_record, tmp_path, capsys):
    def keep(path, rows):
        draws = np.random.default_rng(0)
        arrays = {
            "embeddings": draws.normal(size=(rows, 4)),
            "ids": np.arange(rows) * 2,
            "labels": ["a", "b"],
        }
        np.savez(tmp_path / path.replace("record.json", "embeddings.npz"), targets=np.eye(rows, 2), **arrays)

    for seed in (0, 1, 2):
        path = put_record("scene", "erm", seed)
        if seed:
            keep(path, 5 + seed)
    broken = put_record("scene", "bl").replace("record.json", "embeddings.npz")
    (tmp_path / broken).write_bytes(b"half of a file")
    for words, how in ([], "principal components"), (["map=tsne"], "t-SNE"):
        assert main([f"paths.outputs={tmp_path}", *words]) == 0
        said = capsys.readouterr().err
        assert said.count("\n") == 1 and f"{broken} holds no embeddings" in said
        drawn = drawn_from(tmp_path / "report.html")
        (found,) = drawn["maps"]
        assert drawn["groups"][found["group"]]["method"] == "erm" and (found["seed"], found["rows"]) == (1, 6)
        assert found["how"] == how and len(found["places"]) == 6 and found["ids"] == [0, 2, 4, 6, 8, 10]
        assert found["carried"] == [[0], [1], [], [], [], []] and found["labels"] == ["a", "b"]
    assert main([f"paths.outputs={tmp_path}", "map=tsna"]) == 2
    assert "map=tsna: should be one of pca, tsne; did you mean tsne?" in capsys.readouterr().err
