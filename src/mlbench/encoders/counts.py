"""What `bow` and `tfidf` share: scikit-learn's vectorisers, their words learned from training rows."""

from dataclasses import dataclass, field
from typing import Any, ClassVar, Self

import numpy as np
from scipy import sparse

from mlbench.data.instances import Features
from mlbench.data.raw import Raw, Texts
from mlbench.encoders.base import Plain, options
from mlbench.errors import UserError


@dataclass(kw_only=True)
class WordCounts:
    words: int
    least: int
    ngrams: int
    vectoriser: Any = field(init=False, default=None, repr=False)
    learns: ClassVar[bool] = True
    needs: ClassVar[tuple[str, ...]] = ()

    def __post_init__(self):
        for name in ("words", "least", "ngrams"):
            if getattr(self, name) < 1:
                raise UserError(f"encoder.text.{name}={getattr(self, name)}: a whole number, 1 or larger")

    def check(self) -> None:
        """Refuses nothing: every installation has scikit-learn."""

    def weights(self) -> str | None:
        return None

    def made(self, **more: Any) -> Any:
        """A vectoriser of scikit-learn."""
        raise NotImplementedError(f"{type(self).__name__} makes no vectoriser")

    def settings(self) -> Plain:
        return {"ngram_range": (1, self.ngrams), "dtype": np.float32}

    def fit(self, rows: Raw) -> None:
        assert isinstance(rows, Texts)
        self.vectoriser = self.made(max_features=self.words, min_df=self.least)
        try:
            self.vectoriser.fit(rows.rows)
        except ValueError as error:  # no word is left
            raise UserError(
                f"encoder.text: no word of the {len(rows)} training texts occurs in {self.least} of them: "
                f"choose a smaller encoder.text.least"
            ) from error

    def encode(self, rows: Raw, device: str) -> Features:
        assert isinstance(rows, Texts)
        matrix = sparse.csr_matrix(self.vectoriser.transform(rows.rows))
        matrix.sort_indices()
        return matrix

    def feature_names(self) -> list[str]:
        return [str(name) for name in self.vectoriser.get_feature_names_out()]

    def state(self) -> Plain:
        return {"options": options(self), "terms": self.feature_names()}

    @classmethod
    def from_state(cls, state: Plain) -> Self:
        made = cls(**state["options"])
        made.vectoriser = made.made(vocabulary=state["terms"])
        return made
