"""The key of a run: it changes with all that defines what is measured, and with nothing else."""

import re
import shutil

import numpy as np
import pytest
from hydra import compose, initialize_config_dir
from hydra.errors import HydraException
from hydra.types import RunMode
from omegaconf import OmegaConf

from mlbench import loading
from mlbench.assemble import build, tell_untaken
from mlbench.compose import ENCODERS, config_dir, configure
from mlbench.config import MACHINE, TRAINING, Selection, fingerprint, science, taken
from mlbench.config import NOT_TAKEN as NOT_TAKEN_SIGN

# With all of them every option of conf/train and `selection` counts.
CLIPPED, ENDLESS, STEPPED = "train.gradient_clip=1", "train.walk=endless", "train/scheduler=cosine_restarts"
VALIDATED = "split.validation=0.1"
COUNTING = [CLIPPED, STEPPED, VALIDATED, "train.optimizer.weight_decay=0.1"]
EXPERIMENTS = [
    COUNTING,
    [
        *COUNTING,
        "dataset=scene",
        "split=holdout",
        "method=erm",
        "backbone=mlp",
        "loss=bce",
        "threshold=per_label",
        "train/optimizer=sgd",
        "logger=wandb",
    ],
]
SCIENTIFIC = {"method", "backbone", "loss", "split", "calibration", "threshold", "train", "selection", "seed"}
IDENTITY = re.compile(
    r"dataset\.(name|scaling|use|missing_modalities|reader|modalities|sha256|files\.\w+\.sha256)"
)
OTHERS = {  # where not any other value will do
    "method._target_": "outside.Needs",  # which is asked what it takes
    "backbone._target_": "mlbench.backbones.linear.Linear",  # which is asked for its weights
    "calibration._target_": "mlbench.evaluation.calibration.Isotonic",
    "split._target_": "mlbench.data.splits.KFold",
    "dataset.scaling": "zscore",
    "dataset.folder": "elsewhere",
    "dataset.kind": "image",
    "dataset.reader": "outside.read",
    "dataset.modalities": {"colour": [0, 293]},
    "dataset.use": ["top_left"],
}


@pytest.mark.parametrize(
    "words",
    [
        ["method=ant", "dataset=scene", "method.teachers.epochs=2", "seed=3", "+loss.new={a: 1}"],
        ["seed=1", "train/scheduler=cosine", "seed=2", "force=true", "train.scheduler={a: 1}"],
        ["~train.optimizer.lr", "train.epochs=3", "hydra.sweep.dir=here"],
        ["train.epochs=1,2", "seed=3"],
        ["seed=3", "method.lrr=3"],
    ],
)
def test_words_give_the_tree_and_the_mistakes_that_hydra_gives(words):
    def by_hydra(words):
        with initialize_config_dir(config_dir=str(config_dir()), version_base="1.3", job_name="run"):
            return compose("config", overrides=words, return_hydra_config=True)

    def by_us(words):
        return loading._hydra(config_dir()).compose_config("config", words, RunMode.RUN, from_shell=False)

    def told(put_together):
        try:
            return OmegaConf.to_yaml(put_together(words))
        except HydraException as error:
            return type(error), str(error)

    assert told(by_us) == told(by_us) == told(by_hydra)


def key_of(config):
    return fingerprint(science(config, build(config.dataset).identity(config.paths.cache)))


def key(*overrides):
    return key_of(configure(list(overrides)))


def leaves(tree, path=""):
    for name, value in tree.items():
        if isinstance(value, dict) and value:
            yield from leaves(value, f"{path}{name}.")
        else:
            yield f"{path}{name}", value


def other(value):
    """A value of the same kind that is not this one."""
    match value:
        case bool():
            return not value
        case int() | float():
            return value + 1
        case list() | tuple():
            return [*value, 1]
        case None:
            return 0.5
    return f"{value}x"


