"""Around training: a rehearsal leaves no trace in it, and the running mean of the weights keeps no graph."""

import torch

from mlbench.engine import fit as fits
from mlbench.engine import loop
from mlbench.methods.erm import ERM


class Noisy(ERM):
    """Draws from torch's global generator, as modules do that know nothing of mlbench.layers."""

    def loss(self, batch):
        return (
            super().loss(batch) + 0.1 * (torch.randn_like(batch.x) * batch.x).mean() * self.head.weight.sum()
        )


def rehearsals(monkeypatch):
    """The kinds shown so far are forgotten; the list gets the job of each rehearsal from here on."""
    seen, same_beside = [], fits.same_beside
    monkeypatch.setattr(fits, "SHOWN", {})
    monkeypatch.setattr(
        fits, "same_beside", lambda job, device: (seen.append(job), same_beside(job, device))[1]
    )
    return seen


def test_a_rehearsal_shows_for_all_fits_of_its_kind(problem, monkeypatch):
    seen, data = rehearsals(monkeypatch), problem.vectors(20)
    for number in range(3):
        problem.fit(problem.erm(seed=number), data, name=f"like-{number}", seed=number, epochs=1)
    assert len(seen) == 1
    problem.fit(problem.erm(dropout=0.5), data, name="other", epochs=1)
    problem.fit(problem.erm(kind=Noisy), data, name="another", epochs=1)
    assert len(seen) == 3


def test_what_is_drawn_in_training_does_not_depend_on_a_rehearsal(problem, monkeypatch):
    seen, data = rehearsals(monkeypatch), problem.vectors(20)
    first, second = (
        problem.fit(problem.erm(kind=Noisy), data, name=name, epochs=2) for name in ("first", "second")
    )
    assert len(seen) == 1
    assert first.history == second.history
    assert all(torch.equal(first.last[name], second.last[name]) for name in first.last)
    other = problem.fit(problem.erm(kind=Noisy), data, name="other", seed=problem.seed + 1, epochs=2)
    assert other.history != first.history


def test_the_running_mean_of_the_weights_keeps_no_graph(problem, monkeypatch):
    averages, run = [], loop.Loop.run

    def watched(self):
        ended = run(self)
        averages.extend(self.average)
        return ended

    monkeypatch.setattr(loop.Loop, "run", watched)
    problem.fit(problem.erm(), problem.vectors(20), ema=0.9, epochs=2)
    assert averages and not any(average.requires_grad for average in averages)
