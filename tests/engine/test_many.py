"""Stages trained as one stack leave what each leaves alone; whatever stops them, and whoever cannot join."""

import functools
import threading
from types import SimpleNamespace

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from mlbench.engine import fit as engine
from mlbench.engine import many
from mlbench.errors import UserError
from mlbench.evaluation.thresholds import FrequencyPerLabel
from mlbench.losses.bce import bce
from mlbench.methods.erm import ERM
from replicas import BY_VMAP, COSINE, RATES, Hooked, bits, but_for_vmap, close, equal


@pytest.fixture
def both(jobs, capfd):
    """both(changes, ...) trains replicas alone and together and compares: what each left, what was said.

    To the last bit but where operations do not carry along what stands before the last dimensions.
    """

    def both(*replicas, stack=True, exact=True, **common):
        alone = [engine.fit(job) for job in jobs("alone", *replicas, **common)]
        asked = jobs("together", *replicas, **common)
        weights = [bits(job.stage.module.state_dict()) for job in asked]
        capfd.readouterr()
        many.fit_together(asked)
        said = but_for_vmap(capfd.readouterr().err)
        stacked = stack if isinstance(stack, list) else [stack] * len(asked)
        assert [job.done.exists() for job in asked] == stacked, said
        assert [bits(job.stage.module.state_dict()) for job in asked] == weights
        left = [engine.fit(job) for job in asked]
        for ours, theirs in zip(left, alone, strict=True):
            equal(ours, theirs) if exact else close(ours, theirs)
            if stack is True:
                assert theirs.trained == ("" if exact else "alone") and (ours.trained == "" or not exact)
        return SimpleNamespace(alone=alone, left=left, said=said)

    return both


@pytest.mark.parametrize("optimizer", ["Adam", "AdamW", "SGD", "RMSprop"])
def test_rates_and_decays_are_each_ones_own(optimizer, both):
    more = {"weight_decay": 0.0} | ({"momentum": 0.9} if optimizer == "SGD" else {"eps": 1e-6})
    replicas = [{"optimizer": (optimizer, more | rate)} for rate in RATES]
    done = both(*replicas, scheduler=COSINE, epochs=3)
    rates = [[row["learning_rate"] for row in outcome.history] for outcome in done.left]
    assert rates == [[row["learning_rate"] for row in outcome.history] for outcome in done.alone]
    assert rates[0] == rates[2] and len({own[0] for own in rates}) == 3
    assert done.said == ""


@pytest.mark.parametrize(
    "changes",
    [
        {"shuffle": False, "batch_size": 7},
        {"drop_last": True, "batch_size": 7},
        {"batch_size": 1000},
        {"batch_size": 1, "rows": 110, "epochs": 1},  # several chunks an epoch, the last a short one
    ],
    ids=str,
)
def test_orders_and_batches_are_each_ones_own(changes, both):
    done = both(**changes)
    assert len({row.history[0]["loss"] for row in done.left}) == 3 and done.said == ""


@pytest.mark.parametrize(("most", "sizes"), [(2.5, [2, 2, 1]), (5, [5]), (1.2, [])])
def test_a_stack_holds_as_much_as_memory_is_to_hold(most, sizes, both, jobs, monkeypatch):
    """What modules remember of all rows counts, and so do labels and what comes with them."""
    one = jobs("measured", {})[0].stage
    tensors = [*one.module.state_dict().values(), one.data.targets, *one.data.extra.values()]
    monkeypatch.setattr(many, "HELD", int(most * sum(own.nbytes for own in tensors)))
    stacks, train = [], many._train
    monkeypatch.setattr(many, "_train", lambda group: (stacks.append(len(group)), train(group))[1])
    joined = [True, True, True, True, False] if sizes[-1:] == [1] else bool(sizes)
    done = both(*[{}] * 5, stack=joined)
    assert stacks == [size for size in sizes if size > 1] and done.said == ""


