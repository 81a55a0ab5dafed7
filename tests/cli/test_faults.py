"""A person's mistakes: exit status 2, one line that says what was given, what is valid, what is near."""

import os
import re

import numpy as np
import pytest

from mlbench.compose import choices
from mlbench.methods.prior import Prior

# What is given, and what the one line must hold.
FAULTS = [
    # keys
    (["methd=erm"], ["methd", "did you mean method?", "selection"]),
    (["+methd=erm"], ["methd", "did you mean method?"]),
    (["~methd"], ["methd", "did you mean method?"]),
    (["method.lrr=1"], ["method.lrr", "no such key"]),
    (["train.optimizer.lrr=3"], ["train.optimizer.lrr", "lr, weight_decay", "did you mean lr?"]),
    (["train/optimizer=sgd", "train.optimizer.momentm=3"], ["momentm", "nesterov", "did you mean momentum?"]),
    (["trian.epochs=3"], ["trian", "did you mean train.epochs?"]),
    (["epochs=3"], ["epochs", "did you mean train.epochs?"]),
    (["lr=0.1"], ["lr", "did you mean train.optimizer.lr?"]),
    (["-m", "hydra.launcher.n_jobz=3"], ["hydra.launcher.n_jobz", "Hydra"]),
    (["+seed=3"], ["seed", "exists"]),
    (["dataset=scene", "dataset.files.train.sha=3"], ["dataset.files.train.sha", "did you mean sha256?"]),
    # choices
    (["dataset=scen"], ["dataset=scen", "yeast", "did you mean scene?"]),
    (["loss=asymetric"], ["loss=asymetric", "bce"]),
    (["loss=bcee"], ["loss=bcee", "did you mean bce?"]),
    (["method=err"], ["method=err", "prior", "did you mean erm?"]),
    (["train/optimizer=adm"], ["train/optimizer=adm", "adamw, sgd", "did you mean adam?"]),
    (["train/optimizr=adam"], ["train/optimizr", "did you mean train/optimizer?"]),
    (["dataset=null"], ["dataset=null", "yeast"]),
    (["train.threads=null", "train/optimizer=null"], ["train/optimizer=null", "adam, adamw, sgd"]),
    (["dataset=[a,b]"], ["dataset", "yeast"]),
    (["method._target_=no.such.Thing"], ["method._target_=no.such.Thing", "no"]),
    (["method._target_=outside.TwoStagez"], ["outside.TwoStagez", "did you mean TwoStages?"]),
    (["method._target_=mlbench.backbones.linear.Linear"], ["method._target_", "linear.Linear", "Method"]),
    (["method._target_=mlbench.compose.config_dir"], ["method._target_", "config_dir", "Method"]),
    (["method._target_=outside"], ["method._target_=outside"]),
    (["backbone.activation=rellu"], ["backbone.activation=rellu", "tanh", "did you mean relu?"]),
    (["selection.rule=bst"], ["selection.rule=bst", "oracle", "did you mean best?"]),
    (["selection.metric=f1_makro"], ["selection.metric=f1_makro", "did you mean f1_macro?"]),
    (["threshold=cardinality", "threshold.fit_on=tests"], ["threshold.fit_on=tests", "validation"]),
    (["dataset.scaling=zscor"], ["dataset.scaling=zscor", "minmax", "did you mean zscore?"]),
    # values
    (["train.epochs=ten"], ["train.epochs=ten", "integer"]),
    (["train.epochs=-1"], ["train.epochs=-1", "1"]),
    (["seed=abc"], ["seed=abc", "integer"]),
    (["seed=null"], ["seed=null", "integer"]),
    (["seed=4294967296"], ["seed=4294967296"]),
    (["backbone.widths=[0]"], ["backbone.widths", "0", "greater"]),
    (["loss.pos_weight=[a]"], ["loss.pos_weight", "a", "number"]),
    (["train.optimizer.lr=-1"], ["train.optimizer", "-1"]),
    (["train.optimizer.lr=abc"], ["train.optimizer.lr=abc", "number"]),
    (["train.optimizer=null"], ["train.optimizer"]),
    (["train.optimizer._target_=null"], ["train.optimizer"]),
    (["train.scheduler._target_=torch.optim.lr_scheduler.StepLR"], ["train.scheduler", "step_size"]),
    (["split.validation=1.5"], ["split.validation=1.5"]),
    (["split=kfold", "split.fold=12"], ["split.fold=12", "0 to 9"]),
    (["force=maybe"], ["force=maybe", "boolean"]),
    (["paths.outputs=null"], ["paths.outputs=null"]),
    (["dataset.name=../../x"], ["dataset.name=../../x", "one name, not a path"]),
    (["dataset=scene", "dataset.name=.."], ["dataset.name=..", "one name, not a path"]),
    (["dataset=scene", "dataset.name=/tmp/x"], ["dataset.name=/tmp/x", "one name, not a path"]),
    (["dataset=scene", "dataset.name=a/b"], ["dataset.name=a/b", "one name, not a path"]),
    (["dataset=scene", "dataset.name=."], ["dataset.name=.", "one name, not a path"]),
    (["dataset=scene", f"dataset.name={'x' * 256}"], ["dataset.name=xx", "at most 255 bytes"]),
    (["dataset=imdb", "dataset.folder=../../x"], ["dataset.folder=../../x", "one name, not a path"]),
    (["dataset=scene", "dataset.files.test.name=../../x"], ["dataset.files.test.name=../../x", "one name"]),
    (["dataset.name=${foo}"], ["dataset.name", "foo"]),
    (["seed=0,1"], ["seed=0,1", "-m", "[0,1]"]),
    # what goes together
    (["split=official", "dataset=cal500"], ["split=official", "cal500", "split=holdout"]),
    (["selection.rule=best"], ["selection.rule=best", "split.validation=0.1"]),
    (["threshold=per_label", "threshold.fit_on=validation"], ["threshold.fit_on", "split.validation=0.1"]),
    (["train.batch_size=3", "train.devices=2"], ["train.batch_size=3", "train.devices=2", "multiple"]),
    (["method=mulsupcon", "train.accumulate=2"], ["train.accumulate=2", "method.pretrain.batch_size"]),
    (
        ["method=mulsupcon_cld", "method.pretrain.batch_size=255", "train.devices=2"],
        ["method.pretrain.batch_size=255", "train.devices=2", "multiple"],
    ),
    (
        ["method=mulsupcon_rld", "method.pretrain.walk=passes", "train.devices=2"],
        ["method.pretrain.walk=passes", "train.devices=2", "method.pretrain.walk=endless", "drop_last"],
    ),
    (["dataset=csv"], ["dataset.path"]),
    (["dataset=csv", "dataset.path=my.csv"], ["dataset.labels"]),
    (["dataset=csv", "dataset.path=nope.csv", "dataset.labels=[y]"], ["dataset.path=nope.csv", "no file"]),
    # what cannot be read
    (["foo"], ["foo", "key=value"]),
    (["a=[1"], ["a=[1", "a bracket is open", "[a,b]"]),
]


