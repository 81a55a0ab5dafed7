"""scripts/reproduce.py as a person starts, stops and repeats it, on a table that trains for moments."""

import functools
import json
import re
import shutil
import signal
import statistics
import subprocess
import sys

import pytest

from commands import ROOT, records, signalled_at_rename, signalled_at_step, until
from mlbench.results import store
from small_table import TABLE, small

RUNS = 2 * 2 * 2 + 2  # prior trains no epochs: both settings have the same runs
PROGRAM = {"program": "mlbench.commands.reproduce"}
RENDERED = ("table.md", "table.tex", "cells.csv", "wide.csv", "runs.csv", "table.html")


@pytest.fixture
def reproduce(command, folder):
    (folder / "small.yaml").write_text(TABLE)
    return lambda *arguments, **how: command("table=small.yaml", *arguments, **PROGRAM, **how)


def rendered(outputs):
    """The bytes of each file; of the page without what a run's clock and memory say."""
    found = {name: (outputs / "tables" / "small" / name).read_text() for name in RENDERED}
    return found | {"table.html": timeless(found["table.html"])}


def timeless(page: str) -> str:
    return re.sub(r'"(seconds|memory|peak_memory_bytes)": ?[\d.e+-]+', "", page)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory, cache):
    """The outputs of a run that nothing disturbed, in another folder."""
    from commands import Command

    folder = tmp_path_factory.mktemp("undisturbed") / "work"
    folder.mkdir()
    (folder / "small.yaml").write_text(TABLE)

    def made(environment):
        if not (folder / "outputs").exists():
            done = Command(folder, ("table=small.yaml",), environment, program=PROGRAM["program"]).wait()
            assert done.status == 0, done.err
            assert done.out == "outputs/tables/small\n"
            assert done.err.count("\n") == RUNS  # a line a run
        return folder / "outputs"

    return made


@pytest.fixture
def copied(undisturbed, environment, folder):
    shutil.copytree(undisturbed(environment), folder / "outputs")
    return folder / "outputs"


def test_a_table_is_a_function_of_its_records(reproduce, copied, undisturbed, environment):
    before = {name: (copied / "tables" / "small" / name).read_bytes() for name in RENDERED}
    shutil.rmtree(copied / "tables")
    assert reproduce("render=true").status == 0
    assert {name: (copied / "tables" / "small" / name).read_bytes() for name in RENDERED} == before


def test_one_bar_for_all_runs_on_a_terminal(on_a_terminal, folder):
    (folder / "small.yaml").write_text(TABLE)
    status, shown = on_a_terminal("table=small.yaml", "seeds=1", **PROGRAM)
    text = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", shown).replace("\r", "\n")
    assert status == 0 and text.split()[-1] == "outputs/tables/small"
    bars = [line for line in text.splitlines() if "━" in line]
    assert bars and all(re.match(r" *\d+/5 ", bar) for bar in bars)
    assert " · epoch" not in text  # a run has no bar of its own here


def told_often():
    from mlbench.engine import progress

    progress.SECONDS = 0


def test_off_a_terminal_it_says_now_and_then_how_far_it_is(reproduce):
    """The table says it, its runs do not."""
    done = reproduce("only=setting=few method=linear", "seeds=1", first=told_often)
    lines = done.err.splitlines()
    assert done.status == 0 and any(re.fullmatch(r"0/1  time left unknown", line) for line in lines)
    assert not any(" · epoch" in line for line in lines)


def test_run_again_it_runs_nothing(reproduce, copied):
    times = {path: path.stat().st_mtime_ns for path in records(copied)}
    done = reproduce()
    assert (done.status, done.err) == (0, "")
    assert {path: path.stat().st_mtime_ns for path in records(copied)} == times and len(times) == RUNS


def test_killed_at_twenty_moments_it_ends_as_undisturbed(reproduce, undisturbed, environment, folder):
    """SIGKILL in training, around every kind of file it writes, and while it renders."""
    at = functools.partial(signalled_at_rename, which=signal.SIGKILL)
    moments = [
        functools.partial(signalled_at_step, step, signal.SIGKILL) for step in (1, 7, 40, 90, 150, 250)
    ]
    moments += [functools.partial(at, 1, "record.json", when) for when in ("before", "after") * 2]
    moments += [
        functools.partial(at, 1, suffix, "after")
        for suffix in ("scores.npz", "model.pt", ".pt", "plans.json")
    ]
    moments += [functools.partial(at, 2, "record.json", "after")] * 2
    moments += [functools.partial(at, 1, name, when) for name, when in zip(RENDERED, ("before", "after") * 2)]
    assert len(moments) == 20
    left = []
    for moment in moments:
        left.append(reproduce(first=moment).status)
    assert reproduce().status == 0
    assert left.count(-signal.SIGKILL) >= 15  # a moment may find nothing left to write
    assert not list(folder.rglob("*.tmp"))
    assert rendered(folder / "outputs") == rendered(undisturbed(environment))


