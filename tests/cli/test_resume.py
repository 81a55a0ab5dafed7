"""A run that was stopped, however and whenever, ends to the last bit where one that was not stopped ends."""

import functools
import json
import re
import signal
from pathlib import Path

import pytest

from commands import (
    Command,
    gated_at_step,
    limit_files,
    records,
    result,
    signalled_at_call,
    signalled_at_rename,
    signalled_at_step,
)

INTERRUPTED = "mlbench: interrupted; the same command goes on from the last checkpoint\n"

# Dropout, a schedule, selection, thresholds that are fitted; 144 batches make three chunks an epoch.
ERM = [
    "train.epochs=4",
    "train.batch_size=10",
    "train.checkpoint_seconds=0",
    "train/scheduler=cosine_restarts",
    "train.scheduler.T_0=3",
    "backbone.widths=[16]",
    "backbone.dropout=0.5",
    "split.validation=0.1",
    "selection.rule=best",
    "threshold=per_label",
]
SELDOM = [word.replace("checkpoint_seconds=0", "checkpoint_seconds=1000") for word in ERM]
# The first stage: 2 epochs of 144 batches. The second: 3 of 48, a chunk each.
TWO_STAGES = [
    "method._target_=outside.TwoStages",
    "train.epochs=3",
    "train.batch_size=30",
    "train.checkpoint_seconds=0",
    "backbone.widths=[16]",
    "backbone.dropout=0.5",
    "split.validation=0.1",
    "selection.rule=oracle",
]


@pytest.fixture(scope="module")
def references(tmp_path_factory, cache):
    """What the two commands measure when nothing stops them; with checkpoints only at the stages' ends."""
    found = {}

    def reference(arguments, environment):
        arguments = [argument for argument in arguments if "checkpoint_seconds" not in argument]
        name = " ".join(arguments)
        if name not in found:
            folder = tmp_path_factory.mktemp("reference") / "work"
            folder.mkdir()
            done = Command(folder, (*arguments, "train.checkpoint_seconds=1000"), environment).wait()
            assert (done.status, done.err) == (0, "")
            (record,) = records(folder / "outputs")
            found[name] = result(record)
        return found[name]

    return reference


def test_killed_at_many_moments(references, environment, command, folder):
    """One run, killed again and again: each process goes on where the one before was killed."""
    moments = [
        functools.partial(signalled_at_rename, 1, ".ckpt", "before"),  # half a checkpoint, none before it
        functools.partial(signalled_at_step, 30, signal.SIGKILL),
        functools.partial(signalled_at_rename, 2, ".ckpt", "after"),  # between two chunks
        functools.partial(signalled_at_step, 60, signal.SIGKILL),
        functools.partial(signalled_at_rename, 2, ".ckpt", "before"),
        functools.partial(signalled_at_step, 110, signal.SIGKILL),  # past the end of an epoch
        functools.partial(signalled_at_step, 1, signal.SIGKILL),
        functools.partial(signalled_at_rename, 3, ".ckpt", "after"),
        functools.partial(signalled_at_rename, 1, "0-train.pt", "before"),  # all epochs done
        functools.partial(signalled_at_rename, 1, "0-train.pt", "after"),  # its checkpoint lies there still
        functools.partial(signalled_at_rename, 1, "scores.npz", "before"),
        functools.partial(signalled_at_rename, 1, "record.json", "before"),
    ]
    for moment in moments:
        done = command(*ERM, first=moment)
        assert (done.status, done.out, done.err) == (-signal.SIGKILL, "", "")
        assert not records(folder / "outputs")
    done = command(*ERM)
    assert (done.status, done.err) == (0, "")
    (record,) = records(folder / "outputs")
    assert result(record) == references(ERM, environment)
    assert not record.with_name("failed.json").exists()
    assert not list(folder.rglob("*.tmp*"))  # of those that were killed


def test_killed_from_outside(references, environment, start, folder, tmp_path):
    for step in (3, 120):
        gate = tmp_path / f"gate{step}"
        running = start(*ERM, first=functools.partial(gated_at_step, step, gate))
        running.until(gate.with_suffix(".waits").exists)
        running.signal(signal.SIGKILL)
        assert running.wait().status == -signal.SIGKILL
    assert start(*ERM).wait().status == 0
    (record,) = records(folder / "outputs")
    assert result(record) == references(ERM, environment)


