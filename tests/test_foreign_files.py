"""Files that a stranger may have made: each of them tries to have something called, and nothing is."""

import io
import json
import os
import pickle
import sys
import zipfile

import numpy as np
import optuna
import pytest
import scipy.io
import torch
from optuna.distributions import CategoricalDistribution
from sklearn.ensemble import RandomForestClassifier
from sklearn.multioutput import MultiOutputClassifier
from sklearn.neighbors import KNeighborsClassifier
from sklearn.tree._tree import Tree
from yaml import YAMLError

import mlbench.trust
from made_up import any_config, made_up_record
from mlbench import experiment
from mlbench.compose import configure
from mlbench.data import cache
from mlbench.data.formats import csv, matlab, npz
from mlbench.engine.saved import read
from mlbench.errors import UserError
from mlbench.methods import kept
from mlbench.methods.build import unpacked
from mlbench.predict import Trained
from mlbench.results import repeats, store
from mlbench.search import spec as search
from mlbench.search.study import Study
from mlbench.tables import spec as table


@pytest.fixture
def called(tmp_path):
    """A folder that is made when the payload of a file is called."""
    path = tmp_path / "called"
    yield path
    assert not path.exists()


OUTSIDE = """
import numpy as np
from mlbench.methods.erm import ERM
from sklearn.base import BaseEstimator, ClassifierMixin
from subprocess import Popen
class Mine(ERM):
    pass
class Sure(ClassifierMixin, BaseEstimator):
    def fit(self, x, y):
        self.classes_ = np.unique(y)
        return self
    def predict(self, x):
        return np.full(len(x), self.classes_[0])
"""


@pytest.fixture
def theirs(tmp_path, monkeypatch):
    """A module of somebody's own."""
    (tmp_path / "theirs.py").write_text(OUTSIDE)
    monkeypatch.syspath_prepend(tmp_path)
    yield
    sys.modules.pop("theirs", None)
    mlbench.trust.imported.cache_clear()


class Calls:
    """Pickled, it makes a folder where it is read."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


@pytest.fixture
def forgotten():
    """What other tests of this process named does not count."""
    kept_aside = set(mlbench.trust.named)
    mlbench.trust.named.clear()
    yield
    mlbench.trust.named.update(kept_aside)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """trained("erm") is the content of a run's model.pt."""
    folder, made = tmp_path_factory.mktemp("trained"), {}

    def trained(method):
        if method not in made:
            overrides = [f"paths.outputs={folder}", f"paths.cache={folder}", "train.epochs=1"]
            overrides += ["method.teachers.epochs=1"] if method == "ant" else []
            _, record = experiment.run(configure([f"method={method}", *overrides]))
            made[method] = record.with_name("model.pt").read_bytes()
        return torch.load(io.BytesIO(made[method]), weights_only=True)

    return trained


def refused(content, path):
    torch.save(content, path)
    with pytest.raises(UserError) as error:
        unpacked(path)
    assert "\n" not in str(error.value) and str(path) in str(error.value)
    return str(error.value)


@pytest.mark.parametrize("place", ["config", "task", "state"])
def test_a_pickle_in_a_model(place, trained, called, tmp_path):
    refused(trained("prior") | {place: Calls(called)}, tmp_path / "model.pt")
    refused(Calls(called), tmp_path / "model.pt")
    (tmp_path / "model.pt").write_bytes(pickle.dumps(Calls(called)))
    with pytest.raises(UserError, match=r"is not the model\.pt of a run"):
        unpacked(tmp_path / "model.pt")


@pytest.mark.parametrize(
    "name", ["theirs.Outside", "this.Zen", "threading.Thread", "sklearn.svm.SVC", "zscor"]
)
def test_a_scaler_that_is_none_in_a_model(name, trained, theirs, forgotten, tmp_path):
    """Neither imported nor made: only a class in a module that the person named may be."""
    for module in ("theirs", "this"):
        sys.modules.pop(module, None)
    content = trained("prior")
    content["rows"]["scaling"] = name
    torch.save(content, tmp_path / "model.pt")
    with pytest.raises(UserError, match=r"model\.pt: "):
        Trained.of_run(tmp_path)
    assert not {"theirs", "this"} & sys.modules.keys()


