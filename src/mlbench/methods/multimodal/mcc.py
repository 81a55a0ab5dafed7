"""MCC: a classifier chain on ever more modalities; an instance takes the next until its labels are certain
(after Zhang et al., ICME 2019, arXiv 1907.11857).

A reading of ours: its abstract and introduction were at hand, the algorithm was not. Known is that it extends
classifier chains, that modalities have costs, that instances get different ones at test, and that a
prediction is made once it is convincing.
"""

from typing import Annotated, Any

import numpy as np
import torch
from pydantic import Field
from torch import Tensor

from mlbench.data.rows import Batch
from mlbench.data.task import Task
from mlbench.methods.base import Requires
from mlbench.methods.bases import Base, Options, chained, confidence
from mlbench.methods.fitted import Fitted, Matrix

Certainty = Annotated[float, Field(ge=0, le=1)]


class MCC(Fitted):
    """The learner is a list of chains in label order: of the first modality, of the first two, up to all."""

    requires = Requires(modalities=2)

    def __init__(self, task: Task, base: Base, options: Options, certainty: Certainty):
        super().__init__(task, base, options)
        self.certainty = certainty
        self.stops = [modality.stop for modality in task.modalities]

    def fit(self, x: Matrix, y: np.ndarray, labels: np.ndarray) -> Any:
        return [chained(self.new_base(), None, x[:, :stop], y) for stop in self.stops]

    def predict(self, learner: Any, x: Matrix) -> np.ndarray:
        return self.walked(learner, x)[0]

    def walked(self, learner: Any, x: Matrix) -> tuple[np.ndarray, np.ndarray]:
        """The scores of each row's last chain, (B, L'), and how many modalities the row took, (B,)."""
        scores = confidence(learner[0], x[:, : self.stops[0]])
        taken = np.ones(len(scores))
        open_rows = np.flatnonzero(~self.certain(scores))
        for chain, stop in zip(learner[1:], self.stops[1:]):
            if not len(open_rows):
                break
            scores[open_rows] = confidence(chain, x[open_rows, :stop])
            taken[open_rows] += 1
            open_rows = open_rows[~self.certain(scores[open_rows])]
        return scores, taken

    def certain(self, scores: np.ndarray) -> np.ndarray:
        """Whether the mean over labels of max(p, 1 − p) has reached θ; one that never varies is certain."""
        doubts = np.minimum(scores, 1 - scores).sum(1) / len(self.shares)
        return 1 - doubts >= self.certainty

    def row_facts(self, batch: Batch) -> dict[str, Tensor]:
        if self.learned["learner"] is None:
            return {}
        _, taken = self.walked(self.learned["learner"], self.rows_of(batch))
        return {"modalities_used": torch.from_numpy(taken)}
