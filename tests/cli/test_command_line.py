"""What the command line shows: its help, one bar and one table on a terminal, one line elsewhere."""

import json
import re
import shlex
import subprocess
import sys

import pytest

from commands import ROOT, records
from mlbench.compose import choices, config_dir, groups


def test_help_lists_every_choice_and_loads_no_torch(environment, folder):
    done = subprocess.run(
        [sys.executable, "-X", "importtime", ROOT / "run.py", "--help"],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0
    loaded = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
    assert "mlbench.compose" in loaded and "hydra" in loaded
    assert not {"torch", "lightning", "numpy", "pandas", "sklearn"} & loaded
    listed = dict(re.findall(r"^([\w/]+): (.*)$", done.stdout, re.MULTILINE))
    folders = {path.parent.relative_to(config_dir()).as_posix() for path in config_dir().rglob("*/*.yaml")}
    shown = {group for group in folders if group.partition("/")[0] not in ("hydra", "local")}
    assert shown >= set(groups()) > {"dataset", "method", "loss", "train/optimizer"}
    assert {group: listed.get(group, "").split(", ") for group in shown} == {
        group: choices(group) for group in shown
    }
    examples = re.findall(r"^ +python run\.py(.*)$", done.stdout, re.MULTILINE)
    assert len(examples) == 5
    assert not list(folder.iterdir())


def test_every_example_of_the_help_composes(at_once, folder):
    """Its choices and keys exist, that is: `--cfg job` shows what it would run."""
    (folder / "my.csv").write_text("x,a,b\n1,0,1\n")
    shown = at_once("--help").out
    for example in re.findall(r"^ +python run\.py +(.*)$", shown, re.MULTILINE):
        arguments = [word for word in shlex.split(example, comments=True) if word != "-m"]
        firsts = [re.sub(r"=(\w+),.*", r"=\1", word).replace("range(5)", "0") for word in arguments]
        done = at_once("--cfg", "job", *firsts)
        assert (done.status, done.err) == (0, "")


def test_quiet_where_there_is_no_terminal(command, folder):
    done = command("train.epochs=2", "split.validation=0.1")
    (record,) = records(folder / "outputs")
    assert (done.status, done.err) == (0, "")
    (line,) = done.out.splitlines()
    *metrics, path = line.split()
    assert folder / path == record
    shown = json.loads(record.read_text())
    assert len(metrics) == 7
    for metric in metrics:
        name, _, value = metric.partition("=")
        assert value == f"{shown['metrics']['last'][name]:.4f}"
    assert done == command("train.epochs=2", "split.validation=0.1")  # the same line again
    left = {path.name for path in record.parent.iterdir()} - {".lock"}
    assert {"record.json", "scores.npz", "history.jsonl", "config.yaml", "stages"} <= left
    assert not list(folder.rglob("*.tmp*")) and not list(folder.rglob("*.ckpt"))


def test_one_bar_and_one_table_on_a_terminal(on_a_terminal, folder):
    status, shown = on_a_terminal(
        "train.epochs=12", "train.batch_size=8", "split.validation=0.1", "selection.rule=best"
    )
    assert status == 0
    (record,) = records(folder / "outputs")
    text = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", shown).replace("\r", "\n")
    lines = [line.rstrip() for line in text.splitlines()]
    bars = [line for line in lines if "━" in line]
    assert any(re.search(r"multidigits · erm .*epoch \d+/12 .*loss 0\.\d{4}", bar) for bar in bars)
    assert any(re.search(r"\d:\d\d:\d\d .*\d:\d\d:\d\d", bar) for bar in bars)  # time so far, time left
    assert not any(re.search(r"epoch 13/12", bar) for bar in bars)
    last = max(number for number, line in enumerate(lines) if "━" in line and "loss" in line)
    table = "\n".join(lines[last + 1 :])
    content = json.loads(record.read_text())
    for name in ("f1_micro", "f1_macro", "hamming_loss", "ap_macro"):
        assert re.search(rf"{name} .*{content['metrics']['best'][name]:.4f}", table)
    assert len(re.findall(r"^\w+ +\d\.\d{4}$", table, re.MULTILINE)) == 7
    for words in ("erm", "multidigits", "800 test", "official", "fixed", "best", "seed 0"):
        assert words in table
    assert f"epoch {content['selected']['best']['epoch']}" in table
    assert str(record.relative_to(folder)) in lines
    for noise in ("GPU available", "TPU", "Trainer", "warn", "Sanity", "max_epochs"):
        assert noise not in text


@pytest.mark.parametrize("arguments", [["--cfg", "job"], ["--info", "config"]])
def test_hydras_own_flags_work(arguments, command, folder):
    done = command(*arguments)
    assert (done.status, done.err) == (0, "") and "checkpoint_seconds" in done.out
    assert not list(folder.iterdir())