@pytest.mark.parametrize("given, said", FAULTS, ids=[" ".join(given) for given, _ in FAULTS])
def test_one_line_before_any_data_is_read(given, said, at_once, folder, tmp_path):
    if not any(argument.startswith(("dataset", "~")) for argument in given):
        given = ["dataset=scene", *given]  # whose files are not there: the first to ask for them would say so
    done = at_once(*given, MLBENCH_CACHE=str(tmp_path / "cache"))
    assert done.status == 2
    assert done.out == ""
    (line,) = done.err.splitlines()
    assert line.startswith("mlbench: ")
    for words in said:
        assert words in line
    assert not re.search(r"\+\w|add .*\+|prefix|hydra\.errors|Traceback|omegaconf", line)
    assert not list(folder.iterdir())
    assert not (tmp_path / "cache").exists()


def test_no_gpu(at_once, folder):
    import torch

    if torch.cuda.is_available():
        pytest.skip("there is one")
    done = at_once("train.accelerator=gpu")
    assert done.status == 2
    assert done.err == "mlbench: train.accelerator=gpu: torch sees no GPU here; use train.accelerator=cpu\n"
    assert not list(folder.iterdir())


@pytest.mark.parametrize("group", ["dataset", "method", "backbone", "loss", "split", "threshold", "logger"])
def test_a_choice_nearly_right_is_recognised(group, at_once):
    longest = max(choices(group), key=len)
    done = at_once(f"{group}={longest[:-1]}")
    assert (done.status, len(done.err.splitlines())) == (2, 1)
    assert ", ".join(choices(group)) in done.err
    assert done.err.endswith(f"did you mean {longest}?\n")


def test_a_sweep_over_a_misspelled_choice_does_not_start(at_once, folder):
    done = at_once("-m", "method=erm,priorr")
    assert (done.status, done.out) == (2, "")
    assert done.err.endswith("did you mean prior?\n") and len(done.err.splitlines()) == 1
    assert not list(folder.glob("outputs/multidigits"))


def test_choices_from_a_folder_of_ones_own(at_once, folder):
    (folder / "mine" / "method").mkdir(parents=True)
    (folder / "mine" / "method" / "deep.yaml").write_text("_target_: outside.TwoStages\nteacher_epochs: 2\n")
    for how in (["--config-dir=mine"], ["--config-dir", "mine"], ["-cd", "mine"]):
        done = at_once(*how, "method=deep", "method.teacher_epoch=3")
        assert (done.status, len(done.err.splitlines())) == (2, 1)
        assert "method has: teacher_epochs; did you mean teacher_epochs?" in done.err
        done = at_once(*how, "method=deeep")
        assert (done.status, len(done.err.splitlines())) == (2, 1)
        assert "erm" in done.err and done.err.endswith("did you mean deep?\n")


