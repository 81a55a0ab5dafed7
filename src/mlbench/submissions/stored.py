"""Predictions of another program kept as a record, which tables, ranks and reports read beside our runs'."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from mlbench.config import NOT_TAKEN, Config, Node, defining
from mlbench.errors import UserError
from mlbench.evaluation.measure import Measures
from mlbench.files import whole
from mlbench.results import imported, store
from mlbench.results.record import Record, machine, revision, versions
from mlbench.submissions.cuts import Cuts
from mlbench.submissions.given import Submission, Truth
from mlbench.submissions.known import Known

RULE = "last"  # the rule under which record and scores stand: nothing is known of another program's epochs


@dataclass(frozen=True)
class Import:
    """Predictions to be kept: numbers in the order of the truth, and what the numbers were taken for."""

    name: str
    submission: Submission
    values: np.ndarray
    taken_for: str
    cut: bool  # whether label sets are cuts of scores


def keep(
    predictions: Import, data: Known, truth: Truth, cuts: Cuts, measures: Measures, force: bool
) -> tuple[Path, bool]:
    """Writes the record; returns its path, and whether the same record was there already.

    Other predictions under the same name are refused unless `force`: the record would change what it says.
    """
    config = imported.named(data.config.model_copy(update={"threshold": dict(cuts.node)}), predictions.name)
    folder = imported.folder(config, data.dataset.name, data.identity, predictions.cut)
    refuse_runs(folder.parent)
    digest = hashlib.sha256(np.ascontiguousarray(predictions.values, dtype=float).tobytes()).hexdigest()
    with store.claim(folder):
        path = folder / "record.json"
        for other, file in others(folder.parent, config, data, digest):
            if not force:
                raise UserError(
                    f"as={predictions.name}: {other} holds other predictions, of {file}; choose another "
                    "name, another seed=, or force=true, which replaces them"
                )
            store.clear(other.parent)
        if not force and store.finished(folder) is not None:
            return path, True
        store.clear(folder)
        source = {
            "file": predictions.submission.path.name,
            "predictions": digest,
            "taken_for": predictions.taken_for,
        }
        made = _record(predictions, data, truth, cuts, measures, folder.name, source)
        store.begin(folder, made.config)
        with whole(folder / "scores.npz") as file:
            ids, labels = np.array(truth.ids, dtype=np.int64), np.array(truth.labels)
            np.savez(file, ids=ids, labels=labels, targets=truth.values, last=predictions.values)
        made.write(path)
    return path, False


def others(folder: Path, config: Config, data: Known, digest: str) -> Iterator[tuple[Path, str]]:
    """Records of other predictions with the same seed, split and files of data, and the names of their files.

    The threshold does not count: one name has one set of predictions.
    """
    protocol = config.seed, defining(config.split), data.identity.get("files")
    for path in sorted(folder.glob(f"{imported.MARK}*/record.json")):
        record = store.finished(path.parent)
        if record is None or record.source.get("predictions") == digest:
            continue
        if (record.seed, record.config["split"], record.data.get("files")) == protocol:
            yield path, record.source.get("file", "")


def refuse_runs(folder: Path) -> None:
    """Refuses a folder with runs, of a person's own method of that name: a folder holds runs or imports."""
    for path in sorted(folder.glob("*/record.json")):
        if not path.parent.name.startswith(imported.MARK):
            raise UserError(
                f"as={folder.name}: {path} is a run of a method of that name; choose another name"
            )


def _record(
    predictions: Import,
    data: Known,
    truth: Truth,
    cuts: Cuts,
    measures: Measures,
    key: str,
    source: dict[str, str],
) -> Record:
    config, now = data.config, datetime.now(UTC).isoformat(timespec="seconds")
    names = dict.fromkeys(config.choices, NOT_TAKEN) | {
        "dataset": config.choices["dataset"],
        "split": config.choices["split"],
        "method": predictions.name,
        "threshold": cuts.name if predictions.cut else NOT_TAKEN,
    }
    settings: Node = {
        "dataset": config.dataset,
        "split": defining(config.split),
        "threshold": dict(cuts.node) if predictions.cut else {"_target_": None},
        "seed": config.seed,
        "imported": predictions.name,
        "choices": {
            name: choice for name, choice in names.items() if "/" not in name and name != "calibration"
        },
    }
    return Record(
        key=key,
        choices=settings["choices"],
        seed=config.seed,
        rule=RULE,
        metrics={RULE: measures.metrics},
        per_label={"label": truth.labels} | measures.per_label,
        thresholds={RULE: measures.cuts},
        selected={},
        facts={},
        parts={part: len(rows) for part, rows in data.parts.items()},
        data=data.described,
        config=settings,
        seconds={},
        peak_memory_bytes=0,
        started=now,
        finished=now,
        versions=versions(),
        machine=machine(),
        revision=revision(),
        imported=True,
        source=source,
    )
