"""MulSupCon and MulSupCon_LD: values worked out from the papers, what the queue holds, what a run leaves."""

import functools

import pytest
import torch
from pytest import approx
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from mlbench.compose import configure
from mlbench.errors import UserError
from mlbench.methods.build import build_method
from mlbench.methods.contrastive.label_distributions import by_distance, by_ratio, own_and_queue
from mlbench.methods.contrastive.losses import contrast, distribution_loss, log_ratios
from mlbench.methods.contrastive.queue import Queue, References
from small import small_data, small_task

Z = torch.tensor([[0.6, 0.8], [1, 0], [-0.8, 0.6]])
KEYS = torch.tensor([[0.8, 0.6], [0.6, -0.8], [0, 1], [-0.6, 0.8], [0.96, 0.28], [0, -1]])
Y = torch.tensor([[1.0, 1, 0], [0, 1, 1], [1, 0, 0]])
QUEUED = torch.tensor([[0.0, 1, 1], [1, 0, 0], [0, 0, 0]])
D = torch.tensor([[0.5, 0.3, 0.2], [0.1, 0.6, 0.3], [0.7, 0.2, 0.1]])
QUEUED_D = torch.tensor([[0.2, 0.4, 0.4], [0.6, 0.3, 0.1], [0.3, 0.4, 0.3]])
W = torch.tensor([[0.5, -1], [0.2, 0.3], [-0.4, 1]])
OPEN = torch.ones(6, dtype=torch.bool)
OWN = torch.arange(3)
READ = {"own_distribution": "detached", "h": "own", "normalise_labels": False, "normalise": "none"}
EXP = functools.partial(by_ratio, weighting="exp")


def set_loss(y, positives, pair_weights="pair"):
    ratios = log_ratios(Z, KEYS, 0.1, OPEN)
    return contrast(ratios, y, torch.cat([y, QUEUED]), OPEN, y, positives, pair_weights).item()


@pytest.mark.parametrize(
    ("positives", "weights", "value"),
    [
        ("mulsupcon", "pair", 7.130645),
        ("mulsupcon", "instance", 7.702253),
        ("any", "pair", 7.506697),
        ("all", "pair", 6.591142),
    ],
)
def test_the_losses_of_mulsupcon(positives, weights, value):
    assert set_loss(Y, positives, weights) == approx(value, abs=1e-5)


@pytest.mark.parametrize(("positives", "value"), [("mulsupcon", 5.235636), ("any", 6.700134)])
def test_an_anchor_without_labels_is_left_out(positives, value):
    y = torch.tensor([[1.0, 1, 0], [0, 0, 0], [1, 0, 0]])
    assert set_loss(y, positives) == approx(value, abs=1e-5)


def ld_loss(kernel, z=Z, d=D, open=OPEN, **read):
    met = References(KEYS, torch.cat([Y, QUEUED]), torch.cat([D, QUEUED_D]), open)
    ratios = log_ratios(z, KEYS, 0.1, open)
    weights = kernel(z, KEYS, ratios).detach()
    return distribution_loss(
        weights, ratios, Y, d, W, met, OWN, 3, **{"alpha": 0.1, "beta": 1.0} | READ | read
    )


@pytest.mark.parametrize(
    ("kernel", "read", "value"),
    [
        (functools.partial(by_distance, sigma=0.01), {}, 55.813430),
        (functools.partial(by_distance, sigma=1.0), {}, 56.265068),
        (EXP, {}, 55.867739),
        (EXP, {"h": "positives"}, 56.307739),
        (EXP, {"own_distribution": "live"}, 55.867739),
        (functools.partial(by_ratio, weighting="neg_log"), {}, 62.756852),
        (functools.partial(by_ratio, weighting="literal"), {}, 48.870009),
        (EXP, {"normalise": "positives"}, 7.344614),
        (EXP, {"alpha": 0.0, "beta": 0.0}, 48.035430 + 0.054308),
    ],
)
def test_the_losses_of_mulsupcon_ld(kernel, read, value):
    assert ld_loss(kernel, **read).item() == approx(value, abs=1e-5)


