"""What backbones for texts share."""

from typing import ClassVar

from torch import Tensor, nn

from mlbench.backbones.base import Rated
from mlbench.data.task import Kind


class OfTexts(Rated):
    """(B, T) numbers of tokens, 0 behind a text's end → (B, width)."""

    kinds: ClassVar[frozenset[Kind]] = frozenset({"text"})


class OfWords(OfTexts):
    """Its `network` begins with an embedding of words, perhaps with given vectors."""

    at_first: ClassVar[tuple[str, ...]] = ("vectors",)
    network: nn.Module

    def forward(self, x: Tensor) -> Tensor:
        return self.network(x)
