"""Trained runs at work: rows of new files to scores and label sets."""

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import numpy as np
import torch
from torch import Tensor

from mlbench.data.contracts import Scaler
from mlbench.data.instances import Features
from mlbench.data.missing import zeroed
from mlbench.data.new_raw import RawPiece
from mlbench.data.new_rows import Asked, named_by, rows_of
from mlbench.data.pieces import Piece
from mlbench.data.rows import Rows
from mlbench.data.scaling import of_state
from mlbench.data.schema import Schema
from mlbench.data.together import Reading, together
from mlbench.encoders.base import Encoder
from mlbench.encoders.encode import beside
from mlbench.encoders.kept import again
from mlbench.engine.score import score_rows
from mlbench.errors import UserError
from mlbench.evaluation import calibration
from mlbench.evaluation.suite import METRICS, evaluate
from mlbench.evaluation.thresholds import strictly_above
from mlbench.methods.base import Method
from mlbench.methods.build import not_of_a_run, opened, unpacked
from mlbench.results import store
from mlbench.trust import foreign


@dataclass(frozen=True)
class Trained:
    """What a run left, from a row of a file to a label set."""

    path: Path
    dataset: str  # the data set's name
    method: Method
    schema: Schema
    scaler: Scaler
    cuts: float | list[float]  # [] where each instance has cuts of its own
    at_cut: bool
    cut_on: str  # the part whose scores the cuts were fitted on; "" where they were given
    encoders: Mapping[str, Encoder]  # of texts and images; empty where the columns are features
    fields: Mapping[str, Sequence[str]]  # text, image → where they are in a file
    citation: str = ""  # of the data
    licence: str = ""  # of the data; "" where none is stated
    options: Mapping[str, Any] = field(default_factory=dict)  # with which its files were read
    example: Sequence[float | str] | None = None  # a row: means and most frequent words of the training
    calibrated: calibration.Calibration | None = None
    modalities: Mapping[str, tuple[int, int]] = field(default_factory=dict)  # first column, last + 1

    @property
    def reading(self) -> Reading:
        several = self.modalities if len(self.modalities) > 1 or "columns_of" in self.options else {}
        masks = self.method.requires.missing_modalities
        return Reading(str(self.path), self.schema, self.options, self.fields, several, masks)

    def features(self, piece: Piece | RawPiece) -> Features:
        """The features of a piece; the encoders compute those of texts and images."""
        if isinstance(piece, Piece):
            return piece.features
        return beside([encoder.encode(piece.raw[field], "cpu") for field, encoder in self.encoders.items()])

    def scores(self, features: Features, present: np.ndarray | None = None) -> Tensor:
        """(n, L) of unscaled rows, as the run's scores.npz has them of its test part. `present` (n, m) is 0
        for a modality that a row lacks.
        """
        scaled: Any = self.scaler.apply(features)
        if present is not None:
            scaled = zeroed(scaled, present, self.modalities)
        numbers = np.arange(scaled.shape[0])
        piece = Piece(numbers, scaled, None, present)
        made = rows_of(piece, len(self.schema.labels), None if present is None else self.modalities)
        rows = Rows.from_instances(made, numbers)
        scores = score_rows(self.method, rows, torch.arange(len(rows)))
        return scores if self.calibrated is None else self.calibrated(scores)

    @classmethod
    def of_run(cls, path: Path) -> "Trained":
        """From a run's folder or its model.pt, which anybody may have made."""
        path = path.expanduser()
        path = path / "model.pt" if path.is_dir() else path
        refuse_imported(path)
        content = opened(path)
        method, task = unpacked(path, content)
        rows = content.get("rows")
        if not isinstance(rows, dict):
            raise UserError(
                f"{path}: an older version wrote it, without what leads from a file to its method: run again "
                "with force=true"
            )
        try:
            with foreign():
                made = of_state(rows["scaling"], rows["scaler"])
                encoders = {field: again(described) for field, described in rows["encoders"].items()}
            options = dict(rows.get("options", {"decimal": rows.get("decimal", ".")}))
            schema = Schema.of_plain(rows["schema"])
            schema = replace(schema, beside={**named_by(options), **schema.beside})
            cuts, at_cut, cut_on = rows["cuts"], bool(rows["at_cut"]), str(rows["cut_on"])
            if isinstance(cuts, list) and len(cuts) not in (0, len(task.labels)):
                raise ValueError(f"it has {len(cuts)} cuts for {len(task.labels)} labels")
            citation = str(rows["citation"] or "")
            calibrated = calibration.of_plain(rows.get("calibration"), len(schema.labels))
            way = schema, made, cuts, at_cut, cut_on, encoders, rows["fields"], citation
            more = {"example": rows.get("example"), "options": options}
            more["licence"] = str(rows.get("licence") or "")
            more["modalities"] = {each.name: (each.start, each.stop) for each in task.modalities}
            return cls(path, task.name, method, *way, calibrated=calibrated, **more)
        except UserError as error:
            raise UserError(f"{path}: {error}") from error
        except Exception as error:  # a foreign or broken file may fail in any way
            raise not_of_a_run(path, error) from error

    @property
    def has_cuts(self) -> bool:
        """Whether new rows can be cut; false where each instance, or each metric, has its own cut."""
        return isinstance(self.cuts, float | list) and self.cuts != []