def test_a_pickle_in_the_state_of_a_classical_method_as_once_was_written(trained, called, tmp_path):
    content = trained("br")
    content["state"]["_extra_state"] = torch.frombuffer(
        bytearray(pickle.dumps(Calls(called))), dtype=torch.uint8
    )
    said = refused(content, tmp_path / "model.pt")
    assert "it holds a pickle" in said and said.endswith("run again with force=true")


NAMED = [
    ("method", {"_target_": "os.mkdir"}),
    ("method", {"_target_": "builtins.eval"}),
    ("method", {"_target_": "subprocess.Popen"}),
    ("method", {"_target_": "mlbench.methods.build.unpacked"}),
    ("method", {"_target_": "mlbench.methods.build.torch.hub.load"}),
    ("method", {"_target_": "mlbench.bench.start.FirstStep"}),
    ("backbone", {"_target_": "os.mkdir"}),
    ("backbone", {"_target_": "mlbench.methods.build.unpacked"}),
    ("backbone", {"_target_": "mlbench.backbones.mlp.nn.Linear", "in_features": 1, "out_features": 1}),
    ("backbone", {"_target_": "mlbench.backbones.chain.functools.partial"}),
    ("loss", {"_target_": "os.mkdir"}),
    ("loss", {"_target_": "mlbench.methods.build.packed"}),
    ("loss", {"_target_": "sklearn.datasets.fetch_openml"}),
    ("loss", {"_target_": "payload.Ours"}),
    ("method", {"_target_": "payload.Ours"}),
]


@pytest.mark.parametrize(("role", "node"), NAMED, ids=lambda given: str(given))
def test_what_a_model_may_not_name(role, node, trained, called, tmp_path, forgotten, monkeypatch):
    payload(called, tmp_path, monkeypatch)
    content = trained("erm")
    content["config"][role] = node
    said = refused(content, tmp_path / "model.pt")
    theirs = node["_target_"].startswith("mlbench.")  # nobody is told to call it theirs
    assert not (theirs and ("none of mlbench's" in said or "trust=" in said))


def test_nor_further_in(trained, called, tmp_path, forgotten, monkeypatch):
    payload(called, tmp_path, monkeypatch)
    content = trained("erm")
    content["config"]["backbone"]["dropout"] = {"_target_": "payload.Ours"}
    assert "names payload.Ours" in refused(content, tmp_path / "model.pt")
    content = trained("ant")
    content["config"]["method"]["teachers"]["optimizer"] = {"_target_": "payload.Ours"}
    assert "names payload.Ours" in refused(content, tmp_path / "model.pt")
    content = trained("br")
    content["config"]["method"]["base"] = "payload.Ours"
    assert "names payload.Ours" in refused(content, tmp_path / "model.pt")


PAYLOAD = """
import os
from mlbench.methods.erm import ERM
os.mkdir({path!r})
class Ours(ERM):
    pass
"""


def payload(called, folder, monkeypatch):
    """A module that says so when it is imported."""
    (folder / "payload.py").write_text(PAYLOAD.format(path=str(called)))
    monkeypatch.syspath_prepend(folder)
    monkeypatch.delitem(sys.modules, "payload", raising=False)


@pytest.mark.parametrize("choice", ["method._target_=theirs.Mine", "method.base=theirs.Sure"])
def test_what_is_ones_own_is_opened_once_it_is_named(choice, tmp_path, theirs, forgotten):
    """By the command's configuration itself, as the run that makes the file does, or by trust=..."""
    method = ["method=br"] if "base" in choice else []
    overrides = [*method, choice, f"paths.outputs={tmp_path}", f"paths.cache={tmp_path}", "train.epochs=1"]
    _, record = experiment.run(configure(overrides))
    model = record.with_name("model.pt")
    unpacked(model)
    mlbench.trust.named.clear()
    with pytest.raises(UserError, match=r"names theirs\.\w+, .* say so: trust=\[theirs\]"):
        unpacked(model)
    configure(["trust=[theirs]"])
    unpacked(model)


