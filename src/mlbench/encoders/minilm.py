"""`minilm`: all-MiniLM-L6-v2, whose weights come inside a package: no network is needed."""

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from mlbench.encoders.hf_text import Pooling, Transformer, check_length
from mlbench.encoders.networks import MINILM, inside_package


@dataclass(kw_only=True)
class MiniLM(Transformer):
    """Pooled as sentence-transformers does: the mean over tokens, to length 1."""

    length: int
    needs: ClassVar[tuple[str, ...]] = (*Transformer.needs, MINILM)
    pooling: ClassVar[Pooling] = "mean"
    normalise: ClassVar[bool] = True

    def __post_init__(self):
        check_length(self.length)

    def folder(self) -> Path:
        return inside_package(MINILM)
