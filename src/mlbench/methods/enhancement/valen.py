"""VALEN: an encoder learns densities of label distributions, then a classifier learns these, too (Xu, Qiao,
Geng, Zhang, Instance-Dependent Partial Label Learning, 2021).

It was made for partial labels, one true among candidates; here the positive labels are the candidates. The
first two stages are those of the authors' code, the last is FLEM's (IJCAI 2022), which compares with it.
docs/flem.md says what neither settles.
"""

import copy
import math
from collections.abc import Generator
from dataclasses import replace
from typing import Annotated, Any

import torch
import torch.nn.functional as F
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor, nn

from mlbench.data.rows import Batch, Rows
from mlbench.data.task import Task
from mlbench.errors import UserError
from mlbench.layers import Drawing, Linear, exponential
from mlbench.methods.base import Backbone, Learner, Loss, Stage
from mlbench.methods.enhancement.classifier import Positive, Share, Weight, blocks, products
from mlbench.methods.enhancement.recovered import (
    Recovered,
    Recovering,
    entropies,
    xavier,
)
from mlbench.methods.nearest import CELLS, Held
from mlbench.shards import ranks

CLOSED = -1e30  # in place of a logit: its exponential is 0 in single precision, and 0 times it is 0
LEAST = 0.01  # added to every parameter of a Dirichlet density; the authors' code
BOUNDS = math.log(0.01), math.log(30)  # of log a in L_α; the authors' code


class VALENSettings(BaseModel):
    """Options of the first two stages."""

    model_config = ConfigDict(extra="forbid")

    warm_up: Positive
    epochs: Positive
    batch_size: Positive
    optimizer: dict[str, Any]
    neighbours: Annotated[int, Field(ge=0)]
    beta: Weight
    gamma: Weight
    features: Weight
    labels: Weight


class VALEN(Recovered):
    settings: VALENSettings

    def __init__(
        self,
        task: Task,
        backbone: Backbone,
        loss: Loss,
        recovery: VALENSettings,
        w_ld: Share,
        bias_decay: Weight,
    ):
        super().__init__(task, backbone, loss, w_ld, bias_decay)
        self.settings = VALENSettings.model_validate(recovery)
        self.shape = task.features, len(task.labels)

    def recover(self, data: Rows) -> Generator[Stage, None, Tensor]:
        settings = self.settings
        classifier = Linear(*self.shape)
        encoder = copy.deepcopy(classifier)
        o = data.targets / data.targets.sum(-1, keepdim=True).clamp(min=1)
        numbered = replace(data, extra={"row": torch.arange(len(data), device=data.device)})
        warming = WarmUp(classifier, settings.optimizer, o=o)
        yield self.stage("warm_up", warming, numbered, settings.warm_up, settings.batch_size)
        graph = NeighbourGraph(len(data), settings.neighbours)
        known = {"neighbours": settings.neighbours}
        yield Stage("graph", graph, data, selects=False, solve=graph.find, shared=known)
        recovery = VALENRecovery(classifier, encoder, settings, warming.o)
        near = {"neighbours": graph.neighbours.to(data.device)}
        numbered = replace(numbered, extra=numbered.extra | near)
        yield self.stage("recover", recovery, numbered, settings.epochs, settings.batch_size)
        return recovery.to(data.device).log_distributions(data)


class WarmUp(Recovering):
    """f learns o, which follows it: a distribution over the positives of every training row, (N, L)."""

    o: Tensor

    def __init__(self, classifier: Linear, optimizer: dict[str, Any], **kept: Tensor):
        super().__init__(optimizer)
        self.classifier = classifier
        for name, rows in kept.items():
            self.register_buffer(name, rows.clone())
        self.pending: list[tuple[Tensor, dict[str, Tensor]]] = []  # rows to be written after the step

    def loss(self, batch: Batch) -> Tensor:
        logits = self.classifier(batch.x)
        self.remember(batch, o=restricted(logits, batch.targets))
        return matching(logits, self.kept(batch, "o"))

    def kept(self, batch: Batch, name: str) -> Tensor:
        return getattr(self, name).gather(-2, places(batch))

    def remember(self, batch: Batch, **rows: Tensor) -> None:
        """Notes what the buffers hold of a batch's rows from the next step on."""
        self.pending.append((places(batch), {name: values.detach() for name, values in rows.items()}))

    def begin_epoch(self, epoch: int, of: int) -> None:
        if ranks()[1] > 1:
            raise UserError(
                "method=valen remembers what it found of every row, which several processes would not share: "
                "use train.devices=1"
            )
        self.pending = []

    @torch.no_grad()
    def after_step(self) -> None:
        for where, rows in self.pending:
            for name, values in rows.items():
                getattr(self, name).scatter_(-2, where, values)
        self.pending = []


