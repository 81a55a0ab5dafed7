"""A request's rows to scores and label sets, by the same functions as `mlbench predict`."""

import threading
from collections.abc import Mapping
from typing import Any

import torch

from mlbench.errors import UserError
from mlbench.predict import Ensemble
from mlbench.serve.given import columns_in, raw_in

ONE_AT_A_TIME = threading.Lock()  # threads must not share a method, nor the memory of one


def answer(ensemble: Ensemble, body: Mapping[str, Any]) -> dict[str, Any]:
    """`scores` and `sets` have a list a row; `sets` is null where the run has no cuts for new rows."""
    left_out: list[str] = []
    if ensemble.runs[0].encoders:
        pieces = [raw_in(body, ensemble.runs[0].fields)] * len(ensemble.runs)
    else:
        pieces, left_out = columns_in(body, [run.schema for run in ensemble.runs])
    predicted = ensemble.predicted(pieces)
    labels = ensemble.schema.labels
    if len(strange := (~torch.isfinite(predicted.scores)).nonzero()):
        row, label = strange[0].tolist()
        raise UserError(
            f"row {row} (from 0): the score of {labels[label]!r} is no number: its cells are far from any "
            "that the run was trained on"
        )
    sets = None
    if predicted.sets is not None:
        sets = [[label for label, chosen in zip(labels, row) if chosen] for row in predicted.sets.tolist()]
    return {
        "labels": [*labels],
        "cuts": None if ensemble.cuts is None else ensemble.cuts.tolist(),
        "scores": predicted.scores.tolist(),
        "sets": sets,
        "left_out": left_out,
    }
