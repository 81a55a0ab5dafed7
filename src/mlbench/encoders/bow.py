"""`bow`: how often each word occurs in a text, or whether it does."""

from dataclasses import dataclass
from typing import Any

from mlbench.encoders.counts import WordCounts


@dataclass(kw_only=True)
class BagOfWords(WordCounts):
    binary: bool

    def made(self, **more: Any) -> Any:
        from sklearn.feature_extraction.text import CountVectorizer

        return CountVectorizer(binary=self.binary, **self.settings(), **more)
