"""What several test files use: the command line, in processes of its own or in this one."""

import gc
import os
import pty
import select
import signal
import sys
from pathlib import Path

import hypothesis
import pytest

sys.path.append(str(Path(__file__).parent))  # for commands.py and outside.py, here and in forked processes

from browser import Browser
from commands import Command, Done

hypothesis.settings.register_profile("ours", deadline=None)  # no test depends on how busy the machine is
hypothesis.settings.load_profile("ours")

# Started in the background of a script, tests and the commands they start would be deaf to Ctrl-C.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


# The commands of tests start in folders of their own, where a relative path names nothing.
if roots := [Path(root) for root in os.environ.get("MLBENCH_DATA", "").split(os.pathsep) if root.strip()]:
    os.environ["MLBENCH_DATA"] = os.pathsep.join(str(root.expanduser().absolute()) for root in roots)


def pytest_addoption(parser):
    parser.addoption("--fuzz", type=int, default=15, help="how many damaged files of each kind are read")
    parser.addoption("--thorough", action="store_true", help="every method in stacks of more sizes")


def pytest_collection_finish():
    gc.collect()
    gc.set_threshold(20_000)
    gc.freeze()  # thousands of tests and all that they import are looked through by no collection after this


@pytest.fixture(scope="session")
def cache(tmp_path_factory):
    """The cache of all commands of this session."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture
def folder(tmp_path):
    """The working directory of a test's commands; outputs go to folder/outputs."""
    path = tmp_path / "work"
    path.mkdir()
    return path


@pytest.fixture
def environment(cache):
    path = os.pathsep.join([str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")])
    return os.environ | {
        "MLBENCH_CACHE": str(cache),
        "MLBENCH_DATA": "",
        "MLBENCH_DEBUG": "",
        "OMP_NUM_THREADS": "1",
        "PYTHONPATH": path,
    }


@pytest.fixture
def start(folder, environment):
    """start("train.epochs=1") starts a command; those still at work when the test ends are killed."""
    started = []

    def start(*arguments, first=None, terminal=None, program="mlbench.commands.run", **more):
        started.append(Command(folder, arguments, environment | more, first, terminal, program))
        return started[-1]

    yield start
    for command in started:
        command.process.kill()
        command.process.join()


@pytest.fixture
def command(start):
    """command("train.epochs=1") is what a command left: status, out, err."""
    return lambda *arguments, **how: start(*arguments, **how).wait()


@pytest.fixture
def on_a_terminal(start):
    """Exit status and all that a command writes to a terminal of 100 columns."""
    master, slave = pty.openpty()

    def on_a_terminal(*arguments, **how):
        how |= {"terminal": Path(os.ttyname(slave)), "TERM": "xterm", "COLUMNS": "100", "LINES": "40"}
        running = start(*arguments, **how)
        shown = b""
        while running.process.is_alive() or select.select([master], [], [], 0)[0]:
            if select.select([master], [], [], 0.1)[0]:
                shown += os.read(master, 65536)
        return running.wait().status, shown.decode()

    yield on_a_terminal
    os.close(slave)
    os.close(master)


@pytest.fixture(scope="session")
def browser(tmp_path_factory):
    browser = Browser(tmp_path_factory.mktemp("profile"))
    yield browser
    browser.close()


@pytest.fixture
def visited(browser):
    """visited(address, width=390, dark=True) is a page in a tab of its own, which does not complain."""
    pages = []

    def visited(address, width=1280, dark=False):
        pages.append(browser.page(width, dark=dark))
        pages[-1].open(address)
        return pages[-1]

    yield visited
    for page in pages:
        assert page.does("[complaints, !!window.hacked]") == [[], False]
        page.close()


@pytest.fixture
def sigterm():
    """What SIGTERM does to this process is afterwards what it was before."""
    before = signal.getsignal(signal.SIGTERM)
    yield
    signal.signal(signal.SIGTERM, before)


@pytest.fixture
def at_once(folder, environment, monkeypatch, capfd, sigterm):
    """As `command`, in this process: quicker, for what needs no process of its own."""
    from mlbench.commands import run

    monkeypatch.chdir(folder)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)

    def at_once(*arguments, **more):
        for name, value in more.items():
            monkeypatch.setenv(name, value)
        monkeypatch.setattr(sys, "argv", ["run.py", *arguments])
        monkeypatch.setattr(run, "errors", [])
        monkeypatch.setattr(run, "sweeps", [])
        capfd.readouterr()
        with pytest.raises(SystemExit) as left:
            run.main()
        return Done(left.value.code, *capfd.readouterr())

    return at_once