def test_two_at_once_share_the_work(start, undisturbed, environment, folder):
    (folder / "small.yaml").write_text(TABLE)
    both = [start("table=small.yaml", **PROGRAM) for _ in range(2)]
    done = [one.wait() for one in both]
    assert [one.status for one in done] == [0, 0]
    assert rendered(folder / "outputs") == rendered(undisturbed(environment))
    assert len(records(folder / "outputs")) == RUNS


def test_several_processes_of_its_own(reproduce, undisturbed, environment, folder):
    done = reproduce("processes=2")
    assert (done.status, done.out) == (0, "outputs/tables/small\n")
    assert rendered(folder / "outputs") == rendered(undisturbed(environment))


@pytest.mark.parametrize("which", [signal.SIGINT, signal.SIGKILL])
def test_its_processes_end_with_it(which, start, folder):
    (folder / "small.yaml").write_text(small(TABLE, **{"epochs=2": "epochs=9999"}))
    running = start(
        "table=small.yaml", "processes=2", "only=setting=few method=linear,hidden",
        "train.checkpoint_seconds=0", **PROGRAM
    )  # fmt: skip
    saved = running.until(lambda: len(found := list(folder.rglob("*.ckpt"))) == 2 and found)
    claims = [path for path in folder.glob("outputs/*/*/*") if store.claimed(path)]
    assert len(claims) == 2 * 2  # a group each
    running.signal(which)
    assert running.wait().status == (130 if which == signal.SIGINT else -which)
    until(lambda: not any(map(store.claimed, claims)))
    assert all(path.exists() for path in saved)


def test_dry_run_lists_every_run_and_runs_none(reproduce, copied, folder):
    victim = records(copied)[0]
    victim.unlink()
    done = reproduce("dry_run=true")
    assert done.status == 0 and len(done.out.splitlines()) == 2 * 3 + 2
    assert f"{RUNS} runs: {RUNS - 1} finished, 0 failed, 1 missing" in done.out
    assert "1 to do, one after the other: about 0:00:" in done.out
    assert not victim.exists()
    shutil.rmtree(copied)
    assert "unknown before the first run is done" in reproduce("dry_run=true").out
    assert not records(copied)


def test_a_part_and_more_seeds(reproduce, folder):
    assert reproduce("only=setting=few method=prior,linear", "seeds=1").status == 0
    assert len(records(folder / "outputs")) == 2
    table = (folder / "outputs/tables/small/table.md").read_text()
    assert "not run: not yet" in table and "runs | 2 of 5" in table


def test_folds_are_averaged(reproduce, folder):
    """Runs of cross-validation: a cell is the mean over the folds of each seed, then over the seeds."""
    folds = {"seeds: 2": "seeds: 2\nfolds: 3", "    linear: [backbone=linear]\n": ""}
    folds |= {"    more: [train.epochs=3]\n": "", '    hidden: ["backbone.widths=[8]"]\n': ""}
    (folder / "small.yaml").write_text(small(TABLE, **folds))
    assert reproduce().status == 0
    found = [json.loads(path.read_text()) for path in records(folder / "outputs")]
    splits = [(record["seed"], record["config"]["split"]["fold"]) for record in found]
    assert sorted(splits) == [(seed, fold) for seed in (0, 1) for fold in (0, 1, 2)]
    assert {record["config"]["split"]["folds"] for record in found} == {3}
    mean = statistics.fmean(record["metrics"]["last"]["f1_micro"] for record in found)
    text = (folder / "outputs/tables/small/table.md").read_text()
    assert f"| **prior** | {mean:.4f} ± " in text and "n=" not in text
    assert "folds | 3" in text and "Deviations are over the seeds' means of 3 folds each (n − 1)." in text
    for path in records(folder / "outputs"):
        if json.loads(path.read_text())["seed"]:
            path.unlink()
    assert reproduce("render=true").status == 0
    assert "(n=3 of 6; ± over folds)" in (folder / "outputs/tables/small/table.md").read_text()


def test_a_failed_run_keeps_to_its_cell(reproduce, folder):
    """The rest goes on, the table says why, and the next time it is tried again."""
    (folder / "small.yaml").write_text(
        small(TABLE, **{"hidden: [": "broken: [method._target_=outside.Needs]\n    hidden: ["})
    )
    done = reproduce("seeds=1", "only=setting=few")
    assert done.status == 2
    closing = [line for line in done.err.splitlines() if "failed: " in line]
    assert len(closing) == 1 and "method._target_=outside.Needs" in closing[0]
    assert len(records(folder / "outputs")) == 3
    table = (folder / "outputs/tables/small/table.md").read_text()
    assert "**broken** | not run: " in table
    assert re.search("broken +✗\n +failed: .*wanted", reproduce("dry_run=true", "seeds=1").out)
    assert reproduce("render=true", "seeds=1").status == 0
    (folder / "wanted").touch()
    assert reproduce("seeds=1", "only=setting=few").status == 0
    assert len(records(folder / "outputs")) == 4


