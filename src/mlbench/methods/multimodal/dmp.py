"""DMP: a recurrent unit reads one modality after another and chooses the next from what it has read (after
Yang et al., ACML 2017).

Its authors' code (njustkmg/ACML17_DMS) has one label; the form for many labels is ours, and so is the
likeness of label sets. Stopping before all steps are taken is left out: at the code's costs and budget no
row ever stops.
"""

from collections.abc import Iterator
from dataclasses import replace
from typing import Annotated, NamedTuple

import torch
from pydantic import Field
from torch import Tensor, nn

from mlbench.data.rows import Batch, Rows
from mlbench.data.task import Task
from mlbench.layers import Dropout, Linear, each
from mlbench.losses.bce import bce
from mlbench.methods.base import Method, Parts, Requires, Stage
from mlbench.methods.multimodal.by_modality import ByModality, taken
from mlbench.methods.nearest import Held

Weight = Annotated[float, Field(ge=0)]
Share = Annotated[float, Field(ge=0, lt=1)]


class UnitStep(NamedTuple):
    """What the unit has after a step."""

    states: Tensor  # (..., B, (i + 1) d) all so far, side by side
    used: Tensor  # (..., B, m) 1 for each modality that was read, else 0
    shares: Tensor | None  # (..., B, m) p, of which the next modality is the largest; None at the last step


class DMP(Method):
    requires = Requires(modalities=2)

    def __init__(
        self,
        task: Task,
        dropout: Share,
        neighbours: Annotated[int, Field(ge=1)],
        neighbour_weight: Weight,
        cost_weight: Weight,
        cost: Weight,
        cost_again: Weight,
    ):
        super().__init__()
        width, labels, self.modalities = task.features, len(task.labels), len(task.modalities)
        self.task, self.neighbours = task, neighbours
        self.neighbour_weight, self.cost_weight = neighbour_weight, cost_weight
        self.cost, self.cost_again = cost, cost_again
        self.inputs = ByModality(task, 4 * width, by_gate, nn.init.zeros_)
        self.states = Linear(width, 4 * width, bias=False)
        by_gate(self.states.weight)
        self.labels = nn.ModuleList(head((step + 1) * width, labels) for step in range(self.modalities))
        self.choices = nn.ModuleList(head(width, self.modalities) for _ in range(self.modalities - 1))
        self.dropout = Dropout(dropout)

    def stages(self, data: Parts) -> Iterator[Stage]:
        """Rows are shuffled once; each brings its nearest neighbours, and how like its labels theirs are."""
        rows = data["train"]
        rows = rows.rows(torch.randperm(len(rows)).to(rows.device))
        yield Stage("train", self, replace(rows, extra=self.near(rows)))

    def near(self, rows: Rows) -> dict[str, Tensor]:
        """The features (N, n, d) of each row's neighbours, and the likeness of their label sets (N, n)."""
        count = min(self.neighbours, len(rows) - 1)
        if not count:
            return {}
        held, numbers = Held(self.task.features), torch.arange(len(rows), device=rows.device)
        held.hold(rows.x)
        nearest = torch.cat([held.nearest(rows.batch(part).x, count, part) for part in numbers.split(1024)])
        features = torch.stack([rows.batch(column).x for column in nearest.unbind(1)], 1)
        signs = likeness(rows.targets.unsqueeze(1), rows.targets[nearest])
        return {"near": features, "signs": signs}

    def unrolled(self, x: Tensor) -> Iterator[UnitStep]:
        """The steps, as many as there are modalities; the first reads the data set's first."""
        offers = torch.stack(self.inputs(x), -2)
        modality = torch.zeros(x.shape[:-1], dtype=torch.int64, device=x.device)
        used = torch.zeros(offers.shape[:-1], device=x.device, dtype=x.dtype)
        states, state, cell = [], None, None
        for step in range(self.modalities):
            gates = taken(offers, modality)
            if state is not None:
                gates = gates + self.states(state)
            let_in, forget, let_out, new = gates.chunk(4, -1)
            kept = let_in.sigmoid() * new.tanh()
            cell = kept if cell is None else forget.sigmoid() * cell + kept
            state = let_out.sigmoid() * cell.tanh()
            states.append(state)
            used = used.scatter(-1, modality.unsqueeze(-1), 1.0)
            shares = self.choices[step](state).softmax(-1) if step < self.modalities - 1 else None
            yield UnitStep(torch.cat(states, -1), used, shares)
            if shares is not None:
                modality = shares.argmax(-1)  # a modality may be read again, at a cost

    def loss(self, batch: Batch) -> Tensor:
        """Sum over steps; at the last nothing is chosen, and the label head alone counts."""
        x, rows = batch.x, batch.x.shape[-2]
        near = batch.extra.get("near")
        if near is not None:  # neighbours go through the same steps, by choices of their own
            x = torch.cat([x, near.flatten(-3, -2)], -2)
        total = torch.zeros(x.shape[:-2], device=x.device, dtype=x.dtype)
        for step, label in zip(self.unrolled(x), self.labels):
            logits = label(self.dropout(step.states[..., :rows, :]))
            total = total + each(bce, 2, logits, batch.targets, None)
            if step.shares is None:
                continue
            shares = step.shares[..., :rows, :]
            cost = self.cost + (self.cost_again - self.cost) * step.used[..., :rows, :]
            total = total + self.cost_weight * (cost * shares).mean((-2, -1))
            if near is not None:
                near_shares = step.shares[..., rows:, :].unflatten(-2, near.shape[-3:-1])
                apart = self.apart(batch.x, shares, near, near_shares)
                total = total + self.neighbour_weight * (batch.extra["signs"] * apart).mean((-2, -1))
        return total

    def apart(self, x: Tensor, shares: Tensor, near: Tensor, near_shares: Tensor) -> Tensor:
        """‖u(x_n, p_n) − u(x, p)‖² (..., B, n), where u(x, p) is x with modality k multiplied by p_k."""
        return (self.weighed(near, near_shares) - self.weighed(x, shares).unsqueeze(-2)).square().sum(-1)

    def weighed(self, x: Tensor, shares: Tensor) -> Tensor:
        """u(x, p)."""
        views = zip(self.task.views(x), shares.split(1, -1))
        return torch.cat([view * share for view, share in views], -1)

    def scores(self, batch: Batch) -> Tensor:
        """The probabilities of the last step's label head."""
        *_, last = self.unrolled(batch.x)
        return self.labels[-1](last.states).sigmoid()

    def row_facts(self, batch: Batch) -> dict[str, Tensor]:
        *_, last = self.unrolled(batch.x)
        return {"modalities_used": last.used.sum(-1)}


def by_gate(weight: Tensor) -> Tensor:
    """Fills the weight of four gates with an orthogonal matrix each."""
    for gate in weight.detach().chunk(4):
        nn.init.orthogonal_(gate)
    return weight


def head(inputs: int, outputs: int) -> Linear:
    """A layer that starts normal, with deviation 1 / √inputs, and without bias."""
    made = Linear(inputs, outputs)
    nn.init.normal_(made.weight, std=inputs**-0.5)
    nn.init.zeros_(made.bias)
    return made


def likeness(one: Tensor, other: Tensor) -> Tensor:
    """2·Jaccard − 1 of label sets (..., L); two without labels are alike. Of single labels it is 1 or −1."""
    both, either = (one * other).sum(-1), torch.maximum(one, other).sum(-1)
    return torch.where(either > 0, 2 * both / either.clamp(min=1) - 1, 1)
