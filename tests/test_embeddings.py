"""outputs.embeddings=true: what is kept and measured, at once or of a finished run; who is refused."""

import numpy as np
import pytest
import torch

from mlbench.assemble import assemble
from mlbench.compose import configure
from mlbench.errors import UserError
from mlbench.evaluation.embedding import PROBES, probed
from mlbench.experiment import run
from mlbench.methods.build import unpacked
from mlbench.methods.erm import ERM

KEEP = "outputs.embeddings=true"
WITH = ("erm", "flem", "mpvae", "cgmvae", "mulsupcon", "mulsupcon_cld")  # one of each kind
WITHOUT = ("ant", "bl", "br", "cfl", "lamp", "mlknn", "ofcc", "prior", "rakel", "rbcc")


@pytest.fixture
def small(tmp_path):
    """small("method=erm") runs on 80 rows; the record and the run's folder."""
    draws = np.random.default_rng(0)
    features = draws.normal(size=(80, 6)).astype(np.float32)
    targets = (features[:, :5] + draws.normal(size=(80, 5)) > 0.3).astype(np.uint8)
    np.savez(tmp_path / "small.npz", features=features, targets=targets)

    def small(*overrides, outputs="outputs"):
        words = ["dataset=npz", f"dataset.path={tmp_path}/small.npz", "split.test=0.3", "train.epochs=2"]
        words += ["backbone.widths=[5]", f"paths.outputs={tmp_path}/{outputs}", f"paths.cache={tmp_path}"]
        record, path = run(configure([*words, *overrides]))
        return record, path.parent

    return small


def kept(folder):
    with np.load(folder / "embeddings.npz") as archive:
        return dict(archive)


def test_a_run_keeps_its_backbones_output_and_measures_it(small):
    record, folder = small(KEEP, "backbone.dropout=0.5")
    found = kept(folder)
    with np.load(folder / "scores.npz") as scores:
        assert np.array_equal(found["ids"], scores["ids"])
        assert np.array_equal(found["targets"], scores["targets"])
        given = torch.from_numpy(scores["last"])
    assert found["labels"].tolist() == record.per_label["label"]
    method, _ = unpacked(folder / "model.pt")
    with torch.no_grad():  # the head on what was kept gives the scores: no dropout, the same rows
        again = method.head(torch.from_numpy(found["embeddings"])).sigmoid()
    assert torch.equal(again, given)
    assert record.metrics["last"].keys() > PROBES.keys()
    with np.load(folder.parents[3] / "small.npz") as data:
        rows = np.setdiff1d(np.arange(80), found["ids"])
        part = torch.from_numpy(found["embeddings"]), torch.from_numpy(found["targets"])
        with torch.no_grad():
            known = method.backbone(torch.from_numpy(data["features"][rows]))
        expected = probed(part, (known, torch.from_numpy(data["targets"][rows])))
    assert {name: record.metrics["last"][name] for name in PROBES} == pytest.approx(expected, abs=1e-6)


def test_neither_the_key_nor_anything_else_depends_on_it(small):
    plain, bare = small()
    asked, folder = small(KEEP, outputs="others")
    assert plain.key == asked.key and not (bare / "embeddings.npz").exists()
    assert plain.metrics["last"] == {
        name: value for name, value in asked.metrics["last"].items() if name not in PROBES
    }
    assert (folder / "embeddings.npz").exists()


def test_of_a_finished_run_the_model_gives_it_without_training(small, monkeypatch):
    plain, folder = small()
    at_once, other = small(KEEP, outputs="others")
    monkeypatch.setattr(ERM, "loss", None)
    later, _ = small(KEEP)
    assert later.metrics == at_once.metrics and later.finished == plain.finished
    assert all(np.array_equal(kept(folder)[name], kept(other)[name]) for name in kept(other))
    assert small()[0].metrics == later.metrics  # and stays


def test_without_its_model_a_finished_run_says_what_to_do(small):
    _, folder = small()
    (folder / "model.pt").unlink()
    with pytest.raises(UserError, match=r"model.pt: no such file.*; force=true runs it again$"):
        small(KEEP)


def test_a_run_made_again_without_them_has_none(small):
    _, folder = small(KEEP)
    record, _ = small("force=true")
    assert not (folder / "embeddings.npz").exists() and not PROBES.keys() & record.metrics["last"].keys()


def test_the_epoch_is_that_of_the_selection(small):
    words = [KEEP, "split.validation=0.3", "selection.rule=best", "train.epochs=5", "train.optimizer.lr=0.3"]
    record, folder = small(*words)
    assert (
        PROBES.keys() <= record.metrics["best"].keys() and not PROBES.keys() & record.metrics["last"].keys()
    )
    method, _ = unpacked(folder / "model.pt")
    with torch.no_grad(), np.load(folder / "scores.npz") as scores:
        again = method.head(torch.from_numpy(kept(folder)["embeddings"])).sigmoid()
        assert torch.equal(again, torch.from_numpy(scores["best"]))


@pytest.mark.parametrize("method", WITH)
def test_every_method_with_a_backbone_that_gives_features(method, small):
    words = [KEEP, f"method={method}", "backbone=mlp"]
    if method.startswith("mulsupcon"):
        words += ["method.pretrain.epochs=1", "method.pretrain.batch_size=8", "method.pretrain.queue=16"]
    _, folder = small(*words)
    found = kept(folder)["embeddings"]
    assert found.shape == (24, 5) and np.isfinite(found).all()


@pytest.mark.parametrize("method", WITHOUT)
def test_a_method_without_one_is_refused(method):
    with pytest.raises(UserError, match=f"^{KEEP}: method={method} has no backbone that gives features; "):
        assemble(configure(["dataset=multidigits", f"method={method}", KEEP]))


class Elsewhere(ERM):
    """A method of a person's own, whose backbone has another name."""

    def __init__(self, task, backbone, loss):
        super().__init__(task, backbone, loss)
        self.encoder = self.backbone
        del self.backbone


def test_a_backbone_of_another_name_is_refused_before_any_training(small, monkeypatch):
    monkeypatch.setattr(Elsewhere, "loss", None)
    with pytest.raises(UserError, match=r"keeps no backbone as self\.backbone; give it embed\(batch\)$"):
        small(KEEP, "method._target_=test_embeddings.Elsewhere")
