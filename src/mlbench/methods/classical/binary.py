"""Binary relevance: a classifier a label, each for itself (Tsoumakas & Katakis 2007, PT4)."""

from typing import Any

import numpy as np

from mlbench.methods.bases import confidence
from mlbench.methods.classical.hard import Hard
from mlbench.methods.fitted import Matrix


class BinaryRelevance(Hard):
    def fit(self, x: Matrix, y: np.ndarray, labels: np.ndarray) -> Any:
        from sklearn.multioutput import MultiOutputClassifier

        return MultiOutputClassifier(self.new_base()).fit(x, y)

    def probabilities(self, learner: Any, x: Matrix) -> np.ndarray:
        columns = [confidence(model, x) for model in learner.estimators_]
        return np.stack([column[:, 1] if column.ndim == 2 else column for column in columns], axis=1)

    def decisions(self, learner: Any, x: Matrix) -> np.ndarray:
        return learner.predict(x)
