"""A replica leaves the same bytes alone and beside any number of others."""

import copy
import functools
from dataclasses import replace

import pytest
import torch

from mlbench.backbones.chain import Chain
from mlbench.backbones.linear import Linear
from mlbench.backbones.mlp import MLP
from mlbench.compose import configure
from mlbench.data.rows import Rows, order
from mlbench.data.shared import beside as beside_of
from mlbench.data.task import Modality, Task
from mlbench.engine.flat import Flat, shapes_of
from mlbench.engine.native import Native
from mlbench.engine.plan import Plan
from mlbench.layers import begin_draws
from mlbench.methods.build import build_loss, build_method
from mlbench.methods.erm import ERM
from mlbench.methods.ofcc import OFCC
from mlbench.seeding import seed_everything

FEATURES, LABELS, UNITS = 33, 7, 33  # nothing is a multiple of what a processor takes at once
ROWS, BATCH, STEPS = 50, 20, 50  # the last batch of an epoch has 10
TASK = Task(
    "made up",
    tuple("abcdefg"),
    (Modality("features", 0, FEATURES),),
    ROWS,
    tuple(range(5, 5 + LABELS)),
)
BLOCKS = replace(TASK, modalities=(Modality("a", 0, 10), Modality("b", 10, 11), Modality("c", 11, FEATURES)))
OPTIMIZERS = {
    "Adam": functools.partial(torch.optim.Adam, lr=0.01, fused=True),
    "AdamW": functools.partial(torch.optim.AdamW, lr=0.01, fused=True),
    "momentum": functools.partial(torch.optim.SGD, lr=0.001, momentum=0.9, weight_decay=0.01, fused=True),
}


@functools.cache
def configured(*overrides):
    return configure([*overrides])


def data_of(seed):
    draws = torch.Generator().manual_seed(seed)
    features = torch.randn(ROWS, FEATURES, generator=draws)
    targets = (features[:, :LABELS] + torch.randn(ROWS, LABELS, generator=draws) > 0.3).float()
    return Rows(features, targets, torch.arange(ROWS))


def erm(seed, data, widths=(), activation="relu", dropout=0.0, loss="bce"):
    seed_everything(seed)
    chosen = build_loss(configured(f"loss={loss}").loss, TASK)
    backbone = (lambda task: MLP(task, list(widths), activation, dropout)) if widths else Linear
    module = ERM(TASK, backbone, chosen)
    begin_draws(module, seed)
    return module, data


def ofcc(seed, data, **options):
    seed_everything(seed)
    given = {"hidden": 5, "selection": "confident", "loss_on": "steps"} | options
    return OFCC(TASK, lambda task: Chain(task, **given)), data


def student(seed, data, method, stage=0):
    """A stage of a method whose teachers, left as they are made, are all that it asks."""
    seed_everything(seed)
    changed = ["backbone.hidden=5", "method.teachers.hidden=[6,3]", "method.teachers.labels=null"]
    config = configured(f"method={method}", *changed)
    module = build_method(config.method, config.backbone, config.loss, TASK)
    module.teachers.eval().requires_grad_(False)
    for number, found in enumerate(module.learn(data)):
        if number == stage:
            return found.module, found.data
    raise AssertionError(f"{method} has no stage {stage}")


def contrastive(seed, data, method, stage=0):
    """A stage of a contrastive method, in small."""
    seed_everything(seed)
    small = ["method.pretrain.batch_size=20", "method.pretrain.queue=40", "method.pretrain.width=9"]
    config = configured(f"method={method}", "method.mask=0.4", "backbone.widths=[33,64]", *small)
    module = [
        found.module
        for found in build_method(config.method, config.backbone, config.loss, TASK).stages({"train": data})
    ][stage]
    begin_draws(module, seed)
    return module, data


def flem(seed, data, strategy):
    """Each with weights of its own, as on a grid."""
    seed_everything(seed)
    weights = f"method.w_ld={0.03 * (seed % 5)}", f"method.w_le={0.1 + 0.02 * (seed % 3)}"
    config = configured(f"method=flem_{strategy}", *weights)
    return build_method(config.method, config.backbone, config.loss, TASK), data


