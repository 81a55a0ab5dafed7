"""BL: the majority of a label's experts, an even vote counting as yes; nothing is trained."""

from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor

from mlbench.config import TRAINING
from mlbench.data.rows import Batch, Rows
from mlbench.methods.amalgamation.teachers import AmalgamationMethod, scores_of
from mlbench.methods.base import Given, Stage


class BL(AmalgamationMethod):
    looks_into_teachers = False
    has_student = False
    train_options = TRAINING - {"epochs", "batch_size", "optimizer"}  # conf/method has the teachers' values

    @classmethod
    def gives(cls, options: Mapping[str, Any]) -> Given:
        return "votes"

    def learn(self, data: Rows) -> Iterator[Stage]:
        yield Stage("vote", self, data, solve=lambda data: None)

    def scores(self, batch: Batch) -> Tensor:
        """(v + ½) / (e + ½) for v of e experts in favour: above ½ just when v ≥ e/2."""
        hard = [scores_of(teacher, batch) > 0.5 for teacher in self.teachers]
        votes = [
            torch.stack([hard[e.teacher][:, e.column] for e in known_by]).float() for known_by in self.experts
        ]
        return torch.stack(
            [(label_votes.sum(0) + 0.5) / (len(label_votes) + 0.5) for label_votes in votes], dim=1
        )