@pytest.mark.parametrize(
    "moments",
    [
        [
            functools.partial(signalled_at_rename, 2, "0-teacher.ckpt", "after"),
            functools.partial(signalled_at_rename, 5, "0-teacher.ckpt", "before"),
            functools.partial(signalled_at_step, 7, signal.SIGKILL),  # in the second stage
            functools.partial(signalled_at_rename, 3, "1-student.ckpt", "after"),
        ],
        [
            functools.partial(signalled_at_rename, 1, "0-teacher.pt", "after"),
            functools.partial(signalled_at_rename, 1, "1-student.pt", "after"),
        ],
    ],
    ids=["within stages", "between stages"],
)
def test_several_stages(moments, references, environment, command, folder):
    for moment in moments:
        assert command(*TWO_STAGES, first=moment).status == -signal.SIGKILL
    assert command(*TWO_STAGES).status == 0
    (record,) = records(folder / "outputs")
    assert result(record) == references(TWO_STAGES, environment)


@pytest.mark.parametrize(
    "moment",
    [
        functools.partial(signalled_at_step, 70, signal.SIGINT),
        functools.partial(signalled_at_step, 70, signal.SIGTERM),
        functools.partial(signalled_at_step, 70, signal.SIGINT, signal.SIGINT),  # no patience
        functools.partial(signalled_at_rename, 1, "scores.npz", "before", signal.SIGINT),
        functools.partial(signalled_at_rename, 1, "scores.npz", "before", signal.SIGTERM),
        functools.partial(signalled_at_call, "mlbench.config.validated", signal.SIGTERM),
        functools.partial(signalled_at_rename, 1, "record.json", "before", signal.SIGTERM),
    ],
    ids=["ctrl-c", "sigterm", "ctrl-c twice", "scoring", "scoring, sigterm", "composing", "recording"],
)
def test_ctrl_c_says_how_to_go_on(moment, references, environment, command, folder):
    stopped = command(*SELDOM, first=moment)
    assert (stopped.status, stopped.out, stopped.err) == (130, "", INTERRUPTED)
    assert not list(folder.rglob("failed.json")) and not records(folder / "outputs")
    assert not list(folder.rglob("*.tmp"))
    done = command(*ERM)
    assert (done.status, done.err) == (0, "")
    (record,) = records(folder / "outputs")
    assert result(record) == references(ERM, environment)


