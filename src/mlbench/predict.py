"""Trained runs at work: rows of new files to scores and label sets."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from mlbench.data.contracts import Scaler
from mlbench.data.new_rows import pieces, rows_of
from mlbench.data.rows import Rows
from mlbench.data.scaling import of_state
from mlbench.data.schema import Schema
from mlbench.engine.score import score_rows
from mlbench.errors import UserError
from mlbench.evaluation.suite import METRICS, evaluate
from mlbench.evaluation.thresholds import strictly_above
from mlbench.methods.base import Method
from mlbench.methods.build import unpacked
from mlbench.trust import foreign


@dataclass(frozen=True)
class Trained:
    """What a run left, from a row of a file to a label set."""

    path: Path
    method: Method
    schema: Schema
    scaler: Scaler
    cuts: float | list[float]  # [] where each instance has cuts of its own
    at_cut: bool
    cut_on: str  # the part whose scores the cuts were fitted on; "" where they were given

    @classmethod
    def of_run(cls, path: Path) -> "Trained":
        """From a run's folder or its model.pt, which anybody may have made."""
        path = path.expanduser()
        path = path / "model.pt" if path.is_dir() else path
        method, _ = unpacked(path)
        rows = torch.load(path, map_location="cpu", weights_only=True).get("rows")
        if not isinstance(rows, dict):
            raise UserError(
                f"{path}: an older version wrote it, without what leads from a file to its method: run again "
                "with force=true"
            )
        try:
            if rows["encoders"]:
                raise UserError(
                    f"{path}: its method takes what an encoder makes of {' and '.join(rows['encoders'])}; "
                    "only columns of numbers and words can be read here"
                )
            with foreign():
                made = of_state(rows["scaling"], rows["scaler"])
            schema = Schema.of_plain(rows["schema"])
            return cls(path, method, schema, made, rows["cuts"], bool(rows["at_cut"]), str(rows["cut_on"]))
        except UserError as error:
            raise UserError(f"{path}: {error}") from error
        except (KeyError, TypeError, AttributeError) as error:
            raise UserError(f"{path} is not the model.pt of a run ({error!r})") from error

    @property
    def has_cuts(self) -> bool:
        return self.cuts != [] and self.cuts is not None


class Predicted(NamedTuple):
    ids: np.ndarray
    scores: Tensor  # (n, L), columns as in the labels of the first run
    sets: Tensor | None  # (n, L) booleans, where the runs have cuts for new rows
    targets: Tensor | None  # (n, L), where the file has them


def predictions(
    runs: Sequence[Trained],
    path: str,
    id: str | None = None,
    separator: str | None = None,
    needs_sets: bool = False,
) -> Iterator[Predicted]:
    """A piece of the file after the other. Several runs give the mean of their scores and of their cuts;
    where there is none and label sets are needed, it is refused.
    """
    first = runs[0]
    for run in runs[1:]:
        if {*run.schema.labels} != {*first.schema.labels}:
            raise UserError(f"{run.path} and {first.path} know different labels: only like runs are averaged")
        if run.schema.columns != first.schema.columns:
            raise UserError(f"{run.path} and {first.path} were trained on different columns")
    orders = [[run.schema.labels.index(label) for label in first.schema.labels] for run in runs]
    cuts = mean_cuts(runs, orders)
    if needs_sets and cuts is None:
        raise UserError(
            "there are no label sets: a run's threshold rule has no cuts for new rows, or the rules of "
            "several runs differ in whether a score at the cut is above it; give=scores goes"
        )
    labels = len(first.schema.labels)
    for piece in pieces(path, first.schema, id, separator):
        instances = rows_of(piece, labels)
        total = torch.zeros(len(piece.ids), labels)
        for run, order in zip(runs, orders):
            scaled = run.scaler.apply(instances.features)
            rows = Rows.from_instances(replace(instances, features=scaled), np.arange(len(instances)))
            total += score_rows(run.method, rows, torch.arange(len(rows)))[:, order]
        scores = total / len(runs)
        targets = None if piece.targets is None else torch.from_numpy(piece.targets)
        yield Predicted(
            piece.ids, scores, None if cuts is None else above(scores, cuts, first.at_cut), targets
        )


def mean_cuts(runs: Sequence[Trained], orders: Sequence[list[int]]) -> Tensor | None:
    """(L,); None where a run has no cuts that new rows could be cut at."""
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
