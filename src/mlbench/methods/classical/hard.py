"""A choice between how sure classifiers are and what they say: their probabilities, or their yes and no."""

from typing import Any, Literal

import numpy as np

from mlbench.config import Node
from mlbench.data.task import Task
from mlbench.methods.bases import Base, Options
from mlbench.methods.fitted import Fitted, Matrix

Scores = Literal["probability", "hard"]


class Hard(Fitted):
    """Subclasses say what a learner says, in `decisions`, and how sure it is, in `probabilities`, (B, L')."""

    def __init__(self, task: Task, base: Base, options: Options, scores: Scores):
        super().__init__(task, base, options)
        self.said = scores

    @staticmethod
    def defining(options: Node) -> Node:
        """Probabilities go without saying: runs from before there was a choice keep their keys."""
        unsaid = options.get("scores") == "probability"
        return {name: value for name, value in options.items() if not (unsaid and name == "scores")}

    def probabilities(self, learner: Any, x: Matrix) -> np.ndarray:
        raise NotImplementedError

    def decisions(self, learner: Any, x: Matrix) -> np.ndarray:
        raise NotImplementedError

    def predict(self, learner: Any, x: Matrix) -> np.ndarray:
        return (self.decisions if self.said == "hard" else self.probabilities)(learner, x)