def test_on_a_gpu_a_stack_holds_a_share_of_its_memory(jobs, monkeypatch):
    """Of all of it, so that after a crash, whatever else is at work there, the same jobs are one stack."""
    seen = SimpleNamespace(total_memory=many.SHARE * many.HELD * 3)
    monkeypatch.setattr(many.torch.cuda, "get_device_properties", lambda _: seen)
    train = jobs("measured", {})[0].train
    assert many.held(train) == many.HELD
    assert many.held(train.model_copy(update={"accelerator": "gpu"})) == 3 * many.HELD
    seen.total_memory //= 6  # of a small one as much as of any machine
    assert many.held(train.model_copy(update={"accelerator": "gpu"})) == many.HELD


class Normalised(ERM):
    tracks = True

    def __init__(self, *given):
        super().__init__(*given)
        self.norm = nn.BatchNorm1d(3, track_running_stats=self.tracks)

    def logits(self, batch):
        return self.norm(super().logits(batch))


class Renormalised(Normalised):
    tracks = False


STACKED = {
    "clipped": {"gradient_clip": 0.05},
    "clipped by value": {"gradient_clip": 0.01, "clip_by": "value"},
    "accumulated": {"accumulate": 3, "rows": 61},
    "averaged": {"ema": 0.9, "looks": ("best",)},
    "warmed up": {"warmup": 5, "scheduler": COSINE},
    "a step at a time": {"schedule_every": "step", "scheduler": ("OneCycleLR", {"max_lr": 0.1})},
    "weights decayed": {"decay_on": "weights", "optimizer": ("AdamW", {"lr": 0.01, "weight_decay": 0.9})},
    "norms of the batch at hand": {"module": {"kind": Renormalised}, "optimizer": ("SGD", {"lr": 0.1})},
}


@pytest.mark.parametrize("how", STACKED)
def test_what_a_loop_knows_is_each_ones_own(how, both):
    exact = how != "norms of the batch at hand"  # by torch.nn's layer
    assert both({}, {"seed": 5}, {"seed": 7}, exact=exact, **STACKED[how]).said == ""


def test_hooks_are_each_ones_own(both):
    """Under them a weight that grows by epochs, a limit of gradients, a queue and an average are learned."""
    done = both({}, {"seed": 5}, {"optimizer": ("Adam", {"lr": 0.01})}, module={"kind": Hooked}, epochs=3)
    assert done.said == ""
    queues = [outcome.last["queue"] for outcome in done.left]
    assert all(queue.all() for queue in queues) and not torch.equal(queues[0], queues[1])


class Queues(Hooked):
    """Its loss itself writes the queue, which it has read before."""

    def loss(self, batch):
        loss = super().loss(batch)
        newest = batch.x.mean((-2, -1)).unsqueeze(-1)
        self.queue = torch.cat([self.queue[..., 1:], newest.detach()], -1)
        return loss


def test_what_a_loss_writes_is_written_by_training_alone(both):
    """A rehearsal before it leaves no trace in the queue."""
    assert both({}, {"seed": 5}, module={"kind": Queues}, epochs=3).said == ""


class Centres(ERM):
    """What its hook does to a bias is another thing for several."""

    def after_step(self):
        with torch.no_grad():
            self.head.bias.sub_(self.head.bias.mean())


class Locked(ERM):
    """Holds what cannot be copied."""

    def __init__(self, *given):
        super().__init__(*given)
        self.lock = threading.Lock()


def test_one_that_cannot_be_copied_is_trained(jobs):
    (job,) = jobs("alone", {"module": {"kind": Locked}})
    outcome = engine.fit(job)
    assert len(outcome.history) == 2 and outcome.trained == "alone"


@pytest.mark.parametrize(
    ("changes", "trained"),
    [
        ({}, ""),
        ({"module": {"kind": Hooked}}, ""),
        ({"module": {"kind": Centres}}, "alone"),
        ({"module": {"kind": Renormalised}}, "alone"),  # others may be stacked with it by vmap
        ({"module": {"kind": Normalised}}, ""),  # never
        ({"threads": 2}, "alone"),
    ],
    ids=str,
)
def test_one_that_is_trained_alone_says_where_neighbours_would_change_its_last_digits(changes, trained, jobs):
    (job,) = jobs("alone", changes)
    assert engine.fit(job).trained == trained
    assert engine.fit(job).trained == trained, "as it is read again"