def changed(node, parents, name, value):
    """The configuration with one value changed, wherever it lies, and nothing checked or looked up."""
    if parents:
        first, *rest = parents
        inner = node[first] if isinstance(node, dict) else getattr(node, first)
        name, value = first, changed(inner, rest, name, value)
    return {**node, name: value} if isinstance(node, dict) else node.model_copy(update={name: value})


@pytest.mark.parametrize("overrides", EXPERIMENTS, ids=["few words", "more"])
def test_a_key_changes_with_what_is_measured_and_with_nothing_else(overrides):
    config = configure(overrides)
    before, keys, same = key_of(config), {}, set()
    for path, value in leaves(config.model_dump()):
        if path == "dataset._target_":  # the content is known by its checksums, whoever reads it
            continue
        *parents, name = path.split(".")
        new = key_of(changed(config, parents, name, OTHERS.get(path, other(value))))
        group, _, rest = path.partition(".")
        counts = IDENTITY.fullmatch(path) or (group in SCIENTIFIC and rest not in MACHINE)
        assert (new != before) == bool(counts), f"{path} from {value}"
        keys |= {new: path} if counts else {}
        same |= set() if counts else {path}
    assert {path.partition(".")[0] for path in keys.values()} == SCIENTIFIC | {"dataset"}
    assert len(keys) > 25  # each with a key of its own
    assert {f"train.{name}" for name in MACHINE} | {"force", "paths.cache", "dataset.citation"} <= same
    named = {"accelerator", "devices", "strategy", "threads", "graph", "compile", "replicas"}
    assert named | {"checkpoint_seconds", "progress"} == MACHINE


def test_what_the_next_torch_may_add_to_its_optimisers_is_no_part_of_the_key():
    config = configure(["train/optimizer=adam", "train/scheduler=cosine_restarts"])
    assert set(config.train.optimizer) == {"_target_", "lr", "weight_decay"}
    assert set(config.train.scheduler) == {"_target_", "T_0", "T_mult", "eta_min"}


@pytest.mark.parametrize(
    "one, other",
    [
        (["train.optimizer.lr=1"], ["train.optimizer.lr=1.0"]),
        (["train.optimizer.lr=0.01"], ["train.optimizer.lr=1e-2"]),
        (["train.gradient_clip=1"], ["train.gradient_clip=1.0"]),
        (["train.clip_by=value"], []),
        (["backbone.dropout=0"], ["backbone.dropout=0.0"]),
        (["split.validation=0"], []),
        (["threshold.value=5e-1"], []),
        (["loss.pos_weight=2"], ["loss.pos_weight=2.0"]),
        (["loss.pos_weight=[1,2]"], ["loss.pos_weight=[1.0,2.0]"]),
        (["seed=3", "train.epochs=4"], ["train.epochs=4", "seed=3"]),
        (["method=erm", "dataset=multidigits", "train/optimizer=adam"], []),
        (["method._target_=mlbench.methods.erm.ERM"], []),
        (["train.shuffle=yes"], ["train.shuffle=True"]),
        (["logger=wandb"], ["logger=local"]),
        (["dataset=scene", "dataset.files.train.urls=[]"], ["dataset=scene"]),
        (["dataset=scene", "dataset.citation=me"], ["dataset=scene"]),
    ],
    ids=" ".join,
)
def test_another_way_to_say_the_same_is_the_same_key(one, other):
    assert key(*one) == key(*other)


