"""An interrupt is heard from a command's first moment on, before there is anything to go on from."""

import signal
import subprocess
import sys

import pytest

from commands import PATIENCE, ROOT
from mlbench import commands
from mlbench.interrupt import INTERRUPTED as SENTENCE

INTERRUPTED = f"{SENTENCE}\n"


@pytest.mark.parametrize("which", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.usefixtures("sigterm")
def test_imports_are_interrupted_too(which, monkeypatch, capsys):
    monkeypatch.setattr(commands.importlib, "import_module", lambda name: signal.raise_signal(which))
    with pytest.raises(SystemExit) as left:
        commands.begin("run")
    assert (left.value.code, capsys.readouterr().err) == (130, INTERRUPTED)


LOST = """
import signal
import sys
import time

import mlbench.commands


class Dropped:
    def __del__(self):
        signal.raise_signal(getattr(signal, sys.argv[1]))


def imported(name):
    Dropped()
    end = time.monotonic() + 20
    while time.monotonic() < end:
        time.sleep(0.001)


mlbench.commands.importlib.import_module = imported
mlbench.commands.begin("run")
"""


@pytest.mark.parametrize("which", ["SIGINT", "SIGTERM"])
def test_an_interrupt_that_python_drops_is_heard_all_the_same(which, environment):
    """Python prints and forgets what is raised while an object is taken away."""
    words = [sys.executable, "-c", LOST, which]
    done = subprocess.run(words, env=environment, capture_output=True, text=True, timeout=PATIENCE)
    assert (done.returncode, done.stdout, done.stderr) == (130, "", INTERRUPTED)


def test_what_else_python_drops_is_shown_as_ever(environment):
    program = "from mlbench.interrupt import hear_sigterm\nhear_sigterm()\n"
    program += "class Dropped:\n    __del__ = exit\nDropped()"
    done = subprocess.run(
        [sys.executable, "-c", program], env=environment, capture_output=True, text=True, timeout=PATIENCE
    )
    assert done.returncode == 0 and "SystemExit" in done.stderr


def test_signals_are_heard_before_anything_is_imported_that_takes_long(environment):
    program = (
        "import sys\nsys.path.append(sys.argv[1])\nimport mlbench.commands\n"
        "print({'re', 'typing', 'pathlib', 'traceback', 'hydra', 'torch'} & {*sys.modules})"
    )
    words = [sys.executable, "-S", "-c", program, str(ROOT / "src")]  # -S: without what site itself imports
    done = subprocess.run(words, env=environment, capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("set()\n", "")
