"""Backbones for texts: what they compute, and that padding changes nothing."""

import math
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F

from mlbench.assemble import assemble
from mlbench.backbones.textcnn import TextCNN
from mlbench.backbones.xmlcnn import XMLCNN
from mlbench.compose import configure
from mlbench.config import fingerprint, science
from mlbench.data.rows import Batch, Rows
from mlbench.data.task import Modality, Task
from mlbench.data.tokens import of_lists
from mlbench.encoders.cnn import dynamic_max
from mlbench.engine.stack import Stack
from mlbench.errors import UserError
from mlbench.methods.build import packed
from mlbench.methods.erm import ERM
from mlbench.seeding import seed_everything

WORDS = ("", "?", *"abcdefgh")
TASK = Task("small", ("x", "y"), (Modality("text", 0, 12),), 4, (2, 2), "text", vocabulary=WORDS)
TEXTS = [[2, 3, 4, 5, 6, 7, 8, 9, 2, 4, 6], [3], [5, 5, 2], [], [9, 8, 7, 6, 5, 4]]
OPTIONS = {"embedding": 6, "vectors": None, "vectors_fixed": False, "maps": 5, "dropout": 0.0, "rate": 1.0}


def xmlcnn(**changed):
    seed_everything(0)
    return XMLCNN(TASK, **OPTIONS | {"windows": [2, 4], "pools": 3, "width": 7} | changed)


def textcnn(**changed):
    seed_everything(0)
    return TextCNN(TASK, **OPTIONS | {"windows": [2, 3]} | changed)


def padded(text, width):
    return torch.tensor([[*text, *[0] * (width - len(text))]])


def test_dynamic_pooling_is_what_the_paper_says():
    """A map over the m words of a text, cut into equal parts; of each part the largest value."""
    x = torch.randn(4, 2, 13, generator=torch.Generator().manual_seed(0))
    for pools in (1, 3, 4):
        found = dynamic_max(x, torch.tensor([12, 7, 1, 13]), pools)
        for row, length in enumerate((12, 7, 1, 13)):
            for part in range(pools):
                first, last = math.floor(part * length / pools), math.ceil((part + 1) * length / pools)
                for number in range(2):
                    values = [float(x[row, number, place]) for place in range(first, last)]
                    assert float(found[row, number, part]) == max(values)
            plain = F.adaptive_max_pool1d(x[row : row + 1, :, :length], pools)[0]
            assert torch.equal(found[row], plain)


def windows(network, text, width, number):
    """A map of a text, word by word."""
    words = network.network.maps.embedding.weight[torch.tensor(text, dtype=torch.int64)]
    words = torch.cat([words, torch.zeros(width, words.shape[1])])
    layer = network.network.maps.windows[number]
    return torch.stack(
        [
            F.relu((layer.weight * words[place : place + width].T).sum((1, 2)) + layer.bias)
            for place in range(max(len(text), 1))
        ],
        -1,
    )


@pytest.mark.parametrize("text", [text for text in TEXTS if text])
def test_the_networks_are_what_they_say(text):
    network = xmlcnn()
    maps = [windows(network, text, width, number) for number, width in enumerate((2, 4))]
    pooled = torch.cat([F.adaptive_max_pool1d(each.unsqueeze(0), 3).flatten() for each in maps])
    expected = F.relu(F.linear(pooled, network.network.bottleneck.weight, network.network.bottleneck.bias))
    torch.testing.assert_close(network(padded(text, 12))[0], expected)
    network = textcnn()
    maps = [
        windows(network, text, width, number)[:, : max(len(text) - width + 1, 1)]
        for number, width in enumerate((2, 3))
    ]
    torch.testing.assert_close(network(padded(text, 12))[0], torch.cat([each.amax(-1) for each in maps]))


@pytest.mark.parametrize("build", [xmlcnn, textcnn])
def test_padding_and_neighbours_change_nothing(build):
    network, rows = build().eval(), of_lists(TEXTS)
    together = network(rows.index_select(0, torch.arange(5)))
    for row, text in enumerate(TEXTS):
        for width in (max(len(text), 1), len(text) + 1, 29):
            torch.testing.assert_close(network(padded(text, width))[0], together[row], atol=1e-6, rtol=1e-5)
    assert together.shape == (5, network.width) and together.isfinite().all()


