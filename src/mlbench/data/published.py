"""Splits that are published, row by row, so that everybody's numbers are of the same rows.

published/ beside this file has a file a data set: five folds, each the test part once, and of the other rows
20 % for validation, both iteratively stratified. A byte a row says its part in each of the folds. The file
names the label matrix that it was made for by its SHA-256; another one is refused.
"""

import base64
import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from mlbench.data.contracts import Parts
from mlbench.data.splits import KFold, check_count, filled
from mlbench.errors import UserError, did_you_mean

FOLDS, VALIDATION, SEED = 5, 0.2, 0
PARTS = ("train", "validation", "test")


@dataclass(frozen=True, kw_only=True)
class Published:
    """One of the published folds of a data set, or of the index file `path`; the run's seed has no say."""

    dataset: str | None
    path: str | None
    folds: int
    fold: int
    parts: ClassVar[tuple[str, ...]] = PARTS
    labelled: ClassVar[tuple[str, ...]] = ("train",)

    def __post_init__(self):
        check_count("fold", self.fold, least=0)
        if self.folds != FOLDS or self.fold >= FOLDS:
            raise UserError(
                f"split.folds={self.folds} split.fold={self.fold}: {FOLDS} folds are published, numbered "
                f"0 to {FOLDS - 1}"
            )

    @staticmethod
    def defining(options: dict[str, Any]) -> dict[str, Any]:
        """The options that count: which file it is shows in the data."""
        return {name: value for name, value in options.items() if name not in ("dataset", "path")}

    def __call__(self, targets: np.ndarray, official: Parts | None, seed: int) -> Parts:
        kept = self.read()
        if kept["labels_sha256"] != checksum(targets):
            raise UserError(
                f"split=published: {self.file.name} is of {kept['instances']} rows whose labels have the "
                f"SHA-256 {kept['labels_sha256'][:12]}, not of these {len(targets)} "
                f"({checksum(targets)[:12]}); choose split=kfold"
            )
        of_fold = unpacked(kept["parts"], FOLDS)[self.fold]
        parts = {name: np.flatnonzero(of_fold == number) for number, name in enumerate(PARTS)}
        return filled(parts, len(targets))

    @property
    def file(self) -> Path:
        return Path(self.path).expanduser() if self.path else folder() / f"{self.dataset}.json"

    def read(self) -> dict[str, Any]:
        try:
            return read(self.file)
        except FileNotFoundError:
            if self.path:
                raise UserError(f"split.path={self.path}: there is no such file") from None
            known = sorted(path.stem for path in folder().glob("*.json"))
            near = did_you_mean(self.dataset or "", known)
            raise UserError(
                f"split=published: none is published for {self.dataset or 'this data set'}{near}; there are "
                f"{', '.join(known)}"
            ) from None


def folder() -> Path:
    return Path(__file__).parent / "published"


def read(path: Path) -> dict[str, Any]:
    """What an index file says; UserError where it is none, or its rows are not those that were written."""
    try:
        kept = json.loads(path.read_text())
        rows = base64.b64decode(kept["parts"], validate=True)
        sound = hashlib.sha256(rows).hexdigest() == kept["parts_sha256"] and len(rows) == kept["instances"]
    except (ValueError, KeyError, TypeError, RecursionError):
        sound, kept = False, {}
    if not sound:
        raise UserError(f"{path} is no whole index file of a published split")
    return kept


def made(name: str, targets: np.ndarray) -> dict[str, Any]:
    """The content of the index file of a data set's folds."""
    rows = packed(drawn(targets))
    return {
        "dataset": name,
        "instances": len(targets),
        "labels": targets.shape[1],
        "labels_sha256": checksum(targets),
        "made_by": f"split=kfold split.folds={FOLDS} split.validation={VALIDATION} split.stratified=true "
        f"seed={SEED}",
        "parts_sha256": hashlib.sha256(rows).hexdigest(),
        "parts": base64.b64encode(rows).decode(),
    }


def drawn(targets: np.ndarray) -> np.ndarray:
    """The part of every row, a number of PARTS, in every fold, (folds, N)."""
    number = np.empty((FOLDS, len(targets)), np.uint8)
    for fold in range(FOLDS):
        split = KFold(folds=FOLDS, fold=fold, validation=VALIDATION, stratified=True)
        for name, rows in split(targets, None, SEED).items():
            number[fold, rows] = PARTS.index(name)
    return number


def packed(number: np.ndarray) -> bytes:
    """A byte a row: its parts as digits to the base 3, the first fold's last."""
    return (3 ** np.arange(len(number)) @ number.astype(np.int64)).astype(np.uint8).tobytes()


def unpacked(text: str, folds: int) -> np.ndarray:
    rows = np.frombuffer(base64.b64decode(text), np.uint8).astype(np.int64)
    return rows // 3 ** np.arange(folds)[:, None] % 3


def checksum(targets: np.ndarray) -> str:
    """The SHA-256 of a label matrix: its shape, and a bit an entry, row by row."""
    shape = "×".join(map(str, targets.shape)).encode()
    return hashlib.sha256(shape + np.packbits(targets != 0, axis=1).tobytes()).hexdigest()
