"""The wheel: it holds every choice of conf/, and what is installed from it is what run.py is."""

import ast
import configparser
import email
import os
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from importlib.metadata import version
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import mlbench
from mlbench.board import columns

ROOT = Path(__file__).parents[1]
UNREACHABLE = ("No matching distribution found for hatchling", "Could not find a version", "ConnectionError")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """Built as anyone builds it, from a copy of the checkout that has choices of its own machine."""
    checkout, target = tmp_path_factory.mktemp("checkout"), tmp_path_factory.mktemp("wheel")
    clutter = shutil.ignore_patterns("__pycache__", "local")
    for folder in ("src", "conf", "docs/board"):
        shutil.copytree(ROOT / folder, checkout / folder, ignore=clutter)
    for file in ("pyproject.toml", "README.md", "LICENSE", ".gitignore"):
        shutil.copy(ROOT / file, checkout)
    (checkout / "conf" / "local").mkdir()
    (checkout / "conf" / "local" / "default.yaml").write_text("# @package _global_\nseed: 7\n")
    how = ["--no-deps", "--retries", "0", "--timeout", "5", "--wheel-dir", str(target)]
    command = [sys.executable, "-m", "pip", "wheel", *how, str(checkout)]
    built = subprocess.run(command, capture_output=True, text=True)
    if built.returncode and any(word in built.stderr for word in UNREACHABLE):
        pytest.skip("building a wheel needs hatchling, and no package index can be reached")
    assert built.returncode == 0, built.stderr
    (path,) = target.glob("multilabel_bench-*.whl")
    return path


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory):
    """A folder with the wheel's content, without its dependencies, which are those of this environment."""
    target = tmp_path_factory.mktemp("installed")
    command = [sys.executable, "-m", "pip", "install", "--no-deps", "--no-index", "--target", str(target)]
    subprocess.run([*command, str(wheel)], check=True, capture_output=True)
    return target


