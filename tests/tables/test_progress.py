"""What a plan shows of its runs before it does anything."""

import pytest

from made_up import finish, made_up_cases, made_up_spec, made_up_table
from mlbench.results import store
from mlbench.results.code import code_of
from mlbench.tables.progress import described


@pytest.fixture
def cases(tmp_path):
    return made_up_cases(made_up_spec(), tmp_path)


def test_every_state_has_a_sign_and_a_count(cases):
    first, second, *_ = cases
    finish(first, first.runs[0])
    finish(first, first.runs[1], code="0123456789abcdef")
    second.runs[0].folder.mkdir(parents=True)
    store.fail(second.runs[0].folder, ValueError("too little"))
    with store.claim(second.runs[1].folder):
        lines = list(described(cases))
    assert lines[0].split()[-1] == "✓≠" and lines[1].split()[-1] == "✗▸" and lines[3].split()[-1] == "··"
    assert lines[2].split(maxsplit=1) == ["failed:", "too little"]
    assert lines[-2] == "12 runs: 1 finished, 1 finished (other code), 1 running, 1 failed, 8 missing"
    assert lines[-1].startswith("9 to do, ")


def test_other_code_is_told_of_where_there_is_some(cases):
    run = cases[0].runs[0]
    for case in cases:
        for each in case.runs:
            finish(case, each, code=code_of(run.config))
    assert list(described(cases))[-1] == "12 runs: 12 finished, 0 failed, 0 missing"


@pytest.mark.parametrize(
    ("code", "said"),
    [
        (None, None),
        (lambda run: code_of(run.config), None),
        (lambda run: "0123456789abcdef", "12 of these runs, whose code has changed since"),
    ],
)
def test_a_table_says_how_many_runs_are_of_other_code(code, said, cases, tmp_path):
    changes = {"code": code(cases[0].runs[0])} if code else {}
    assert made_up_table(tmp_path, **changes).header.get("other code") == said


@pytest.mark.parametrize("trained", ["", "alone", "stacked"])
def test_a_table_says_how_many_runs_depend_on_how_they_were_trained(trained, tmp_path):
    said = made_up_table(tmp_path, trained=trained).header.get("last digits")
    assert said == (f"those of 12 runs by being trained {trained}" if trained else None)
