"""Where no terminal shows a bar: how far a fit is, in a line now and then."""

import re

import pytest

from mlbench.engine import many, progress

LINE = r"label( ×3)? · epoch (\d)/3 · loss (-|\d\.\d{4}) · (time left unknown|\d:\d\d:\d\d left)"


@pytest.fixture
def often(monkeypatch):
    monkeypatch.setattr(progress, "SECONDS", 0)


def told(text):
    lines = [re.fullmatch(LINE, line) for line in text.splitlines()]
    assert lines and all(lines), text
    return lines


@pytest.mark.usefixtures("often")
def test_a_fit_tells_epoch_loss_and_the_time_left(problem, capsys):
    """57 batches an epoch, two chunks."""
    outcome = problem.fit(problem.erm(), problem.vectors(226), epochs=3, batch_size=4)
    lines = told(capsys.readouterr().err)
    assert [line[2] for line in lines] == ["1", "2", "2", "3", "3", "3"]  # after each chunk
    losses = [f"{row['loss']:.4f}" for row in outcome.history]
    assert [line[3] for line in lines] == ["-", losses[0], losses[0], losses[1], losses[1], losses[2]]
    assert lines[-1][4] == "0:00:00 left" and not any(line[1] for line in lines)


@pytest.mark.usefixtures("often")
def test_a_stack_tells_it_once_for_all(jobs, capsys):
    asked = jobs("stack", epochs=3)
    many.fit_together(asked)
    lines = told(capsys.readouterr().err)
    assert [line[2] for line in lines] == ["2", "3", "3"] and all(line[1] for line in lines)
    assert all(line[3] != "-" for line in lines)


def test_what_is_soon_over_says_nothing(problem, jobs, capsys):
    problem.fit(problem.erm(), problem.vectors(226), epochs=3, batch_size=4)
    many.fit_together(jobs("stack", epochs=3))
    assert capsys.readouterr().err == ""


@pytest.mark.usefixtures("often")
def test_nobody_is_told_who_does_not_want_it(problem, jobs, capsys):
    problem.fit(problem.erm(), problem.vectors(40), epochs=3, progress=False)
    many.fit_together(jobs("stack", epochs=3, progress=False))
    assert capsys.readouterr().err == ""


def test_what_is_left_takes_as_long_as_what_was_done():
    assert progress.remaining(60, 0.25, 0.75) == "0:03:00 left"
    assert progress.remaining(7200, 4, 2) == "1:00:00 left"
    assert progress.remaining(10, 0, 1) == "time left unknown"