def recovered(seed, data, method, stage=0):
    """A stage of a method that recovers label distributions first, in small."""
    seed_everything(seed)
    small = ["method.recovery.hidden=33", "method.recovery.latent=9"] if method == "levi" else []
    config = configured(f"method={method}", f"method.w_ld={0.03 * (seed % 5)}", *small)
    module = build_method(config.method, config.backbone, config.loss, TASK)
    found = []
    for own in module.stages({"train": data}):
        if own.solve:
            own.solve(own.data)
        else:
            found.append(own)
    begin_draws(found[stage].module, seed)
    return found[stage].module, found[stage].data


def generative(seed, data, method):
    """In small, each with weights of its own, as on a grid."""
    seed_everything(seed)
    small = ["method.latent=9", "method.label_widths=[33]", "method.decoder_widths=[33]"]
    small += ["method.draws=5"] if method == "mpvae" else ["method.embedding=33"]
    weight = f"method.divergence={1 + 0.1 * (seed % 3)}"
    config = configured(f"method={method}", "backbone.widths=[33,64]", weight, *small)
    module = build_method(config.method, config.backbone, config.loss, TASK)
    begin_draws(module, seed)
    return module, data


def lamp(seed, data):
    """In small, behind a mask of the replica's own."""
    seed_everything(seed)
    given = {"layers": 1, "width": 33, "head_width": 9, "hidden": 35, "heads": 3}
    config = configured("method=lamp", *[f"method.{name}={value}" for name, value in given.items()])
    module = build_method(config.method, config.backbone, config.loss, TASK)
    module.mask |= torch.rand(LABELS, LABELS) < 0.3
    begin_draws(module, seed)
    return module, data


def multimodal(seed, data, method, small=(), missing=False):
    """In small, of three modalities, each with numbers of its own; rows may lack some."""
    seed_everything(seed)
    config = configured(f"method={method}", *small)
    module = build_method(config.method, config.backbone, config.loss, BLOCKS)
    begin_draws(module, seed)
    if missing:
        has = torch.rand(ROWS, 3, generator=torch.Generator().manual_seed(seed)) < 0.7
        has[torch.arange(ROWS), torch.arange(ROWS) % 3] = True
        data = replace(data, extra={"present": has.float()})
    (stage,) = module.stages({"train": data})
    return stage.module, stage.data


def rbcc(seed, data, stage):
    """A stage in small; after the search, with a network that others have, too, or not."""
    seed_everything(seed)
    config = configured("method=rbcc", "method.hidden=9", "method.residuals.hidden=5")
    method = build_method(config.method, config.backbone, config.loss, TASK)
    if stage == 0:
        return next(method.stages({"train": data})).module, data
    network = torch.zeros(LABELS, LABELS, dtype=torch.bool)
    network[3, :2] = network[4, 3] = network[5, [seed % 5, 6]] = True
    method.load_state_dict(method.state_dict() | {"parents": network})
    return method, data


def dropping(fusion):
    return ["backbone.widths=[33]", f"method.fusion={fusion}", "method.modality_dropout=0.4"]


