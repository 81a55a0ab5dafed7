"""mlbench.metrics: the numbers of the suite, for arrays, tensors, batches, processes and a Lightning run."""

import lightning
import pytest
import torch
from torch.utils.data import DataLoader, TensorDataset

from mlbench import metrics
from mlbench.errors import UserError
from mlbench.evaluation.suite import METRICS, evaluate
from mlbench.metrics.streamed import Streamed

draw = torch.Generator().manual_seed(0)
SCORES = torch.rand(50, 6, generator=draw)
TARGETS = (torch.rand(50, 6, generator=draw) < 0.4).long()
SETS = SCORES > 0.5
SUITE = evaluate(SCORES, SETS, TARGETS)


def same(number):
    return pytest.approx(number, nan_ok=True, abs=1e-12)


@pytest.mark.parametrize("name", METRICS)
def test_a_function_and_a_stream_of_batches_give_what_the_suite_gives(name):
    outputs = SETS if METRICS[name].needs == "label_sets" else SCORES
    assert getattr(metrics, name)(outputs.numpy(), TARGETS.numpy()) == same(SUITE[name])
    streamed = Streamed(name, cut=0.5)
    for scores, targets in zip(SCORES.split(7), TARGETS.split(7)):
        streamed.update(scores, targets)
    assert streamed.compute().item() == same(SUITE[name])


@pytest.mark.parametrize("name", ["f1_macro", "ap_macro"])
def test_what_another_process_gathered_is_joined(name):
    outputs = SETS if METRICS[name].needs == "label_sets" else SCORES
    elsewhere = iter((outputs[20:], TARGETS[20:]))
    streamed = Streamed(
        name,
        cut=0.5,
        distributed_available_fn=lambda: True,
        dist_sync_fn=lambda state, group: [state, next(elsewhere)],
    )
    streamed.update(SCORES[:20], TARGETS[:20])
    assert streamed.compute().item() == same(SUITE[name])


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
