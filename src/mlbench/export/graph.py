"""The way from a row of a file to scores and label sets as one torch module, of tensor operations alone."""

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from mlbench.data.rows import Batch
from mlbench.data.scaling import Columns, Unscaled
from mlbench.data.schema import Schema
from mlbench.errors import UserError
from mlbench.evaluation.calibration import Steps
from mlbench.methods.base import Learner
from mlbench.predict import Trained


class Graph(nn.Module):
    """x (B, columns) → scores (B, L), and label sets (B, L) in zeros and ones where the cuts are fixed."""

    def __init__(self, run: Trained):
        super().__init__()
        if not run.schema.features:
            raise UserError("its network takes images or texts as they are, and a graph takes columns")
        self.columns = Words(run.schema) if run.schema.values and not run.encoders else nn.Identity()
        self.gaps = Gaps(run.schema) if run.schema.fills else nn.Identity()
        self.scaler = scaler(run)
        self.scores = Scores(run.method.as_graph(), len(run.schema.labels))
        self.calibrated = calibrated(run)
        self.sets = Sets(run.cuts, run.at_cut, len(run.schema.labels)) if run.has_cuts else None

    @property
    def outputs(self) -> list[str]:
        return ["scores"] if self.sets is None else ["scores", "labels"]

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        scores = self.calibrated(self.scores(self.scaler(self.columns(self.gaps(x)))))
        return (scores,) if self.sets is None else (scores, self.sets(scores))


class Gaps(nn.Module):
    """Columns of a file, NaN where a cell is empty → the same columns, filled from the training rows."""

    fills: Tensor

    def __init__(self, schema: Schema):
        super().__init__()
        fills = [
            schema.values[name].index(str(value)) if name in schema.values else value
            for name, value in ((name, schema.fills[name]) for name in schema.columns)
        ]
        self.register_buffer("fills", torch.tensor(fills, dtype=torch.float32))

    def forward(self, x: Tensor) -> Tensor:
        return torch.where(x.isnan(), self.fills, x)


class Words(nn.Module):
    """Columns of a file → feature columns: a column of words holds the word's number among its values."""

    column: Tensor
    value: Tensor

    def __init__(self, schema: Schema):
        super().__init__()
        positions = {name: number for number, name in enumerate(schema.columns)}
        columns, values = [], []
        of_words = {
            f"{name}={word}": (name, number)
            for name, words in schema.values.items()
            for number, word in enumerate(words)
        }
        for feature in schema.features:
            name, number = of_words.get(feature, (feature, np.nan))
            columns.append(positions[name])
            values.append(number)
        self.known = [
            len(schema.values.get(name, ())) for name in schema.columns
        ]  # how many words each column may hold; 0 for numbers
        self.register_buffer("column", torch.tensor(columns))
        self.register_buffer("value", torch.tensor(values, dtype=torch.float32))

    def forward(self, x: Tensor) -> Tensor:
        spread = x.index_select(1, self.column)
        return torch.where(self.value.isnan(), spread, (spread == self.value).to(x.dtype))

    def raw(self, rows: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Rows as a file may have them: numbers from feature rows (B, d), words drawn at random."""
        table = np.empty((len(rows), len(self.known)))
        for column, count in enumerate(self.known):
            places = np.flatnonzero(self.column.numpy() == column)
            table[:, column] = rng.integers(count, size=len(rows)) if count else rows[:, places[0]]
        return table


class Scaled(nn.Module):
    """The scaling of mlbench.data.scaling: in float64, rounded once to float32."""

    shift: Tensor
    spread: Tensor

    def __init__(self, shift: Any, spread: Any):
        super().__init__()
        self.register_buffer("shift", torch.tensor(shift, dtype=torch.float64))
        self.register_buffer("spread", torch.tensor(spread, dtype=torch.float64))

    def forward(self, x: Tensor) -> Tensor:
        return ((x.double() - self.shift) / self.spread).float()


def scaler(run: Trained) -> nn.Module:
    if isinstance(run.scaler, Columns):
        return Scaled(run.scaler.state["shift"], run.scaler.state["spread"])
    if type(run.scaler) is Unscaled:
        return nn.Identity()
    raise UserError(f"its scaler, {type(run.scaler).__name__}, is code of its own")


class Scores(nn.Module):
    """A method's scores of rows without known labels."""

    def __init__(self, method: Learner, labels: int):
        super().__init__()
        self.method = method
        self.labels = labels

    def forward(self, x: Tensor) -> Tensor:
        unknown = torch.full((x.shape[0], self.labels), torch.nan)
        ids = torch.zeros(x.shape[0], dtype=torch.int64)
        return self.method.scores(Batch(x, unknown, ids)).float()


class Counted(Steps):
    """Steps that find a score's place by counting: ONNX has no search in a sorted list."""

    def place(self, scores: Tensor) -> Tensor:
        return (scores.unsqueeze(-1) >= self.x).sum(-1)


def calibrated(run: Trained) -> nn.Module:
    calibration = run.calibrated
    if isinstance(calibration, Steps):
        return Counted(calibration.x, calibration.y, calibration.fitted)
    return nn.Identity() if calibration is None else calibration


class Sets(nn.Module):
    """Label sets by the cuts of mlbench.predict, compared in the type of the scores."""

    cuts: Tensor

    def __init__(self, cuts: float | list[float], at_cut: bool, labels: int):
        super().__init__()
        self.register_buffer("cuts", torch.tensor(cuts, dtype=torch.float32).expand(labels).clone())
        self.at_cut = at_cut

    def forward(self, scores: Tensor) -> Tensor:
        return (scores >= self.cuts if self.at_cut else scores > self.cuts).to(torch.uint8)