class NeighbourGraph(Learner):
    """The graph A: of each row the numbers of its neighbours, the row itself among them."""

    neighbours: Tensor

    def __init__(self, rows: int, count: int):
        super().__init__()
        self.register_buffer("neighbours", torch.zeros(rows, min(count + 1, rows), dtype=torch.long))

    def find(self, data: Rows) -> None:
        self.neighbours = neighbours(data, self.neighbours.shape[1] - 1)


class VALENRecovery(WarmUp):
    """f, the encoder e and a decoder; `dist` is the target of f, `o` that of e."""

    dist: Tensor

    def __init__(self, classifier: Linear, encoder: Linear, settings: VALENSettings, o: Tensor):
        super().__init__(classifier, settings.optimizer, o=o, dist=o)
        self.encoder = encoder
        # Attributes of their own: in `settings` a stack would not see where replicas differ.
        self.beta, self.gamma = settings.beta, settings.gamma
        self.features, self.labels = settings.features, settings.labels
        width, labels = encoder.in_features, encoder.out_features
        self.decoder = xavier(nn.Sequential(Linear(labels, width), nn.ReLU(), Linear(width, width)))
        self.dirichlet = Dirichlet()

    def loss(self, batch: Batch) -> Tensor:
        e, f = self.encoder(batch.x), self.classifier(batch.x)
        d = self.dirichlet(strengths(e, batch.targets), batch.targets)
        terms = self.terms(batch, e, f, d)
        self.remember(batch, dist=shared(d, batch.targets), o=restricted(f, batch.targets))
        return (
            terms["x"]
            + terms["y"]
            + terms["A"]
            + self.beta * terms["alpha"]
            + self.gamma * terms["d"]
            + terms["o"]
        )

    def terms(self, batch: Batch, e: Tensor, f: Tensor, d: Tensor) -> dict[str, Tensor]:
        """L_x, L_y, L_A, L_α, L_d and L_o, of logits of the encoder and the classifier and what was drawn."""
        all_entries = (-2, -1)
        near = F.logsigmoid(products(d)).exp().softmax(-1)
        return {
            "x": self.features * (self.decoder(d) - batch.x).square().mean(all_entries),
            "y": self.labels * entropies(d, batch.targets).mean(all_entries),
            "A": (near - block(batch)).square().mean(all_entries),
            "alpha": from_uniform((e / 4).clamp(*BOUNDS).exp()).mean(-1),
            "d": matching(e, self.kept(batch, "o")),
            "o": matching(f, self.kept(batch, "dist")),
        }

    @torch.no_grad()
    def log_distributions(self, data: Rows) -> Tensor:
        """log softmax of e over the positives of each row, (N, L); uniform in a row without positives."""
        parts = [supported(self.encoder(batch.x), batch.targets.bool()) for batch in blocks(data)]
        return torch.cat(parts)


class Dirichlet(Drawing):
    """A distribution over labels for each row of parameters; where `learned` is 0, they have no gradient."""

    def forward(self, parameters: Tensor, learned: Tensor) -> Tensor:
        drawn = parameters.detach().clone(memory_format=torch.contiguous_format)
        self.drawn(drawn, lambda part, generator: part.copy_(torch._sample_dirichlet(part, generator)))  # pyright: ignore[reportPrivateImportUsage] torch.distributions takes no generator
        return Sampled.apply(parameters, drawn, learned)


