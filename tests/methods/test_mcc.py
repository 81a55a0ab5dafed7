"""MCC: when a row has seen enough, beside chains on ever more columns in plain loops."""

import numpy as np
import pytest
import torch

from mlbench.compose import configure
from mlbench.data.rows import Rows
from mlbench.experiment import run
from mlbench.methods.multimodal.mcc import MCC
from modalities import task_of
from references import mcc as reference

WIDTHS = (3, 2, 4)


def data_of(rows=60, labels=3, seed=0):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(rows, sum(WIDTHS))).astype(np.float32)
    y = (x @ rng.normal(size=(x.shape[1], labels)) + rng.normal(size=(rows, labels)) > 0).astype(np.float32)
    y[0], y[1] = 0, 1
    return Rows(torch.from_numpy(x), torch.from_numpy(y), torch.arange(rows))


def made(data, certainty, options=None):
    method = MCC(task_of(WIDTHS, data.targets.shape[1]), "logistic", options or {"C": 0.01}, certainty)
    method.solve(data)
    return method, data.batch(torch.arange(len(data)))


def by_hand(data, certainty):
    """A row at a time."""
    x, y = data.x.double().numpy(), data.targets.numpy()
    return reference.predicted(reference.chains(x, y, WIDTHS), x, WIDTHS, certainty)


def test_a_row_has_seen_enough_once_the_mean_of_its_certainties_reaches_the_threshold():
    method = MCC(task_of(WIDTHS, 3), "logistic", None, 0.95)
    rows = np.array([(0.9, 0.2, 0.6), (0.97, 0.04, 0.95), (0.96, 0.05, 0.95)])
    assert method.certain(rows).tolist() == [False, True, True]
    assert MCC(task_of(WIDTHS, 3), "logistic", None, 0.766).certain(rows).tolist() == [True, True, True]
    assert MCC(task_of(WIDTHS, 3), "logistic", None, 0.767).certain(rows).tolist() == [False, True, True]


@pytest.mark.parametrize("certainty", [0.0, 0.57, 0.6, 1.0])
def test_it_is_chains_on_ever_more_modalities(certainty):
    data = data_of()
    method, batch = made(data, certainty)
    scores, used = by_hand(data, certainty)
    np.testing.assert_allclose(method.scores(batch), scores, atol=1e-4)  # a solver stops
    assert method.row_facts(batch)["modalities_used"].tolist() == used
    if certainty in (0.57, 0.6):
        assert len({*used}) > 1  # they differ, or this says little


def test_what_a_row_did_not_take_is_not_looked_at():
    data = data_of()
    method, batch = made(data, 0.6)
    used = method.row_facts(batch)["modalities_used"].numpy()
    x = batch.x.clone()
    for row, stop in enumerate(np.cumsum(WIDTHS)[used.astype(int) - 1]):
        x[row, stop:] = 1e6
    assert torch.equal(method.scores(batch._replace(x=x)), method.scores(batch))


def test_a_label_that_never_varies_is_certain():
    data = data_of(labels=2)
    data.targets[:, 1] = 1
    method, _ = made(data, 0.9)
    assert method.certain(np.array([(0.8,), (0.7,)])).tolist() == [
        True,
        False,
    ]  # the means are .9 and .85


def test_a_record_has_the_mean_number_of_modalities(small, tmp_path):
    words = ["dataset.modalities={a:[0,2],b:[3,6]}", f"paths.outputs={tmp_path}/outputs"]
    record, _ = run(configure(["method=mcc", "method.certainty=0.55", *small, *words]))
    assert 1 < record.facts["modalities_used"] < 2