def test_a_learner_of_a_type_that_nobody_named(theirs, forgotten):
    from theirs import Sure

    content = kept.packed({"learner": Sure().fit(np.zeros((2, 1)), [0, 1])})
    with pytest.raises(UserError, match=r"holds a theirs\.Sure; .* trust=\[theirs\]"):
        kept.unpacked(content)
    mlbench.trust.trust(["theirs"])
    assert isinstance(kept.unpacked(content)["learner"], Sure)


def test_a_type_of_scikit_learns_that_skops_does_not_know(forgotten):
    """A search tree, whose compiled code follows indices: opened by whoever named its module."""
    x = np.random.default_rng(0).random((60, 3))
    model = KNeighborsClassifier().fit(x, x[:, 0] > 0.5)
    content = kept.packed(model)
    with pytest.raises(UserError, match=r"holds a .*KDTree; .* trust=\[sklearn\.neighbors\._kd_tree\]$"):
        kept.unpacked(content)
    configure(["method=br", "method.base=sklearn.neighbors.KNeighborsClassifier"])
    assert np.array_equal(kept.unpacked(content).predict_proba(x), model.predict_proba(x))


def test_a_learner_of_a_type_that_only_stands_in_a_named_module(called, theirs, forgotten):
    """A constructor that skops would call with what the file says, and a method of it."""
    mlbench.trust.trust(["theirs"])
    for kind in ("os.mkdir", "builtins.eval", "theirs.Popen", "theirs.np"):
        content = forged(kept.packed([called.as_posix()]), kind)
        with pytest.raises(UserError, match=f"holds a {kind}"):
            kept.unpacked(content)


def forged(content, kind):
    """The archive of a list, as that of an object of this kind made by a call with the list."""
    archive = zipfile.ZipFile(io.BytesIO(content))
    schema = json.loads(archive.read("schema.json"))
    module, _, name = kind.rpartition(".")
    arguments = {key: schema[key] for key in ("__class__", "__module__", "__loader__", "content", "__id__")}
    arguments |= {"__class__": "tuple", "__loader__": "TupleNode"}
    called = {"__class__": name, "__module__": module, "__loader__": "ConstructorFromReduceNode", "__id__": 1}
    schema |= called | {"content": arguments}
    changed = io.BytesIO()
    with zipfile.ZipFile(changed, "w") as file:
        file.writestr("schema.json", json.dumps(schema))
    return changed.getvalue()


@pytest.mark.parametrize("damage", ["left", "right", "round", "column"])
def test_a_tree_that_leads_out_of_its_arrays(damage):
    """Followed, it would read whatever lies in memory, or go on for ever."""
    x = np.random.default_rng(0).random((80, 3))
    forest = RandomForestClassifier(2, random_state=0).fit(x, x.sum(1) > 1.5)
    kept.unpacked(kept.packed([forest, MultiOutputClassifier(forest).fit(x, x > 0.5)]))
    tree = forest.estimators_[1].tree_
    state = tree.__getstate__()
    nodes = state["nodes"]
    inner = int(np.flatnonzero(nodes["left_child"] != -1)[-1])
    if damage == "column":
        nodes["feature"][inner] = 3
    elif damage == "round":
        nodes["left_child"][inner] = 0
    else:
        nodes[f"{damage}_child"][inner] = 10**6
    broken = Tree(*tree.__reduce__()[1])
    broken.__setstate__(state)
    forest.estimators_[1].tree_ = broken
    with pytest.raises(UserError, match="one of its trees leads nowhere"):
        kept.unpacked(kept.packed([forest]))


