"""Classifier chains and ensembles of them (Read, Pfahringer, Holmes, Frank, Classifier Chains for Multi-label
Classification, Machine Learning 85, 2011): each label's classifier also sees the labels before it.
"""

from typing import Annotated, Any

import numpy as np
from pydantic import AfterValidator, Field

from mlbench.data.task import Task
from mlbench.errors import UserError
from mlbench.methods.bases import Base, Options, chained, confidence
from mlbench.methods.classical.hard import Hard, Scores
from mlbench.methods.fitted import Fitted, Matrix


def an_order(order: str | list[int] | None) -> str | list[int] | None:
    if isinstance(order, str) and order != "random":
        raise ValueError("is random, null for the data set's own order, or a list of label numbers from 0")
    return order


Order = Annotated[str | list[int] | None, AfterValidator(an_order)]


class Chain(Hard):
    def __init__(self, task: Task, base: Base, options: Options, order: Order, scores: Scores):
        super().__init__(task, base, options, scores)
        labels = len(task.labels)
        if isinstance(order, list) and sorted(order) != list(range(labels)):
            raise UserError(
                f"method.order={order}: name each of the {labels} labels of {task.name} once, by a number "
                f"from 0 to {labels - 1}"
            )
        self.order = order

    def fit(self, x: Matrix, y: np.ndarray, labels: np.ndarray) -> Any:
        order = self.order
        if isinstance(order, list):
            column_of = {label: column for column, label in enumerate(labels.tolist())}
            order = [column_of[label] for label in order if label in column_of]
        return chained(self.new_base(), order, x, y)

    def probabilities(self, learner: Any, x: Matrix) -> np.ndarray:
        return confidence(learner, x)

    def decisions(self, learner: Any, x: Matrix) -> np.ndarray:
        return learner.predict(x)


class Chains(Fitted):
    """Chains in random orders. The paper also draws each chain's rows, and counts votes."""

    def __init__(self, task: Task, base: Base, options: Options, chains: Annotated[int, Field(ge=1)]):
        super().__init__(task, base, options)
        self.chains = chains

    def fit(self, x: Matrix, y: np.ndarray, labels: np.ndarray) -> Any:
        return [chained(self.new_base(), "random", x, y) for _ in range(self.chains)]

    def predict(self, learner: Any, x: Matrix) -> np.ndarray:
        return np.mean([confidence(chain, x) for chain in learner], axis=0)