def sloped(logits, targets, slope):
    return F.softplus(slope * (1 - 2 * targets) * logits).mean()


class Shrinks(ERM):
    def __init__(self, *given, strength):
        super().__init__(*given)
        self.strength = strength

    def loss(self, batch):
        return super().loss(batch) + self.strength * self.head.weight.square().sum((-2, -1))


@pytest.mark.parametrize("loss, number", [(sloped, "slope"), (bce, "pos_weight")])
def test_numbers_in_methods_and_losses_are_each_ones_own(loss, number, both):
    replicas = [
        {"module": {"kind": Shrinks, "loss": functools.partial(loss, **{number: own}), "strength": strength}}
        for own, strength in ((0.5, 0.0), (1, 0.1), (4.0, 2.0))
    ]
    sgd = ("SGD", {"lr": 0.1, "momentum": 0.9})
    done = both(*replicas, seed=5, optimizer=sgd, exact=loss is not sloped)  # which takes the mean over all
    assert len({row.history[0]["loss"] for row in done.left}) == 3 and done.said == ""


def test_the_epoch_that_is_kept_is_each_ones_own(both):
    """Two rules, a threshold that is fitted, a look every second epoch and at the last."""
    growing = ("StepLR", {"step_size": 1, "gamma": 2.0})  # so that training first helps and then harms
    fitted = functools.partial(FrequencyPerLabel, "validation")
    looks = {"looks": ("best", "oracle"), "threshold": fitted, "every": 2}
    done = both(**looks, epochs=7, optimizer=("SGD", {"lr": 0.1}), scheduler=growing)
    assert len({outcome.kept["best"]["epoch"] for outcome in done.left}) > 1
    for outcome in done.left:
        assert [row["epoch"] for row in outcome.history if "test_f1_macro" in row] == [2, 4, 6, 7]
        assert {*outcome.kept} == {"best", "oracle"} and done.said == ""


class Drops(ERM):
    def __init__(self, *given):
        super().__init__(*given)
        self.dropout = nn.Dropout(0.4)

    def logits(self, batch):
        return self.head(self.dropout(self.backbone(batch.x)))


class Jitters(ERM):
    def logits(self, batch):
        return self.head(self.backbone(batch.x + 0.1 * torch.randn_like(batch.x)))


class Decides(ERM):
    def loss(self, batch):
        loss = super().loss(batch)
        return loss if loss.item() > 0.6 else 2 * loss


class Anneals(ERM):
    """Its weight falls from batch to batch."""

    weight = 1.0

    def loss(self, batch):
        self.weight *= 0.9
        return self.weight * super().loss(batch)


class Named(ERM):
    def __init__(self, *given, how):
        super().__init__(*given)
        self.how = {"objective": how}

    def loss(self, batch):
        return (
            super().loss(batch) if self.how["objective"] == "logits" else self.logits(batch).square().mean()
        )


ALONE = {
    "it has dropout that draws from everybody's generator": {"module": {"kind": Drops}},
    "it has batch norm with running statistics": {"module": {"kind": Normalised}},
    "what after_step does": {"module": {"kind": Centres}},
    "its rate waits for a plateau of its own": {"scheduler": ("ReduceLROnPlateau", {"patience": 0})},
    "train.precision=bf16-mixed": {"precision": "bf16-mixed"},
    "torch.optim.Adafactor mixes the entries": {"optimizer": ("Adafactor", {"lr": 0.01})},
    "its loss cannot be had for several at once (it draws": {"module": {"kind": Jitters}},
    "its loss cannot be had for several at once": {"module": {"kind": Decides}},
    "its loss changes what it holds": {"module": {"kind": Anneals}},
}


@pytest.mark.parametrize("reason", ALONE)
def test_what_cannot_be_stacked_says_so_and_is_trained_alone(reason, both):
    done = both({}, {}, stack=False, **ALONE[reason])
    assert done.said.startswith(f"mlbench: label is trained one by one: {reason}")
    assert done.said.count("\n") == 1


