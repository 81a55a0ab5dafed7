"""What backbones for texts share."""

from typing import ClassVar

from mlbench.backbones.base import Rated
from mlbench.data.task import Kind


class OfTexts(Rated):
    """(B, T) numbers of tokens, 0 behind a text's end → (B, width)."""

    kinds: ClassVar[frozenset[Kind]] = frozenset({"text"})
    at_first: ClassVar[tuple[str, ...]] = ("vectors",)
