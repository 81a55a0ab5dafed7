"""One stage: what a hand-written loop would do, whole or in pieces; and the epoch a selection rule keeps."""

import contextlib
import itertools
import multiprocessing
import signal

import numpy as np
import pytest
import torch

import outside
from mlbench.data.rows import order
from mlbench.engine import ranks
from mlbench.errors import UserError
from mlbench.layers import begin_draws
from mlbench.methods.erm import ERM
from mlbench.seeding import seed_everything

ADAM = ("Adam", {"lr": 0.01, "weight_decay": 0.001})
SGD = ("SGD", {"lr": 0.1, "momentum": 0.9})
AMSGRAD = ("AdamW", {"lr": 0.01, "weight_decay": 0.01, "amsgrad": True})
COSINE = ("CosineAnnealingWarmRestarts", {"T_0": 2, "T_mult": 1, "eta_min": 0.0})


def by_hand(module, data, seed, optimizer, scheduler=None, epochs=3, batch_size=4, clip=None, shuffle=True):
    """The last state, and each epoch's mean loss."""
    name, options = optimizer
    optimizer = getattr(torch.optim, name)(module.parameters(), **options)
    if scheduler:
        scheduler = getattr(torch.optim.lr_scheduler, scheduler[0])(optimizer, **scheduler[1])
    means = []
    seed_everything(seed)
    begin_draws(module, seed)
    for epoch in range(epochs):
        losses = []
        for rows in order(len(data), seed, epoch, shuffle).split(batch_size):
            optimizer.zero_grad()
            loss = module.loss(data.batch(rows))
            loss.backward()
            if clip:
                torch.nn.utils.clip_grad_norm_(module.parameters(), clip)
            optimizer.step()
            losses.append(loss.item())
        means.append(sum(losses) / len(losses))
        if scheduler:
            scheduler.step()
    return module.state_dict(), means


def assert_close(ours, theirs, tolerance=1e-6):
    assert ours.keys() == theirs.keys()
    for name in ours:
        torch.testing.assert_close(ours[name], theirs[name], rtol=0, atol=tolerance)


def assert_same(ours, theirs):
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)


@pytest.mark.parametrize(
    "changes",
    [
        {"optimizer": ADAM},
        {"optimizer": AMSGRAD, "scheduler": COSINE},
        {"optimizer": SGD, "gradient_clip": 0.05, "scheduler": COSINE},
        {"optimizer": SGD, "shuffle": False, "batch_size": 7},
        {"optimizer": ADAM, "batch_size": 1000},
    ],
)
def test_training_is_what_a_hand_written_loop_does(changes, problem):
    """Three epochs of 57 batches, the last of which is short: more than one chunk an epoch."""
    data = problem.vectors(226)
    ours = problem.fit(problem.erm(dropout=0.3), data, **{"epochs": 3, "batch_size": 4} | changes)
    translated = {"clip" if name == "gradient_clip" else name: value for name, value in changes.items()}
    state, losses = by_hand(problem.erm(dropout=0.3), data, problem.seed, **translated)
    assert_close(ours.last, state)
    assert [row["epoch"] for row in ours.history] == [1, 2, 3]
    assert [row["loss"] for row in ours.history] == pytest.approx(losses, abs=1e-6)
    assert not torch.equal(ours.last["head.weight"], problem.erm().head.weight)


def test_the_gradient_is_clipped(problem, monkeypatch):
    """With plain SGD at rate 1 no step is longer than the largest norm allowed."""
    states, data, step = [], problem.vectors(40), torch.optim.SGD.step

    def walked(self, closure=None):
        step(self)
        leaves = [leaf for group in self.param_groups for leaf in group["params"]]
        states.append(torch.cat([leaf.detach().flatten().clone() for leaf in leaves]))

    monkeypatch.setattr(torch.optim.SGD, "step", walked)
    for clip in (0.01, None):
        states.clear()
        changes = {"optimizer": ("SGD", {"lr": 1.0}), "gradient_clip": clip, "batch_size": 4, "epochs": 1}
        problem.fit(problem.erm(), data, name=str(clip), **changes)
        longest = max((after - before).norm().item() for before, after in itertools.pairwise(states))
        assert (longest <= 0.01 * 1.001) == (clip is not None)