def test_algorithm_1_meets_the_own_key_and_the_queue():
    met = References(KEYS, torch.cat([Y, QUEUED]), torch.cat([D, QUEUED_D]), OPEN)
    assert ld_loss(EXP, open=own_and_queue(met, OWN, 3)).item() == approx(39.475159, abs=1e-5)


def test_the_gradient_reaches_d_and_z_alone():
    z, d = Z.clone().requires_grad_(), D.clone().requires_grad_()
    ld_loss(EXP, z, d).backward()
    in_d = [
        [-0.185747, -0.111419, 0.097165],
        [-0.111384, 0.018538, -0.107154],
        [-0.059998, 0.039999, 0.019999],
    ]
    in_z = [[8.554414, 7.081182], [15.512318, 5.170371], [-20.272646, 2.815727]]
    torch.testing.assert_close(d.grad, torch.tensor(in_d), atol=1e-5, rtol=0)
    torch.testing.assert_close(z.grad, torch.tensor(in_z), atol=1e-5, rtol=1e-6)


def test_a_live_distribution_has_the_gradient_of_its_own_key():
    d = D.clone().requires_grad_()
    read = {"alpha": 0.0, "beta": 0.0}
    (held,) = torch.autograd.grad(ld_loss(EXP, d=d, **read), d)
    (live,) = torch.autograd.grad(ld_loss(EXP, d=d, own_distribution="live", **read), d)
    ratios = log_ratios(Z, KEYS, 0.1, OPEN)
    torch.testing.assert_close(live - held, -Y * ratios[OWN, OWN].unsqueeze(1), atol=1e-5, rtol=0)


def test_a_closed_queue_is_as_none():
    """Whatever it holds, labels included."""
    closed = torch.tensor([True] * 3 + [False] * 3)
    ratios, alone = log_ratios(Z, KEYS, 0.1, closed), log_ratios(Z, KEYS[:3], 0.1, OPEN[:3])
    for positives in ("mulsupcon", "any", "all"):
        ours = contrast(ratios, Y, torch.cat([Y, QUEUED]), closed, Y, positives, "pair")
        theirs = contrast(alone, Y, Y, OPEN[:3], Y, positives, "pair")
        assert ours.item() == approx(theirs.item(), abs=1e-6)
    met = References(KEYS[:3], Y, D, OPEN[:3])
    weights = by_ratio(Z, KEYS[:3], alone, "exp")
    theirs = distribution_loss(weights, alone, Y, D, W, met, OWN, 3, alpha=0.1, beta=1.0, **READ)
    assert ld_loss(EXP, open=closed).item() == approx(theirs.item(), abs=1e-5)


def test_a_queue_is_met_once_full_and_nothing_occurs_twice():
    """Six places, two rows a step: the first three steps meet their own rows alone, step four all six."""
    queue = Queue(capacity=6, batch=2, width=1, labels=1)
    for step in range(12):
        own = torch.tensor([[2.0 * step], [2.0 * step + 1]])
        met = queue.meet(own, own + 100)
        seen = met.keys[met.open].flatten().tolist()
        before = range(2 * step - 6, 2 * step) if step >= 3 else range(0)
        assert seen[:2] == own.flatten().tolist() and sorted(seen[2:]) == [*before]
        assert torch.equal(met.labels[met.open], met.keys[met.open] + 100)
        queue.enter()


def test_a_smaller_batch_meets_and_enters_its_own_rows():
    queue = Queue(capacity=4, batch=2, width=1, labels=1)
    for number in range(6):
        met = queue.meet(torch.tensor([[float(number)]]), torch.ones(1, 1))
        expected = [*range(number - 4, number)] if number >= 4 else []
        assert sorted(met.keys[met.open].flatten().tolist()) == [*expected, number]
        queue.enter()


def made(method, task, more=(), **pretrain):
    words = [
        f"method.pretrain.{key}={value}" for key, value in {"batch_size": 8, "queue": 16, **pretrain}.items()
    ]
    config = configure(
        [f"method={method}", "dataset=npz", "dataset.path=x", "backbone.widths=[8]", *words, *more]
    )
    torch.manual_seed(0)
    return build_method(config.method, config.backbone, config.loss, task)


