"""The description of the served runs that a page or a program receives."""

import math
from collections.abc import Sequence
from typing import Any

from mlbench.errors import UserError
from mlbench.export.card import DRAWS, measured, selected
from mlbench.predict import Ensemble, Trained, above
from mlbench.results import store
from mlbench.results.record import Record
from mlbench.serve.given import KEYS, ROWS

PROTOCOL = ("method", "backbone", "loss", "split", "threshold")
BODY = 16 * 2**20  # bytes of a request


def record_of(run: Trained) -> Record | None:
    """The record beside a model.pt; somebody may have sent the model.pt alone."""
    try:
        return store.finished(run.path.parent)
    except UserError:
        return None


def about(ensemble: Ensemble) -> dict[str, Any]:
    """The description of the runs, without their paths: whoever asks need not know this machine."""
    first = ensemble.runs[0]
    cuts = None if ensemble.cuts is None else ensemble.cuts.tolist()
    told = {
        "labels": [*ensemble.schema.labels],
        "cuts": cuts,
        "at_cut": first.at_cut,
        "cut_on": [*{run.cut_on: None for run in ensemble.runs}],
        "takes": [KEYS[field] for field in first.fields] if first.encoders else [ROWS],
        "limit": BODY,
        "runs": [of_run(run) for run in ensemble.runs],
    }
    if first.encoders:
        return told | {"fields": {field: [*names] for field, names in first.fields.items()}}
    values, example = ensemble.schema.values, first.example
    columns = [{"name": name, "words": [*values.get(name, ())]} for name in ensemble.schema.columns]
    return told | {"columns": columns, "example": example}


def of_run(run: Trained) -> dict[str, Any]:
    told: dict[str, Any] = {"dataset": run.dataset, "citation": run.citation, "licence": run.licence}
    if (record := record_of(run)) is None:
        return told | {"method": type(run.method).__name__}
    return (
        told
        | {name: record.choices.get(name, "") for name in PROTOCOL}
        | {"selection": selected(record), "seed": record.seed, "key": record.key}
        | {"parts": record.parts, "finished": record.finished}
    )


def metrics(ensemble: Ensemble) -> dict[str, Any]:
    """What each run measured on its test part; of one run with the intervals of its model card."""
    records = [record for run in ensemble.runs if (record := record_of(run)) is not None]
    if len(records) < len(ensemble.runs):
        return {"draws": 0, "metrics": []}
    if len(records) > 1:
        return {"draws": 0, "metrics": side_by_side(records)}
    (run,), (record,) = ensemble.runs, records
    cuts, at_cut = ensemble.cuts, run.at_cut
    sets = None if cuts is None else lambda scores: above(scores, cuts, at_cut)
    try:
        metrics = measured(record, sets, run.path.parent / "scores.npz")
    except UserError:  # the run's scores.npz has been removed
        return {"draws": 0, "metrics": side_by_side(records)}
    return {"draws": DRAWS, "metrics": [row_of(*measure) for measure in metrics]}


def row_of(
    name: str, value: float, interval: tuple[float, float] | None = None, definition: str = ""
) -> dict[str, Any]:
    return {"name": name, "values": [number(value)], "interval": interval, "definition": definition}


def side_by_side(records: Sequence[Record]) -> list[dict[str, Any]]:
    of_each = [record.metrics[record.rule] for record in records]
    return [
        row_of(name, math.nan) | {"values": [number(values.get(name, math.nan)) for values in of_each]}
        for name in of_each[0]
    ]


def number(value: float) -> float | None:
    """JSON has no NaN."""
    return value if math.isfinite(value) else None
