"""mlbench.metrics: the numbers of the suite, for arrays, tensors, batches, processes and a Lightning run."""

import lightning
import pytest
import torch
from torch.utils.data import DataLoader, TensorDataset

from commands import forks
from mlbench import metrics
from mlbench.errors import UserError
from mlbench.evaluation.frequency import Frequencies
from mlbench.evaluation.suite import ALL, evaluate, find
from mlbench.metrics.streamed import Streamed
from two_processes import measure_together

draw = torch.Generator().manual_seed(0)
SCORES = torch.rand(50, 6, generator=draw)
TARGETS = (torch.rand(50, 6, generator=draw) < 0.4).long()
SETS = SCORES > 0.5
COUNTS = {"counts": [40, 30, 20, 20, 9, 1], "instances": 60}
NAMES = [*ALL, "ndcg_at_2", "psp_at_4", "recall_at_7"]
SUITE = evaluate(SCORES, SETS, TARGETS, NAMES, Frequencies.of(*COUNTS.values()))


def told(name):
    """What a metric is told of training."""
    return COUNTS if find(name).counted else {}


def outputs_of(name):
    return SETS if find(name).needs == "label_sets" else SCORES


def same(number):
    return pytest.approx(number, nan_ok=True, abs=1e-12)


@pytest.mark.parametrize("name", NAMES)
def test_a_function_and_a_stream_of_batches_give_what_the_suite_gives(name):
    outputs = outputs_of(name)
    assert getattr(metrics, name)(outputs.numpy(), TARGETS.numpy(), **told(name)) == same(SUITE[name])
    streamed = Streamed(name, cut=0.5, counted=told(name))
    for scores, targets in zip(SCORES.split(7), TARGETS.split(7)):
        streamed.update(scores, targets)
    assert streamed.compute().item() == same(SUITE[name])


@pytest.mark.parametrize("name", ["f1_macro", "ap_macro"])
def test_what_another_process_gathered_is_joined(name):
    outputs = outputs_of(name)
    elsewhere = iter((outputs[20:], TARGETS[20:]))
    streamed = Streamed(
        name,
        cut=0.5,
        distributed_available_fn=lambda: True,
        dist_sync_fn=lambda state, group: [state, next(elsewhere)],
    )
    streamed.update(SCORES[:20], TARGETS[:20])
    assert streamed.compute().item() == same(SUITE[name])


def test_two_processes_measure_what_one_does(tmp_path):
    said, meeting = forks.SimpleQueue(), (tmp_path / "meeting").as_uri()
    given = [
        (name, told(name)) for name in ("f1_macro", "ap_macro", "ndcg_at_3", "f1_macro_tail", "psp_at_3")
    ]
    own = [(SCORES[:21].numpy(), TARGETS[:21].numpy(), 7), (SCORES[21:].numpy(), TARGETS[21:].numpy(), 6)]
    processes = [
        forks.Process(target=measure_together, args=(rank, meeting, said, given, *rows))
        for rank, rows in enumerate(own)
    ]
    for process in processes:
        process.start()
    for process in processes:
        process.join(100)
    assert [process.exitcode for process in processes] == [0, 0]
    measured = [said.get() for _ in range(10)]
    assert all(number == same(SUITE[name]) for name, number in measured)


@pytest.mark.parametrize(
    ("name", "given", "said"),
    [
        ("f1_macro_tail", {}, r"takes counts=\[...\], for each of 6 labels its training instances; none are"),
        ("f1_macro_tail", {"counts": [1, 2]}, "2 are given"),
        ("psp_at_1", {"counts": COUNTS["counts"]}, "takes instances="),
        ("psp_at_1", {**COUNTS, "c": 1}, "takes counts, instances, borders, a, b; instances, c are given"),
        ("f1_macro", COUNTS, "f1_macro does not depend on training"),
    ],
)
def test_what_is_told_of_training_is_checked(name, given, said):
    with pytest.raises(UserError, match=said):
        getattr(metrics, name)(outputs_of(name), TARGETS, **given)


def test_borders_and_propensities_of_ones_own():
    tail = metrics.ap_macro_tail(SCORES, TARGETS, counts=COUNTS["counts"], borders=(20, 30))
    assert tail == same(metrics.ap_macro(SCORES[:, 4:], TARGETS[:, 4:]))
    usual = metrics.psp_at_3(SCORES, TARGETS, **COUNTS)
    assert usual != metrics.psp_at_3(SCORES, TARGETS, **COUNTS, a=0.6, b=2.6)


class Plain(lightning.LightningModule):
    def __init__(self):
        super().__init__()
        self.f1 = Streamed("f1_macro", cut=0.5)

    def test_step(self, batch):
        self.f1.update(*batch)
        self.log("f1", self.f1)


def test_inside_a_lightning_run(tmp_path):
    trainer = lightning.Trainer(
        accelerator="cpu", logger=False, enable_progress_bar=False, default_root_dir=tmp_path
    )
    (found,) = trainer.test(Plain(), DataLoader(TensorDataset(SCORES, TARGETS), batch_size=8), verbose=False)
    assert found["f1"] == pytest.approx(SUITE["f1_macro"], abs=1e-6)


@pytest.mark.parametrize(
    ("name", "outputs", "targets", "said"),
    [
        ("f1_micro", SCORES, TARGETS, "cut them first"),
        ("bce", SCORES * 2, TARGETS, "outside"),
        ("ap_macro", SCORES, SCORES, "targets are 0 or 1"),
        ("ap_macro", SCORES, TARGETS[:4], "of one shape"),
    ],
)
def test_what_would_give_a_wrong_number_is_refused(name, outputs, targets, said):
    with pytest.raises(UserError, match=said):
        getattr(metrics, name)(outputs, targets)
    with pytest.raises(AttributeError):
        metrics.f1_makro  # noqa: B018