KINDS = {
    "linear": erm,
    "mlp": functools.partial(erm, widths=[UNITS]),
    "mlp, gelu, dropout": functools.partial(erm, widths=[UNITS, 64], activation="gelu", dropout=0.3),
    "distribution-balanced": functools.partial(erm, widths=[UNITS], loss="db"),
    "ofcc": ofcc,
    "ofcc, final": functools.partial(ofcc, loss_on="final", selection="always"),
    "ant": functools.partial(student, method="ant"),
    "tc": functools.partial(student, method="tc"),
    "fka": functools.partial(student, method="fka"),
    "cfl": functools.partial(student, method="cfl"),
    "flem, similarity": functools.partial(flem, strategy="s"),
    "flem, threshold": functools.partial(flem, strategy="t"),
    "flem, distribution": functools.partial(flem, strategy="d"),
    "levi, distributions": functools.partial(recovered, method="levi"),
    "levi": functools.partial(recovered, method="levi", stage=1),
    "valen, warm-up": functools.partial(recovered, method="valen"),
    "valen, distributions": functools.partial(recovered, method="valen", stage=1),
    "aka, specialists": functools.partial(student, method="aka"),
    "aka": functools.partial(student, method="aka", stage=1),
    "mulsupcon": functools.partial(contrastive, method="mulsupcon"),
    "mulsupcon, label layer": functools.partial(contrastive, method="mulsupcon", stage=1),
    "rld": functools.partial(contrastive, method="mulsupcon_rld"),
    "cld": functools.partial(contrastive, method="mulsupcon_cld"),
    "mpvae": functools.partial(generative, method="mpvae"),
    "cgmvae": functools.partial(generative, method="cgmvae"),
    "lamp": lamp,
    "rbcc, halves": functools.partial(rbcc, stage=0),
    "rbcc": functools.partial(rbcc, stage=-1),
    "cs3g": functools.partial(multimodal, method="cs3g"),
    "dmp": functools.partial(multimodal, method="dmp"),
    "m3la": functools.partial(multimodal, small=["method.hidden=5"], method="m3la"),
    "m3la, fixed order": functools.partial(multimodal, small=["method.hidden=9"], method="m3la_order"),
    "m3la, missing": functools.partial(multimodal, small=["method.hidden=5"], method="m3la", missing=True),
    "fusion": functools.partial(multimodal, small=["backbone.widths=[33]"], method="fusion"),
    "fusion, early, dropout": functools.partial(multimodal, small=dropping("early"), method="fusion"),
    "fusion, late, missing": functools.partial(
        multimodal, small=dropping("late"), method="fusion", missing=True
    ),
}


@functools.cache
def made(kind, seed):
    torch.set_num_threads(1)
    return KINDS[kind](seed, data_of(seed))


