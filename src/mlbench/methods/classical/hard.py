"""Methods whose option `scores` chooses what their classifiers give: probabilities, or hard decisions."""

from collections.abc import Mapping
from typing import Any, Literal

import numpy as np

from mlbench.config import Node
from mlbench.data.task import Task
from mlbench.methods.base import Given
from mlbench.methods.bases import Base, Options
from mlbench.methods.fitted import Fitted, Matrix

Scores = Literal["probability", "hard"]


class Hard(Fitted):
    """Subclasses compute a learner's `decisions` and `probabilities`, (B, L') each."""

    def __init__(self, task: Task, base: Base, options: Options, scores: Scores):
        super().__init__(task, base, options)
        self.score_kind = scores

    @staticmethod
    def defining(options: Node) -> Node:
        """Without `scores: probability`, so that runs from before this option was there keep their keys."""
        unsaid = options.get("scores") == "probability"
        return {name: value for name, value in options.items() if not (unsaid and name == "scores")}

    @classmethod
    def gives(cls, options: Mapping[str, Any]) -> Given:
        return "decisions" if options.get("scores") == "hard" else "probabilities"

    def probabilities(self, learner: Any, x: Matrix) -> np.ndarray:
        raise NotImplementedError

    def decisions(self, learner: Any, x: Matrix) -> np.ndarray:
        raise NotImplementedError

    def predict(self, learner: Any, x: Matrix) -> np.ndarray:
        return (self.decisions if self.score_kind == "hard" else self.probabilities)(learner, x)