@pytest.mark.parametrize("which", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("file", [".pt", "scores.npz", "model.pt", "record.json"])
def test_a_method_in_closed_form_is_interrupted_anywhere(file, which, at_once, folder, monkeypatch):
    replace = Path.replace

    def interrupted(path, target):
        if str(target).endswith(file):
            signal.raise_signal(which)
        return replace(path, target)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", interrupted)
        stopped = at_once("method=br")
    assert (stopped.status, stopped.out, stopped.err) == (130, "", INTERRUPTED)
    assert not list(folder.rglob("*.tmp")) and not list(folder.rglob("failed.json"))
    assert not records(folder / "outputs")


def test_ctrl_c_in_the_last_chunk_of_a_stage_is_heard(references, environment, command, folder):
    """The stage ends, the run does not go on to the next."""
    first = functools.partial(signalled_at_step, 3 * 48, signal.SIGINT)
    stopped = command(*TWO_STAGES, first=first)
    assert (stopped.status, stopped.err) == (130, INTERRUPTED)
    assert [path.name for path in folder.rglob("*student.*t")] == ["1-student.pt"]
    assert not list(folder.rglob("scores.npz"))
    assert command(*TWO_STAGES).status == 0
    (record,) = records(folder / "outputs")
    assert result(record) == references(TWO_STAGES, environment)


def test_ctrl_c_ends_a_sweep(command, folder):
    first = functools.partial(signalled_at_step, 30, signal.SIGINT)  # in the second run
    stopped = command("-m", "seed=0,1,2", "train.epochs=1", "engine=single", first=first)
    assert (stopped.status, stopped.err) == (130, INTERRUPTED)
    assert len(records(folder / "outputs")) == 1
    assert len(list(folder.glob("outputs/multidigits/erm/*"))) == 2


def test_ctrl_c_ends_runs_that_are_trained_as_one(command, folder):
    sweep = ["-m", "seed=0,1,2", "train.epochs=3"]
    stopped = command(*sweep, first=functools.partial(signalled_at_step, 10, signal.SIGINT))
    assert (stopped.status, stopped.err) == (130, INTERRUPTED)
    assert not records(folder / "outputs") and not list(folder.rglob("failed.json"))
    assert len(list(folder.rglob("*.ckpt"))) == 1
    done = command(*sweep)
    assert (done.status, done.err) == (0, "")
    assert len(records(folder / "outputs")) == 3 and not list(folder.rglob("*.ckpt"))


def test_runs_that_were_begun_as_one_may_end_each_alone(command, at_once, folder):
    sweep = ["-m", "seed=0,1,2", "train.epochs=3"]
    command(*sweep, first=functools.partial(signalled_at_step, 10, signal.SIGINT))
    assert len(list(folder.rglob("*.ckpt"))) == 1
    for seed in range(3):
        assert at_once(f"seed={seed}", "train.epochs=3").status == 0
    assert len(records(folder / "outputs")) == 3 and not list(folder.rglob("*.ckpt"))


@pytest.mark.parametrize("kept", [0, 0.999])
def test_a_damaged_checkpoint_costs_its_stage_and_no_more(kept, references, environment, command, folder):
    command(*TWO_STAGES, first=functools.partial(signalled_at_rename, 2, "1-student.ckpt", "after"))
    stages = next(folder.glob("outputs/multidigits/twostages/*/stages"))
    for name in ("0-teacher.pt", "1-student.ckpt"):
        content = (stages / name).read_bytes()
        (stages / name).write_bytes(content[: int(len(content) * kept)])
    done = command(*TWO_STAGES)
    assert done.status == 0
    lines = done.err.splitlines()
    assert len(lines) == 2
    for line, name in zip(lines, ("0-teacher.pt", "1-student.ckpt")):
        assert line.startswith("mlbench: ") and f"{name} is damaged" in line and "starts again" in line
    (record,) = records(folder / "outputs")
    assert result(record) == references(TWO_STAGES, environment)


def test_files_of_stages_under_each_others_names_start_again(references, environment, command, folder):
    command(*TWO_STAGES, first=functools.partial(signalled_at_rename, 2, "1-student.ckpt", "after"))
    stages = next(folder.glob("outputs/multidigits/twostages/*/stages"))
    (stages / "0-teacher.pt").rename(stages / "0-teacher.ckpt")
    (stages / "1-student.ckpt").rename(stages / "1-student.pt")
    done = command(*TWO_STAGES)
    assert done.status == 0
    lines = done.err.splitlines()
    assert [line.rpartition("/")[2] for line in lines] == [
        f"{name} is not what its name says; its stage starts again"
        for name in ("0-teacher.ckpt", "1-student.pt")
    ]
    (record,) = records(folder / "outputs")
    assert result(record) == references(TWO_STAGES, environment)


def test_half_a_record_is_set_aside_and_the_run_made_again(command, folder):
    command("method=prior")
    (record,) = records(folder / "outputs")
    whole, content = result(record), record.read_text()
    record.write_text(content[: len(content) // 2])
    done = command("method=prior")
    assert (done.status, len(done.err.splitlines())) == (0, 1)
    assert "record.json is not a record" in done.err and "record.broken-1.json" in done.err
    assert result(record) == whole
    (aside,) = record.parent.glob("record.broken-*.json")
    assert aside.read_text() == content[: len(content) // 2]


@pytest.mark.parametrize(
    "arguments, size, full",
    [
        (ERM, 500, "config.yaml"),
        (ERM, 30000, "0-train.ckpt"),
        (SELDOM, 30000, "0-train.pt"),
        (["method=prior"], 5000, "scores.npz"),
    ],
)
def test_a_full_disk(arguments, size, full, references, environment, command, folder):
    """Whatever file does not fit: one line, no record, no temporary file; and the rest is there for later."""
    done = command(*arguments, first=functools.partial(limit_files, size))
    assert (done.status, done.out) == (2, "")
    (line,) = done.err.splitlines()
    assert line.startswith("mlbench: ") and line.endswith(f"{full}: File too large")
    assert not records(folder / "outputs")
    assert not list(folder.rglob("*.*.tmp"))
    assert command(*arguments).status == 0
    (record,) = records(folder / "outputs")
    assert result(record) == references(arguments, environment)


@pytest.mark.parametrize("size, files", [(20000, ["/scores.npz"] * 2), (500, [""])])
def test_a_full_disk_in_a_sweep(size, files, command, folder):
    """Runs whose files do not fit, each with the path of its own; or all that the sweep itself writes."""
    done = command("-m", "method=prior", "seed=0,1", first=functools.partial(limit_files, size))
    assert done.status == 2
    lines = done.err.splitlines()
    assert len(lines) == len(files)
    for seed, (line, file) in enumerate(zip(lines, files)):
        path = rf"outputs/(multidigits/prior/\w+|sweeps/[^/]+){re.escape(file)}"
        assert re.fullmatch(rf"mlbench: (method=prior seed={seed}  failed: )?{path}: File too large", line)


def test_outputs_that_cannot_be_written(command, folder):
    (folder / "taken").touch()
    for outputs in ("/proc/outputs", "taken"):
        done = command("train.epochs=1", f"paths.outputs={outputs}")
        assert (done.status, done.out) == (2, "")
        (line,) = done.err.splitlines()
        assert outputs in line and "paths.outputs" in line
    done = command("-m", "train.epochs=1", "seed=0,1", "paths.outputs=taken")
    assert (done.status, done.out) == (2, "")
    assert len(done.err.splitlines()) == 1 and "taken" in done.err


def test_two_commands_one_run(start, folder, tmp_path):
    gate = tmp_path / "gate"
    command = ["train.epochs=1", "split.validation=0.1"]
    first = start(*command, first=functools.partial(gated_at_step, 10, gate))
    first.until(gate.with_suffix(".waits").exists)
    second = start(*command, first=functools.partial(signalled_at_step, 1, signal.SIGKILL))
    second.until(lambda: "waiting for another process" in second.err)
    assert not records(folder / "outputs")
    gate.touch()
    one, other = first.wait(), second.wait()  # the second would have died at a step of its own
    assert (one.status, other.status) == (0, 0)
    assert one.out == other.out and one.err == "" and len(other.err.splitlines()) == 1


def test_the_one_that_waited_takes_over_from_the_dead(references, environment, start, folder, tmp_path):
    gate = tmp_path / "gate"
    first = start(*ERM, first=functools.partial(gated_at_step, 80, gate))
    first.until(gate.with_suffix(".waits").exists)
    second = start(*ERM)
    second.until(lambda: "waiting for another process" in second.err)
    first.signal(signal.SIGKILL)
    assert second.wait().status == 0
    (record,) = records(folder / "outputs")
    assert result(record) == references(ERM, environment)


def test_a_failed_run_says_why_and_is_tried_again(command, folder):
    broken = ["method._target_=outside.Breaks", "+method.batch=73", "+method.value=nan"]
    arguments = [*broken, "train.epochs=1", "train.batch_size=16"]
    for _ in range(2):
        done = command(*arguments)
        assert (done.status, done.out) == (2, "")
        (line,) = done.err.splitlines()
        assert line.startswith("mlbench: the loss is nan in stage train, epoch 1, batch 73")
        (failed,) = folder.glob("outputs/multidigits/breaks/*/failed.json")
        content = json.loads(failed.read_text())
        assert f"mlbench: {content['reason']}" == line and content["type"] == "UserError"
        failed.unlink()


def test_force_runs_again(command, folder):
    arguments = ["train.epochs=1", "split.validation=0.1"]
    assert command(*arguments).status == 0
    (record,) = records(folder / "outputs")
    before, stamp = result(record), record.stat().st_mtime_ns
    assert command(*arguments, "force=true").status == 0
    assert records(folder / "outputs") == [record] and record.stat().st_mtime_ns > stamp
    assert result(record) == before
