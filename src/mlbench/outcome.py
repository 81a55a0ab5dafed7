"""What a run leaves of a trained method: scores and their measures, what training found, the way of a row of
a file to a label set, the record.
"""

import json
import math
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from mlbench.assemble import Pieces
from mlbench.config import Config, taken
from mlbench.data.rows import Rows
from mlbench.data.task import Task
from mlbench.encoders.kept import described
from mlbench.engine.saved import write
from mlbench.engine.score import device_of, facts_of_rows, score
from mlbench.engine.stages import Stages
from mlbench.errors import UserError
from mlbench.evaluation.calibration import Calibration, told
from mlbench.evaluation.measure import Measures, measure
from mlbench.files import whole
from mlbench.methods.base import Method
from mlbench.methods.build import packed
from mlbench.prepared import Prepared
from mlbench.results.record import Record, machine, peak_memory, revision, versions


@dataclass(frozen=True)
class Scored:
    """One model with its scores of the test part, their measures, and the calibration of the scores."""

    model: Method
    scores: Tensor
    measures: Measures
    calibration: Calibration | None
    rows_a_second: float  # of this process's processor time, while it scored


def measured_under(
    config: Config, pieces: Pieces, prepared: Prepared, models: dict[str, Method]
) -> dict[str, Scored]:
    """The test part, scored and measured, for the model of each selection rule."""
    rule, calibrator = pieces.threshold(), pieces.calibrator
    assert rule.part != "test" or rule.suffix == "_oracle", "a rule that sees test targets says so"
    asked = ["test", *([rule.part] if rule.fitted else []), *([calibrator.part] if calibrator else [])]
    known = prepared.parts | ({} if prepared.labelled is None else {"training": prepared.labelled})
    parts = {part: known[part] for part in asked}
    scored = {}
    for name, model in models.items():
        clock = time.process_time()
        scores = dict(zip(parts, score(model, [*parts.values()], config.train)))
        worked = max(time.process_time() - clock, 1e-9)
        if not ((scores["test"] >= 0) & (scores["test"] <= 1)).all():
            method = config.choices["method"]
            raise UserError(f"method={method} gave scores that are no probabilities (or NaN)")
        calibration = None
        if calibrator:
            calibration = calibrator.fit(scores[calibrator.part], parts[calibrator.part].targets)
            scores = {part: calibration(of_part) for part, of_part in scores.items()}
        fit_on = (scores[rule.part], parts[rule.part].targets) if rule.fitted else None
        orders, targets = model.column_orders(), parts["test"].targets
        measures = measure(pieces.threshold(), scores["test"], targets, fit_on, orders, prepared.frequencies)
        rate = sum(map(len, parts.values())) / worked
        scored[name] = Scored(model, scores["test"], measures, calibration, rate)
    return scored


def save(folder: Path, config: Config, pieces: Pieces, prepared: Prepared, scored: dict[str, Scored]) -> None:
    """Writes the files beside the record: scores, findings, and the model with the way of a row to it."""
    chosen = scored[config.selection.rule]
    save_scores(folder / "scores.npz", scored, prepared.parts["test"])
    for name, tensors in chosen.model.findings().items():
        save_findings(folder / f"{name}.npz", tensors, prepared.parts["train"], prepared.task)
    nodes = {"method": config.method, "backbone": config.backbone, "loss": config.loss}
    rows = way_of_rows(pieces, prepared, chosen)
    write(folder / "model.pt", packed(chosen.model, nodes, prepared.task) | {"rows": rows})


def fields_of(pieces: Pieces, prepared: Prepared, field: str) -> list[str]:
    """The fields of the data set's file that hold its texts, or the names of its images."""
    named = prepared.schema.beside.get(field) or getattr(pieces.dataset, "options", {}).get(field, field)
    return [named] if isinstance(named, str) else [*named]