def test_a_choice_in_a_folder_of_its_group_is_called_after_its_file(at_once, folder):
    (folder / "mine" / "method" / "own").mkdir(parents=True)
    (folder / "mine" / "method" / "own" / "rare.yaml").write_text("_target_: mlbench.methods.prior.Prior\n")
    done = at_once("--config-dir=mine", "method=own/rare", "train.progress=false")
    assert done.status == 0, done.err
    assert len([*folder.glob("outputs/multidigits/rare/*/record.json")]) == 1


def test_a_column_that_is_not_there(at_once, folder):
    (folder / "my.csv").write_text("a,b,y\n1,2,0\n2,1,1\n3,3,1\n4,5,0\n")
    done = at_once("dataset=csv", "dataset.path=my.csv", "dataset.labels=[z]")
    assert (done.status, done.out) == (2, "")
    (line,) = done.err.splitlines()
    assert "my.csv has no column 'z'" in line and "dataset.labels" in line
    (failed,) = folder.glob("outputs/my/erm/*/failed.json")
    assert "no column 'z'" in failed.read_text()


def test_a_file_that_is_none(at_once, folder):
    (folder / "my.npz").write_bytes(b"PK\x03\x04 no archive")
    done = at_once("dataset=npz", "dataset.path=my.npz")
    assert (done.status, done.out, len(done.err.splitlines())) == (2, "", 1)
    assert "my.npz" in done.err


def test_labels_only(at_once, folder):
    np.savez(folder / "my.npz", features=np.zeros((9, 0), np.float32), targets=np.eye(9, 3))
    done = at_once("dataset=npz", "dataset.path=my.npz")
    assert (done.status, done.out, len(done.err.splitlines())) == (2, "", 1)


@pytest.mark.parametrize("given", ["methd=erm", "train.epochs=ten"])
def test_the_trace_is_there_for_those_who_ask(given, environment, folder, command):
    done = command(given, MLBENCH_DEBUG="1")
    assert done.status != 0
    assert "Traceback (most recent call last)" in done.err


MINE = """
from mlbench.methods.erm import ERM
class Mine(ERM):
    def loss(self, batch):
        return wrong(batch)
def wrong(batch):
    return batch.y
"""


@pytest.mark.parametrize("sweep", [[], ["-m", "seed=0,1"]], ids=["one", "sweep"])
def test_a_fault_in_ones_own_code_shows_that_code(sweep, command, folder):
    (folder / "mine.py").write_text(MINE)
    run = [*sweep, "method._target_=mine.Mine", "train.epochs=1", "engine=single"]
    done = command(*run, PYTHONPATH=os.fspath(folder))
    assert done.status == (2 if sweep else 1)
    lines = done.err.splitlines()
    assert lines[0].startswith("mlbench: in your own code") and "MLBENCH_DEBUG=1" in lines[0]
    assert 'mine.py", line 5, in loss' in lines[1] and "return wrong(batch)" in lines[2]
    assert "return batch.y" in done.err and "has no attribute 'y'" in done.err
    assert "mlbench/engine" not in done.err
    failed = next(folder.glob("outputs/multidigits/mine/*/failed.json")).read_text()
    assert "has no attribute 'y'" in failed and "mlbench/engine" in failed
    if not sweep:
        assert lines[-1].endswith("has no attribute 'y'")
        whole = command(*run, PYTHONPATH=os.fspath(folder), MLBENCH_DEBUG="1").err
        assert "mlbench/engine" in whole and "in wrong" in whole


def test_a_fault_of_ours_shows_its_trace(at_once, monkeypatch):
    monkeypatch.setattr(Prior, "facts", lambda self: 1 // 0)
    monkeypatch.setattr("mlbench.errors.of_a_library", lambda file: True)  # these tests are not
    done = at_once("method=prior")
    assert done.status == 1 and done.err.startswith("Traceback")
    assert "experiment.py" in done.err and done.err.rstrip().endswith(
        "ZeroDivisionError: integer division or modulo by zero"
    )


def test_a_library_that_ones_own_module_lacks_is_named(at_once, folder, monkeypatch):
    (folder / "needy.py").write_text("import no_such_library.part\n")
    monkeypatch.syspath_prepend(folder)
    done = at_once("method._target_=needy.Mine")
    said = "method._target_=needy.Mine: it imports no_such_library, which is not installed here"
    assert (done.status, done.err) == (2, f"mlbench: {said}\n")
    done = at_once("method._target_=needles.Mine")
    assert done.status == 2 and "is its folder in PYTHONPATH?" in done.err
    done = at_once("method=br", "method.base=needy.Mine")
    assert done.status == 2 and "it imports no_such_library" in done.err
