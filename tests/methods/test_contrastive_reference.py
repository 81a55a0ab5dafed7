"""Losses, gradients, queue and steps of the contrastive methods beside plain loops written from the page."""

import functools
from types import SimpleNamespace
from typing import NamedTuple

import numpy as np
import pytest
import torch
from torch import nn

from mlbench.compose import configure
from mlbench.data.rows import Batch
from mlbench.methods.build import build_method
from mlbench.methods.contrastive.label_distributions import Distributions, by_distance, by_ratio
from mlbench.methods.contrastive.losses import distribution_loss
from mlbench.methods.contrastive.pretraining import Anchors, SetContrast
from mlbench.methods.contrastive.queue import Queue
from references import arithmetic, mulsupcon_step
from references import mulsupcon as reference
from small import small_data, small_task

SIGMA, ALPHA, BETA = 0.7, 0.3, 0.2
READINGS = {
    "weighting": ("rbf", "exp", "neg_log", "literal"),
    "references": ("batch_and_queue", "algorithm"),
    "own_distribution": ("detached", "live"),
    "weight_gradient": (False, True),
    "h": ("own", "positives"),
    "normalise_labels": (False, True),
    "normalise": ("none", "positives"),
}
near = functools.partial(np.testing.assert_allclose, rtol=1e-9, atol=1e-9)


def assert_slope(of, place, gradient, seed):
    """The gradient of `of` at a place, along a direction drawn at random, is that by differences."""
    direction = np.random.default_rng(seed).normal(size=place.shape)
    (slope,) = arithmetic.slopes(lambda step: of(place + step[0] * direction), [0.0])
    found = (gradient.numpy() * direction).sum()
    np.testing.assert_allclose(found, slope, rtol=1e-6, atol=1e-5, err_msg=str(seed))


class Drawn(NamedTuple):
    """A step's batch and the queue before it; `seen` is what the reference's anchors meet."""

    z: np.ndarray
    keys: np.ndarray
    y: np.ndarray
    d: np.ndarray
    queue: Queue
    seen: list[np.ndarray]  # keys, labels, distributions


@functools.cache
def drawn(seed, labelled=False):
    """The queue is empty, partly full, full or gone round; `labelled`: every anchor has a label."""
    rng = np.random.default_rng(seed)
    rows, labels, width, batches = rng.integers([1, 1, 2, 1], [5, 5, 4, 4])
    queue = Queue(batches * rows, rows, width, labels, labels).double()
    plain = reference.Queue(batches * rows)
    for _ in range(rng.integers(batches + 2)):
        held = rows_of(rng, rows, labels, width, labelled)
        plain = plain.after(*held)
        queue.meet(*map(torch.from_numpy, held))
        queue.enter()
    keys, y, d = rows_of(rng, rows, labels, width, labelled)
    z = of_length_one(rng.normal(size=(rows, width)))
    return Drawn(z, keys, y, d, queue, [np.array(part) for part in plain.references(keys, y, d)])


def rows_of(rng, rows, labels, width, labelled):
    """Keys, labels and distributions: any, with one label each, without labels, the same row many times."""
    kinds = ["any", "one", "same"] if labelled else ["any", "any", "one", "none", "same"]
    keys, kind = of_length_one(rng.normal(size=(rows, width))), kinds[rng.integers(len(kinds))]
    y = (rng.random((rows, labels)) < (0 if kind == "none" else rng.random())).astype(float)
    if kind == "one":
        y = np.eye(labels)[rng.integers(labels, size=rows)]
    if labelled:
        y[~y.any(1), rng.integers(labels)] = 1
    d = rng.dirichlet(np.ones(labels), rows)
    if kind == "same":
        keys[:], y[:], d[:] = keys[0], y[0], d[0]
    return keys, y, d


def of_length_one(rows):
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def settings_of(given):
    rows = len(given.y)
    sizes = {"batch_size": rows, "queue": given.queue.capacity, "width": given.z.shape[1]}
    return SimpleNamespace(mask=0.0, temperature=0.1, momentum=0.999, **sizes)


def leaf(rows):
    return torch.from_numpy(rows).requires_grad_()


def batch_of(y):
    return Batch(torch.from_numpy(y), torch.from_numpy(y), torch.arange(len(y)))


def met_by(module, given, z):
    """The module, as if its encoders gave these anchors and keys, with the queue as it stands."""
    module.queue = given.queue
    module.anchors = lambda batch: Anchors(z, z, z, torch.from_numpy(given.keys))
    return module


def in_order(columns):
    rows = np.concatenate(columns, 1)
    return rows[np.lexsort(rows.T)]


