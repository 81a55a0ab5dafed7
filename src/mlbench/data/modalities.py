"""Some modalities of a data set in place of all: `dataset.use`; what columns each has."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from mlbench.data.instances import Instances
from mlbench.errors import UserError, did_you_mean

Ranges = Mapping[str, tuple[int, int]]  # name → first column, last + 1


def ranges(dataset: str, modalities: Mapping[str, Any]) -> dict[str, tuple[int, int]]:
    """First column and last + 1 of each modality, from first and last; the modalities leave no gap."""
    by_name, start = {}, 0
    for name, columns in modalities.items():
        start_of_error = f"data set {dataset}: modality {name}={columns}"
        match columns:
            case [int() as first, int() as last] if first <= last:
                pass
            case _:
                raise UserError(f"{start_of_error} must be [first column, last column], zero-based")
        if first != start:
            raise UserError(
                f"{start_of_error} must begin at column {start}: modalities cover all columns in order"
            )
        by_name[str(name)] = (first, last + 1)
        start = last + 1
    return by_name


def chosen(dataset: str, use: Sequence[str] | None, names: Sequence[str]) -> tuple[str, ...]:
    """The modalities to keep, in the data set's order; empty if that is all of them.

    `names` is empty where only the file says which modalities there are: names are then taken as they are.
    """
    if use is None:
        return ()
    if not use:
        raise UserError("dataset.use=[]: name a modality or more, or leave it out")
    for name in use if names else ():
        if name not in names:
            near = did_you_mean(name, names)
            raise UserError(
                f"dataset.use={shown(use)}: dataset={dataset} has no modality {name}; it has "
                f"{', '.join(names)}{near}"
            )
    kept = [name for name in names or sorted(set(use)) if name in use]
    return () if kept == [*names] else tuple(kept)


def shown(use: Sequence[str]) -> str:
    return f"[{','.join(use)}]"


def identity(use: Sequence[str], missing: float | None) -> dict[str, Any]:
    """What a choice of modalities, and their lack, add to a data set's identity; nothing if all are there."""
    return ({"use": [*use]} if use else {}) | ({"missing_modalities": missing} if missing else {})


def kept(dataset: str, instances: Instances, use: Sequence[str]) -> Instances:
    """The instances with the columns of some modalities alone; sparse features stay sparse."""
    if not use:
        return instances
    if not instances.modalities:
        raise UserError(
            f"dataset.use={shown(use)}: the features of dataset={dataset} are one block; "
            "dataset.modalities={name: [first column, last column], ...} parts them"
        )
    names = chosen(dataset, use, [*instances.modalities])
    if not names:
        return instances
    columns = np.concatenate([np.arange(*instances.modalities[name]) for name in names])
    features: Any = instances.features
    present = instances.present
    if present is not None:
        places = [[*instances.modalities].index(name) for name in names]
        present = present[:, places]
        if without := int((present.sum(axis=1) == 0).sum()):
            raise UserError(
                f"dataset.use={shown(use)}: {without} instances of dataset={dataset} have none of these; "
                "keep a modality that they have"
            )
    feature_names = tuple(instances.feature_names[column] for column in columns.tolist())
    values = of_columns(instances.values, feature_names)
    there = {*feature_names, *values}
    return replace(
        instances,
        features=features[:, columns],
        feature_names=feature_names,
        modalities=ranges_of({name: instances.modalities[name] for name in names}),
        attributes=None,
        present=present,
        values=values,
        gaps={name: rows for name, rows in instances.gaps.items() if name in there},
    )


def ranges_of(modalities: Ranges) -> dict[str, tuple[int, int]]:
    """The same widths, one behind the other from column 0."""
    stops = np.cumsum([stop - start for start, stop in modalities.values()]).tolist()
    return dict(zip(modalities, zip([0, *stops], stops)))


def of_columns(values: Mapping[str, tuple[str, ...]], features: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """The columns of words of which there are features; each of these is called `column=word`."""
    there = set(features)
    return {name: words for name, words in values.items() if any(f"{name}={word}" in there for word in words)}


def check_cover(where: str, modalities: Ranges, width: int) -> None:
    """Refuses modalities that share a column, or leave one out."""
    end, before = 0, ""
    for name, (start, stop) in modalities.items():
        if start >= stop:
            raise UserError(f"{where}: modality {name} has no columns")
        if start < end:
            raise UserError(f"{where}: modality {name} begins at column {start}, which modality {before} has")
        if start > end:
            raise UserError(f"{where}: no modality has column {end}; modality {name} is to begin there")
        end, before = stop, name
    if modalities and end != width:
        raise UserError(f"{where}: the modalities end at column {end - 1}, and there are {width}")