class Scaled(ERM):
    """A parameter of its own, which knows of no dimension of replicas."""

    def __init__(self, *given):
        super().__init__(*given)
        self.scale = nn.Parameter(torch.ones(3))

    def logits(self, batch):
        return super().logits(batch) * self.scale


def test_what_takes_vmap_says_why(jobs, capfd):
    many.fit_together(jobs("together", {}, {"seed": 5}, {"seed": 7}, module={"kind": Scaled}))
    (line,) = capfd.readouterr().err.splitlines()
    assert line.startswith(f"{BY_VMAP}the loss of several fails (The size of tensor a")


def test_a_difference_that_is_no_number_is_found_out(both):
    done = both(*[{"module": {"kind": Named, "how": how}} for how in ("logits", "squares")], stack=False)
    assert "its loss cannot be had for several at once" in done.said


@pytest.mark.parametrize(
    "change",
    [
        {"epochs": 3},
        {"batch_size": 9},
        {"rows": 61},
        {"shuffle": False},
        {"scheduler": COSINE},
        {"optimizer": ("SGD", {"lr": 0.1})},
        {"optimizer": ("Adam", {"lr": 0.001, "betas": [0.5, 0.9]})},
        {"looks": ["best"]},
    ],
    ids=str,
)
def test_those_of_another_kind_do_not_join(change, both):
    assert both({}, change, stack=False).said == ""


def sentence_of(job):
    with pytest.raises(UserError) as said:
        engine.fit(job)
    return str(said.value)


NAN = functools.partial(bce, pos_weight=float("nan"))


def torn(logits, targets, pos_weight):
    """Finite, with a gradient that is not: √|z − z| is 0, and its slope is no number."""
    return bce(logits, targets, pos_weight) + (logits - logits.detach()).abs().sqrt().mean((-2, -1))


BREAKING = {
    "the loss is nan in stage train, epoch 1, batch ": [{"epochs": 3}, {"optimizer": ("SGD", {"lr": 1e30})}],
    "the threshold cannot be fitted: scores of": [
        {"batch_size": 60, "module": {"loss": functools.partial(bce, pos_weight=1.0)}},
        {"module": {"loss": functools.partial(torn, pos_weight=1.0)}},
    ],
    "the loss is nan in stage train, epoch 1, batch 1:": [
        {"module": {"loss": functools.partial(bce, pos_weight=1.0)}},
        {"module": {"loss": NAN}},
    ],
}


@pytest.mark.parametrize("said", BREAKING)
def test_one_that_breaks_says_what_it_says_alone_and_keeps_nobody(said, jobs, capfd):
    common, broken = BREAKING[said]
    looks = {"looks": ["best"], "threshold": functools.partial(FrequencyPerLabel, "validation")}
    common = {"optimizer": ("SGD", {"lr": 0.1})} | common | looks
    alone, together = jobs("alone", {}, broken, {}, **common), jobs("together", {}, broken, {}, **common)
    many.fit_together(together)
    assert [job.done.exists() for job in together] == [True, False, True]
    assert but_for_vmap(capfd.readouterr().err) == ""
    sentences = []
    for job in (alone[1], together[1]):
        with pytest.raises(UserError) as error:
            engine.fit(job)
        sentences.append(str(error.value))
    assert sentences[0] == sentences[1] and sentences[0].startswith(said)
    for number in (0, 2):
        close(engine.fit(together[number]), engine.fit(alone[number]))


def test_one_that_another_process_holds_is_left_to_it(jobs):
    asked = jobs("held")
    with asked[1].lock:
        many.fit_together(asked)
    assert [job.done.exists() for job in asked] == [True, False, True]


def test_what_follows_draws_what_it_draws_alone(jobs):
    drawn = []
    for folder, fit_first in (("alone", list), ("together", many.fit_together)):
        asked = jobs(folder)
        fit_first(asked)
        for job in asked:
            engine.fit(job)
            drawn.append(torch.rand(3).tolist())
    assert drawn[:3] == drawn[3:] and drawn[0] != drawn[1]
