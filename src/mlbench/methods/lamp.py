"""LaMP: every label is a node that attends to the instance, then to the labels that it occurs with
(Lanchantin, Sekhon, Qi, Neural Message Passing for Multi-Label Classification, ECML-PKDD 2019).

The form of the authors' code for vectors: one node stands for the instance.
"""

from collections.abc import Iterator
from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from mlbench.data.rows import Batch
from mlbench.data.task import Task
from mlbench.layers import Dropout, LayerNorm, Linear, beside, pieces, product
from mlbench.methods.base import Loss, Method, Parts, Stage

Positive = Annotated[int, Field(ge=1)]
Share = Annotated[float, Field(ge=0, lt=1)]
ENTRIES = (
    2**24
)  # of the largest tensor that scoring makes, 64 MB: fewer rows at once where there are many labels


class LaMP(Method):
    mask: Tensor  # (L, L), whether the label of a row sees that of a column

    def __init__(
        self,
        task: Task,
        loss: Loss,
        width: Positive,
        layers: Positive,
        heads: Positive,
        head_width: Positive,
        hidden: Positive,
        dropout: Share,
        mask: Literal["prior", "none", "eye"],
        tied: bool,
    ):
        super().__init__()
        labels = len(task.labels)
        self.encoder = Linear(task.features, width)
        self.embedding = nn.Parameter(torch.randn(labels, width))
        self.layers = nn.ModuleList(Layer(width, heads, head_width, hidden, dropout) for _ in range(layers))
        self.readout = None if tied else nn.Parameter(nn.init.xavier_normal_(torch.empty(labels, width)))
        self.objective = loss
        self.sees = mask
        self.register_buffer("mask", torch.eye(labels, dtype=torch.bool) | (mask == "none"))
        self.at_once = max(
            ENTRIES // (labels * max(width, hidden, 3 * heads * head_width, heads * labels)), 1
        )

    def stages(self, data: Parts) -> Iterator[Stage]:
        if self.sees == "prior":
            self.mask.copy_(co_occurring(data["train"].targets))
        yield from super().stages(data)

    def findings(self) -> dict[str, dict[str, Tensor]]:
        return {"label_mask": {"mask": self.mask}}

    def logits(self, x: Tensor) -> Tensor:
        instance = self.encoder(x)
        nodes = self.embedding.unsqueeze(-3)  # the same for every row
        for layer in self.layers:
            nodes = layer(nodes, instance, self.mask)
        readout = self.embedding if self.readout is None else self.readout
        return (nodes * beside(readout, nodes, 2)).sum(-1)

    def loss(self, batch: Batch) -> Tensor:
        return self.objective(self.logits(batch.x), batch.targets)

    def scores(self, batch: Batch) -> Tensor:
        return torch.cat([self.logits(x) for x in pieces(batch.x, self.at_once)]).sigmoid()


class Layer(nn.Module):
    def __init__(self, width: int, heads: int, head_width: int, hidden: int, dropout: float):
        super().__init__()
        self.to_instance = ToInstance(width, heads, head_width, dropout)
        self.first = FeedForward(width, hidden, dropout)
        self.to_labels = ToLabels(width, heads, head_width, dropout)
        self.second = FeedForward(width, hidden, dropout)

    def forward(self, nodes: Tensor, instance: Tensor, mask: Tensor) -> Tensor:
        nodes = self.first(self.to_instance(nodes, instance))
        return self.second(self.to_labels(nodes, mask))


class ToInstance(nn.Module):
    """Attention of labels (..., L, width) on one node (..., B, width).

    The softmax over one key is 1 for any query and key, so there are neither. What differs from label to
    label is which heads dropout leaves it: each head goes through its part of the output's weight before
    labels come in.
    """

    def __init__(self, width: int, heads: int, head_width: int, dropout: float):
        super().__init__()
        self.heads = heads
        self.value = projection(width, heads, head_width)
        self.out = output(heads * head_width, width)
        self.weights_dropout = Dropout(dropout)
        self.dropout = Dropout(dropout)
        self.norm = LayerNorm(width)

    def forward(self, nodes: Tensor, instance: Tensor) -> Tensor:
        values = self.value(instance).unflatten(-1, (self.heads, -1)).transpose(-2, -3)  # (..., heads, B, k)
        out = self.out.weight.mT.unflatten(-2, (self.heads, -1))  # (..., heads, k, width)
        by_head = product(values, out).transpose(-2, -3)  # (..., B, heads, width)
        ones = instance.new_ones(*instance.shape[:-1], nodes.shape[-2], self.heads)
        attended = product(self.weights_dropout(ones), by_head)
        return self.norm(nodes + self.dropout(attended))


class ToLabels(nn.Module):
    """Attention of labels (..., B, L, width) on labels, as far as the mask lets them see each other."""

    def __init__(self, width: int, heads: int, head_width: int, dropout: float):
        super().__init__()
        self.heads, self.scale = heads, head_width**-0.5
        self.seen = projection(width, heads, head_width, 3)  # queries, keys and values
        self.out = output(heads * head_width, width)
        self.weights_dropout = Dropout(dropout)
        self.dropout = Dropout(dropout)
        self.norm = LayerNorm(width)

    def forward(self, nodes: Tensor, mask: Tensor) -> Tensor:
        queries, keys, values = (
            part.unflatten(-1, (self.heads, -1)).transpose(-2, -3) for part in self.seen(nodes).chunk(3, -1)
        )  # (..., B, heads, L, k)
        logits = product(queries * self.scale, keys.mT)
        weights = logits.masked_fill(~mask[..., None, None, :, :], -torch.inf).softmax(-1)
        attended = product(self.weights_dropout(weights), values).transpose(-2, -3).flatten(-2)
        return self.norm(nodes + self.dropout(self.out(attended)))


class FeedForward(nn.Module):
    def __init__(self, width: int, hidden: int, dropout: float):
        super().__init__()
        self.layers = nn.Sequential(Linear(width, hidden), nn.ReLU(), Linear(hidden, width), Dropout(dropout))
        self.norm = LayerNorm(width)

    def forward(self, nodes: Tensor) -> Tensor:
        return self.norm(nodes + self.layers(nodes))


def projection(width: int, heads: int, head_width: int, times: int = 1) -> Linear:
    """What heads see of a node, `times` over: normal with variance 2 / (width + head_width), as coded."""
    made = Linear(width, times * heads * head_width, bias=False)
    nn.init.normal_(made.weight, std=(2 / (width + head_width)) ** 0.5)
    return made


def output(entries: int, width: int) -> Linear:
    made = Linear(entries, width, bias=False)
    nn.init.xavier_normal_(made.weight)
    return made


def co_occurring(targets: Tensor) -> Tensor:
    """Whether a row carries both labels, (L, L); every label goes with itself."""
    together = targets.T @ targets > 0
    return together.fill_diagonal_(True)
