"""`word_vectors`: the mean of the vectors that a file gives for the words of a text."""

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy import sparse

from mlbench.data import sources
from mlbench.data.files import content
from mlbench.data.instances import Features
from mlbench.data.raw import Raw, Texts
from mlbench.encoders.base import Frozen
from mlbench.errors import UserError

WORD = re.compile(r"\w+(?:['’-]\w+)*")


@dataclass(kw_only=True)
class WordVectors(Frozen):
    """The file has a line a word, the word and its numbers, as GloVe and word2vec write them, compressed or
    not; a first line of two numbers is skipped. Words that the file lacks are left out of the mean; a text of
    no other words is zeros.
    """

    path: Path

    def __post_init__(self):
        self.path = Path(self.path).expanduser()

    def check(self) -> None:
        if not self.path.is_file():
            raise UserError(f"encoder.text.path={self.path}: there is no such file")

    def weights(self) -> str | None:
        self.check()
        return sources.checksum(self.path, sources.default_cache())

    def encode(self, rows: Raw, device: str) -> Features:
        assert isinstance(rows, Texts)
        counted = [Counter(WORD.findall(text.lower())) for text in rows.rows]
        words, vectors = self.lookup(set().union(*counted))
        self.width = vectors.shape[1]
        triples = [
            (row, words[word], count)
            for row, counts in enumerate(counted)
            for word, count in counts.items()
            if word in words
        ]
        places, columns, counts = np.array(triples, np.int64).reshape(-1, 3).T
        shape = len(rows), len(words)
        matrix = sparse.csr_matrix((counts.astype(np.float64), (places, columns)), shape=shape)
        sums = matrix @ vectors
        totals = np.asarray(matrix.sum(axis=1)).reshape(-1, 1)
        return (sums / np.maximum(totals, 1)).astype(np.float32)

    def lookup(self, wanted: set[str]) -> tuple[dict[str, int], np.ndarray]:
        """The wanted words that the file has, each with its row among the vectors."""
        words: dict[str, int] = {}
        vectors: list[np.ndarray] = []
        width = 0
        for word, numbers, line in self.lines():
            if not width and len(numbers.split()) > 1:
                width = len(numbers.split())
            if word in wanted and word not in words:
                vector = vector_of(numbers)
                if vector is None or len(vector) != width:
                    raise UserError(f"{self.path}, line {line}: {width} numbers are to follow {word!r}")
                words[word] = len(words)
                vectors.append(vector)
        if not width:
            raise UserError(f"{self.path} has no line of a word and its numbers")
        return words, np.array(vectors, np.float64).reshape(-1, width)

    def lines(self) -> Iterator[tuple[str, str, int]]:
        text = content(self.path).decode(errors="replace")
        for number, line in enumerate(text.split("\n"), 1):
            word, _, numbers = line.partition(" ")
            if numbers and not (number == 1 and word.isdigit() and numbers.strip().isdigit()):
                yield word, numbers, number


def vector_of(numbers: str) -> np.ndarray | None:
    try:
        vector = np.array(numbers.split(), np.float64)
    except ValueError:
        return None
    return vector if np.isfinite(vector).all() else None