def output_of(*arguments, **environment):
    """What a command prints, in a folder that is empty when it starts."""
    elsewhere = environment.pop("folder")
    environment = {**os.environ, "COLUMNS": "200", **environment}
    command = [sys.executable, *map(str, arguments)]
    done = subprocess.run(command, cwd=elsewhere, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_it_holds_every_choice_and_every_module_and_nothing_of_this_machine(wheel):
    names = set(zipfile.ZipFile(wheel).namelist())
    choices = {f"mlbench/{path.relative_to(ROOT)}" for path in (ROOT / "conf").rglob("*.yaml")}
    modules = {str(path.relative_to(ROOT / "src")) for path in (ROOT / "src").rglob("*.py")}
    local = {name for name in names | choices if name.startswith("mlbench/conf/local/")}
    assert {"mlbench/conf/config.yaml", "mlbench/py.typed"} <= names
    assert choices - local <= names and modules <= names
    assert not local & names
    board = {name.rpartition("/")[2] for name in names if name.startswith("mlbench/board/files/")}
    assert board == {*columns.FILES}


def test_it_brings_the_board(installed, tmp_path):
    words = ["board", "against", "method=br"]
    told = output_of("-m", "mlbench", *words, folder=tmp_path, PYTHONPATH=str(installed))
    assert "better:worse of data sets" in told and "mlp_bce" in told


def in_metadata(wheel, name):
    with zipfile.ZipFile(wheel) as archive:
        (path,) = [path for path in archive.namelist() if path.endswith(f".dist-info/{name}")]
        return archive.read(path).decode()


def test_its_command_is_the_command_line(wheel):
    points = configparser.ConfigParser()
    points.read_string(in_metadata(wheel, "entry_points.txt"))
    assert dict(points["console_scripts"]) == {"mlbench": "mlbench.commands:main"}


def test_says_whose_it_is_and_for_whom(wheel):
    about = email.message_from_string(in_metadata(wheel, "METADATA"))
    assert (about["Name"], about["Version"]) == ("multilabel-bench", mlbench.__version__)
    assert about["License-Expression"] == "MIT"
    assert "the mlbench authors" in in_metadata(wheel, "licenses/LICENSE")
    supported = {f"Programming Language :: Python :: 3.{minor}" for minor in (11, 12, 13, 14)}
    assert supported <= set(about.get_all("Classifier"))
    addresses = dict(entry.split(", ") for entry in about.get_all("Project-URL"))
    papers = {"Paper of ANT", "Paper of FLEM", "Paper of MulSupCon_LD", "Paper of sigmoidF1"}
    assert (
        papers | {"Code of ANT", "Code of FLEM", "Code of MulSupCon", "Code of sigmoidF1"} == addresses.keys()
    )
    assert all(address.startswith("https://") for address in addresses.values())


def test_one_version_everywhere():
    cited = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    newest = re.search(r"^## (\S+)", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)[1]
    assert cited["version"] == newest == mlbench.__version__
    assert version("multilabel-bench") == mlbench.__version__, "make installs this version"


def test_the_lock_holds_a_hash_for_all_that_the_project_asks_for():
    entries = re.findall(
        r"^(\S+)==(\S+).*((?:\n .*)*)", (ROOT / "requirements.lock").read_text(), re.MULTILINE
    )
    assert all("--hash=sha256:" in hashes for _, _, hashes in entries)
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    asked = [
        Requirement(each) for each in [*project["dependencies"], *project["optional-dependencies"]["dev"]]
    ]
    for each in asked:
        locked = [version for name, version, _ in entries if name == canonicalize_name(each.name)]
        assert locked and all(each.specifier.contains(version) for version in locked), each


def test_imports_nothing_at_its_start_that_windows_lacks():
    for path in (ROOT / "src").rglob("*.py"):
        for node in ast.parse(path.read_text()).body:
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            assert not {"resource", "fcntl", "pwd", "grp", "termios", "pty"} & set(names), path


def test_installed_it_finds_its_own_choices(installed, tmp_path):
    code = "import mlbench; from mlbench.compose import config_dir; print(mlbench.__file__, config_dir())"
    said = output_of("-c", code, folder=tmp_path, PYTHONPATH=str(installed))
    assert said.split() == [str(installed / "mlbench" / "__init__.py"), str(installed / "mlbench" / "conf")]


@pytest.mark.parametrize("arguments", [["--help"], ["--cfg", "job", "seed=3"]], ids=" ".join)
def test_installed_it_says_what_run_py_says(arguments, installed, tmp_path):
    ours = output_of(ROOT / "run.py", *arguments, folder=tmp_path)
    as_module = output_of("-m", "mlbench", *arguments, folder=tmp_path, PYTHONPATH=str(installed))
    as_command = output_of(
        installed / "bin" / "mlbench", *arguments, folder=tmp_path, PYTHONPATH=str(installed)
    )
    assert as_module == as_command == ours.replace("python run.py ", "mlbench ") and len(ours) > 500
    assert not list(tmp_path.iterdir()), "asking leaves nothing behind"


CHAIN = """
import sys
import numpy as np
import onnxruntime
import pandas as pd
from pathlib import Path
from mlbench.commands import main

def said(*words):
    sys.argv = ["mlbench", *words]
    try:
        main()
    except SystemExit as left:
        assert not left.code, (words, left.code)

rng = np.random.default_rng(0)
table = pd.DataFrame(rng.normal(size=(60, 3)).round(4), columns=["wet", "cold", "wind"])
table["rain"], table["snow"] = (table.wet > 0).astype(int), (table.cold + table.wind > 0).astype(int)
table[:40].to_csv("train.csv", index=False)
table[40:].to_csv("test.csv", index=False)
table[40:][["rain", "snow"]].reset_index(names="id").assign(id=range(20)).to_csv("truth.csv", index=False)
said("run", "dataset=csv", "dataset.path=train.csv", "dataset.test=test.csv", "dataset.labels=[rain,snow]",
     "split=official", "dataset.scaling=zscore", "train.epochs=3")
(run,) = Path("outputs").glob("*/*/*/")
said("predict", f"run={run}", "path=test.csv", "out=predicted.npz", "give=all")
said("score", "predicted.npz", "truth=truth.csv")
said("export", f"run={run}", "out=model.onnx")

kept, predicted = np.load(run / "scores.npz")["last"], np.load("predicted.npz")
session = onnxruntime.InferenceSession("model.onnx")
x = table[40:][["wet", "cold", "wind"]].to_numpy(np.float32)
scores, sets = session.run(["scores", "labels"], {"x": x})
np.testing.assert_allclose(predicted["scores"], kept, rtol=0, atol=1e-6)
np.testing.assert_allclose(scores, kept, rtol=0, atol=1e-5)
assert np.array_equal(sets, predicted["sets"])
"""


def test_installed_it_leads_from_a_table_to_a_run_to_predictions_metrics_and_a_graph(installed, tmp_path):
    lines = output_of("-c", CHAIN, folder=tmp_path, PYTHONPATH=str(installed), MLBENCH_DATA="").splitlines()
    ran, predicted = (
        {name: float(value) for name, value in re.findall(r"(\S+)=(\d\.\d{4})", line)}
        for line in lines
        if line.startswith("subset_accuracy=")
    )
    scored = dict(line.split() for line in lines if len(line.split()) == 2)
    assert ran == predicted == {name: round(float(scored[name]), 4) for name in ran} and len(ran) > 5
