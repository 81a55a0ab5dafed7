"""Cells that a file leaves empty, under `dataset.missing=mean`: training rows say what goes into them.

A reader fills them from its whole file, so that features are numbers at once, and says where they are
(`Instances.gaps`). Once the split is known, training rows alone decide; rows that come later get the same.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from scipy import sparse

from mlbench.data.instances import Instances
from mlbench.data.schema import Schema
from mlbench.errors import UserError

Fills = dict[str, float | str]  # column of a file → number or word


def learned(instances: Instances, rows: np.ndarray) -> Fills:
    """For every column its mean over the given rows that have a value, or their most frequent word. Where a
    reader put a 0 or a 1 into gaps, as it does for a nominal attribute, it is the one that more rows have.
    """
    schema = Schema.of(instances)
    features: Any = instances.features
    features = features.tocsc() if sparse.issparse(features) else features  # columns are taken from it
    place = {name: number for number, name in enumerate(instances.feature_names)}
    whole = means_of(instances.features[rows])
    fills: Fills = {}
    for column in schema.columns:
        places = [place[name] for name in schema.features_of(column)]
        gaps, lacking = instances.gaps.get(column), rows_without(instances, places[0])
        means = whole[places]
        if gaps is not None or len(lacking):
            known = np.setdiff1d(rows, np.union1d([] if gaps is None else gaps, lacking))
            if not len(known):
                raise UserError(
                    f"column {column!r} has no value in any training row: leave it out with "
                    f"dataset.drop=[{column!r}]"
                )
            means = means_of(features[:, places][known])
        value = schema.value(column, means)
        if gaps is not None and not isinstance(value, str) and binary(features[:, places]):
            value = float(value > 0.5)
        fills[column] = value
    return fills


def rows_without(instances: Instances, column: int) -> np.ndarray:
    """The rows that lack the modality of a feature."""
    if instances.present is None:
        return np.empty(0, np.int64)
    ranges = [*instances.modalities.values()]
    of_column = next(number for number, (start, stop) in enumerate(ranges) if start <= column < stop)
    return np.flatnonzero(instances.present[:, of_column] == 0)


def means_of(features: Any) -> np.ndarray:
    return np.asarray(features.mean(axis=0, dtype=np.float64)).reshape(-1)


def binary(columns: Any) -> bool:
    values = columns.data if sparse.issparse(columns) else columns
    return bool(np.isin(values, (0, 1)).all())


def filled(instances: Instances, fills: Mapping[str, float | str]) -> Instances:
    """The instances with these values in their gaps; sparse features stay sparse."""
    if not instances.gaps:
        return instances
    schema = Schema.of(instances)
    place = {name: number for number, name in enumerate(instances.feature_names)}
    rows, columns, values = [], [], []
    for column, gaps in instances.gaps.items():
        for name, value in schema.block(column, fills[column]).items():
            rows.append(gaps)
            columns.append(np.full(len(gaps), place[name]))
            values.append(np.full(len(gaps), value, np.float32))
    where = np.concatenate(rows), np.concatenate(columns)
    features: Any = instances.features.copy()
    if isinstance(features, np.ndarray):
        features[where] = np.concatenate(values)
    else:
        before = np.asarray(features[where]).reshape(-1)
        features = features - sparse.csr_matrix((before, where), features.shape)  # an exact 0
        features = sparse.csr_matrix(
            features + sparse.csr_matrix((np.concatenate(values), where), features.shape)
        )
        features.eliminate_zeros()
        features.sort_indices()
    return replace(instances, features=features)