CLOSED = ["prior", "br", "cc", "ecc", "rakel", "mlknn"]
NOT_TAKEN = [
    *([f"method={name}", *more] for name in CLOSED for more in (["loss=focal"], ["train.epochs=5"])),
    [
        "method=br",
        "backbone=linear",
        "train/optimizer=sgd",
        "train.batch_size=7",
        "train.precision=bf16-mixed",
    ],
    ["method=ofcc", "loss=focal"],
    ["method=erm", "train.clip_by=value"],
    *([f"method={name}", "loss=asl"] for name in ("ant", "aka", "fka", "cfl", "tc", "bl")),
    ["method=bl", "train.epochs=5", "train.batch_size=7", "train.optimizer.lr=3"],
    ["method._target_=outside.TwoStages", "loss=focal"],
]
TAKEN = [
    ["method=erm", "loss=focal"],
    ["train.gradient_clip=1", "train.clip_by=value"],
    ["method=ofcc", "backbone.hidden=3"],
    ["method=ant", "train.epochs=5"],
    ["method=bl", "train/scheduler=cosine_restarts"],  # the teachers' too
    ["method=bl", "backbone.hidden=3"],
    ["method=br", "method.base=svm"],
    ["method=br", "seed=1"],
    ["method=br", "threshold=cardinality"],
    ["method._target_=outside.TwoStages", "train.epochs=5"],
    ["method._target_=outside.TwoStages", "backbone=linear"],
]


@pytest.mark.parametrize("given", NOT_TAKEN, ids=" ".join)
def test_what_a_method_does_not_take_is_no_part_of_the_key(given):
    """One's own method says it by its signature alone."""
    asked, plain = configure(given), configure(given[:1])
    assert key_of(asked) == key_of(plain)
    assert taken(asked.model_dump()) == taken(plain.model_dump())


# For each option of conf/train and `selection` that may change nothing: where it does not, and where it does.
IDLE = {
    "train.clip_by": (["train.clip_by=value"], [[CLIPPED]]),
    "train.drop_last": (["train.drop_last=true", ENDLESS], [["train.walk=passes"], ["method=mulsupcon"]]),
    "train.schedule_every": (["train.schedule_every=step"], [[STEPPED], ["method=mulsupcon"]]),
    "train.decay_on": (
        ["train.decay_on=weights"],
        [["train.optimizer.weight_decay=0.1"], ["train/optimizer=adamw"], ["method=ant"]],
    ),
    "selection.metric": (["selection.metric=one_error"], [[VALIDATED], ["selection.rule=oracle"]]),
    "selection.every": (["selection.every=7"], [[VALIDATED], ["selection.rule=oracle"]]),
    "selection.patience": (["selection.patience=7", "method=br"], [["method=erm", VALIDATED]]),
    "threshold.delta": (["threshold.delta=0.2", "threshold=conformal"], [["threshold.risk=fdr"]]),
}
ALWAYS = {f"train.{name}" for name in TRAINING} | {f"selection.{name}" for name in Selection.model_fields}
ALWAYS -= IDLE.keys()  # these count in whatever company


@pytest.mark.parametrize("name", sorted(IDLE))
def test_an_option_counts_only_where_it_changes_something(name, capsys):
    """Key, record and a line say so; a value that changes something makes another run."""
    (said, *company), counting = IDLE[name]
    asked, plain = configure([said, *company]), configure(company)
    assert key_of(asked) == key_of(plain) and taken(asked.model_dump()) == taken(plain.model_dump())
    tell_untaken(asked)
    told = capsys.readouterr().err
    assert told.startswith(f"mlbench: {said} changes nothing with") and told.count("\n") == 1
    for more in counting:
        asked, plain = configure([said, *company, *more]), configure([*company, *more])
        assert key_of(asked) != key_of(plain), more
        tell_untaken(asked)
        assert said not in capsys.readouterr().err


def test_every_option_of_training_and_selection_is_looked_at():
    """What is not in IDLE counts by itself; a new option is put here or there."""
    changes = {
        "epochs": 3,
        "batch_size": 7,
        "shuffle": "false",
        "walk": "endless",
        "gradient_clip": 1,
        "warmup": 3,
        "ema": 0.9,
        "accumulate": 2,
        "precision": "bf16-mixed",
        "optimizer.lr": 1,
    }
    words = {f"train.{name}": f"train.{name}={value}" for name, value in changes.items()}
    words |= {"train.scheduler": STEPPED, "selection.rule": "selection.rule=oracle"}
    assert {name.replace(".lr", "") for name in words} == ALWAYS
    assert len({key(), *(key(said) for said in words.values())}) == 1 + len(words)


