"""record.json with wrong types: refused in a sentence, or read by everything that reads records."""

import copy
import json
from dataclasses import asdict

import pytest

from made_up import finish, made_up_cases, made_up_record, made_up_spec
from mlbench.errors import UserError
from mlbench.results import store
from mlbench.tables.progress import described
from mlbench.tables.render import comma
from mlbench.tables.render.html import html
from mlbench.tables.render.latex import latex
from mlbench.tables.render.markdown import markdown
from mlbench.tables.report import content, report
from mlbench.tables.table import fill

WRONG = (None, 5, "x", [], [1, "x", None], {"a": 5}, 10**400)


def nodes(tree, depth=3, path=()):
    """Every place of a tree, to some depth."""
    for key, value in tree.items() if isinstance(tree, dict) else enumerate(tree):
        yield (*path, key)
        if depth > 1 and isinstance(value, dict | list):
            yield from nodes(value, depth - 1, (*path, key))


PLACES = list(nodes(json.loads(json.dumps(asdict(made_up_record("k" * 16, "scene", "bl", 0))))))


def replaced(tree, path, value):
    tree = copy.deepcopy(tree)
    node = tree
    for key in path[:-1]:
        node = node[key]
    node[path[-1]] = value
    return tree


@pytest.fixture
def case(tmp_path):
    """One case of two runs of a table that compares nothing."""
    spec = made_up_spec(
        axes={"dataset": ["scene"], "method": ["bl"]}, layout={"rows": "dataset", "columns": "metric"}
    )
    (case,) = made_up_cases(spec, tmp_path)
    for run in case.runs:
        finish(case, run)
    return spec, case


@pytest.mark.parametrize("path", PLACES, ids=lambda path: ".".join(map(str, path)))
def test_a_wrong_type_is_refused_or_does_no_harm(path, case, tmp_path, capsys):
    spec, case = case
    record = case.runs[0].folder / "record.json"
    whole = json.loads(record.read_text())
    for value in WRONG:
        record.write_text(json.dumps(replaced(whole, path, value)))
        try:
            found = store.finished(record.parent)
        except UserError as error:
            assert str(error).startswith(f"{record} is not a record (") and "\n" not in str(error)
            assert len(str(error)) < 400 and case.runs[0].state == "missing"
            continue
        assert case.runs[0].state == "finished"
        table = fill("made-up", spec, [case])
        for render in (markdown, latex, comma.cells, comma.wide, comma.runs):
            assert render(table)
        assert html(table, tmp_path) and list(described([case]))
        assert report(content({"a/record.json": found})) and len(store.records(tmp_path)) == 2


@pytest.mark.parametrize(
    ("path", "value", "said"),
    [
        (("metrics", "last", "f1_macro"), "high", "metrics.last.f1_macro: Input should be a valid number"),
        (("seed",), "0", "seed: Input should be a valid integer"),
        (("rule",), "best", "metrics has no best, which is the rule to show"),
        (("started",), "2026-01-02T03:04:00", "started: has no time zone"),
        (("per_label", "f1"), [0.5], "per_label has columns of different lengths"),
        (("mood",), "good", "mood: Extra inputs are not permitted"),
    ],
    ids=lambda given: ".".join(given) if isinstance(given, tuple) else None,
)
def test_what_is_wrong_is_said(path, value, said, case):
    _, case = case
    record = case.runs[0].folder / "record.json"
    record.write_text(json.dumps(replaced(json.loads(record.read_text()), path, value)))
    with pytest.raises(UserError) as error:
        store.finished(record.parent)
    assert f"({said}" in str(error.value)


def test_a_tower_of_brackets_is_no_record(case):
    _, case = case
    (case.runs[0].folder / "record.json").write_text("[" * 10**5)
    assert case.runs[0].state == "missing"