@pytest.mark.parametrize("build", [xmlcnn, textcnn])
def test_ragged_batches_train_as_padded_ones(build):
    def gradient(x):
        method = ERM(TASK, lambda task: build(), lambda logits, targets: F.mse_loss(logits, targets))
        method.loss(Batch(x, torch.ones(3, 2), torch.arange(3))).backward()
        return [parameter.grad for parameter in method.parameters()]

    rows = of_lists(TEXTS)
    for ragged, whole in zip(
        gradient(rows.index_select(0, torch.tensor([1, 2, 4]))),
        gradient(F.pad(rows.index_select(0, torch.tensor([1, 2, 4])), (0, 20))),
        strict=True,
    ):
        torch.testing.assert_close(ragged, whole, atol=1e-6, rtol=1e-4)


@pytest.mark.parametrize("build", [xmlcnn, textcnn])
def test_replicas_side_by_side(build):
    def method(seed):
        made = ERM(TASK, lambda task: build(), lambda logits, targets: F.mse_loss(logits, targets))
        torch.manual_seed(seed)
        torch.nn.init.normal_(made.head.weight)
        return made

    modules, rows = [method(0), method(1)], Rows(of_lists(TEXTS), torch.ones(5, 2), torch.arange(5))
    batch = rows.batch(torch.tensor([[0, 1], [4, 2]]))
    assert batch.x.shape == (2, 2, 11)
    stack = Stack([modules])
    stack.choose([batch])  # raises where one alone has another loss or gradient
    torch.testing.assert_close(
        stack.losses(batch),
        torch.stack([m.loss(batch.map(lambda t, n=n: t[n])) for n, m in enumerate(modules)]),
    )


def test_given_vectors_begin_the_embedding(tmp_path, capsys):
    path = tmp_path / "vectors.txt"
    path.write_text("a 1 2 3 4 5 6\nzz 0 0 0 0 0 0\nc 6 5 4 3 2 1\n")
    for fixed in (False, True):
        network = xmlcnn(vectors=path, vectors_fixed=fixed)
        weight = network.network.maps.embedding.weight
        assert weight[2].tolist() == [1, 2, 3, 4, 5, 6] and weight[4].tolist() == [6, 5, 4, 3, 2, 1]
        assert weight[3].any() and weight.requires_grad != fixed
        assert f"2 of 8 words have a vector in {path}" in capsys.readouterr().err
    with pytest.raises(UserError, match=r"has 6 numbers a word: backbone.embedding=6"):
        xmlcnn(vectors=path, embedding=5)
    nodes = {
        "method": {"_target_": "mlbench.methods.erm.ERM"},
        "loss": {"_target_": "mlbench.losses.bce.bce"},
    }
    nodes["backbone"] = {"_target_": "mlbench.backbones.xmlcnn.XMLCNN", "vectors": path}
    method = ERM(TASK, lambda task: network, F.mse_loss)
    assert packed(method, nodes, TASK)["config"]["backbone"]["vectors"] is None, "a trained one needs no file"

    def key():
        config = configure([*REUTERS, "backbone=xmlcnn", f"backbone.vectors={path}"])
        return fingerprint(science(config, {"name": "same"}))

    first = key()
    path.write_text(path.read_text() + "d 0 0 0 0 0 1\n")
    assert key() != first


REUTERS = ["dataset=reuters"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (
            ["backbone=mlp", "encoder/text=tokens"],
            "backbone=mlp takes vector data, encoder.text=tokens gives",
        ),
        (["backbone=xmlcnn", "encoder/text=tfidf"], "gives vector data; use encoder.text=tokens"),
        (
            ["method=br", "encoder/text=tokens"],
            "method=br works on vector data, encoder.text=tokens gives text",
        ),
        (["method=flem", "backbone=textcnn"], "method=flem works on vector data, encoder.text=tokens gives"),
        (
            ["backbone=convnet", "encoder/text=tokens"],
            "takes image data, encoder.text=tokens gives text data; use",
        ),
        (
            ["dataset=openclipart", "backbone=xmlcnn"],
            "takes each text as it is takes nothing beside it: encoder.im",
        ),
        (["backbone=xmlcnn", "dataset.scaling=zscore"], "and a text as it is has none: dataset.scaling=none"),
        (["dataset=multidigits", "backbone=xmlcnn"], "multidigits is vector; use backbone=linear or mlp"),
        (["backbone=xmlcnn", "backbone.windows=[]"], "backbone.windows=[]: "),
        (["backbone=xmlcnn", "encoder.text.vocabulary=0"], "encoder.text.vocabulary=0: a whole number, 1"),
    ],
)
def test_what_cannot_be_is_one_sentence(words, said):
    with pytest.raises(UserError) as refused:
        assemble(configure([*REUTERS, *words]))
    assert said in str(refused.value) and "\n" not in str(refused.value)


def test_the_backbone_chooses_the_tokens():
    assert configure([*REUTERS, "backbone=xmlcnn"]).choices["encoder/text"] == "tokens"
    assert replace(TASK, name="other").vocabulary == WORDS
