"""M3LA: an encoder over modalities, a decoder that takes one modality after another, and labels predicted at
every step from those predicted before (Zhu & Zhang, Encoder-Decoder with Attention for Multi-modal
Multi-label Learning).

Written from the paper, which leaves much open; docs/m3la.md says what was chosen.
"""

import functools
from collections.abc import Iterator, Sequence
from typing import Annotated, Literal, NamedTuple

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from mlbench.data.rows import Batch
from mlbench.data.task import Task
from mlbench.layers import Linear, beside, each, gated, product
from mlbench.methods.base import Method, Requires
from mlbench.methods.multimodal.by_modality import ByModality, taken
from mlbench.methods.multimodal.f1_weights import f1_weights

Positive = Annotated[int, Field(ge=1)]


class DecoderStep(NamedTuple):
    """The decoder's outputs after a step."""

    modality: Tensor  # (..., B) o^t, the modality that it took; −1 where it took none
    logits: Tensor  # (..., B, L) of ŷ_t
    predicted: Tensor  # (..., B, L) ŷ_t
    takers: Tensor | None  # (..., B) whether a row takes the step; None: all do


class M3LA(Method):
    """A row that lacks modalities takes as many steps as it has modalities, over the states of these alone.
    Its prediction is that of its last step.
    """

    requires = Requires(modalities=2, missing_modalities=True)

    def __init__(
        self,
        task: Task,
        hidden: Positive,
        order: Literal["straight_through", "hard", "fixed"],
        first: Literal["s0", "index0"],
        label_activation: Literal["sigmoid", "softmax"],
        weights: Literal["f1", "none"],
        rescale: bool,
        wco: bool,
    ):
        super().__init__()
        labels, self.modalities = len(task.labels), len(task.modalities)
        self.names = [modality.name for modality in task.modalities]
        self.order, self.first, self.weights, self.rescale = order, first, weights, rescale
        self.softmax = label_activation == "softmax"
        draw = functools.partial(nn.init.uniform_, a=-(hidden**-0.5), b=hidden**-0.5)
        self.inputs = ByModality(task, 3 * 3 * hidden, draw, draw)
        self.ahead = as_of_a_gru(Linear(hidden, 3 * hidden))
        self.back = as_of_a_gru(Linear(hidden, 3 * hidden))
        self.initial = Linear(2 * hidden, hidden)
        self.attention = Attention(2 * hidden, hidden)
        self.attended = as_of_a_gru(Linear(2 * hidden, 3 * hidden, bias=False))
        self.states = as_of_a_gru(Linear(hidden, 3 * hidden))
        self.modal = None if order == "fixed" else Linear(hidden, self.modalities)
        self.label = Linear(hidden, labels)
        self.correlations = nn.Parameter(torch.zeros(labels, labels)) if wco else None  # W_co

    def encoded(self, x: Tensor, present: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """h_j (..., B, m, 2H), and each modality's input to the decoder's gates (..., B, m, 3H)."""
        ahead, back, decoder = zip(*[part.chunk(3, -1) for part in self.inputs(x)])
        there = [None] * self.modalities if present is None else [*(present > 0).split(1, -1)]
        forward = [*walked(self.ahead, ahead, there)]
        backward = [*walked(self.back, back[::-1], there[::-1])][::-1]
        states = [torch.cat(pair, -1) for pair in zip(forward, backward)]  # Eq. 1-3
        return torch.stack(states, -2), torch.stack(decoder, -2)

    def started(self, encoded: Tensor, present: Tensor | None = None) -> Tensor:
        """s_0 (Eq. 4): of the last position, whose backward half has seen the last modality alone."""
        last = encoded[..., -1, :] if present is None else taken(encoded, place_of(present > 0, last=True))
        return self.initial(last)

    def unrolled(self, x: Tensor, present: Tensor | None = None) -> Iterator[DecoderStep]:
        """The decoder's steps, one for each modality; `present` (..., B, m) is 0 for what a row lacks."""
        encoded, offers = self.encoded(x, present)
        state, keys, label = self.started(encoded, present), self.attention.keys(encoded), None
        used = torch.zeros(offers.shape[:-1], dtype=torch.bool, device=x.device)
        used = used if present is None else present == 0
        for step in range(self.modalities):
            takers = None if present is None else ~used.all(-1)
            attended = self.attention(state, keys, encoded, present)
            modality, offered = self.choice(step, state, offers, used, takers)
            used = used.scatter(-1, modality.unsqueeze(-1), True)
            after = gated(offered + self.attended(attended), self.states(state), state)  # Eq. 8
            outputs = self.labelled(after, label)
            if takers is not None and label is not None:  # a row has a modality: all take the first step
                goes = takers.unsqueeze(-1)
                after = torch.where(goes, after, state)
                outputs = torch.where(goes, outputs[0], label[0]), torch.where(goes, outputs[1], label[1])
                modality = modality.masked_fill(~takers, -1)
            state, label = after, outputs
            yield DecoderStep(modality, *label, takers)

    def choice(
        self, step: int, state: Tensor, offers: Tensor, used: Tensor, takers: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        """o^t (..., B), and this modality's input to the gates (..., B, 3H)."""
        if self.modal is None or (step == 0 and self.first == "index0"):
            if takers is not None:
                modality = place_of(~used)
                return modality, taken(offers, modality)
            return used.new_full(used.shape[:-1], step, dtype=torch.int64), offers[..., step, :]
        if takers is not None:  # a row without steps left keeps all modalities: a softmax over none is NaN
            used = used & takers.unsqueeze(-1)
        logits = self.modal(state).masked_fill(used, -torch.inf)  # Eq. 9, 10
        modality = logits.argmax(-1)
        offered = taken(offers, modality)
        if step == self.modalities - 1:  # the share of the one modality left is 1, without gradient
            return modality, offered
        shares = logits.softmax(-1)
        if self.order == "hard":  # no gradient, but a parameter that the weight decay finds
            return modality, offered + 0.0 * shares.sum(-1, keepdim=True)
        gates = (shares - shares.detach()).unsqueeze(-1)  # 0, with the gradient of the shares
        return modality, offered + (gates * offers.detach()).sum(-2)

    def labelled(self, state: Tensor, before: tuple[Tensor, Tensor] | None) -> tuple[Tensor, Tensor]:
        """Logits and predictions (Eq. 11, 12); entry (i, j) of W_co is what label i does to label j."""
        logits = self.label(state)
        if before is not None and self.correlations is not None:
            logits = logits + product(before[1], self.correlations)
        return logits, logits.softmax(-1) if self.softmax else each(torch.sigmoid, 2, logits)

    def loss(self, batch: Batch) -> Tensor:
        """Eq. 18-20 without the squares of all parameters, which are the optimiser's weight decay."""
        total, before = 0.0, None
        for step in self.unrolled(batch.x, batch.extra.get("present")):
            if self.softmax:
                entropies = F.binary_cross_entropy(step.predicted, batch.targets, reduction="none")
            else:
                entropies = each(entropies_of, 2, step.logits, batch.targets)
            if before is not None and self.weights == "f1":
                entropies = entropies * f1_weights(before, batch.targets, self.rescale, step.takers)
            if step.takers is not None:
                entropies = entropies * step.takers.unsqueeze(-1)
            total = total + entropies.sum(-1).mean(-1)
            before = step.predicted
        assert isinstance(total, Tensor), "there are modalities"
        return total

    def scores(self, batch: Batch) -> Tensor:
        *_, last = self.unrolled(batch.x, batch.extra.get("present"))
        return last.predicted

    def row_facts(self, batch: Batch) -> dict[str, Tensor]:
        """For each order that occurs, whether a row took its modalities in this order, (B,)."""
        steps = self.unrolled(batch.x, batch.extra.get("present"))
        orders, which = torch.stack([step.modality for step in steps], -1).unique(dim=0, return_inverse=True)
        return {
            "_".join(["order", *(self.names[number] for number in order if number >= 0)]): (
                which == index
            ).float()
            for index, order in enumerate(orders.tolist())
        }

    def findings(self) -> dict[str, dict[str, Tensor]]:
        return (
            {} if self.correlations is None else {"label_correlations": {"correlations": self.correlations}}
        )


class Attention(nn.Module):
    """Attention of the decoder's state on the encoder's (Eq. 5-7), by additive scores vᵀ tanh(W s + U h)."""

    def __init__(self, encoded: int, hidden: int):
        super().__init__()
        self.query = Linear(hidden, hidden, bias=False)
        self.keys = Linear(encoded, hidden, bias=False)
        self.score = Linear(hidden, 1, bias=False)

    def shares(self, state: Tensor, keys: Tensor, present: Tensor | None = None) -> Tensor:
        """α_t (..., B, m), 0 for what a row lacks."""
        seen = (self.query(state).unsqueeze(-2) + keys).tanh()
        scores = (seen * beside(self.score.weight, seen, 2)).sum(-1)
        return (scores if present is None else scores.masked_fill(present == 0, -torch.inf)).softmax(-1)

    def forward(self, state: Tensor, keys: Tensor, encoded: Tensor, present: Tensor | None) -> Tensor:
        """a_t (..., B, 2H)."""
        return (self.shares(state, keys, present).unsqueeze(-1) * encoded).sum(-2)


def as_of_a_gru(layer: Linear) -> Linear:
    """The layer, drawn as torch draws a GRU's: within ±1/√H, where the layer has 3·H outputs."""
    bound = (layer.out_features // 3) ** -0.5
    for parameter in layer.parameters():
        nn.init.uniform_(parameter, -bound, bound)
    return layer


def walked(hidden: Linear, inputs: Sequence[Tensor], there: Sequence[Tensor | None]) -> Iterator[Tensor]:
    """The states of a gated recurrent unit along `inputs`. The first state is 0, so no weight is applied to
    it. A row keeps its state at inputs that it lacks by `there` (..., B, 1).
    """
    state = None
    for seen, present in zip(inputs, there):
        before = seen.new_zeros(()) if state is None else state
        from_hidden = beside(hidden.bias, seen) if state is None else hidden(state)
        after = gated(seen, from_hidden, before)
        state = after if present is None else torch.where(present, after, before)
        yield state


def place_of(there: Tensor, last: bool = False) -> Tensor:
    """The number of the first modality, or the last, that `there` (..., B, m) says a row has, (..., B)."""
    numbers = torch.arange(1, there.shape[-1] + 1, device=there.device)
    return (there * (numbers if last else numbers.flip(0))).argmax(-1)


def entropies_of(logits: Tensor, targets: Tensor) -> Tensor:
    return F.binary_cross_entropy_with_logits(logits, targets, reduction="none")