def way_of_rows(pieces: Pieces, prepared: Prepared, chosen: Scored) -> dict[str, Any]:
    """All that predict.py needs to lead a row of a file to the method, and scores to a label set."""
    dataset, rule = pieces.dataset, pieces.threshold()
    return {
        "schema": prepared.schema.plain,
        "scaling": dataset.scaling,
        "scaler": prepared.scaler.state,
        "encoders": {field: described(encoder) for field, encoder in pieces.encoders.items()},
        "fields": {field: fields_of(pieces, prepared, field) for field in pieces.encoders},
        "calibration": chosen.calibration and chosen.calibration.plain,
        "cuts": chosen.measures.cuts,
        "at_cut": rule.at_cut,
        "cut_on": getattr(rule, "fit_on", rule.part) if rule.fitted else "",
        "citation": getattr(dataset, "citation", None),
        "licence": getattr(dataset, "licence", None),
        "options": json.loads(json.dumps(getattr(dataset, "options", {}), default=str)),
        "example": prepared.example,
    }


def save_scores(path: Path, scored: dict[str, Scored], test: Rows) -> None:
    """Scores by selection rule, with the rows' numbers in the data set and their true labels."""
    arrays: dict[str, Any] = {rule: each.scores.numpy() for rule, each in scored.items()}
    with whole(path) as file:
        np.savez(file, ids=test.ids.numpy(), targets=test.targets.numpy().astype(np.uint8), **arrays)


def save_findings(path: Path, tensors: dict[str, Tensor], train: Rows, task: Task) -> None:
    """A method's findings, with the training rows' numbers in the data set, their true labels, all names."""
    assert path.name != "scores.npz", "the scores have that file"
    arrays: dict[str, Any] = {name: tensor.detach().cpu().numpy() for name, tensor in tensors.items()}
    targets = train.targets.numpy().astype(np.uint8)
    with whole(path) as file:
        np.savez(file, ids=train.ids.numpy(), targets=targets, labels=np.array(task.labels), **arrays)


def recorded(
    stages: Stages,
    prepared: Prepared,
    scored: dict[str, Scored],
    selected: dict[str, dict[str, float]],
    *,
    key: str,
    code: str,
    started: datetime,
    scoring: float,
) -> Record:
    """The record of a run whose stages are trained and whose test part is scored, in `scoring` seconds."""
    config, test = stages.config, prepared.parts["test"]
    settings = taken(config.model_dump(mode="json"))
    measured, chosen = {rule: each.measures for rule, each in scored.items()}, scored[config.selection.rule]
    return Record(
        key=key,
        choices=settings["choices"],
        seed=config.seed,
        rule=config.selection.rule,
        metrics={rule: measures.metrics for rule, measures in measured.items()},
        per_label={"label": list(prepared.task.labels)} | chosen.measures.per_label,
        thresholds={rule: measures.cuts for rule, measures in measured.items()},
        selected=selected,
        facts=stages.method.facts() | facts_of_rows(chosen.model, test, device_of(config.train)),
        parts={part: len(rows) for part, rows in prepared.parts.items()},
        data=prepared.data,
        config=settings,
        seconds=stages.seconds | {"scoring": scoring},
        peak_memory_bytes=peak_memory(),
        started=started.isoformat(timespec="seconds"),
        finished=datetime.now(UTC).isoformat(timespec="seconds"),
        versions=versions(),
        machine=machine(),
        revision=revision(),
        code=code,
        calibration=told({rule: each.calibration for rule, each in scored.items()}, prepared.task.labels),
        trained=stages.trained,
        cost=cost(stages.processor_seconds, chosen),
    )


def cost(train_seconds: float, scored: Scored) -> dict[str, float]:
    """What the run took on one core of its machine, however busy that was."""
    trained = sum(parameter.numel() for parameter in scored.model.parameters())
    return {
        "train_seconds": train_seconds,
        "seconds_per_1000_rows": 1000 / scored.rows_a_second,
        "parameters": trained or math.nan,
    }