class Sampled(torch.autograd.Function):
    """What was drawn, with the gradient that its reparametrisation has (as in torch.distributions)."""

    @staticmethod
    def forward(ctx: Any, parameters: Tensor, drawn: Tensor, learned: Tensor) -> Tensor:
        ctx.save_for_backward(parameters, drawn, learned)
        return drawn.clone()

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        parameters, drawn, learned = ctx.saved_tensors
        total = parameters.sum(-1, keepdim=True).expand_as(parameters)
        slope = slopes(drawn, parameters, total, learned)
        return slope * (gradient - (drawn * gradient).sum(-1, keepdim=True)), None, None


def slopes(drawn: Tensor, parameters: Tensor, total: Tensor, learned: Tensor) -> Tensor:
    """The derivative of each drawn number by its parameter, where this is learned; else 0.

    Of small parameters it takes a CPU as long as all else of a step, so what is not learned is computed of
    others: ½ from a Dirichlet density of 10 among 20 takes least.
    """
    where = learned.bool()
    easier = (
        torch.where(where, of, other) for of, other in ((drawn, 0.5), (parameters, 10.0), (total, 20.0))
    )
    return torch._dirichlet_grad(*easier).masked_fill(~where, 0)  # pyright: ignore[reportPrivateImportUsage]


def neighbours(data: Rows, count: int) -> Tensor:
    """Numbers of each row's neighbours in A, itself first: (N, count + 1), or (N, N) of fewer rows."""
    held = Held(data.x.shape[1]).to(data.device)
    held.hold(data.x)
    numbers = torch.arange(len(data), device=data.device)
    count = min(count, len(data) - 1)
    parts = numbers.split(max(1, CELLS // held.width)) if count else []
    near = [held.nearest(data.batch(rows).x, count, rows) for rows in parts]
    return torch.cat([numbers.unsqueeze(-1), *([torch.cat(near)] if near else [])], -1)


def block(batch: Batch) -> Tensor:
    """A on the batch's rows and columns, (B, B)."""
    near = batch.extra["neighbours"]
    rows = batch.extra["row"][..., None, :, None]
    return (near.unsqueeze(-2) == rows).any(-1).to(batch.x) / near.shape[-1]


def places(batch: Batch) -> Tensor:
    """The numbers of the batch's rows among all rows, repeated to (B, L) for `gather`."""
    return batch.extra["row"].unsqueeze(-1).expand_as(batch.targets)


def supported(logits: Tensor, support: Tensor) -> Tensor:
    """log softmax over the support alone; uniform in a row whose support is empty."""
    return logits.masked_fill(~support, CLOSED).log_softmax(-1).clamp(min=CLOSED)


def restricted(logits: Tensor, targets: Tensor) -> Tensor:
    """softmax over the positives alone; 0 in a row without positives."""
    return exponential(supported(logits, targets.bool())) * targets


def shared(d: Tensor, targets: Tensor) -> Tensor:
    """d on the positives, divided by its sum there; 0 in a row without positives."""
    d = d * targets
    return d / d.sum(-1, keepdim=True).clamp(min=torch.finfo(d.dtype).tiny)


def strengths(e: Tensor, targets: Tensor) -> Tensor:
    """s: softmax(e) on the positives, its normaliser without gradient, and a little on every label."""
    log_p = e.log_softmax(-1).masked_fill(~targets.bool(), CLOSED)
    fixed = log_p.detach()
    largest = fixed.amax(-1, keepdim=True)
    total = exponential(fixed - largest).sum(-1, keepdim=True).log() + largest  # of the positives, if any
    return exponential(log_p - total) * targets + LEAST


def matching(logits: Tensor, target: Tensor) -> Tensor:
    """−Σ target · log softmax(logits), mean over the rows that have a target."""
    count = (target.sum(-1) > 0).sum(-1).clamp(min=1)
    return -(target * logits.log_softmax(-1)).sum(-1).sum(-1) / count


def from_uniform(a: Tensor) -> Tensor:
    """KL(Dir(a) ‖ Dir(1)), (..., B)."""
    total = a.sum(-1, keepdim=True)
    constant = total.squeeze(-1).lgamma() - a.lgamma().sum(-1) - math.lgamma(a.shape[-1])
    return constant + ((a - 1) * (a.digamma() - total.digamma())).sum(-1)
