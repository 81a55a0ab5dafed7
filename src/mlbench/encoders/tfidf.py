"""`tfidf`: how often each word occurs in a text, weighted by how few training texts have it, to length 1."""

from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from mlbench.encoders.base import Plain
from mlbench.encoders.counts import WordCounts


@dataclass(kw_only=True)
class TfIdf(WordCounts):
    sublinear: bool

    def made(self, **more: Any) -> Any:
        from sklearn.feature_extraction.text import TfidfVectorizer

        return TfidfVectorizer(sublinear_tf=self.sublinear, **self.settings(), **more)

    def state(self) -> Plain:
        return super().state() | {"idf": np.asarray(self.vectoriser.idf_, np.float32)}

    @classmethod
    def from_state(cls, state: Plain) -> Self:
        made = super().from_state(state)
        made.vectoriser.idf_ = np.asarray(state["idf"], np.float32)
        return made