def refuse_imported(path: Path) -> None:
    """The folder of another program's predictions looks like a run's, and has no model."""
    record = None if path.exists() else store.finished(path.parent)
    if record and record.imported:
        file = record.source.get("file", "a file")
        raise UserError(
            f"{path.parent}: its predictions were imported from {file}, and no model with them: the program "
            "that made them takes new rows; mlbench score measures what it says of them"
        )


class Predicted(NamedTuple):
    ids: np.ndarray
    scores: Tensor  # (n, L), columns as in the labels of the first run
    sets: Tensor | None  # (n, L) booleans, where the runs have cuts for new rows
    targets: Tensor | None  # (n, L), where the file has them


@dataclass(frozen=True)
class Ensemble:
    """Runs that answer together: the mean of their scores and of their cuts. One run is an ensemble, too."""

    runs: Sequence[Trained]
    orders: Sequence[list[int]]  # of each run: where the labels of the first one stand
    cuts: Tensor | None  # (L,); None where a run has no cuts that new rows could be cut at

    @classmethod
    def of(cls, runs: Sequence[Trained]) -> "Ensemble":
        first = runs[0]
        for run in runs[1:]:
            if other := sorted({*run.schema.labels} ^ {*first.schema.labels}):
                raise UserError(
                    f"{run.path} and {first.path} know different labels, such as {other[0]!r}: only runs "
                    "with the same labels are averaged"
                )
        orders = [[run.schema.labels.index(label) for label in first.schema.labels] for run in runs]
        return cls(runs, orders, mean_cuts(runs, orders))

    @property
    def schema(self) -> Schema:
        return self.runs[0].schema

    def refuse_other_columns(self) -> None:
        """Refuses runs that cannot be asked with the same columns, texts or images."""
        first = self.runs[0]
        for run in self.runs[1:]:
            if run.fields != first.fields or {*run.schema.columns} != {*first.schema.columns}:
                raise UserError(f"{run.path} and {first.path} were trained on different columns")

    def predicted(self, pieces: Sequence[Piece | RawPiece]) -> Predicted:
        """The predictions for the same rows, of which each run has its own piece."""
        total = torch.zeros(len(pieces[0].ids), len(self.schema.labels))
        targets = None
        for run, order, piece in zip(self.runs, self.orders, pieces):
            present = piece.present if isinstance(piece, Piece) else None
            total += run.scores(run.features(piece), present)[:, order]
            if targets is None and isinstance(piece, Piece) and piece.targets is not None:
                targets = torch.from_numpy(piece.targets[:, order])
        scores = total / len(self.runs)
        sets = None if self.cuts is None else above(scores, self.cuts, self.runs[0].at_cut)
        return Predicted(pieces[0].ids, scores, sets, targets)


def predictions(
    runs: Sequence[Trained],
    path: str | Mapping[str, str],
    id: str | None = None,
    separator: str | None = None,
    decimal: str | None = None,
    needs_sets: bool = False,
    images: str | None = None,
) -> Iterator[Predicted]:
    """A piece of the file after the other; refused where label sets are needed and there are no cuts. `path`
    may have a file for each modality.
    """
    ensemble = Ensemble.of(runs)
    if needs_sets and ensemble.cuts is None:
        raise UserError(
            "there are no label sets: a run's threshold rule has no cuts for new rows, or the rules of "
            "several runs differ in whether a score at the cut is above it; give=scores goes"
        )
    asked = Asked("", id, separator, decimal, images)
    asked = asked._replace(path=path) if isinstance(path, str) else asked._replace(files=path)
    pieces = together([run.reading for run in runs], asked)
    for each in pieces if asked.path == "-" else one_ahead(pieces):  # who types rows is not waited for
        yield ensemble.predicted(each)


Read = TypeVar("Read")


def one_ahead(pieces: Iterator[Read]) -> Iterator[Read]:
    """The same pieces. While one is at work, the next is read by another thread."""
    with ThreadPoolExecutor(1) as reader:
        coming = reader.submit(next, pieces, None)
        while (piece := coming.result()) is not None:
            coming = reader.submit(next, pieces, None)
            yield piece


def mean_cuts(runs: Sequence[Trained], orders: Sequence[list[int]]) -> Tensor | None:
    if not all(run.has_cuts for run in runs) or len({run.at_cut for run in runs}) > 1:
        return None
    each = [
        torch.tensor(run.cuts, dtype=torch.float64).expand(len(order))[order]
        for run, order in zip(runs, orders)
    ]
    return torch.stack(each).mean(0)


def above(scores: Tensor, cuts: Tensor, at_cut: bool) -> Tensor:
    if at_cut:
        return scores >= cuts.to(scores.dtype)
    return strictly_above(scores, cuts.tolist())


def measured(scores: Tensor, sets: Tensor | None, targets: Tensor) -> dict[str, float]:
    """All metrics; without label sets those of scores alone."""
    if sets is not None:
        return evaluate(scores, sets, targets)
    of_scores = [name for name, metric in METRICS.items() if metric.needs == "scores"]
    return evaluate(scores, torch.zeros_like(targets), targets, of_scores)
