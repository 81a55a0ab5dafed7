"""`tokens`: the texts themselves, word by word or in the pieces of a Hugging Face tokenizer, for a backbone
that learns from them.
"""

import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np

from mlbench.data.instances import Features
from mlbench.data.raw import Raw, Texts
from mlbench.data.task import Kind
from mlbench.encoders.base import Plain, check_needs, options
from mlbench.encoders.networks import CHARACTERS, TOKENIZER, digest, text_folder, tokenizer_in
from mlbench.encoders.word_vectors import WORD
from mlbench.errors import UserError

if TYPE_CHECKING:
    from mlbench.data import tokens

NONE, UNKNOWN = "", "?"  # no word of a text is either: they have the numbers 0 and 1


@dataclass(kw_only=True)
class Tokens:
    """A token's number is its place in `names`, in which padding is the first."""

    vocabulary: int
    max_length: int
    lower: bool
    tokenizer: str | None
    revision: str | None
    names: tuple[str, ...] = field(init=False, default=(), repr=False)
    gives: ClassVar[Kind] = "text"
    needs: ClassVar[tuple[str, ...]] = ()

    def __post_init__(self):
        for name in ("vocabulary", "max_length"):
            if getattr(self, name) < 1:
                raise UserError(f"encoder.text.{name}={getattr(self, name)}: a whole number, 1 or larger")

    @property
    def learns(self) -> bool:
        """Whether words are learned from training texts: a tokenizer brings its own."""
        return self.tokenizer is None

    def check(self) -> None:
        if self.tokenizer:
            check_needs(("transformers", "tokenizers", "safetensors"))
            self.weights()

    def weights(self) -> str | None:
        return digest(self.folder(), TOKENIZER) if self.tokenizer else None

    def folder(self) -> Path:
        return text_folder(str(self.tokenizer), self.revision)

    def fit(self, rows: Raw) -> None:
        """Learns the most frequent words; of equally frequent words the first in the alphabet."""
        assert isinstance(rows, Texts)
        counts = Counter(word for text in rows.rows for word in self.words(text))
        if not counts:
            raise UserError(f"encoder.text: there is no word in the {len(rows)} training texts")
        ranked = sorted(counts, key=lambda word: (-counts[word], word))
        self.names = (NONE, UNKNOWN, *ranked[: self.vocabulary])

    def words(self, text: str) -> Iterator[str]:
        """The words of a text, `max_length` of them at most."""
        found = WORD.finditer(text.lower() if self.lower else text)
        return (each.group() for each in islice(found, self.max_length))

    def encode(self, rows: Raw, device: str) -> Features:
        from mlbench.data import tokens

        assert isinstance(rows, Texts)
        numbered = self.in_pieces(rows) if self.tokenizer else self.in_words(rows)
        made: Any = tokens.of_lists(numbered)
        return made

    def in_words(self, rows: Texts) -> list[list[int]]:
        numbers = {word: number for number, word in enumerate(self.names)}
        unknown = numbers[UNKNOWN]
        return [[numbers.get(word, unknown) for word in self.words(text)] for text in rows.rows]

    def in_pieces(self, rows: Texts) -> list[list[int]]:
        """The tokenizer's own numbers, and one more: 0 is padding, whatever it is to the tokenizer."""
        made = tokenizer_in(self.folder())
        self.names = (NONE, *made.convert_ids_to_tokens(range(len(made))))
        longest = self.max_length * CHARACTERS
        texts = [text[:longest] for text in rows.rows]
        given = made(texts, truncation=True, max_length=self.max_length)["input_ids"] if texts else []
        return [[number + 1 for number in numbers] for numbers in given]

    def feature_names(self) -> list[str]:
        return []

    def state(self) -> Plain:
        return {"options": options(self), "names": list(self.names), "weights": self.weights()}

    @classmethod
    def from_state(cls, state: Plain) -> Self:
        made = cls(**state["options"])
        if made.weights() != state["weights"]:
            raise UserError(f"encoder.text: the tokenizer {made.tokenizer} is another one than it was")
        made.names = tuple(state["names"])
        return made


def tell(rows: Texts, made: "tokens.Tokens", encoder: Tokens) -> None:
    """Says in a line each what is odd: texts without a word, and texts that are not read to their end."""
    lengths = made.lengths.numpy()
    empty, full = (np.flatnonzero(lengths == length) for length in (0, encoder.max_length))
    if len(empty):
        first = rows.ids[int(empty[0])]
        print(f"mlbench: {len(empty):,} texts have no words; the first is row {first}", file=sys.stderr)
    if len(full):
        longest = max(full.tolist(), key=lambda row: len(rows.rows[row]))
        print(
            f"mlbench: {len(full):,} texts are read as far as encoder.text.max_length={encoder.max_length}; "
            f"the longest is row {rows.ids[longest]}, of {len(rows.rows[longest]):,} characters",
            file=sys.stderr,
        )
