"""Instances that lack some of their modalities: simulated (`dataset.missing_modalities`), or as files are."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Annotated, Any

import numpy as np
from pydantic import Field
from scipy import sparse

from mlbench.data.contracts import Dataset, Scaler
from mlbench.data.instances import Features, Instances
from mlbench.data.scaling import Columns, Unscaled, fitted, scaler
from mlbench.errors import UserError
from mlbench.seeding import derive

Share = Annotated[float, Field(ge=0, lt=1)]


def simulated(instances: Instances, dataset: Dataset, seed: int) -> Instances:
    """The instances without what `missing_modalities` of the data set takes away, a function of the seed.

    An instance lacks each modality that it has with that probability. One that would lack all keeps one of
    these, each as likely.
    """
    share = getattr(dataset, "missing_modalities", None)
    if not share:
        return instances
    if len(instances.modalities) < 2:
        raise UserError(f"dataset.missing_modalities={share}: dataset={dataset.name} has one modality")
    shape = len(instances), len(instances.modalities)
    draws = np.random.default_rng(derive(seed, "missing modalities")).random(shape)
    if instances.present is not None:
        draws[instances.present == 0] = -1  # is not there to be taken away
    present = draws >= share
    present[np.arange(len(present)), draws.argmax(axis=1)] = True
    present = present.astype(np.uint8)
    features = zeroed(instances.features, present, instances.modalities)
    return replace(instances, features=features, present=present)


def zeroed(features: Features, present: np.ndarray, modalities: Mapping[str, tuple[int, int]]) -> Features:
    """The features with zeros in the columns of what an instance lacks; sparse ones stay sparse."""
    if isinstance(features, sparse.csr_matrix):
        widths = [stop - start for start, stop in modalities.values()]
        of_column = np.repeat(np.arange(len(widths)), widths)
        kept: Any = features.copy()
        of_row = np.repeat(np.arange(len(present)), np.diff(kept.indptr))
        kept.data[present[of_row, of_column[kept.indices]] == 0] = 0
        kept.eliminate_zeros()
        return kept
    kept = features.copy()
    for column, (start, stop) in enumerate(modalities.values()):
        kept[present[:, column] == 0, start:stop] = 0
    return kept


def fitted_on_present(name: str, instances: Instances, rows: np.ndarray) -> Scaler:
    """A scaler whose columns are fitted on those of the given rows that have the column's modality."""
    made: Any = scaler(name)
    if type(made) is Unscaled:
        return made
    features = instances.features[rows]
    if instances.present is None:
        return fitted(name, features)
    if not isinstance(made, Columns):
        raise UserError(
            f"dataset.scaling={name} learns from whole rows, and instances lack modalities here: choose "
            "none, zscore or minmax"
        )
    states, present = [], instances.present[rows]
    for column, (modality, (start, stop)) in enumerate(instances.modalities.items()):
        having = present[:, column] == 1
        if not having.any():
            raise UserError(f"no training row has the modality {modality}: nothing can be learned of it")
        states.append(fitted(name, features[having][:, start:stop]).state)
    made.learn(*(np.concatenate([state[part] for state in states]) for part in ("shift", "spread")))
    return made


def means(instances: Instances, rows: np.ndarray) -> np.ndarray:
    """Of each column over those of some rows that have its modality, without a copy of them."""
    features: Any = instances.features
    masks = {} if instances.present is None else dict(zip(instances.modalities.values(), instances.present.T))
    averages = np.zeros(features.shape[1], np.float32)
    for (start, stop), having in (
        masks or {(0, features.shape[1]): np.ones(len(instances), np.uint8)}
    ).items():
        weights = np.zeros(len(instances), np.float32)
        weights[rows] = having[rows] / max(int(having[rows].sum()), 1)
        averages[start:stop] = (weights @ features)[start:stop]
    return averages


def scaled(instances: Instances, by: Scaler) -> Instances:
    """The instances with scaled features; modalities that an instance lacks stay zero."""
    features = by.apply(instances.features)
    if not isinstance(by, Unscaled | Columns):
        check_scaled(by, instances.features, features)
    if instances.present is not None:
        features = zeroed(features, instances.present, instances.modalities)
    return replace(instances, features=features)


def check_scaled(by: Scaler, before: Features, after: Any) -> None:
    """Refuses a person's own scaler that changes the type or the shape of features."""

    def described(matrix: Any) -> str:
        return f"{getattr(matrix, 'dtype', type(matrix).__name__)} {getattr(matrix, 'shape', '')}"

    if described(after) != described(before):
        kind = f"{type(by).__module__}.{type(by).__qualname__}"
        raise UserError(
            f"dataset.scaling={kind}: of {described(before)} it made {described(after)}, and is to change "
            "neither type nor shape"
        )
