"""The backbone's output, kept on request as a run finishes, or later by its model.pt, and measures of it."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np

from mlbench.config import Train
from mlbench.data.rows import Rows
from mlbench.data.task import Task
from mlbench.engine.score import embedded
from mlbench.errors import UserError
from mlbench.evaluation.embedding import probed
from mlbench.files import whole
from mlbench.methods.base import Method
from mlbench.methods.build import unpacked
from mlbench.results.record import Record
from mlbench.results.store import EMBEDDINGS


def keep(
    folder: Path, method: Method, parts: Mapping[str, Rows], task: Task, train: Train
) -> dict[str, float]:
    """Writes the embeddings of the test part; returns their metrics."""
    test, training = parts["test"], parts["train"]
    vectors, known = embedded(method, [test, training], train)
    targets = test.targets.numpy().astype(np.uint8)
    with whole(folder / EMBEDDINGS) as file:
        np.savez(
            file,
            embeddings=vectors.numpy(),
            ids=test.ids.numpy(),
            targets=targets,
            labels=np.array(task.labels),
        )
    return probed((vectors, test.targets), (known, training.targets))


def added(folder: Path, record: Record, parts: Mapping[str, Rows], train: Train) -> Record:
    """The record of a finished run with the metrics of embeddings that its model.pt gives."""
    try:
        method, task = unpacked(folder / "model.pt")
    except UserError as error:
        raise UserError(f"outputs.embeddings=true: {error}; force=true runs it again") from error
    metrics = record.metrics[record.rule] | keep(folder, method, parts, task, train)
    record = replace(record, metrics=record.metrics | {record.rule: metrics})
    record.write(folder / "record.json")
    return record