@pytest.mark.parametrize("given", ["selection.metric=one_error", "selection.every=7"])
def test_a_method_without_epochs_has_none_to_look_at(given):
    for more in ([VALIDATED, "selection.rule=best"], ["selection.rule=oracle"]):
        assert key("method=br", *more, given) == key("method=br", *more)


@pytest.mark.parametrize("given", TAKEN, ids=" ".join)
def test_what_a_method_takes_is_part_of_the_key(given):
    assert key(*given) != key(given[0])


def test_what_is_not_taken_is_no_choice():
    config = configure(["method=br", "loss=focal", "train.epochs=5", "train.threads=3"])
    content = taken(config.model_dump())
    assert [content["choices"][group] for group in ("backbone", "loss", "train")] == [NOT_TAKEN_SIGN] * 3
    assert content["backbone"] is content["loss"] is None and content["train"].keys() == MACHINE
    assert content["train"]["threads"] == 3 and content["choices"]["method"] == "br"
    whole = configure([]).model_dump()
    whole["selection"].pop("patience")  # None stays out of keys and records
    unchosen = {group: whole.pop(group) for group in ("encoder", "calibration", "launch")}
    assert taken(whole | unchosen) == taken(whole)
    without = (*ENCODERS, "calibration")
    choices = {name: choice for name, choice in whole["choices"].items() if name not in without}
    assert taken(whole) == whole | {"choices": choices}


def test_a_checksum_is_part_of_the_key():
    other = f"dataset.files.test.sha256={'0' * 64}"
    assert key("dataset=scene", other) != key("dataset=scene")
    assert key("dataset=scene", "dataset.scaling=zscore") != key("dataset=scene")


def test_modalities_are_part_of_the_key():
    two = "+dataset.modalities={colour:[0,100],rest:[101,293]}"
    assert key("dataset=scene", two) != key("dataset=scene")


def test_a_file_is_known_by_its_content(tmp_path):
    """Where it lies and what it is called changes nothing; one byte does."""
    targets = np.eye(9, 3, dtype=np.uint8)
    features = np.zeros((9, 4), np.float32)
    (tmp_path / "moved").mkdir()
    here, there, other = tmp_path / "my.npz", tmp_path / "moved" / "renamed.npz", tmp_path / "other.npz"
    np.savez(here, features=features, targets=targets)
    shutil.copy(here, there)
    features[3, 2] = 1
    np.savez(other, features=features, targets=targets)
    keys = [
        key("dataset=npz", f"dataset.path={path}", f"paths.cache={tmp_path}/cache")
        for path in (here, there, other)
    ]
    assert keys[0] == keys[1] != keys[2]
    content = bytearray(here.read_bytes())
    content[-1] ^= 1  # of the archive's closing comment length: the arrays are as before
    there.write_bytes(content)
    assert key("dataset=npz", f"dataset.path={there}", f"paths.cache={tmp_path}/cache") != keys[0]
    named = ["dataset=npz", f"dataset.path={here}", f"paths.cache={tmp_path}/cache", "dataset.name=mine"]
    assert key(*named) != keys[0]


def test_what_a_machine_prefers_is_not_part_of_the_key(at_once, folder):
    """conf/local/default.yaml, here in a folder of one's own."""
    (folder / "mine" / "local").mkdir(parents=True)
    (folder / "mine" / "local" / "default.yaml").write_text(
        "# @package _global_\ntrain:\n  threads: 1\n  checkpoint_seconds: 7\n"
    )
    paths = []
    for how in ([], ["--config-dir=mine"]):
        done = at_once(*how, "method=prior")
        assert (done.status, done.err) == (0, "")
        paths.append(done.out.split()[-1])
    assert paths[0] == paths[1]
    assert "threads: 1" in at_once("--config-dir=mine", "--cfg", "job").out