def test_through_a_launcher(environment, folder):
    """In processes of joblib's; one fails there, and its reason arrives."""
    (folder / "small.yaml").write_text(TABLE.replace("[method=prior]", "[method._target_=outside.Needs]"))
    launcher = ["hydra/launcher=joblib", "hydra.launcher.n_jobs=2"]
    done = subprocess.run(
        [sys.executable, ROOT / "scripts/reproduce.py", "table=small.yaml", "seeds=1", *launcher],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 2 and done.stdout == "outputs/tables/small\n"
    assert len(records(folder / "outputs")) == 4
    failed = [line for line in done.stderr.splitlines() if "failed: " in line]
    assert len(failed) == 2 and all("outside.Needs" in line and "wanted" in line for line in failed)


def test_an_unreadable_record_is_named_and_left_out(reproduce, copied):
    victim = records(copied)[0]
    victim.write_text("{")
    done = reproduce("render=true")
    assert done.status == 0 and done.err.count("\n") == 1 and victim.parent.name in done.err
    assert f"runs | {RUNS - 1} of {RUNS}" in (copied / "tables/small/table.md").read_text()


def test_half_a_record_is_run_again(reproduce, copied):
    """It counts as missing, and keeps what it holds under another name."""
    victim = records(copied)[0]
    whole = victim.read_bytes()
    victim.write_bytes(whole[: len(whole) // 2])
    planned = reproduce("dry_run=true").out
    assert f"{RUNS} runs: {RUNS - 1} finished, 0 failed, 1 missing" in planned
    assert planned.count(f"{victim.parent.name}/record.json is not a record") == 1
    done = reproduce()
    assert done.status == 0
    aside, made = done.err.splitlines()
    assert "is not a record" in aside and "record.broken-1.json" in aside and made.startswith("1/1 ")
    assert json.loads(victim.read_text())["metrics"] == json.loads(whole)["metrics"]
    assert victim.with_name("record.broken-1.json").read_bytes() == whole[: len(whole) // 2]
    assert reproduce().err == ""


def test_a_metric_that_no_run_has(reproduce, copied, folder):
    (folder / "small.yaml").write_text(TABLE.replace("{ours: f1_micro}", "{ours: f1_micro_oracle}"))
    done = reproduce("render=true")
    assert (done.status, done.err.count("\n")) == (2, 1)
    assert "no run has the metric f1_micro_oracle; did you mean f1_micro?" in done.err


def test_data_that_are_not_here(reproduce, folder):
    """Their cells say so; nothing is downloaded to find out."""
    (folder / "small.yaml").write_text(
        TABLE.replace("[multidigits]", "[yelp, multidigits]")
        .replace("few: [train.epochs=2]", "few: [train.epochs=2]")
        .replace("    more: [train.epochs=3]\n", "")
        .replace("blocks: setting", "blocks: dataset")
    )
    done = reproduce("seeds=1", "only=method=prior")
    assert done.status == 0, done.err
    table = (folder / "outputs/tables/small/table.md").read_text()
    assert "Ours: not run: data." in table
    assert json.loads((folder / "outputs/tables/plans.json").read_text())["configurations"]


def test_a_table_of_which_nothing_can_be_run_shows_what_was_printed(command, folder):
    done = command("table=ant/4", **PROGRAM)
    assert (done.status, done.out) == (0, "outputs/tables/ant-4\n"), done.err
    text = (folder / "outputs/tables/ant-4/table.md").read_text()
    assert text.count("Ours: not run: data.") == 3 and "runs | 0 of 72" in text
    assert "| **ant** | paper | 0.918 ± 0.005 |" in text
    assert not records(folder / "outputs")


def test_the_tables_key_is_the_runs(reproduce, copied, command):
    """A run by hand with a cell's overrides finds the cell's record."""
    times = {path: path.stat().st_mtime_ns for path in records(copied)}
    done = command("train.epochs=2", "backbone=linear", "train.batch_size=20", "seed=1")
    assert done.status == 0
    assert {path: path.stat().st_mtime_ns for path in records(copied)} == times


def test_waiting_for_another(start, folder):
    """A run that another process holds is left to it, and its record used."""
    (folder / "small.yaml").write_text(TABLE)
    first = start("table=small.yaml", "seeds=1", **PROGRAM)
    until(lambda: list((folder / "outputs").glob("*/*/*/.lock")))
    second = start("table=small.yaml", "seeds=1", **PROGRAM)
    assert (first.wait().status, second.wait().status) == (0, 0)