def test_the_queue_is_that_of_loops():
    """A step's own rows come first, in their order, and nothing but what the reference has."""
    sizes = set()
    for seed in range(200):
        given = drawn(seed)
        met = given.queue.meet(*map(torch.from_numpy, (given.keys, given.y, given.d)))
        ours = [getattr(met, name)[met.open].numpy() for name in ("keys", "labels", "distributions")]
        for own, other in zip(ours, given.seen, strict=True):
            assert np.array_equal(own[: len(given.y)], other[: len(given.y)])
        assert np.array_equal(in_order(ours), in_order(given.seen))
        sizes.add(len(given.seen[0]) // len(given.y))
    assert sizes == {1, 2, 3, 4}


SET_LOSSES = {
    ("all", "pair"): reference.loss_all,
    ("any", "pair"): reference.loss_any,
    ("mulsupcon", "pair"): reference.loss_mulsupcon,
    ("mulsupcon", "instance"): functools.partial(reference.loss_mulsupcon, pair_weights="instance"),
}


@pytest.mark.parametrize(("positives", "weights"), SET_LOSSES)
def test_losses_and_gradients_of_mulsupcon_are_those_of_loops(positives, weights):
    plain = SET_LOSSES[positives, weights]
    for seed in range(200):
        given = drawn(seed)
        z, identity = leaf(given.z), nn.Identity()
        labels = given.y.shape[1]
        module = SetContrast(identity, identity, labels, settings_of(given), positives, weights)
        loss = met_by(module, given, z).loss(batch_of(given.y))
        loss.backward()
        keys, labels, _ = given.seen

        def of(z, keys=keys, y=given.y, labels=labels):
            return plain(z, keys, y, labels)

        near(loss.item(), of(given.z), err_msg=str(seed))
        assert_slope(of, given.z, z.grad, seed)


class LabelLayer(nn.Module):
    """Gives the logits of distributions, whatever it is put on."""

    def __init__(self, logits, weight):
        super().__init__()
        self.logits, self.weight, self.out_features = logits, weight, logits.shape[1]

    def forward(self, _):
        return self.logits


def module_of(given, z, logits, weight, read):
    terms = {name: read[name] for name in ("own_distribution", "h", "normalise_labels", "normalise")}
    objective = functools.partial(distribution_loss, alpha=ALPHA, beta=BETA, **terms)
    kernel = functools.partial(by_ratio, weighting=read["weighting"])
    if read["weighting"] == "rbf":
        kernel = functools.partial(by_distance, sigma=SIGMA)
    module = Distributions(
        nn.Identity(),
        nn.Identity(),
        LabelLayer(logits, weight),
        settings_of(given),
        "backbone",
        read["references"],
        read["weight_gradient"],
        kernel,
        objective,
    )
    return met_by(module, given, z)


def plain_of(given, read):
    """The loss as a function of z, the distributions' logits and W; what does not move is as it was drawn."""
    keys, labels, stored = given.seen
    y, algorithm = given.y, read["references"] == "algorithm"
    weights_of = functools.partial(
        reference.similarities, weighting=read["weighting"], sigma=SIGMA, algorithm=algorithm
    )
    held = weights_of(given.z, keys)
    how = {name: read[name] for name in ("h", "normalise_labels", "normalise")} | {"algorithm": algorithm}
    counts = [max(len(reference.positives(i, y, labels, algorithm)), 1) for i in range(len(y))]
    means = read["normalise"] == "positives"

    def terms(z, own):
        return reference.contrastive_terms(z, keys, y, labels, own, algorithm=algorithm)

    def of(z, logits, weight):
        d = [arithmetic.softmax(row) for row in logits]
        w = weights_of(z, keys) if read["weight_gradient"] else held
        total = reference.loss_of_distributions(z, keys, y, labels, d, stored, weight, w, ALPHA, BETA, **how)
        if read["own_distribution"] == "live":  # of each anchor's own key alone
            for i, row in enumerate(d):
                own = [row if p == i else other for p, other in enumerate(stored)]
                more = terms(z, own)[i] - terms(z, stored)[i]
                total += more / counts[i] / len(y) if means else more
        return total

    return of


def test_losses_and_gradients_of_distributions_are_those_of_loops():
    """Every reading beside others drawn at random.

    H over the positives is compared where every anchor has a label: the loops leave it out for one without.
    """
    rng, counted = np.random.default_rng(0), set()
    for seed in range(200):
        read = {name: choices[rng.integers(len(choices))] for name, choices in READINGS.items()}
        counted |= {*read.items()}
        given = drawn(seed, labelled=read["h"] == "positives")
        places = given.z, np.log(given.d), rng.normal(size=(given.y.shape[1], 2))
        leaves = [leaf(place) for place in places]
        loss = module_of(given, *leaves, read).loss(batch_of(given.y))
        loss.backward()
        plain = plain_of(given, read)
        near(loss.item(), plain(*places), err_msg=f"{seed} {read}")
        for number, own in enumerate(leaves):

            def of(place, number=number, plain=plain, places=places):
                return plain(*places[:number], place, *places[number + 1 :])

            assert_slope(of, places[number], own.grad, seed)
    assert len(counted) == sum(map(len, READINGS.values()))


def test_the_constants_of_positives_change_no_gradient():
    """Not of an anchor without labels either, which has no positives."""
    read = {name: choices[0] for name, choices in READINGS.items()}
    unlabelled = 0
    for seed in range(30):
        given, found = drawn(seed), []
        unlabelled += (~given.y.any(1)).sum()
        for h in READINGS["h"]:
            leaves = [
                leaf(place.copy()) for place in (given.z, np.log(given.d), np.ones((len(given.d.T), 2)))
            ]
            module_of(given, *leaves, read | {"h": h}).loss(batch_of(given.y)).backward()
            found.append([own.grad for own in leaves])
        for one, other in zip(*found, strict=True):
            near(one, other)
    assert unlabelled > 10


class Views(nn.Module):
    """Masks given beforehand, one a call, 0 where an entry is hidden."""

    def __init__(self, masks):
        super().__init__()
        self.masks = iter(masks)

    def forward(self, x):
        return x * next(self.masks)


NAMES = {  # ours: the reference's
    **{f"backbone.layers.{2 * number}": f"backbone.{number}" for number in range(3)},
    "projection.0": "projection.inner",
    "projection.1": "projection.norm",
    "projection.4": "projection.outer",
    "label_layer": "fc",
}


def parameters_of(module, prefix=""):
    """By the reference's names; of the momentum encoder with `prefix`."""
    state = module.state_dict()
    return {
        f"{theirs}.{kind}": state[f"{prefix}{ours}.{kind}"].numpy().copy()
        for ours, theirs in NAMES.items()
        for kind in ("weight", "bias")
        if f"{prefix}{ours}.{kind}" in state
    }


@pytest.mark.parametrize("source", ["backbone", "projection", "normalised"])
def test_steps_are_those_of_loops(source):
    """Who follows, looks and enters, over eight steps of four rows each, with a queue of two batches."""
    torch.manual_seed(0)
    task, rows, steps = small_task(3), 4, 8
    changes = ["backbone.widths=[4,5,3]", "backbone.dropout=0", f"method.readings.label_input={source}"]
    pretrain = {"batch_size": rows, "queue": 2 * rows, "width": 3, "dropout": 0, "momentum": 0.9}
    changes += [f"method.pretrain.{name}={value}" for name, value in pretrain.items()]
    config = configure(["method=mulsupcon_cld", "dataset=npz", "dataset.path=x", *changes])
    data = small_data(3, rows * steps)
    method = build_method(config.method, config.backbone, config.loss, task)
    module = next(method.stages({"train": data})).module.double()
    masks = (torch.rand(2 * steps, rows, task.features) < 0.5).double()
    module.mask, encode, seen = Views(masks), module.anchors, []
    module.anchors = lambda batch: seen.append(encode(batch)) or seen[-1]
    key, queue = parameters_of(module, "key_"), reference.Queue(2 * rows)
    for number in range(steps):
        batch = data.batch(torch.arange(rows * number, rows * (number + 1)))
        batch = Batch(batch.x.double(), batch.targets.double(), batch.ids)
        views = [(batch.x * mask).numpy() for mask in masks[2 * number : 2 * number + 2]]
        query = parameters_of(module)
        step = mulsupcon_step.step(query, key, queue, *views, batch.targets.numpy(), 0.9, source)
        key, queue = step.key, step.queue
        loss = module.loss(batch)
        near(seen[-1].z.detach(), step.z)
        near(seen[-1].keys, step.keys[:rows])
        held = reference.similarities(step.z, step.keys, "exp")
        plain = reference.loss_of_distributions(
            step.z, step.keys, batch.targets.numpy(), step.labels, step.d, step.stored,
            query["fc.weight"], held, alpha=0.1, beta=1.0,
        )  # fmt: skip
        near(loss.item(), plain)
        loss.backward()
        with torch.no_grad():
            for parameter in module.parameters():
                if parameter.grad is not None:
                    parameter -= 0.05 * parameter.grad
                    parameter.grad = None
        module.after_step()
    assert queue.full()
    for name, own in parameters_of(module, "key_").items():
        near(own, reference.followed(key, parameters_of(module), 0.9)[name])