def test_files_of_data(called, tmp_path):
    objects = np.array([Calls(called)] * 4, dtype=object)
    np.savez(tmp_path / "objects.npz", about=objects, features=objects, targets=np.eye(4))
    assert cache.load(tmp_path / "objects.npz") is None
    with pytest.raises(UserError, match=r"no whole \.npz archive of plain arrays"):
        npz.read(tmp_path / "objects.npz")
    np.save(tmp_path / "objects.npy", objects)
    (tmp_path / "objects.npy").rename(tmp_path / "array.npz")
    with pytest.raises(UserError):
        npz.read(tmp_path / "array.npz")
    (tmp_path / "pickle.npz").write_bytes(pickle.dumps(Calls(called)))
    with pytest.raises(UserError):
        npz.read(tmp_path / "pickle.npz")
    struct = {"view": np.array([f"!mkdir {called}"], dtype=object), "label": np.eye(2)}
    scipy.io.savemat(tmp_path / "words.mat", struct)
    with pytest.raises(UserError):
        matlab.read(tmp_path / "words.mat")


def test_label_lists_are_never_evaluated(called, tmp_path):
    (tmp_path / "words.csv").write_text(f"a,tags\n1,\"[__import__('os').mkdir('{called}')]\"\n2,[]\n")
    with pytest.raises(UserError, match="is no list of labels"):
        csv.read(tmp_path / "words.csv", label_list="tags")


@pytest.mark.parametrize("read", [table.read, lambda name: search.read(name, {})], ids=["table", "sweep"])
@pytest.mark.parametrize("tag", ["!!python/object/apply:os.mkdir", "!!python/object/new:os.mkdir"])
def test_yaml_makes_no_objects(read, tag, called, tmp_path):
    (tmp_path / "own.yaml").write_text(f"title: {tag} [{called}]\nspace: {tag} [{called}]\n")
    with pytest.raises((UserError, YAMLError)):
        read(str(tmp_path / "own.yaml"))


def test_a_record(called, tmp_path):
    (tmp_path / "record.json").write_bytes(pickle.dumps(Calls(called)))
    with pytest.raises(UserError, match="is not a record"):
        store.finished(tmp_path)


@pytest.mark.parametrize("group", ["method", "split"])
def test_a_record_that_names_a_module_of_its_own(group, called, tmp_path, monkeypatch):
    """Reports and data frames ask what a run's method and split take; a stranger's are not imported."""
    (tmp_path / "planted.py").write_text(f"import os\nos.mkdir({str(called)!r})\nclass Named: pass\n")
    monkeypatch.syspath_prepend(tmp_path)
    config = any_config().model_dump(mode="json")
    config[group] = config[group] | {"_target_": "planted.Named"}
    record = made_up_record("0" * 16, "scene", "erm", 0, config=config)
    assert repeats.current(record) == record


def test_a_stage_that_others_share(called, tmp_path, capsys):
    """It lies in outputs/stages, which may come from another machine."""
    overrides = ["method=tc", f"paths.outputs={tmp_path}", "method.teachers.epochs=1", "train.epochs=1"]
    experiment.run(configure(overrides))
    stages = list(tmp_path.glob("multidigits/stages/*/*.pt"))
    assert len(stages) == 2
    for path in stages:
        torch.save({"last": Calls(called), "kept": {}, "history": [], "seconds": 0.0}, path)
    experiment.run(configure([*overrides, "force=true"]))
    assert capsys.readouterr().err.count("is damaged") == 2
    assert all(read(path) for path in stages)


def test_a_trial_of_a_search_that_names_something_else(called, tmp_path):
    """The names and values of its trials become overrides of runs."""
    searched = search.Search.model_validate({"space": {"loss.alpha": {"low": 0.1, "high": 0.9}}, "trials": 1})
    words = ["loss=focal", "split.validation=0.4", "selection.rule=best", f"paths.outputs={tmp_path}"]
    study = Study("alpha", searched, words, [])
    study.folder.mkdir(parents=True)
    stored = optuna.create_study(storage=f"sqlite:///{study.folder / 'trials.db'}", study_name="search")
    space = {"method._target_": CategoricalDistribution(["payload.Ours"])}
    params = {"method._target_": "payload.Ours"}
    running = optuna.trial.TrialState.RUNNING
    stored.add_trial(optuna.trial.create_trial(state=running, params=params, distributions=space))
    with pytest.raises(UserError, match=r"trials\.db holds trials of another search"):
        study.run()
