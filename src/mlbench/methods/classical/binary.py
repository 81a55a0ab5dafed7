"""Binary relevance: a classifier a label, each for itself (Tsoumakas & Katakis 2007, PT4)."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from mlbench.data.rows import Batch
from mlbench.methods.base import Learner
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

    def as_graph(self) -> Learner:
        learner = self.learned["learner"]
        models = learner.estimators_ if learner else []
        return (
            LinearDecisions(self.shares, self.varying, models, self.score_kind)
            if is_linear(models)
            else super().as_graph()
        )

    def decisions(self, learner: Any, x: Matrix) -> np.ndarray:
        return learner.predict(x)


def is_linear(models: Sequence[Any]) -> bool:
    """Whether `confidence` of every model is σ(w·x + b), so that one matrix product scores all labels."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.svm import LinearSVC

    return all(type(model) in (LogisticRegression, LinearSVC) for model in models)


class LinearDecisions(Learner):
    """σ(w·x + b), or the decision w·x + b > 0, of labels that vary in training; of others their one value."""

    weight: Tensor
    bias: Tensor
    fixed: Tensor

    def __init__(self, shares: Tensor, varying: np.ndarray, models: Sequence[Any], score_kind: str):
        super().__init__()
        weight, bias = torch.zeros(2, len(shares), 1, dtype=torch.float64)
        if len(varying):
            lines = torch.from_numpy(np.concatenate([model.coef_ for model in models]))
            weight = lines.new_zeros(len(shares), lines.shape[1])
            weight[varying] = lines
            bias[varying] = torch.from_numpy(np.stack([np.resize(m.intercept_, 1) for m in models])).double()
        fixed = shares.clone()
        fixed[varying] = torch.nan
        self.score_kind = score_kind
        for name, tensor in {"weight": weight, "bias": bias.squeeze(-1), "fixed": fixed}.items():
            self.register_buffer(name, tensor)

    def scores(self, batch: Batch) -> Tensor:
        x = batch.x.double()
        lines = (x[:, : self.weight.shape[1]] @ self.weight.mT) + self.bias
        scores = (lines > 0).float() if self.score_kind == "hard" else lines.sigmoid().float()
        return torch.where(self.fixed.isnan(), scores, self.fixed)
