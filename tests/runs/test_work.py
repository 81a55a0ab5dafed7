"""Groups before they are launched: what each holds, how long it may take, what it is called."""

import json
import shutil

import pytest

from commands import records
from mlbench.compose import configure
from mlbench.errors import UserError
from mlbench.results.record import Record, write_json
from mlbench.runs.composed import runs_of
from mlbench.runs.estimate import by_records
from mlbench.runs.launched import launch_of
from mlbench.runs.work import divided

WORDS = [["backbone=linear", f"seed={seed}"] for seed in range(5)] + [["seed=0"], ["method=prior", "seed=0"]]


@pytest.fixture
def runs(environment, folder, monkeypatch):
    monkeypatch.chdir(folder)
    monkeypatch.setenv("MLBENCH_CACHE", environment["MLBENCH_CACHE"])
    return runs_of(WORDS)


def sizes(groups):
    return sorted(len(group.runs) for group in groups)


def test_runs_that_train_as_one_are_a_group_cut_to_its_time(runs, folder):
    whole = divided(runs, folder / "outputs", 3600)
    assert sizes(whole) == [1, 1, 5] and {group.by for group in whole} == {"operations"}
    five = next(group for group in whole if len(group.runs) == 5)
    limit = five.seconds - 0.01
    cut = divided(runs, folder / "outputs", limit)
    assert sizes(cut) == [1, 1, 2, 3] and all(group.seconds <= limit for group in cut if len(group.runs) > 1)
    keys = [run.key for group in cut for run in group.runs]
    assert sorted(keys) == sorted(run.key for run in runs)
    assert sizes(divided(runs, folder / "outputs", 0.0)) == [1] * 7
    assert [group.seconds for group in cut] == sorted((group.seconds for group in cut), reverse=True)


def test_a_group_is_called_after_its_runs_in_whatever_order(runs, folder):
    one, other = divided(runs, folder / "outputs", 3600), divided(runs[::-1], folder / "outputs", 3600)
    assert {group.name for group in one} == {group.name for group in other} and len(one) == 3
    assert {group.dataset for group in one} == {"multidigits"}


def test_more_work_is_estimated_to_take_longer(environment, folder, monkeypatch):
    monkeypatch.setenv("MLBENCH_CACHE", environment["MLBENCH_CACHE"])
    words = [["train.epochs=10"], ["train.epochs=20"], ["train.epochs=20", "backbone.widths=[4096,4096]"]]
    seconds = {}
    for group in divided(runs_of(words), folder, 1e9):
        run = group.runs[0]
        seconds[run.config.train.epochs, len(run.config.backbone["widths"])] = group.seconds, group.memory
    assert seconds[10, 1][0] < seconds[20, 1][0] < seconds[20, 2][0]
    assert seconds[10, 1][1] == seconds[20, 1][1] < seconds[20, 2][1]


def test_records_of_the_same_kind_say_more_than_operations(at_once, folder, runs):
    """A record of as many epochs of the same backbone counts, another one does not."""
    assert at_once("backbone=linear", "train.epochs=1", "seed=7").status == 0
    (path,) = records(folder / "outputs")
    content = json.loads(path.read_text())
    assert {group.by for group in divided(runs, folder / "outputs", 3600)} == {"operations"}
    content["config"]["train"]["epochs"] = runs[0].config.train.epochs
    content["seconds"] = {"train": 300.0}
    write_json(path, content)
    by = {
        group.runs[0].config.choices["backbone"]: group
        for group in divided(runs[:6], folder / "outputs", 700)
    }
    assert (by["linear"].by, by["mlp"].by) == ("records", "operations")
    assert by["linear"].seconds == by_records([Record.read(path)]).seconds(len(by["linear"].runs))
    assert sizes(divided(runs[:5], folder / "outputs", 700)) == [1, 2, 2]


def test_the_script_says_what_was_asked_for(command, folder):
    pytest.importorskip("submitit", reason="pip install multilabel-bench[slurm]")
    words = ["launch.partition=long", "launch.minutes=90", "launch.constraint=a100", "launch.at_once=1"]
    setup = ["launch.setup=[module load cuda]", "launch.more={account: mine}", "launch.memory=2.5"]
    sweep = [
        "-m",
        "backbone=linear,mlp",
        "seed=0,1",
        "train.accelerator=gpu",
        "launch=slurm",
        "launch.dry_run=true",
    ]
    done = command(*sweep, *words, *setup)
    assert done.status == 0 and not records(folder / "outputs") and not (folder / "outputs/launches").exists()
    told, _, script = done.out.partition("\n\n")
    assert len(told.splitlines()) == 3 and "multidigits erm ×2" in told and "4 runs in 2 groups" in told
    lines = script.splitlines()
    options = {line.removeprefix("#SBATCH --") for line in lines if line.startswith("#SBATCH")}
    assert {
        "array=0-1%1",
        "partition=long",
        "time=90",
        "constraint=a100",
        "mem=2560M",
        "account=mine",
    } <= options
    assert {"gpus-per-node=1", "cpus-per-task=1", "requeue", "signal=USR2@90"} <= options
    assert "module load cuda" in lines and "export OMP_NUM_THREADS=1" in lines


@pytest.mark.parametrize(
    "words, said",
    [
        (["launch=slurm"], "launch=slurm: a launcher is for the runs of a sweep; add -m"),
        (["-m", "launch=slurm", "launch.minutes=0"], "launch.minutes=0: "),
        (["-m", "launch=slurm", "launch.partitoin=x"], "did you mean partition?"),
        (["-m", "launch=slurn"], "did you mean slurm?"),
        (["-m", "launch.processes=2", "hydra/launcher=joblib"], "leave one out"),
    ],
)
def test_what_is_wrong_is_said_in_a_line(words, said, at_once):
    done = at_once(*words, "seed=0")
    assert done.status == 2 and len(done.err.splitlines()) == 1 and said in done.err


def test_where_there_is_no_slurm_the_command_says_so(runs, monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda name: None if name == "sbatch" else f"/bin/{name}")
    with pytest.raises(UserError, match="there is no sbatch on this machine"):
        launch_of(configure(["launch=slurm"])).run(runs)


def test_a_group_is_as_large_as_its_device_takes(environment, folder, monkeypatch):
    """32 on a CPU, where more are no faster; on a GPU 512, or as many as train.replicas says."""
    monkeypatch.setenv("MLBENCH_CACHE", environment["MLBENCH_CACHE"])
    for words, expected in {
        (): [8, 32],
        ("train.replicas=40",): [40],
        ("train.accelerator=gpu",): [40],
        ("train.accelerator=gpu", "train.replicas=15"): [10, 15, 15],
    }.items():
        runs = runs_of([[*words, f"seed={seed}"] for seed in range(40)])
        assert sizes(divided(runs, folder, 1e9)) == expected, words
        assert len({run.key for run in runs}) == 40


def test_how_many_train_as_one_is_no_part_of_a_key(environment, folder, monkeypatch):
    monkeypatch.setenv("MLBENCH_CACHE", environment["MLBENCH_CACHE"])
    one, other = runs_of([["seed=0"], ["seed=0", "train.replicas=2"]])
    assert one.key == other.key