METHODS = ("mulsupcon", "mulsupcon_rld", "mulsupcon_cld")


@pytest.mark.parametrize("method", METHODS)
def test_keys_follow_the_queries_by_momentum(method):
    torch.manual_seed(1)
    data = small_data(3)
    first, second = made(method, small_task(3), momentum=0.9).stages({"train": data})
    module = first.module
    before = [key.clone() for key in module.key_backbone.parameters()]
    assert all(map(torch.equal, before, module.backbone.parameters()))
    with torch.no_grad():
        for query in module.backbone.parameters():
            query += 1
    module.loss(data.batch(torch.arange(8))).backward()
    assert all(key.grad is None for key in module.key_backbone.parameters())
    module.after_step()
    for key, old, query in zip(module.key_backbone.parameters(), before, module.backbone.parameters()):
        torch.testing.assert_close(key, 0.9 * old + 0.1 * query)
    assert module.queue.entered == 8
    assert (second.module.head is getattr(module, "label_layer", None)) == (method != "mulsupcon")


def test_a_queue_that_no_number_of_steps_fills_is_refused():
    with pytest.raises(UserError, match=r"queue=20 is no multiple of method\.pretrain\.batch_size=8"):
        next(made("mulsupcon", small_task(3), queue=20).stages({"train": small_data(3)}))


def test_without_pre_training_there_is_one_stage_and_no_option_of_the_first_counts():
    method = made("mulsupcon_cld", small_task(3), epochs=0)
    assert [stage.name for stage in method.stages({"train": small_data(3)})] == ["train"]
    nodes = [
        configure([f"method={name}", "method.pretrain.epochs=0", *more]).method
        for name, more in (
            ("mulsupcon_cld", []),
            ("mulsupcon_cld", ["method.alpha=1", "method.pretrain.queue=256"]),
        )
    ]
    kind = type(method)
    assert kind.defining(nodes[0]) == kind.defining(nodes[1])
    other = configure(
        ["method=mulsupcon_cld", "method.pretrain.epochs=1", "method.pretrain.leaves=lowest_loss"]
    ).method
    assert kind.defining(other) == other


class Largest(TorchDispatchMode):
    """The entries of the largest tensor that any operation gives, within this context."""

    entries = 0

    def __torch_dispatch__(self, operation, types, given=(), named=None):
        result = operation(*given, **(named or {}))
        tensors = [part for part in tree_leaves(result) if isinstance(part, torch.Tensor)]
        self.entries = max([self.entries, *[tensor.numel() for tensor in tensors]])
        return result


@pytest.mark.parametrize(
    "words",
    [
        ["mulsupcon"],
        ["mulsupcon", "method.pair_weights=instance"],
        ["mulsupcon", "method.positives=any"],
        ["mulsupcon", "method.positives=all"],
        ["mulsupcon_rld", "method.sigma=1", "method.readings.weight_gradient=true"],
        ["mulsupcon_cld", "method.readings.references=algorithm", "method.readings.own_distribution=live"],
        ["mulsupcon_cld", "method.readings.h=positives", "method.readings.normalise=positives"],
    ],
)
def test_no_step_holds_a_row_for_each_pair_or_a_difference_for_each_two(words):
    """Nothing is as large as anchors × references × labels, or as pairs of anchor and label × references."""
    rows, held, labels = 64, 192, 40
    method = made(words[0], small_task(labels), batch_size=rows, queue=held, width=24, more=words[1:])
    data = small_data(labels, rows)
    module = next(method.stages({"train": data})).module
    references, largest_product = rows + held, rows * (rows + held)
    with Largest() as largest:
        for _ in range(held // rows + 1):
            module.loss(data.batch(torch.arange(rows))).backward()
            module.after_step()
    assert largest_product <= largest.entries < 2 * largest_product
    assert 2 * largest_product < data.targets.sum() * references < rows * references * labels
