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

RULE = "last"  # nothing is known of epochs; the scores have the name, too


@dataclass(frozen=True)
class Import:
    """What is to be kept: numbers in the order of the truth, and what they were taken for."""

    name: str
    submission: Submission
    values: np.ndarray
    taken_for: str
    cut: bool  # whether label sets are cuts of scores


def keep(
    given: Import, data: Known, truth: Truth, cuts: Cuts, measures: Measures, force: bool
) -> tuple[Path, bool]:
    """The path of the record, and whether it was there already; other predictions under one name are refused
    unless `force`.
    """
    config = imported.named(data.config.model_copy(update={"threshold": dict(cuts.node)}), given.name)
    folder = imported.folder(config, data.dataset.name, data.identity, given.cut)
    refuse_runs(folder.parent)
    digest = hashlib.sha256(np.ascontiguousarray(given.values, dtype=float).tobytes()).hexdigest()
    with store.claim(folder):
        path = folder / "record.json"
        for other, file in others(folder.parent, config, data, digest):
            if not force:
                raise UserError(
                    f"as={given.name}: {other} holds other predictions, of {file}; choose another name, "
                    "another seed=, or force=true, which replaces them"
                )
            store.clear(other.parent)
        if not force and store.finished(folder) is not None:
            return path, True
        store.clear(folder)
        source = {
            "file": given.submission.path.name,
            "predictions": digest,
            "taken_for": given.taken_for,
        }
        made = _record(given, data, truth, cuts, measures, folder.name, source)
        store.begin(folder, made.config)
        with whole(folder / "scores.npz") as file:
            ids, labels = np.array(truth.ids, dtype=np.int64), np.array(truth.labels)
            np.savez(file, ids=ids, labels=labels, targets=truth.values, last=given.values)
        made.write(path)
    return path, False


def others(folder: Path, config: Config, data: Known, digest: str) -> Iterator[tuple[Path, str]]:
    """Records of other predictions in the same place, whatever the threshold, and the files they are of."""
    place = config.seed, defining(config.split), data.identity.get("files")
    for path in sorted(folder.glob(f"{imported.MARK}*/record.json")):
        record = store.finished(path.parent)
        if record is None or record.source.get("predictions") == digest:
            continue
        if (record.seed, record.config["split"], record.data.get("files")) == place:
            yield path, record.source.get("file", "")


def refuse_runs(folder: Path) -> None:
    """A method of a person's own may have the name: its runs and imports must not lie in one folder."""
    for path in sorted(folder.glob("*/record.json")):
        if not path.parent.name.startswith(imported.MARK):
            raise UserError(
                f"as={folder.name}: {path} is a run of a method of that name; choose another name"
            )


def _record(
    given: Import,
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
        "method": given.name,
        "threshold": cuts.name if given.cut else NOT_TAKEN,
    }
    settings: Node = {
        "dataset": config.dataset,
        "split": defining(config.split),
        "threshold": dict(cuts.node) if given.cut else {"_target_": None},
        "seed": config.seed,
        "imported": given.name,
        "choices": {name: own for name, own in names.items() if "/" not in name and name != "calibration"},
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
