"""Runs of the committed board, made once more."""

import dataclasses
import os

import pytest

from mlbench.board import content
from mlbench.board.again import again
from mlbench.commands.board import main
from mlbench.errors import UserError

pytestmark = pytest.mark.skipif("MLBENCH_DATA" not in os.environ, reason="emotions lies in MLBENCH_DATA")


def board(change=lambda records: records):
    """Binary relevance on emotions alone, as the board has it but for a change."""
    known = content.read(content.own_folder())
    records = known.records[(known.records["dataset"] == "emotions") & (known.records["method"] == "br")]
    return dataclasses.replace(known, records=change(records.copy()))


@pytest.fixture(scope="module")
def outputs(tmp_path_factory):
    return tmp_path_factory.mktemp("again")


def test_runs_come_out_as_the_board_shows_them(outputs):
    found = [*again(board(), 2, 0, outputs)]
    assert [(each.dataset, each.method) for each in found] == [("emotions", "br")] * 2
    assert len({each.split for each in found}) == 2
    assert all(each.apart < 1e-6 for each in found)


def test_a_number_that_is_another_is_named(outputs):
    def tampered(records):
        records["brier"] += 0.25
        return records

    (found,) = again(board(tampered), 1, 0, outputs)
    assert found.metric == "brier" and found.apart == pytest.approx(0.25, abs=1e-6)


def test_a_method_that_is_not_the_boards_is_not_drawn(outputs):
    def own(records):
        records.loc[records["split"] > 0, "method"] = "mine"
        return records

    assert [each.split for each in again(board(own), 1, 0, outputs)] == [0]
    with pytest.raises(UserError, match="count=2: the board has 1 finished runs"):
        next(again(board(own), 2, 0, outputs))


def test_a_run_of_another_key_is_not_compared(outputs):
    def elsewhere(records):
        records["key"] = "0" * 16
        return records

    with pytest.raises(
        UserError, match=r"emotions, br, split .: what the board shows was another experiment"
    ):
        next(again(board(elsewhere), 1, 0, outputs))


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("again count=0", "finished runs to draw from"),
        ("again count=a", "count=a: a whole number"),
        ("again methods=br", "methods: no such key"),
    ],
)
def test_a_wrong_word_is_a_line(words, said, capsys):
    assert main(words.split()) == 2
    printed = capsys.readouterr()
    assert said in printed.err and printed.err.count("\n") == 1
