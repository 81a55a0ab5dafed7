"""scripts/fetch.py: what it lists, what it gets, and how it says that it cannot."""

import functools
import hashlib
import subprocess
import sys
import threading
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from mlbench.commands import fetch
from mlbench.data import catalogue

SCRIPT = Path(__file__).parents[2] / "scripts" / "fetch.py"
CONTENT = b"@relation small\n"


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


@pytest.fixture
def mirror(tmp_path, monkeypatch):
    """The address of a server that has small.arff."""
    monkeypatch.setenv("NO_PROXY", "*")
    served = tmp_path / "served"
    served.mkdir()
    (served / "small.arff").write_bytes(CONTENT)
    server = ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=str(served)))
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def conf(tmp_path, monkeypatch, mirror):
    """A configuration with a data set of each kind."""
    monkeypatch.delenv("MLBENCH_DATA", raising=False)
    conf = tmp_path / "conf"
    (conf / "dataset").mkdir(parents=True)
    (conf / "config.yaml").write_text(f"paths: {{cache: {tmp_path}/cache}}\n")
    sha256 = hashlib.sha256(CONTENT).hexdigest()
    described = {
        "small": f"""
            _target_: mlbench.data.datasets.Files
            files: {{all: {{name: small.arff, sha256: {sha256}, bytes: 16, urls: [{mirror}/small.arff]}}}}
            statistics: {{instances: 12345, cardinality: 1.5, train: 12000, test: 345}}""",
        "gone": f"""
            _target_: mlbench.data.datasets.Files
            files: {{all: {{name: gone.txt, sha256: {sha256}, bytes: 2500000, urls: [{mirror}/gone]}}}}""",
        "rare": """
            _target_: mlbench.data.datasets.Files
            folder: rarities
            files: {all: {name: rare.arff}}
            where: get it from its authors""",
        "digits": "_target_: some.module.Digits",
        "mine": "_target_: mlbench.data.datasets.OwnFiles\npath: ???",
    }
    for name, text in described.items():
        lines = [line.strip() if line.startswith("  ") else line for line in text.splitlines()]
        (conf / "dataset" / f"{name}.yaml").write_text("\n".join(lines))
    for module in (fetch, catalogue):
        monkeypatch.setattr(module, "config_dir", lambda: conf)
    return conf


def lines_of(capsys, *arguments, status=0):
    assert fetch.main(list(arguments)) == status
    captured = capsys.readouterr()
    assert bool(captured.err) == bool(status)
    return (captured.out + captured.err).splitlines()


def test_lists_each_data_set_and_where_it_stands(conf, tmp_path, capsys):
    lines = {line.split()[0]: line for line in lines_of(capsys)[:5]}
    assert "mine" not in lines and lines["digits"].endswith("built in")
    assert lines["small"].split() == ["small", "12,345", "1.500", "12,000/345", "get", "0", "kB"]
    assert lines["gone"].endswith("get 2.5 MB") and lines["rare"].endswith("by hand")


def test_says_what_a_person_must_do(conf, tmp_path, capsys):
    *_, by_hand, own = lines_of(capsys)
    place = tmp_path / "cache" / "downloads" / "rarities"
    assert by_hand == f"rare: get it from its authors; put it into {place}"
    assert own == "files of your own: dataset=mine dataset.path=..."


def test_gets_a_data_set_and_then_has_it(conf, tmp_path, capsys):
    place = tmp_path / "cache" / "downloads" / "small" / "small.arff"
    assert lines_of(capsys, "dataset=small") == [f"small: {place}"]
    assert place.read_bytes() == CONTENT
    assert any(line.startswith("small") and line.endswith("here") for line in lines_of(capsys))


def test_gets_several_into_another_cache(conf, tmp_path, capsys):
    lines = lines_of(capsys, "dataset=small,digits", f"paths.cache={tmp_path}/other")
    assert lines == [
        f"small: {tmp_path}/other/downloads/small/small.arff",
        "digits: built in, nothing to fetch",
    ]


def test_one_that_fails_does_not_keep_the_others(conf, capsys):
    *lines, failure = lines_of(capsys, "dataset=gone,small", status=2)
    assert lines[0].startswith("small: ") and "HTTP 404" in failure


@pytest.mark.parametrize(
    ("argument", "words"),
    [
        ("dataset=smal", "dataset=smal: there is no such data set; did you mean small?"),
        (
            "datset=small",
            "datset: no such key; there are dataset, format, paths.cache; did you mean dataset?",
        ),
        ("small", "small: write dataset=small"),
        ("dataset=mine", "dataset=mine reads a file of your own"),
        ("format=md", "format=md: choose markdown"),
        ("dataset=rare", "get it from its authors; put it into"),
    ],
)
def test_a_mistake_is_one_line_and_status_2(conf, capsys, argument, words):
    (line,) = lines_of(capsys, argument, status=2)
    assert line.startswith("mlbench: ") and words in line


def test_help_names_the_arguments(conf, capsys):
    assert any("dataset=scene" in line for line in lines_of(capsys, "--help"))


def test_the_script_lists_all_that_conf_describes(tmp_path, monkeypatch):
    monkeypatch.delenv("MLBENCH_DATA", raising=False)
    program = """
import runpy, sys
path, *sys.argv[1:] = sys.argv[1:]
try:
    runpy.run_path(path)
finally:
    print("torch" in sys.modules)
"""
    command = [sys.executable, "-c", program, SCRIPT, f"paths.cache={tmp_path}"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    *lines, torch = done.stdout.splitlines()
    assert torch == "False"
    listed = {line.split()[0] for line in lines}
    assert {"scene", "tmc2007", "multidigits", "yelp"} <= listed
