"""Networks of convolutions over words: XML-CNN (Liu et al., SIGIR 2017) and TextCNN (Kim, EMNLP 2014).

Texts are (B, T) numbers of tokens, 0 behind their end. What a text gives depends on its own tokens alone, so
that it is the same beside longer ones.
"""

import sys
from pathlib import Path
from typing import Annotated

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from mlbench.data.rows import Batch
from mlbench.data.tokens import PADDING
from mlbench.encoders.word_vectors import WordVectors
from mlbench.errors import UserError
from mlbench.layers import Dropout, Embedding, Linear

Count = Annotated[int, Field(ge=1)]
Share = Annotated[float, Field(ge=0, lt=1)]
SPREAD = 0.25  # the range of a word's numbers around 0 before training (Kim's code)


class Maps(nn.Module):
    """(B, T) → for each width of windows `maps` maps (B, maps, T): a ReLU of each window's words. A window
    that begins at a text's last words goes on with zeros.
    """

    def __init__(
        self,
        vocabulary: tuple[str, ...],
        embedding: int,
        vectors: Path | None,
        fixed: bool,
        widths: list[int],
        maps: int,
    ):
        super().__init__()
        self.embedding = Embedding(len(vocabulary), embedding)
        nn.init.uniform_(self.embedding.weight, -SPREAD, SPREAD)
        if vectors:
            begin_with(self.embedding, vocabulary, vectors)
        self.embedding.requires_grad_(not fixed)
        self.windows = nn.ModuleList(nn.Conv1d(embedding, maps, width) for width in widths)
        self.widths = widths

    def forward(self, x: Tensor) -> list[Tensor]:
        # `padding_idx` is not used: under vmap only the first replica would leave its gradient out.
        words = (self.embedding(x) * (x != PADDING).unsqueeze(-1)).mT
        return [
            window(F.pad(words, (0, width - 1))).relu() for window, width in zip(self.windows, self.widths)
        ]


@torch.no_grad()
def begin_with(embedding: nn.Embedding, vocabulary: tuple[str, ...], path: Path) -> None:
    """Gives each word that a file has a vector of that vector; the others keep what was drawn for them, as
    widely spread as those.
    """
    words, vectors = WordVectors(path=path).lookup(set(vocabulary[1:]))
    if vectors.shape[1] != embedding.embedding_dim:
        width = vectors.shape[1]
        raise UserError(f"backbone.vectors={path} has {width} numbers a word: backbone.embedding={width}")
    given = torch.from_numpy(vectors).float()
    embedding.weight.mul_(given.std() / (SPREAD / 3**0.5) if len(given) > 1 else 1.0)
    places = [number for number, word in enumerate(vocabulary) if word in words]
    embedding.weight[places] = given[[words[vocabulary[place]] for place in places]]
    print(
        f"mlbench: {len(places):,} of {len(vocabulary) - 2:,} words have a vector in {path}", file=sys.stderr
    )


class XMLCNN(nn.Module):
    """Each map's `pools` largest values, one of each part of the text, then a bottleneck."""

    def __init__(self, maps: Maps, total: int, pools: int, width: int, dropout: float):
        super().__init__()
        self.maps, self.pools = maps, pools
        self.bottleneck = Linear(total * pools, width)
        self.dropout = Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        lengths = lengths_of(x)
        pooled = [dynamic_max(each, lengths, self.pools).flatten(-2) for each in self.maps(x)]
        return self.dropout(self.bottleneck(torch.cat(pooled, -1)).relu())


class Labelled(nn.Module):
    """A network that learns labels by a layer on top, for the sake of its features."""

    def __init__(self, network: nn.Module, width: int, labels: int):
        super().__init__()
        self.network, self.head = network, Linear(width, labels)

    def loss(self, batch: Batch) -> Tensor:
        return F.binary_cross_entropy_with_logits(self.head(self.network(batch.x)), batch.targets)


class TextCNN(nn.Module):
    """Each map's largest value, over windows of whole words where a text has as many."""

    def __init__(self, maps: Maps, dropout: float):
        super().__init__()
        self.maps, self.dropout = maps, Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        lengths = lengths_of(x)
        pooled = [
            dynamic_max(each, (lengths - width + 1).clamp(min=1), 1).squeeze(-1)
            for each, width in zip(self.maps(x), self.maps.widths)
        ]
        return self.dropout(torch.cat(pooled, -1))


def lengths_of(x: Tensor) -> Tensor:
    """(B,): the length of each text in tokens; a text without tokens counts as one token of padding."""
    return (x != PADDING).sum(-1).clamp(min=1)


def dynamic_max(x: Tensor, lengths: Tensor, pools: int) -> Tensor:
    """(B, C, T) → (B, C, pools): of each of `pools` equal parts of a row's first `lengths` places the largest
    value. A part begins and ends in the middle of a place where the length is no multiple of `pools`, and has
    that place.
    """
    parts = torch.arange(pools, device=x.device)
    starts = parts * lengths.unsqueeze(-1) // pools
    stops = -(-(parts + 1) * lengths.unsqueeze(-1) // pools)
    steps = torch.arange(x.shape[-1] // pools + 2, device=x.device)
    places = torch.minimum(starts.unsqueeze(-1) + steps, stops.unsqueeze(-1) - 1)
    places = places.flatten(-2).unsqueeze(-2).expand(*x.shape[:-1], -1)
    return x.gather(-1, places).unflatten(-1, (pools, -1)).max(-1).values
