"""Metrics where some targets are not known: what is known is measured, and nothing else counts."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as sk

from mlbench import metrics
from mlbench.errors import UserError
from mlbench.evaluation.frequency import Frequencies
from mlbench.evaluation.suite import ALL, METRICS
from mlbench.evaluation.unknown import of_known
from mlbench.metrics.streamed import Streamed

NEEDS_ALL = {"psp_at_1", "psp_at_3", "psp_at_5"}
OTHERWISE = ("hamming_loss", "hamming_accuracy", "bce", "brier", "f1_weighted")  # no plain mean of either
MEASURED = sorted(ALL.keys() - NEEDS_ALL)
FREQUENCIES = Frequencies(torch.tensor([5, 40, 9, 20, 3, 20]), 50)


def made(seed, rows=12, labels=6, share=0.4):
    draws = torch.Generator().manual_seed(seed)
    scores = (torch.rand(rows, labels, generator=draws) * 8).round() / 8  # with ties
    targets = (torch.rand(rows, labels, generator=draws) < 0.4).double()
    return scores, targets, torch.rand(rows, labels, generator=draws) >= share


def outputs_of(metric, scores):
    return (scores > 0.5).double() if metric.needs == "label_sets" else scores


@pytest.mark.parametrize("name", MEASURED)
def test_where_all_is_known_it_is_the_metric(name):
    scores, targets, _ = made(0)
    targets[:, 3], targets[2] = 0, 0  # a label that nobody carries, a row without labels
    outputs = outputs_of(ALL[name], scores)
    partly = of_known(ALL[name], outputs, targets, torch.ones_like(targets).bool(), FREQUENCIES)
    torch.testing.assert_close(partly, ALL[name](outputs, targets, FREQUENCIES), equal_nan=True)


@settings(max_examples=15)
@given(seed=st.integers(0, 2**30), share=st.sampled_from([0.1, 0.5, 0.9]))
def test_means_are_over_what_each_row_or_label_knows(seed, share):
    """By calls with one row, or one label, at a time; 0/0 and NaN are left to the metric."""
    scores, targets, known = made(seed, share=share)
    for name, metric in METRICS.items():
        if name.endswith("_micro") or name in (
            "hamming_loss",
            "hamming_accuracy",
            "bce",
            "brier",
            "f1_weighted",
        ):
            continue
        outputs, values = outputs_of(metric, scores), []
        lines = zip(outputs, targets, known) if metric.of_instances else zip(outputs.T, targets.T, known.T)
        for own, truth, there in lines:
            if there.any():
                shape = (1, -1) if metric.of_instances else (-1, 1)
                values.append(metric(own[there].view(shape), truth[there].view(shape)).item())
        defined = [value for value in values if not math.isnan(value)]
        expected = np.mean(defined) if defined else math.nan
        found = of_known(metric, outputs, targets, known).item()
        assert found == pytest.approx(expected, abs=1e-12, nan_ok=True), name


@settings(max_examples=15)
@given(seed=st.integers(0, 2**30))
def test_entries_in_one_list_are_the_known_ones(seed):
    scores, targets, known = made(seed)
    if not known.any():
        return
    sets = (scores > 0.5).double()
    score, chosen, truth = (each[known].numpy() for each in (scores, sets, targets))

    def value(name, outputs):
        return of_known(ALL[name], outputs, targets, known).item()

    assert value("f1_micro", sets) == pytest.approx(sk.f1_score(truth, chosen, zero_division=0))
    assert value("hamming_loss", sets) == pytest.approx(np.mean(truth != chosen))
    assert value("brier", scores) == pytest.approx(np.mean((truth - score) ** 2))
    if 0 < truth.sum() < len(truth):
        assert value("ap_micro", scores) == pytest.approx(sk.average_precision_score(truth, score))
        assert value("auc_micro", scores) == pytest.approx(sk.roc_auc_score(truth, score))


def test_by_scikit_learn():
    scores, targets, known = made(7, rows=40)
    sets = (scores > 0.5).double()
    columns = [(targets[rows, label], sets[rows, label]) for label, rows in enumerate(known.T)]
    by_label = [sk.f1_score(truth, chosen, zero_division=0) for truth, chosen in columns]
    supports = [truth.sum().item() for truth, _ in columns]
    filled = torch.where(known, targets, torch.nan)
    with pytest.warns(UserWarning, match=r"f1_macro: \d+ of 240 targets are NaN and left out"):
        assert metrics.f1_macro(sets, filled) == pytest.approx(np.mean(by_label))
    with pytest.warns(UserWarning):
        assert metrics.f1_weighted(sets, filled) == pytest.approx(np.average(by_label, weights=supports))
    losses = [
        sk.label_ranking_loss(truth[there][None], score[there][None]) if there.sum() > 1 else 0.0
        for truth, score, there in zip(targets, scores, known)
        if there.any()
    ]
    streamed = Streamed("ranking_loss")
    for rows in torch.arange(40).split(7):
        streamed.update(scores[rows], filled[rows])
    with pytest.warns(UserWarning):
        found = streamed.compute()
    assert found == pytest.approx(np.mean(losses))


def test_nothing_known_a_broken_score_and_what_needs_every_label():
    scores, targets, known = made(0)
    assert of_known(ALL["f1_macro"], scores > 0.5, targets, torch.zeros_like(known)).isnan()
    broken = scores.clone()
    broken[known] = torch.nan
    assert of_known(ALL["ranking_loss"], broken, targets, known).isnan()
    assert of_known(ALL["ranking_loss"], torch.where(known, scores, torch.nan), targets, known) >= 0
    with pytest.raises(UserError, match="psp_at_1 needs every label of an instance"):
        of_known(ALL["psp_at_1"], scores, targets, known, FREQUENCIES)
    with pytest.raises(UserError, match="targets are 0 or 1, or NaN where not known"):
        metrics.f1_micro(scores > 0.5, targets * 2)
