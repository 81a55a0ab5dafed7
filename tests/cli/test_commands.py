"""`mlbench`: a word chooses the command, and without one it is run.py."""

import os
import runpy
import subprocess
import sys

import pytest

from commands import ROOT
from mlbench.commands import COMMANDS, main
from mlbench.commands.arguments import as_typed


def said(arguments, capsys, start=main):
    """Exit status, and what was printed, of a command in this process."""
    sys.argv = ["mlbench", *arguments]
    with pytest.raises(SystemExit) as ended:
        start()
    printed = capsys.readouterr()
    return ended.value.code or 0, printed.out, printed.err


@pytest.fixture(autouse=True)
def arguments_of_its_own(monkeypatch):
    monkeypatch.setattr(sys, "argv", sys.argv)


@pytest.mark.parametrize("name", [name for name in COMMANDS if name != "run"])
def test_a_word_is_the_script_of_that_name(name, capsys):
    status, out, err = said([name, "--help"], capsys)
    script = said(
        ["--help"], capsys, lambda: runpy.run_path(ROOT / "scripts" / f"{name}.py", run_name="__main__")
    )
    sys.argv = ["mlbench"]
    assert (status, out, err) == (script[0], as_typed(script[1]), script[2])
    assert status == 0 and len(out.splitlines()) > 2


def test_every_script_that_people_use_is_a_command():
    scripts = {path.stem for path in (ROOT / "scripts").glob("*.py")} - {"lock"}
    assert scripts | {"run"} == set(COMMANDS)


@pytest.mark.parametrize("first", [[], ["run"]])
def test_without_a_word_it_runs_an_experiment(first, command):
    done = command(*first, "method=prior", program="mlbench.commands")
    assert done.status == 0 and "record.json" in done.out


def test_a_word_that_is_no_command_is_answered_with_the_nearest(capsys):
    assert said(["reprodcue", "table=ant/2"], capsys) == (
        2,
        "",
        "mlbench: reprodcue: no such command; there are run, reproduce, report, search, fetch, bench, "
        "predict, score, export, serve, board, status, gc; "
        "did you mean reproduce?\n",
    )


def test_two_words_that_are_a_choice_are_answered_with_it(capsys):
    assert said(["method", "br"], capsys)[2] == "mlbench: method: no such command; write method=br\n"


@pytest.mark.parametrize("name", ["report", "search", "bench"])
def test_help_names_the_command_that_was_typed(name, capsys):
    """Who installed the package has no scripts/."""
    help_of = said([name, "--help"], capsys)[1]
    assert f"mlbench {name}" in help_of and "scripts/" not in help_of


def test_help_into_a_pipe_that_is_closed_leaves_no_trace():
    ends, start = os.pipe(), "from mlbench.commands import main; main()"
    os.close(ends[0])
    with os.fdopen(ends[1]) as closed:
        asked = [sys.executable, "-c", start, "report", "--help"]
        done = subprocess.run(asked, stdout=closed, stderr=subprocess.PIPE, check=False)
    assert (done.returncode, done.stderr) == (0, b"")
