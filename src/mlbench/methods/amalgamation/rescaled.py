"""A teacher from a file sees its rows scaled as those it learned from, however the student's are scaled."""

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from mlbench.data.contracts import Scaler
from mlbench.data.scaling import Columns, Unscaled
from mlbench.errors import UserError


class Rescaled(nn.Module):
    """From columns scaled for the student to columns scaled for the teacher: both are affine in a column."""

    factor: Tensor
    offset: Tensor

    def __init__(self, features: int):
        super().__init__()
        self.register_buffer("factor", torch.ones(features))
        self.register_buffer("offset", torch.zeros(features))

    def fit(self, student: Scaler, teacher: Scaler, of_teacher: str) -> None:
        """`of_teacher` is the file that the teacher comes from."""
        if type(student) is type(teacher) and student.state == teacher.state:
            return
        ours, theirs = affine(student, len(self.factor)), affine(teacher, len(self.factor))
        if ours is None or theirs is None:
            kinds = f"{type(teacher).__name__}, this run's by {type(student).__name__}"
            raise UserError(
                f"{of_teacher}: its rows were scaled by {kinds}, and only none, zscore and minmax can be "
                "changed into each other; use the teacher's dataset.scaling"
            )
        (shift, spread), (its_shift, its_spread) = ours, theirs
        self.factor.copy_(torch.from_numpy(spread / its_spread))
        self.offset.copy_(torch.from_numpy((shift - its_shift) / its_spread))

    def forward(self, x: Tensor) -> Tensor:
        return x * self.factor + self.offset


def affine(scaler: Any, features: int) -> tuple[np.ndarray, np.ndarray] | None:
    """Shift and spread of each column; None for a scaler of a person's own, which may do anything."""
    if isinstance(scaler, Columns):
        return np.array(scaler.state["shift"]), np.array(scaler.state["spread"])
    return (np.zeros(features), np.ones(features)) if type(scaler) is Unscaled else None
