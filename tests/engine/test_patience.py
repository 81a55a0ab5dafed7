"""selection.patience: training ends after so many looks without a better epoch, alone and beside others."""

import dataclasses

import pytest
import torch

from mlbench.assemble import assemble
from mlbench.compose import configure
from mlbench.config import science
from mlbench.engine.fit import fit
from mlbench.engine.loop import Loop
from mlbench.engine.many import checkpoint_of, fit_together
from mlbench.errors import UserError
from mlbench.experiment import run

EPOCHS = 40


def assert_same(ours, theirs):
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)


def expected_end(values, every, patience):
    """The epoch after which nothing more is trained, by the values at each look; None: all are trained."""
    best, waited = -1.0, 0
    for look, value in enumerate(values, 1):
        best, waited = (value, 0) if value > best else (best, waited + 1)
        if waited == patience:
            return look * every
    return None


@pytest.mark.parametrize(("every", "patience"), [(1, 1), (1, 3), (2, 2)])
def test_training_ends_after_so_many_looks_without_a_better_epoch(every, patience, problem):
    data, held = problem.vectors(60), problem.vectors(40, seed=9)

    def trained(epochs, **asked):
        watches = [problem.watch("best", held)]
        how = {"epochs": epochs, "batch_size": 8, "optimizer": ("Adam", {"lr": 0.1})}
        return problem.fit(problem.erm(), data, watches, every, **how, **asked)

    whole = trained(EPOCHS)
    values = [row["validation_f1_macro"] for row in whole.history if "validation_f1_macro" in row]
    end = expected_end(values, every, patience)
    assert end is not None and end < EPOCHS, "the case is one in which training ends early"
    ours, shorter = trained(EPOCHS, patience=patience, name="early"), trained(end, name="shorter")
    assert ours.history == shorter.history == whole.history[:end]
    assert_same(ours.last, shorter.last)
    assert ours.kept["best"]["epoch"] == shorter.kept["best"]["epoch"]
    assert_same(ours.kept["best"]["state"], shorter.kept["best"]["state"])


def impatient(jobs, folder, patience=2):
    made = jobs(folder, {}, {}, {}, looks=["best"], epochs=EPOCHS, optimizer=("Adam", {"lr": 0.1}))
    change = {"patience": patience}
    return [dataclasses.replace(job, selection=job.selection.model_copy(update=change)) for job in made]


def test_replicas_end_each_at_its_own_epoch_with_the_bits_they_have_alone(jobs, problem):
    stacked = impatient(jobs, "stack")
    outcomes = fit_together(stacked)
    ends = set()
    for job, alone in zip(stacked, map(fit, impatient(jobs, "alone")), strict=True):
        ours = outcomes[job.path]
        assert ours.history == alone.history and len(ours.history) < EPOCHS
        assert_same(ours.last, alone.last)
        assert_same(ours.kept["best"]["state"], alone.kept["best"]["state"])
        ends.add(len(ours.history))
    assert len(ends) > 1, "the case is one in which they end at different epochs"


def test_interrupted_after_one_has_ended_it_goes_on_to_the_same(jobs, monkeypatch):
    undisturbed = impatient(jobs, "undisturbed")
    expected = fit_together(undisturbed)
    first = min(len(outcome.history) for outcome in expected.values())
    stopping, between = impatient(jobs, "stopped"), Loop._between

    def stop_once(loop):
        if loop.epoch == first + 1:
            loop.stop.ask()
        between(loop)

    monkeypatch.setattr(Loop, "_between", stop_once)
    with pytest.raises(KeyboardInterrupt):
        fit_together(stopping)
    assert checkpoint_of(stopping).exists()
    monkeypatch.setattr(Loop, "_between", between)
    outcomes = fit_together(stopping)
    for job, before in zip(stopping, undisturbed, strict=True):
        assert outcomes[job.path].history == expected[before.path].history
        assert_same(outcomes[job.path].last, expected[before.path].last)


def test_without_patience_a_run_has_the_key_it_had(tmp_path):
    words = ["split.validation=0.2", "selection.rule=best"]
    without, given = (configure([*words, *more]) for more in ([], ["selection.patience=3"]))
    assert "patience" not in science(without, {})["selection"]
    assert science(given, {})["selection"]["patience"] == 3


def test_a_run_ends_early_and_its_record_says_what_was_chosen(tmp_path, cache):
    words = ["train.epochs=60", "train.optimizer.lr=0.05", "split.validation=0.2", "selection.patience=2"]
    paths = [f"paths.outputs={tmp_path}", f"paths.cache={cache}", "train.progress=false"]
    record, path = run(configure([*words, *paths, "selection.rule=best"]))
    epochs = len((path.parent / "history.jsonl").read_text().splitlines())
    assert epochs < 60 and record.selected["best"]["epoch"] == epochs - 2


def test_there_must_be_something_to_look_at():
    with pytest.raises(UserError, match=r"selection.patience=3 needs a validation part: add split.valid"):
        assemble(configure(["selection.patience=3"]))
    assemble(configure(["selection.patience=3", "selection.rule=oracle"]))