class Counts(ERM):
    """Counts the batches it sees, and the steps after which it is called."""

    def __init__(self, *given):
        super().__init__(*given)
        self.sizes, self.steps = [], []

    def loss(self, batch):
        self.sizes.append(len(batch.x))
        return super().loss(batch)

    def after_step(self):
        assert all(p.grad is None or not p.grad.any() for p in self.parameters())
        self.steps.append(len(self.sizes))


@pytest.mark.parametrize("rows, batch_size, accumulate", [(226, 4, 1), (226, 4, 3), (512, 4, 4), (9, 2, 60)])
def test_after_step_counts_optimiser_steps(rows, batch_size, accumulate, problem):
    method = problem.erm(kind=Counts)
    problem.fit(method, problem.vectors(rows), epochs=2, batch_size=batch_size, accumulate=accumulate)
    batches = -(-rows // batch_size)
    ends = [
        *range(accumulate, batches, accumulate),
        batches,
    ]  # within an epoch: every k-th batch, and the last
    assert method.steps == ends + [batches + end for end in ends]


@pytest.mark.parametrize("accumulate", [2, 3, 4, 64])
def test_accumulating_is_a_larger_batch(accumulate, problem):
    """For a mean loss whose batches are all of one size; 192 batches an epoch, several chunks."""
    data, sgd = problem.vectors(384), ("SGD", {"lr": 0.05, "momentum": 0.9})
    few = problem.fit(
        problem.erm(), data, name="few", epochs=2, batch_size=2, accumulate=accumulate, optimizer=sgd
    )
    many = problem.fit(problem.erm(), data, name="many", epochs=2, batch_size=2 * accumulate, optimizer=sgd)
    assert_close(few.last, many.last, tolerance=1e-5)
    assert not torch.allclose(few.last["head.weight"], problem.erm().head.weight, atol=1e-3)


def test_drop_last(problem):
    data = problem.vectors(226)
    for drop, sizes in ((False, [4] * 56 + [2]), (True, [4] * 56)):
        method = problem.erm(kind=Counts)
        problem.fit(method, data, name=str(drop), epochs=1, batch_size=4, drop_last=drop)
        assert method.sizes == sizes
    with pytest.raises(UserError, match=r"train\.drop_last=true leaves no batch of 227, with 226 instances"):
        problem.fit(problem.erm(), data, name="none", batch_size=227, drop_last=True)


def test_the_schedule_steps_once_an_epoch(problem):
    halving = ("StepLR", {"step_size": 1, "gamma": 0.5})
    outcome = problem.fit(
        problem.erm(), problem.vectors(226), epochs=4, batch_size=4, optimizer=SGD, scheduler=halving
    )
    assert [row["learning_rate"] for row in outcome.history] == [0.1, 0.05, 0.025, 0.0125]


@pytest.mark.parametrize("stop", [1, 2, 3, 4, 6])
@pytest.mark.parametrize(
    "changes",
    [
        {"optimizer": AMSGRAD, "scheduler": COSINE},
        {"optimizer": SGD, "accumulate": 3, "precision": "bf16-mixed"},
    ],
    ids=["amsgrad", "accumulated"],
)
def test_interrupted_between_any_two_chunks(stop, changes, problem):
    """Reports come with checkpoints; the one that does not return is an interruption. Two chunks an epoch."""
    data, validation = problem.vectors(226), problem.vectors(50, seed=1)
    changes = changes | {"epochs": 3, "batch_size": 4, "checkpoint_seconds": 0}
    whole = problem.fit(
        problem.erm(dropout=0.4), data, [problem.watch(data=validation)], name="whole", **changes
    )
    reports = itertools.count(1)

    def report(history):
        if next(reports) == stop:
            raise KeyboardInterrupt

    for _ in range(2):  # the second time from the checkpoint that was just written
        reports = itertools.count(1)
        with pytest.raises(KeyboardInterrupt):
            problem.fit(
                problem.erm(dropout=0.4), data, [problem.watch(data=validation)], report=report, **changes
            )
        if stop > 3:
            break
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    parts = problem.fit(problem.erm(dropout=0.4), data, [problem.watch(data=validation)], **changes)
    assert_same(parts.last, whole.last)
    assert parts.history == whole.history
    assert_same(parts.kept["best"].pop("state"), whole.kept["best"].pop("state"))
    assert parts.kept == whole.kept and whole.kept["best"]


def test_what_follows_a_stage_draws_the_same_when_it_was_there_already(problem):
    drawn = []
    for _ in range(2):
        problem.fit(problem.erm(dropout=0.4), problem.vectors(30), epochs=1)
        drawn.append(torch.rand(3))
    assert torch.equal(*drawn)


def test_ctrl_c_in_the_last_chunk_is_heard_once_the_stage_is_done(problem, tmp_path, monkeypatch):
    adam, data = torch.optim.Adam.step, problem.vectors(20)

    def interrupted(self, closure=None):
        adam(self)
        signal.raise_signal(signal.SIGINT)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(torch.optim.Adam, "step", interrupted)
        problem.fit(problem.erm(), data, epochs=1, batch_size=20)
    assert (tmp_path / "train.pt").exists() and not (tmp_path / "train.ckpt").exists()
    assert problem.fit(problem.erm(), data, epochs=1, batch_size=20).history[0]["epoch"] == 1


@pytest.mark.parametrize("value, batch", [("nan", 1), ("inf", 50), ("-inf", 51), ("nan", 57), ("nan", 171)])
def test_a_loss_that_is_not_finite_stops_at_its_batch(value, batch, problem, tmp_path):
    """57 batches an epoch in two chunks; the 171st is the last of the third epoch."""
    method = problem.erm(kind=outside.Breaks, batch=batch, value=float(value))
    epoch, within = divmod(batch - 1, 57)
    said = f"the loss is {value} in stage pretraining, epoch {epoch + 1}, batch {within + 1}: "
    with pytest.raises(UserError, match=said):
        problem.fit(method, problem.vectors(226), name="pretraining", epochs=3, batch_size=4)
    assert not (tmp_path / "pretraining.pt").exists()


def test_the_batch_is_named_when_gradients_accumulate(problem):
    method = problem.erm(kind=outside.Breaks, batch=52, value=float("nan"))
    with pytest.raises(UserError, match="epoch 1, batch 52: "):
        problem.fit(method, problem.vectors(226), epochs=1, batch_size=4, accumulate=3)


def fail_like_a_rank():
    raise UserError("the loss is nan in stage train, epoch 1, batch 7: a smaller learning rate may help")


def test_what_one_of_several_processes_says_is_said(problem, monkeypatch):
    """The processes of a parallel fit hand over their stack traces as text only."""
    monkeypatch.setattr(ranks, "START", "fork")
    with pytest.raises(UserError, match=r"^the loss is nan in .*, batch 7: .* may help$"):
        ranks.start(fail_like_a_rank, (), problem.settings(devices=2))
    assert not multiprocessing.active_children()


@pytest.mark.parametrize("metric, best", [("f1_macro", max), ("hamming_loss", min)])
def test_the_best_epoch_is_kept(metric, best, problem):
    data, validation = problem.vectors(100), problem.vectors(60, seed=1)
    growing = ("StepLR", {"step_size": 1, "gamma": 2.0})  # so that training first helps and then harms
    changes = {"batch_size": 10, "optimizer": ("SGD", {"lr": 0.1}), "scheduler": growing}
    watch = problem.watch(data=validation, metric=metric)
    outcome = problem.fit(problem.erm(dropout=0.5), data, [watch], epochs=8, **changes)
    seen = [row[f"validation_{metric}"] for row in outcome.history]
    kept = outcome.kept["best"]
    assert len(seen) == 8 and len(set(seen)) > 2
    assert kept["epoch"] == seen.index(best(seen)) + 1
    assert kept["value"] == best(seen)
    assert kept["epoch"] < 8  # else it would be the last
    until_then = problem.fit(problem.erm(dropout=0.5), data, name="shorter", epochs=kept["epoch"], **changes)
    assert_same(kept["state"], until_then.last)
    assert not torch.equal(kept["state"]["head.weight"], outcome.last["head.weight"])


def test_of_equal_epochs_the_earliest_is_kept(problem):
    still = ("SGD", {"lr": 0.0})
    watch = problem.watch(data=problem.vectors(60, seed=1))
    outcome = problem.fit(problem.erm(), problem.vectors(100), [watch], epochs=4, optimizer=still)
    assert len({row["validation_f1_macro"] for row in outcome.history}) == 1
    assert outcome.kept["best"]["epoch"] == 1


def test_looks_at_every_nth_epoch_and_the_last(problem):
    watches = [problem.watch(rule, problem.vectors(60, seed=1)) for rule in ("best", "oracle")]
    outcome = problem.fit(problem.erm(), problem.vectors(40), watches, every=3, epochs=7)
    for column in ("validation_f1_macro", "test_f1_macro"):
        assert [row["epoch"] for row in outcome.history if column in row] == [3, 6, 7]
    assert outcome.kept["best"] is not outcome.kept["oracle"]


def test_looking_changes_no_training(problem):
    data = problem.vectors(100)
    plain = problem.fit(problem.erm(dropout=0.5), data, name="plain", epochs=2)
    watch = problem.watch(data=problem.vectors(60, seed=1))
    looked = problem.fit(problem.erm(dropout=0.5), data, [watch], name="looked", epochs=2)
    assert_same(plain.last, looked.last)


class Wider(ERM):
    """As if its author had changed it."""

    def __init__(self, *given):
        super().__init__(*given)
        self.head = torch.nn.Linear(8, 4)


class Frozen(ERM):
    def __init__(self, *given):
        super().__init__(*given)
        self.head.requires_grad_(False)


class Growing(ERM):
    """Its loss remembers every batch, in a buffer that becomes longer."""

    def __init__(self, *given):
        super().__init__(*given)
        self.register_buffer("seen", torch.zeros(0))

    def loss(self, batch):
        self.seen = torch.cat([self.seen, batch.x.detach().mean().reshape(1)])
        return super().loss(batch)


@pytest.mark.parametrize("left", ["pt", "ckpt"])
def test_a_buffer_that_changed_its_shape_is_named_with_what_to_do(left, problem, tmp_path):
    def report(history):
        if left == "ckpt" and history:
            raise KeyboardInterrupt

    changes = {"epochs": 2, "batch_size": 113, "checkpoint_seconds": 0, "report": report}
    data = problem.vectors(226)
    with contextlib.suppress(KeyboardInterrupt):
        problem.fit(problem.erm(kind=Growing), data, **changes)
    said = (
        rf"train\.{left}: the buffer seen of Growing begins with the shape \[0\] and had \[\d+\] when it "
        "was saved.*register it in __init__ in the shape that it keeps, and run again with force=true"
    )
    with pytest.raises(UserError, match=said):
        problem.fit(problem.erm(kind=Growing), data, **changes)


@pytest.mark.parametrize(
    ("kind", "left", "said"),
    [
        (Wider, "pt", r"train\.pt does not fit Wider any more \(size mismatch for head\.bias: .*\): "),
        (Wider, "ckpt", r"train\.ckpt does not fit Wider any more \(size mismatch for head\.bias: .*\): "),
        (Frozen, "ckpt", "the checkpoint of stage train does not fit Frozen any more"),
    ],
)
def test_what_an_interrupt_left_of_another_architecture_is_refused(kind, left, said, problem, tmp_path):
    def report(history):
        if left == "ckpt":
            raise KeyboardInterrupt

    changes = {"epochs": 2, "batch_size": 4, "checkpoint_seconds": 0, "report": report}
    data = problem.vectors(226)
    with contextlib.suppress(KeyboardInterrupt):
        problem.fit(problem.erm(), data, **changes)
    assert (tmp_path / f"train.{left}").exists()
    with pytest.raises(UserError, match=said + ".*run again with force=true"):
        problem.fit(problem.erm(kind=kind), data, **changes)


def test_a_state_that_no_file_can_hold_is_refused_when_it_is_written(problem, tmp_path):
    class Keeps(ERM):
        def get_extra_state(self):
            return {"seen": np.zeros(3)}

        def set_extra_state(self, state):
            pass

    with pytest.raises(UserError, match=r"train\.pt is to hold tensors and plain types alone, and .* numpy"):
        problem.fit(problem.erm(kind=Keeps), problem.vectors(20), epochs=1)
    assert not list(tmp_path.rglob("train.pt*"))
