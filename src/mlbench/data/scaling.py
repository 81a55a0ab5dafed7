"""Scales feature columns by what the training rows show; no other row has a say in it."""

from collections.abc import Callable

import numpy as np
from scipy import sparse

from mlbench.data.instances import Features
from mlbench.errors import UserError, did_you_mean


def check_scaling(how: str) -> None:
    if how not in SCALINGS:
        raise UserError(
            f"dataset.scaling={how}: choose {', '.join(SCALINGS)}{did_you_mean(str(how), SCALINGS)}"
        )


def scale(features: Features, train_rows: np.ndarray, how: str) -> Features:
    """All rows of `features` (N, d) scaled by statistics of `train_rows`; float32 in and out.

    `none`: as they are. `zscore`: minus mean, over standard deviation (divisor n); dense features only.
    `minmax`: the training rows of a dense column span 0 to 1; a sparse column is divided by its largest
    absolute value, which keeps zeros zero. Rows outside training may leave that range; nothing is clipped.
    A column that is constant over the training rows is shifted but not stretched.
    """
    check_scaling(how)
    return SCALINGS[how](features, train_rows)


def unscaled(features: Features, train_rows: np.ndarray) -> Features:
    return features


def zscore(features: Features, train_rows: np.ndarray) -> Features:
    if sparse.issparse(features):
        raise UserError(
            "dataset.scaling=zscore would fill in every zero of these sparse features; use "
            "dataset.scaling=minmax (divides a column by its largest absolute value and keeps the zeros) "
            "or dataset.scaling=none"
        )
    train = features[train_rows]
    # Whether a column is constant is asked of its extremes: its computed deviation need not be exactly 0.
    constant = train.max(axis=0) == train.min(axis=0)
    mean = np.where(constant, train[0], train.mean(axis=0, dtype=np.float64))
    spread = np.where(constant, 1.0, train.std(axis=0, dtype=np.float64))
    return ((features - mean) / spread).astype(np.float32)


def minmax(features: Features, train_rows: np.ndarray) -> Features:
    train = features[train_rows]
    if sparse.issparse(features):
        largest = abs(train).max(axis=0).toarray().ravel().astype(np.float64)
        divisors = np.where(largest > 0, largest, 1.0)
        values = (features.data / divisors[features.indices]).astype(np.float32)
        return sparse.csr_matrix((values, features.indices, features.indptr), shape=features.shape)
    lowest = train.min(axis=0).astype(np.float64)
    spread = train.max(axis=0) - lowest
    return ((features - lowest) / np.where(spread > 0, spread, 1.0)).astype(np.float32)


SCALINGS: dict[str, Callable[[Features, np.ndarray], Features]] = {
    "none": unscaled,
    "zscore": zscore,
    "minmax": minmax,
}