def batches_of(seed):
    epochs = range(-(-STEPS * BATCH // ROWS))
    return [rows for epoch in epochs for rows in order(ROWS, seed, epoch).split(BATCH)][:STEPS]


@functools.cache
def alone(kind, seed, optimizer):
    """Losses of all steps, the weights, and what the optimiser keeps, of a module trained as it is."""
    module, data = copy.deepcopy(made(kind, seed))
    module.train()
    shapes = shapes_of(module)
    flat = Flat(shapes, [[*shapes]], next(module.parameters()), 1)
    flat.take(module)
    built = OPTIMIZERS[optimizer]([flat.optimised(0, 0, 1)])
    step, losses = flat.step_of(built), []
    for rows in batches_of(seed):
        loss = module.loss(data.batch(rows))
        loss.backward()
        flat.collect()
        step()
        losses.append(loss.detach())
    return torch.stack(losses), flat.weights[0][0], kept_by(built)


def beside(kind, replicas, optimizer, piece=32):
    """The same of several, trained as one: (R, ...)."""
    modules, data = zip(*[made(kind, seed) for seed in range(replicas)])
    native = native_of([module.train() for module in copy.deepcopy(modules)], piece)
    rows = [torch.stack(rows) for rows in zip(*[batches_of(seed) for seed in range(replicas)])]
    first = torch.arange(replicas)[:, None] * ROWS
    shared = beside_of(data)
    built = OPTIMIZERS[optimizer]([native.flat.optimised(0, 0, replicas)])
    step, losses = native.flat.step_of(built), []
    for own in rows:
        loss = native.losses(shared.batch(own + first))
        loss.backward(torch.ones_like(loss))
        native.collect()
        step()
        losses.append(loss.detach())
    return torch.stack(losses, dim=1), native.flat.weights[0], kept_by(built)


def native_of(modules, piece=32):
    train = configured().train
    plans = [Plan("train", 1, BATCH, train.optimizer, train.scheduler, train, n) for n in range(len(modules))]
    return Native([modules], plans, piece=piece)


def kept_by(optimizer):
    (state,) = optimizer.state.values()
    return {name: kept for name, kept in state.items() if torch.is_tensor(kept) and kept.ndim > 1}


def assert_same(kind, replicas, optimizer, whose=(0,), **how):
    losses, weights, kept = beside(kind, replicas, optimizer, **how)
    assert losses.shape == (replicas, STEPS) and losses.isfinite().all()
    assert not torch.equal(losses[0], losses[-1])
    for seed in {*whose, replicas - 1}:
        own_losses, own_weights, own_kept = alone(kind, seed, optimizer)
        assert torch.equal(losses[seed], own_losses)
        assert torch.equal(weights[seed], own_weights)
        assert kept.keys() == own_kept.keys() and kept
        assert all(torch.equal(kept[name][seed], own_kept[name][0]) for name in kept)


def pytest_generate_tests(metafunc):
    if "replicas" in metafunc.fixturenames:
        thorough = metafunc.config.getoption("thorough")
        metafunc.parametrize("replicas", [2, 3, 8, 32] if thorough else [3, 32])


@pytest.mark.parametrize("kind", KINDS)
def test_a_replica_is_alone_whatever_its_neighbours(kind, replicas):
    assert_same(kind, replicas, "Adam")


@pytest.mark.parametrize("optimizer", ["AdamW", "momentum"])
@pytest.mark.parametrize("kind", ["mlp, gelu, dropout", "cfl", "aka, specialists"])
def test_whatever_the_optimiser(kind, optimizer):
    assert_same(kind, 3, optimizer)


@pytest.mark.parametrize("kind", ["mlp, gelu, dropout", "ofcc"])
def test_replicas_may_be_cut_into_pieces_of_any_size(kind):
    assert_same(kind, 5, "Adam", whose=range(5), piece=2)


def test_replicas_with_other_numbers_are_other_pieces():
    """1 − α of a number is rounded otherwise than 1 − α of a tensor."""
    modules = [erm(seed, None, [UNITS], loss=loss)[0] for seed, loss in enumerate(["focal", "focal", "bce"])]
    modules[1].objective.loss.keywords["alpha"] = 0.3
    assert [rows for rows, _ in native_of(modules[:2]).pieces] == [slice(0, 1), slice(1, 2)]
    assert [rows for rows, _ in native_of([modules[0]] * 3, 2).pieces] == [slice(0, 2), slice(2, 3)]
    data = data_of(0).batch(torch.arange(2 * BATCH))
    batch = data.map(lambda part: part.unflatten(0, (2, BATCH)))
    assert not native_of(modules[:2]).difference(batch)


class Held(ERM):
    """Its loss writes what it has just seen into a buffer, of which its gradient needs the rest."""

    def __init__(self, *given):
        super().__init__(*given)
        self.register_buffer("held", torch.ones(2 * BATCH, LABELS))

    def loss(self, batch):
        scores = self.head(self.backbone(batch.x))
        self.held[..., :BATCH, :] = scores.detach()
        return (scores @ self.held.mT).square().mean((-2, -1))

    def after_step(self):
        self.held[..., BATCH:, :] = self.held[..., :BATCH, :].clone()


def test_pieces_share_no_buffers():
    """Else one piece's loss changed what the gradient of another needs."""
    modules = [Held(TASK, Linear, None) for _ in range(5)]
    batch = data_of(0).batch(torch.arange(BATCH)).map(lambda part: torch.stack([part] * 5))
    native = native_of(modules, piece=2)
    native.choose([batch, batch])  # refuses what is other than alone
    native.losses(batch).sum().backward()


class Averages(ERM):
    """Its loss knows of no dimension before the batch."""

    def loss(self, batch):
        return super().loss(batch).mean() + self.logits(batch).square().mean()


class Centres(ERM):
    """So does this one's, which has the right shape all the same."""

    def loss(self, batch):
        return super().loss(batch._replace(x=batch.x - batch.x.mean(0)))


FOUND = {
    Averages: "the loss of 2 has the shape ()",
    Centres: f"the loss of {BATCH} rows is another than alone",
}


@pytest.mark.parametrize("kind", FOUND)
def test_a_module_that_mixes_replicas_is_found_out(kind):
    modules = [erm(seed, None)[0] for seed in range(2)]
    for module in modules:
        module.__class__ = kind
    data = data_of(0).batch(torch.arange(2 * BATCH))
    native = native_of(modules)
    assert native.difference(data.map(lambda part: part.unflatten(0, (2, BATCH)))) == FOUND[kind]
    assert not any(gradients.any() for gradients in native.flat.gradients)
