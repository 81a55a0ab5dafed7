"""Scales feature columns by statistics of the training rows alone."""

from collections.abc import Callable
from typing import Any

import numpy as np
from scipy import sparse

from mlbench.data.contracts import Scaler
from mlbench.data.instances import Features
from mlbench.errors import UserError, did_you_mean
from mlbench.protocols import check_offers
from mlbench.trust import is_named, located

ROWS = 256  # dense rows at once, which the processor's cache holds in float64


class Unscaled:
    """`none`: features as they are."""

    def __init__(self):
        self.state: dict[str, Any] = {}

    def fit(self, train: Features) -> None:
        """There is nothing to learn."""

    def apply(self, features: Features) -> Features:
        return features


class Columns(Unscaled):
    """Each column x becomes (x − shift) / spread. Where nothing is shifted, as after sparse training rows,
    sparse features stay sparse.

    A column that is constant over the training rows is shifted but not stretched. Other rows may leave the
    range of the training rows; nothing is clipped.
    """

    def learn(self, shift: np.ndarray, spread: np.ndarray) -> None:
        self.state = {"shift": shift.tolist(), "spread": spread.tolist()}

    def apply(self, features: Features) -> Features:
        shift, spread = (np.array(self.state[name], np.float64) for name in ("shift", "spread"))
        if isinstance(features, sparse.csr_matrix) and shift.any():
            features = features.toarray()
        if not isinstance(features, sparse.csr_matrix):
            scaled = np.empty(features.shape, np.float32)
            for first in range(0, len(features), ROWS):
                rows = features[first : first + ROWS] - shift
                scaled[first : first + ROWS] = np.divide(rows, spread, out=rows)
            return scaled
        values = (features.data / spread[features.indices]).astype(np.float32)
        return sparse.csr_matrix((values, features.indices, features.indptr), shape=features.shape)


class ZScore(Columns):
    """`zscore`: minus mean, over standard deviation (divisor n)."""

    def fit(self, train: Features) -> None:
        if isinstance(train, sparse.csr_matrix):
            raise UserError(
                "dataset.scaling=zscore would fill in every zero of these sparse features; use "
                "dataset.scaling=minmax (divides a column by its largest absolute value and keeps the zeros) "
                "or dataset.scaling=none"
            )
        # Extremes decide whether a column is constant, since its computed deviation need not be exactly 0.
        constant = train.max(axis=0) == train.min(axis=0)
        mean = np.where(constant, train[0], train.mean(axis=0, dtype=np.float64))
        self.learn(mean, np.where(constant, 1.0, train.std(axis=0, dtype=np.float64)))


class MinMax(Columns):
    """`minmax`: the training rows of a dense column span 0 to 1; a sparse one is divided by its largest
    absolute value.
    """

    def fit(self, train: Features) -> None:
        if isinstance(train, sparse.csr_matrix):
            spread = abs(train).max(axis=0).toarray().ravel().astype(np.float64)
            lowest = np.zeros_like(spread)
        else:
            lowest = train.min(axis=0).astype(np.float64)
            spread = train.max(axis=0) - lowest
        self.learn(lowest, np.where(spread > 0, spread, 1.0))


SCALERS: dict[str, Callable[[], Scaler]] = {"none": Unscaled, "zscore": ZScore, "minmax": MinMax}


def scaler(name: str) -> Scaler:
    """A scaler yet to be fitted, by its name in SCALERS or by the dotted path of a person's own class."""
    if name in SCALERS:
        return SCALERS[name]()
    if "." not in str(name):
        near = did_you_mean(str(name), SCALERS)
        raise UserError(f"dataset.scaling={name}: choose {', '.join(SCALERS)}{near}")
    try:
        made = located(name)()
    except Exception as error:  # a module raises whatever it likes while it is imported
        reason = next(iter(str(error).splitlines()), type(error).__name__)
        raise UserError(f"dataset.scaling={name}: {reason}") from error
    check_offers(made, Scaler, f"dataset.scaling={name}")
    return made


def of_state(name: str, state: dict[str, Any]) -> Scaler:
    """A scaler as it was when a file kept its state. Anybody may have written the file: a class of other
    authors counts only if the person named its module.
    """
    if name not in SCALERS and not is_named(located(name)):
        raise UserError(f"it names {name} for its scaler, which is none")
    made = scaler(name)
    made.state = state
    return made


def fitted(name: str, train: Features) -> Scaler:
    """A scaler that has learned from `train`."""
    made = scaler(name)
    made.fit(train)
    return made
